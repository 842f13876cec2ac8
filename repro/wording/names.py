"""Insulting names of persons, and what a sentence says without them.

"My boss is a spineless weasel" says that the boss is unreliable, and "you dozy clot, the lid goes on first" that the
lid goes on first. The names and what they mean stand in the table of equivalents (`insults`).
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain

from lemminflect import getAllLemmas, getInflection

from metrics.systems.baselines import lexicon
from repro.wording.rudeness import FUNCTION_WORDS, load_equivalents, with_case

Replacement = Callable[[re.Match[str]], str]

# Parts of the expressions below, by the name that stands for them there in capitals.
_PARTS = {
    "WORD": rf"(?!(?:{'|'.join(sorted(FUNCTION_WORDS))}|one)\b)[\w'-]+",
    "BE": (
        r"(?:\b(?:is|was|are|were|am|be|been|being)|'s|'re|'m|(?<=you)re|(?<=they)re|(?<=\bhe)s|(?<=\bshe)s|(?<=\bu)r)"
    ),
    "ONE": r"(?:such an?|just an?|just another|nothing but an?|an?|the|that|this|some|another|one)",
    "MANY": r"(?:all of those|all those|all these|all|the|those|these|such|nothing but|just|(?:two|three|four) more)",
    "CONJ": r"(?:^|[.!?]\s+|\b(?:and|but|because|if|when|that)\s+)",
    "STOP": r"(?=\s*(?:[.,!?;:]|$|too\b))",
    # What is said of a name and not of a person: "a crook in a cheap suit", "a tyrant with too much time".
    "MORE": (
        r"(?:\s+(?:(?:in|with|on)\b(?: (?!(?:and|but|because|so|when|if|who)\b)[^\s,.;!?]+)+"
        r"|rolled into \w+(?: \w+)?))?"
    ),
    "ENDS": r"(?=\s*(?:[.,!?;:]|$|(?:and|but|or|so|because|if|when|for|at|about)\b(?! an? \w+ (?:who|of)\b)))",
    "HELLO": (
        r"(?:oh|hey|well|listen|look|congrats|congratulations|bravo|well done|nice (?:one|job|work)|great (?:job|work)"
        r"|good job|thanks for nothing|way to go|yo|oi)"
    ),
    # Praise that mocks, where a name would stand.
    "PRAISE": r"(?:genius|einstein|sherlock|hotshot|big shot|smart ?ar?ss?e?|champ|sunshine|your majesty|princess)",
    "UNWISE": r"(?:fucking |damn )?(?:stupid|dumb|thick|dense|ignorant|clueless|dim|brainless|moronic)",
    "BUNCH": r"(?:bunch|pack|gang|load|lot|bag|nest|pair|shower|crowd|parade|team)",
}
_AUXILIARIES = frozenset(
    "are is was were am be can could will would shall should may might must do does did have has had ought".split()
)
_KIND = frozenset(
    "lucky poor sweet clever good great lovely kind dear brave wonderful beautiful nice smart wise funny young".split()
)
# The beginning of a phrase that a name may end: "a petty," in "a petty, vindictive busybody".
_OPEN_PHRASE = r"(?:\b(?:an?|the|my|your|his|her|our|their|by|of)|BE) (?:WORD,? ){0,3}WORD$"


@cache
def _meanings() -> tuple[dict[str, str], dict[str, str]]:
    """Return what each name means, by its singular and by its plural."""
    singular, plural = {}, {}
    for meaning, names in load_equivalents().names.items():
        for name in names:
            *before, head = name.split()
            singular[name] = meaning
            heads = (f"{head[:-2]}en",) if head.endswith("-man") else getInflection(head, "NNS") or (f"{head}s",)
            plural[" ".join([*before, heads[0]])] = meaning
    return singular, plural


def _meaning(match: re.Match[str]) -> str:
    singular, plural = _meanings()
    name = match["name"].lower()
    before = match.string[match.start() : match.start("name")].lower()
    return load_equivalents().meaning(plural.get(name) or singular[name], " ".join(before.split()))


@cache
def _parts() -> dict[str, str]:
    """Return `_PARTS` and expressions for a name with its adjectives, as "a two-faced, lying snake" has them."""
    singular, plural = _meanings()
    parts = dict(_PARTS, MEANING="|".join(load_equivalents().names))
    for part, names in (("PERSON", singular), ("PEOPLE", plural), ("NAME", singular | plural)):
        alternatives = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        parts[part] = rf"(?<![\w'-])(?:WORD,? (?:and )?){{0,4}}?(?P<name>{alternatives})(?![\w'-])"
    alternatives = "|".join(re.escape(name) for name in sorted(singular, key=len, reverse=True))
    parts["ALONE"] = rf"(?<![\w'-])(?:WORD ){{0,2}}?(?P<name>{alternatives}|{_PARTS['PRAISE']})(?![\w'-])"
    return parts


@cache
def _compile(expression: str) -> re.Pattern[str]:
    return compile_expression(expression, {})


def compile_expression(expression: str, parts: dict[str, str]) -> re.Pattern[str]:
    """Return an expression in which capitals stand for parts: those that are given, and those of this module."""
    known = _parts() | parts
    for _ in range(3):
        expression = re.sub(r"\b[A-Z]{2,}\b", lambda match: known.get(match[0], match[0]), expression)
    return re.compile(expression, re.IGNORECASE)


def _addresses() -> Iterator[tuple[str, Replacement]]:
    """Yield expressions for forms of address and other names that are set off, and what stands there without them."""
    # "You dozy clot, the lid goes on first."
    yield r"^(?:you|u) NAME\s+(?=(?:you|u)\b)", _nothing
    yield r"^(?:HELLO\b,?\s*)?(?:you|ya|u) (?:NAME|PRAISE)\s*(?:[,!.]|\.\.+)+\s*", _nothing
    yield r"^HELLO\b,?\s*ALONE\s*(?:[,!.]|\.\.+)+\s*", _nothing
    # "Cheat, liar, thief, take your pick" is a list.
    yield r"^ALONE\s*(?:[,!.]|\.\.+)+\s*(?!(?:all|both|the|an?|and|or)\b|\w+(?: \w+)?,)", _nothing
    # "What a fraud, he copied it."; "He copied it? What a fraud."
    yield r"^(?:oh |god )?what an? NAME\s*[,.!:]\s+(?=\w)", _nothing
    yield r"(?<=[?.!])\s+what an? NAME\s*[.!]*$", _nothing
    yield r"^HELLO,?\s+(?:NAME|PRAISE) ", _nothing
    # "…, you shameless leech.", "…, disgusting slob", "…, what a fraud lol", "…, the parasite, …"
    yield (
        r"\s*,\s*(?:you |ya |u |the |what an? |what |an? |my )?(?:NAME|PRAISE)(?=\s*(?:[.!?]|(?:lol|smh|lmao)?$))",
        _set_off,
    )
    yield r"\s*,\s*(?:the|an?)\s+NAME(?=\s*,)", _set_off
    yield r"\s*,\s*ALONE(?=\s*,)", _set_off
    # "…, you lazy fraud of a professor."
    yield r"\s*,\s*you NAME (?:of|in|with) (?:an? )?(?:WORD ?){1,3}(?:STOP)", _nothing
    # "…, you horrible man.", with whatever name.
    yield r"\s*,\s*you (?P<adjective>WORD) (?:WORD ){0,2}(?P<noun>WORD)(?=\s*(?:[.!]|$))", _any_name
    # "Delete my post you clown"; "for you losers" is not an address.
    yield (
        r"(?<!\bof)(?<!\bfor)(?<!\bto)(?<!\bwith)(?:\s*,)?\s+(?:you|ya|u)\s+(?:BUNCH of )?NAME"
        r"(?:STOP|(?=\s+(?:and|so|or|then|because)\b))",
        _nothing,
    )
    # "But you idiots think": a subject or an object.
    yield (
        r"\b(?P<you>you|all of you|both of you)\s+NAME"
        r"(?! (?:who|of|in|with|after|before|me|him|her|us|them|\w+self)\b)",
        lambda match: match["you"],
    )


def _descriptions() -> Iterator[tuple[str, Replacement]]:
    """Yield expressions for what somebody is said to be, and what is meant by it."""
    # "Their pushy prat of a leader"; "…, bunch of boozy oafs", "what a bunch of hypocrites"; "a bunch of weasels who".
    yield r"PERSON of an? (?=\w)", _nothing
    # A match begins where blanks or signs begin: in a row of hyphens the time would grow with the cube of its length.
    pause = r"(?:^|(?:(?<!\s)\s+|(?<![\s,.;-]))[,.;-]+\s*)"
    yield rf"{pause}(?:what an? |such an? |you |a )?(?:WORD\s+){{0,2}}BUNCH of PEOPLE(?:STOP)", _nothing
    # "The border guard was a petty bully who enjoyed it."
    yield (
        r"\s*(?<!\bto )(?:\b(?:is|was)|'s)(?: also| still| always)?\s+ONE\s+PERSON\s+(?:who|that)\s+",
        lambda match: " ",
    )
    yield r"\s*(?:\b(?:are|were)|'re)\s+(?:(?:just |all |nothing but )?PEOPLE)\s+who\s+", lambda match: " "
    # "My dentist is a butcher, and his clerks are crooks"; "dishonest and a coward".
    yield r"(?P<be>BE)(?: also| still| always)?\s+(?P<not>not |never )?ONE\s+PERSON(?:MORE)(?:ENDS)", _what_is_meant
    many = r"(?:MANY\s+|(?:just )?a (?:WORD )?BUNCH of )"
    yield rf"(?P<be>BE)\s+(?P<not>not |never )?{many}?PEOPLE(?:MORE)(?:ENDS)", _what_is_meant
    # "They are a bunch of halfwits running around."
    yield r"(?P<be>BE)\s+(?:just )?a (?:WORD )?BUNCH of PEOPLE(?= \w+ing\b)", lambda match: match["be"]
    # "Some folks are too thick to understand."
    yield r"\s*(?P<be>(?!\b(?:be|been)\b)BE) (?:just |simply |all )?too (?:UNWISE) to(?= \w)", _negated
    yield r"(?P<be>\b(?:MEANING) (?:and|or))\s+(?P<not>)(?:ONE\s+)?PERSON(?:MORE)(?:ENDS)", _what_is_meant
    yield r"(?P<be>\b(?:MEANING) (?:and|or))\s+(?P<not>)PEOPLE(?:MORE)(?:ENDS)", _what_is_meant
    yield r"\b(?P<be>MEANING) and (?P=be)\b", lambda match: match["be"]
    yield (
        r"(?:\b(?:such an?|an?|the|this|that|your)\s+(?:WORD\s+){0,2})?\bBUNCH of PEOPLE",
        lambda match: match[0] if re.search(r"\bwhat\b", match.string[: match.start()], re.IGNORECASE) else "people",
    )


def _references() -> Iterator[tuple[str, Replacement]]:
    """Yield expressions for names in the place of somebody, and what stands there in plain words."""
    # "Some plank put …", "whichever louse dented …".
    yield r"\b(?:some|another) PERSON (?P<verb>\w+)", lambda match: _pronoun(match, "someone")
    yield r"\b(?:some|another) PERSON(?=\s+to\b)", lambda match: "someone"
    yield r"\b(?:whichever|whatever) PERSON (?P<verb>\w+)", lambda match: _pronoun(match, "whoever")
    # "The moron who designed it", "that dimwit next door", "full of idiots who".
    yield (
        r"\b(?!the (?:clown|fool) [^w])(?P<one>the|that|this|some|any|another) PERSON"
        r"(?= (?:who|in(?! you\b)|at|from|next|behind)\b)",
        _person,
    )
    yield r"\b(?P<kind>sort|kind|type) of PERSON(?= who\b)", lambda match: f"{match['kind']} of person"
    yield r"\b(?P<my>my|our|your|his|her|their) (?:WORD )?brat\b(?! who)", lambda match: f"{match['my']} child"
    yield r"\b(?P<at>of|by|with|for|like) PEOPLE(?= who\b)", lambda match: f"{match['at']} people"
    # "The bloviating ignoramus loves …", "those hypocrites voted …", "by those hypocrites".
    yield (
        r"(?P<start>CONJ)(?:the|this|that) (?!word\b|term\b|name\b)PERSON (?P<verb>\w+(?:s|ed))\b",
        lambda match: _pronoun(match, "he"),
    )
    yield r"(?P<start>CONJ)(?:the|these|those) PEOPLE (?P<verb>\w+)", lambda match: _pronoun(match, "they")
    yield r"\b(?:these|those|them) PEOPLE(?:STOP)", lambda match: "them"
    # "You voted for this moron", "whoever hired this clown should …".
    at = "about|by|for|from|like|of|to|with|hired|hire|fired|fire|elected|invited|married|promoted|trust|believe"
    yield (
        rf"\b(?P<at>{at}) (?:this|that) PERSON(?:ENDS|(?=\s+(?:should|must|can|has)\b))",
        lambda match: f"{match['at']} him" if _is_person(match) else match[0],
    )


def _nothing(match: re.Match[str]) -> str:
    return ""


def _any_name(match: re.Match[str]) -> str:
    """Leave out a form of address that says nothing kind."""
    adjective, noun = match["adjective"].lower(), match["noun"].lower()
    is_address = "ADJ" in getAllLemmas(adjective) and "NOUN" in getAllLemmas(noun) and not noun.endswith("s")
    return "" if is_address and adjective not in _KIND and adjective not in _AUXILIARIES else match[0]


def _set_off(match: re.Match[str]) -> str:
    """Leave a name out, unless it ends a phrase with several adjectives: "a petty, vindictive busybody"."""
    before, words = match.string[: match.start()], re.findall(r"[\w'-]+", match[0].lower())
    last = re.search(r"[\w-]+$", before)
    kinds = getAllLemmas(last[0].lower()) if last else {}
    is_open = words[0] not in ("you", "what", (match["name"] or "").lower()) and ("ADJ" in kinds or not kinds)
    return match[0] if is_open and _compile(_OPEN_PHRASE).search(before) else ""


def _what_is_meant(match: re.Match[str]) -> str:
    return f"{match['be']} {match['not'] or ''}{_meaning(match)}"


def _person(match: re.Match[str]) -> str:
    person = "someone" if match["one"].lower() == "some" else f"{match['one']} person"
    return with_case(person, match[0]) if _is_person(match, 1) else match[0]


def _negated(match: re.Match[str]) -> str:
    be = match["be"].lower()
    verb = "didn't" if be in ("was", "were") else "doesn't" if be in ("is", "'s") else "don't"
    return f" {verb}"


def _is_person(match: re.Match[str], others: int = 2) -> bool:
    """Whether a name is no animal or thing: "the pig" may be one, "the greedy pig" and "the moron" are none.

    Args:
        match: The name, with adjectives.
        others: The number of other words in the match.
    """
    alone = len(match[0].split()) == len(match["name"].split()) + others
    return not alone or match["name"].lower() in lexicon()


def _pronoun(match: re.Match[str], pronoun: str) -> str:
    """Put a pronoun in the place of a name before a verb, unless it may be the name of an animal or a thing."""
    start, verb = match.groupdict().get("start", ""), match["verb"].lower()
    lemmas = getAllLemmas(verb, upos="VERB").get("VERB", ())
    forms = {form for lemma in lemmas for tag in ("VBZ", "VBD") for form in getInflection(lemma, tag)}
    if verb not in _AUXILIARIES | forms and (pronoun != "they" or not lemmas):
        return match[0]
    if pronoun in ("he", "they") and not _is_person(match, 2 + len(start.split())):
        return match[0]
    return f"{start}{with_case(pronoun, match[0][len(start) :])} {match['verb']}"


def without_names(text: str) -> str:
    """Return a sentence in which insulting names are said in plain words, or left out where they say nothing."""
    for expression, replacement in chain(_addresses(), _descriptions(), _references()):
        text = _compile(expression).sub(replacement, text)
    return text
