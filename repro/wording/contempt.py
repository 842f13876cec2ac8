"""Turns of contempt, and what they say without it.

"My parrot asks sharper questions than your editor" says that the editor doesn't ask sharp questions, and "do us all a
favour and leave" asks to leave. The turns stand in `contempt.yaml`, with the words that take their place.
"""

import re
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from lemminflect import getAllLemmas, getInflection, getLemma

from repro.wording.names import compile_expression
from repro.wording.rudeness import FUNCTION_WORDS, load_equivalents
from repro.wording.threats import is_base, verb_lemma

_TABLE = Path(__file__).parent / "contempt.yaml"
_FIELD = re.compile(r"\{(\w+)(?::(\w+))?\}")
_PLURAL = re.compile(r"(?:you|they|we|i|these|those|people|.*\band\b.*)\b", re.IGNORECASE)
# Where a clause is negated: behind the first of these.
_AUXILIARY = re.compile(
    r"\b(is|are|was|were|can|could|will|would|should|does|do|did|has|have)\b(?! not)", re.IGNORECASE
)


class _NoFormError(Exception):
    """A part of a sentence has no such form."""


@cache
def _turns() -> list[tuple[re.Pattern[str], str]]:
    """Return an expression for each turn, and what it says."""
    table = yaml.safe_load(_TABLE.read_text("utf-8"))
    turns = [*table["turns"], *_reversible_turns()]
    return [(compile_expression(expression, table["parts"]), plain) for expression, plain in turns]


def _reversible_turns() -> Iterator[tuple[str, str]]:
    """Yield the turns that `add_rudeness` puts at the beginning of sentences, as `contempt.yaml` writes them."""
    for plain, turns in load_equivalents().turns.items():
        # "He is too dumb to know" is said by names.py, "… or i'll break your legs" by threats.py.
        for turn in (turn for turn in turns if not re.match("…|(?:you|he|they).* too ", turn)):
            start = re.escape(turn.removesuffix(" …")).replace(r"\ ", " ").replace("an INSULT", "an? PERSON")
            start = start.replace("INSULTs", "PEOPLE").replace("INSULT", "PERSON")
            start = start.replace("WORD you", r"[\w'-]+(?: at all)?\s*,? you")
            # "What moron eats …" asks what "what moron would eat …" does.
            verb = r"(?:would (?P<base>\w+)|(?P<verb>\w+s))" if start.endswith(" would") else r"(?P<base>\w+)"
            said = plain.removesuffix("…") + ("{base}{verb:VB}" if "verb" in verb else "{base}")
            yield (
                rf"^(?:so |and |but |lol )?{start.removesuffix(' would')} {verb}(?P<rest>.*)$",
                said + ("{rest:BASES}" if "verb" in verb else "{rest}"),
            )


def without_contempt(text: str) -> str:
    """Return a sentence in which turns of contempt are said plainly, or left out where they say nothing."""
    for expression, plain in _turns():
        if match := expression.search(text):
            try:
                said = _FIELD.sub(partial(_fill, match), plain)
            except _NoFormError:
                continue
            said = text[: match.start()] + said + text[match.end() :]
            said = said if text[:1].isupper() else re.sub(r"\bI(?=['\s])", "i", said)
            if said.startswith("please "):
                said = re.sub(r"\?$", ".", said)
            text = said if text[-1:] in ".!?" else said.removesuffix(".")
    return text


def _fill(match: re.Match[str], field: re.Match[str]) -> str:
    words = match[field[1]] or ""
    first = words.split(" ")[0].lower()
    if field.start() and match.start(field[1]) == 0 and first in FUNCTION_WORDS and first != "i":
        words = words[:1].lower() + words[1:]
    return _form(words, field[2] or "")


def _form(words: str, form: str) -> str:
    """Return words in a form: that of a function below, or that of a Penn Treebank tag for the first word."""
    if not form or not words:
        return _positive(words) if form == "GOOD" else words
    return _FORMS[form](words) if form in _FORMS else _inflect(words, form)


def _inflect(words: str, tag: str) -> str:
    verb, blank, rest = words.partition(" ")
    lemma = verb_lemma(verb) if getAllLemmas(verb.lower(), "VERB") else ""
    forms = getInflection(lemma, tag) if lemma else ()
    if not forms:
        raise _NoFormError
    return f"{forms[0]}{blank}{rest}"


