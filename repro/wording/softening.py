"""Polite rewrites of toxic sentences by rule: candidates, from which a follower and a language model choose.

Rude words and phrases are left out, or replaced by neutral wordings of the table of equivalents; forms of address,
insulting clauses and sentences are cut; insulting turns of phrase are said plainly. Most candidates are bad: the rules
know little of grammar.
"""

import random
import re
from collections.abc import Iterator

from repro.wording.insults import say_plainly
from repro.wording.roles import find_role, fitting_words
from repro.wording.rudeness import (
    FUNCTION_WORDS,
    find_neutral,
    fix_articles,
    load_equivalents,
    rude_pattern,
    with_case,
)

# How often a rude phrase is left out that has neutral wordings.
_LEFT_OUT = 0.3
# "The reporter is a lazy hack who didn't call us."
_WHO = re.compile(
    r"\s*(?:\b(?:is|are|was|were)|'s|'re)\s+(?:an?|the|just an?|such an?)?\s*([\w' ,-]+?)\s+(?:who|that)\s+",
    re.IGNORECASE,
)
_CLAUSES = re.compile(
    r"(\s*[,;:]\s+|\s+(?:and|but|because|so(?= (?:i|you|we|he|she|they|it|the|that|this)\b)|,)\s+|\s*\.\.+\s*|\s+-+\s+)"
)


def is_rude(text: str) -> bool:
    """Return whether a text has a rude word or phrase of the table or of the lexicon."""
    return bool(rude_pattern().search(text))


def propose_rewrites(text: str, limit: int, rng: random.Random) -> list[str]:
    """Return candidates for a polite rewrite of a sentence, without doubles; the sentence is not among them.

    Args:
        text: A toxic sentence.
        limit: Upper limit of the number of candidates for each way of cutting the sentence.
        rng: Draws candidates where there are more.
    """
    candidates: dict[str, None] = {}
    plain = say_plainly(text)
    for cut in dict.fromkeys([plain, *_cuts(plain)]):
        for _ in range(limit if is_rude(cut) else 1):
            candidates[_tidy(rude_pattern().sub(lambda match: _neutral(match, rng), cut), text)] = None
    # One word that is left of a sentence says nothing.
    return [candidate for candidate in candidates if len(re.findall(r"\w+", candidate)) > 1 and candidate != text]


def _neutral(match: re.Match[str], rng: random.Random) -> str:
    additions, phrase = load_equivalents().additions, re.sub(r"\s+", " ", match[0].lower())
    if phrase in additions["trailing"]:
        return ""
    role = find_role(match.string, *match.span())
    neutral = fitting_words(match, role, find_neutral(phrase))
    if role != "extra":
        # Without a neutral wording the phrase stays, and the follower rejects the candidate.
        return with_case(rng.choice(neutral), match[0]) if neutral else match[0]
    is_word = " " not in phrase
    if (
        not neutral
        or phrase in additions["degrees"]
        or _stands_alone(match, is_word and phrase in additions["exclamations"])
    ):
        return ""
    # Only single words and additions within a sentence say nothing: "how the hell" is "how".
    says_nothing = is_word or any(phrase in additions[kind] for kind in ("intensifiers", "addresses", "remarks"))
    if says_nothing and not FUNCTION_WORDS & {*neutral} and rng.random() < _LEFT_OUT:
        return ""
    return with_case(rng.choice(neutral), match[0])


def _stands_alone(match: re.Match[str], at_one_side: bool) -> bool:
    """Whether a phrase is set off from the sentence on both sides, as a form of address is.

    An exclamation is set off at one side: "shit i need to go", "they are having a good time wtf".
    """
    before, after = match.string[: match.start()], match.string[match.end() :]
    begins, ends = re.search(r"(?:^|[.!?,])\s*$", before), re.match(r"\s*(?:[,!.]|$)", after)
    return bool(begins or ends) if at_one_side else bool(begins and ends)


def _cuts(text: str) -> Iterator[str]:
    """Yield what is left of a sentence when an insulting address, clause or sentence is cut."""
    if match := _WHO.search(text):
        yield f"{text[: match.start()]} {text[match.end() :]}"
    parts = re.split(r"(?<=[.!?])\s+", text)
    if len(parts) > 1:
        yield " ".join(part for part in parts if not is_rude(part))
    for i in range(len(parts) if len(parts) > 1 else 0):
        yield " ".join(parts[:i] + parts[i + 1 :])
    clauses = _CLAUSES.split(text)
    for i in range(0, len(clauses) if len(clauses) > 1 else 0, 2):
        if is_rude(clauses[i]):
            yield "".join(clauses[: i - 1] + clauses[i + 1 :]) if i else "".join(clauses[2:])


def _tidy(text: str, source: str) -> str:
    """Write the blanks, punctuation, contractions, articles and capitals of a text as its source has them."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"(?:\s*,)+(\s*[,.!?])", r"\1", text)
    text = re.sub(r"^[\s,.!?;:-]+", "", text)
    text = fix_articles(re.sub(r"[\s,;:-]+$", "", text))
    if re.search(r"\w '\w", source):
        text = re.sub(r"(?<=\w)'(?=(?:s|t|re|m|ll|ve|d)\b)", " '", text)
    if source[:1].isupper() and text:
        text = text[0].upper() + text[1:]
    end = re.search(r"\s*[.!?]+$", source)
    if end and text and text[-1] not in ".!?":
        text += end[0]
    return text if re.search(r"\w [,.!?]", source) else re.sub(r"(?<=\w) (?=[,.!?])", "", text)