def _base(words: str) -> str:
    """Return words that begin with the base form of a verb."""
    if not is_base(words.split(" ")[0]) and words.split(" ")[0].lower() not in ("have", "do", "be", "go"):
        raise _NoFormError
    return words


def _bases(words: str) -> str:
    """Return words in which the verb behind "and" is a base form, as that before it: "and keeps" becomes "and keep"."""

    def base(match: re.Match[str]) -> str:
        lemma = verb_lemma(match[2])
        is_verb = match[2] in getInflection(lemma, "VBZ") and not _is_plural_noun(match[2])
        return f"{match[1]} {lemma if is_verb or lemma == 'keep' else match[2]}"

    return re.sub(r"\b(and|or|then) (\w+s)\b", base, words)


def _request(words: str) -> str:
    """Return words that ask for something, without "please"."""
    words = re.sub(r"^(?:just|please) ", "", words, flags=re.IGNORECASE)
    negated = re.match(r"(?:do not|don ?'?t|never) ", words, re.IGNORECASE)
    _base(words[negated.end() if negated else 0 :])
    return words[:1].lower() + words[1:]


def _subject(pronoun: str) -> str:
    return {"him": "he", "her": "she", "them": "they"}.get(pronoun.lower(), pronoun)


def _do_not(subject: str) -> str:
    return f"{subject} {'don' if _is_plural(subject) else 'doesn'}'t"


def _be(subject: str) -> str:
    return f"{subject} {'are' if _is_plural(subject) else 'is'}"


def _is_plural(subject: str) -> bool:
    head = re.split(r" (?:who|that|of|in|at|from|on)\b", subject)[0].split(" ")[-1].lower()
    return bool(_PLURAL.fullmatch(subject)) or _is_plural_noun(head)


def _is_plural_noun(noun: str) -> bool:
    lemma = getLemma(noun, "NOUN")
    return bool(lemma) and lemma[0] != noun and noun in getInflection(lemma[0], "NNS")


def _much(noun: str) -> str:
    return f"{'many' if _is_plural_noun(noun.split(' ')[-1]) else 'much'} {noun}"


def _positive(comparative: str) -> str:
    """Return "sharp" for "sharper", and "good" for nothing, which stands for "better"."""
    lemma = getLemma(comparative.lower(), "ADJ") if comparative else ("good",)
    if not lemma or (comparative and lemma[0] == comparative.lower()):
        raise _NoFormError
    return lemma[0]


def _well(comparative: str) -> str:
    return "well" if comparative == "better" else _positive(comparative)


def _doubted(clause: str) -> str:
    """Return the opposite of a clause, or that it is doubted."""
    try:
        return _negated(clause)
    except _NoFormError:
        return f"I don't think {clause}"


def _negated(clause: str) -> str:
    """Return the opposite of a clause."""
    words = clause.split(" ")
    for i, word in enumerate(words[1:6], 1):
        if _AUXILIARY.fullmatch(word):
            return " ".join([*words[: i + 1], "not", *words[i + 1 :]])
        lemma = verb_lemma(word)
        for tag, negated in (("VBZ", "doesn't"), ("VBD", "didn't")):
            is_verb = lemma and lemma != word and "VERB" in getAllLemmas(word) and word in getInflection(lemma, tag)
            # "Visits" is a noun in "two visits make".
            if is_verb and not (
                _is_plural_noun(word) and words[i + 1 :] and getAllLemmas(words[i + 1].lower(), "VERB")
            ):
                return " ".join([*words[:i], negated, lemma, *words[i + 1 :]])
    raise _NoFormError


def _interest(words: str) -> str:
    return re.sub(r"^about", "in", words) if words.startswith("about") else f"in {words}"


_FORMS: dict[str, Any] = {
    "BASE": _base,
    "BASES": _bases,
    "REQUEST": _request,
    "SUBJECT": _subject,
    "DO_NOT": _do_not,
    "BE": _be,
    "MUCH": _much,
    "GOOD": _positive,
    "WELL": _well,
    "NEGATED": _negated,
    "DOUBTED": _doubted,
    "INTEREST": _interest,
}
