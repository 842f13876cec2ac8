"""What rude phrases are in a sentence, and which of them it needs: "send his ass to bed" cannot lose "ass"."""

import re
from functools import cache
from itertools import pairwise
from typing import Literal

from lemminflect import getAllLemmas, getInflection

from metrics.systems.baselines import lexicon
from repro.wording.rudeness import FUNCTION_WORDS, find_neutral, load_equivalents

Role = Literal["noun", "predicate", "verb", "command", "extra"]

_DETERMINER = (
    r"(?:an?|the|my|your|yo|ur|ya|his|her|our|their|its|no|every|such|of|like|less|more|zero|for|with|by|from|some|any"
    r"|much|enough|other|same|another)"
)
_NOUN_PHRASE = re.compile(rf"\b{_DETERMINER}(?:\s+[\w'-]+){{0,2}}\s+$", re.IGNORECASE)
_NAMED = re.compile(
    r"\b(?:an?|the|such|no|every|some|any|another|th(?:is|at|[eo]se)|one|what|which)(?:\s+[\w'-]+){0,5}\s+$",
    re.IGNORECASE,
)
_CALLED = re.compile(r"(?:\b(?:is|are|was|were|am|be|your|youre)|'s|'re|'m)\s+(?:an?|such an?)\s+$", re.IGNORECASE)
_POINTED_AT = re.compile(r"\b(?:this|that|some|another)\s+$", re.IGNORECASE)
_PREDICATE = re.compile(
    r"(?:\b(?:is|are|was|were|be|been|am|im|youre|hes|shes|its|theyre|feels?|felt|looks?|sounds?|gets?|getting|got|becom(?:e|es|ing)|became|so+|too|how|as|beyond)"
    r"|'s|'re|'m|\b(?!only\b)[\w']+ly)(?:\s+(?:just|plain|really|very|pretty|all|that|not|n't|more|even|still|also|kinda|\w+ly))*\s+$"
    r"|\b\w+ (?:and|or)\s+$",
    re.IGNORECASE,
)
# A verb stands behind these.
_VERB = re.compile(
    r"(?:\b(?:to|tryna|gonna|wanna|gotta|will|can|could|would|should|must|do|does|did"
    r"|don ?'?t|doesn ?'?t|didn ?'?t|won ?'?t"
    r"|can ?'?t|never|they|we|you|i)|'ll)\s+$",
    re.IGNORECASE,
)
_BARE_VERBS = frozenset("fuck fucks fucked screw piss shit shitting fucking bitch bitching suck sucks sucked".split())
_GRADED = re.compile(r"\b(?:most|more|less|least|so|too|as|very|how|beyond|(?!only\b)\w+ly)\s+$", re.IGNORECASE)
_COMMAND = re.compile(r"(?:^|[.,!?;:\"]|\b(?:and|but|so|because|cause|cuz|well|lol|like|yeah))\s*$", re.IGNORECASE)
_COMMANDS = frozenset(("fuck", "screw"))
# Behind these, "fuck" is an exclamation: "fuck , i forgot", "fuck dont feel like it".
_NEW_CLAUSE = frozenset(
    "i we he she they it im ive ill its youre thats this that you me yeah yes no off up dont didnt cant wont aint if "
    "is are was do did can where when why how who man my there then wow sake and but".split()
)
# "Shit happens", "when shit gets real": a subject with its verb.
_SUBJECTS = frozenset("shit crap".split())
_CLAUSE = re.compile(rf"(?:{_COMMAND.pattern}|\b(?:when|if|that|where|cus|all)\s+$)", re.IGNORECASE)
_FINITE = frozenset(
    "just be is was gets get got getting happens happened happen will can s has goes went going starts started ain "
    "aint don doesn dont doesnt hits hit".split()
)
# "Fuck my brother over": the verb has a particle behind its object.
_PARTICLE = re.compile(r"\s+(?:[\w']+\s+){1,3}(?:over|up|off)\b", re.IGNORECASE)
# Words of chat behind which a phrase has ended, as behind `FUNCTION_WORDS`.
_CHAT = frozenset(
    "u ya ur n im ive ill em lol lmao smh xd tho though aint dont doesnt didnt cant wont isnt wasnt don doesn didn isn "
    "wasn ain then here there yet anyway today dude bro fam rt tryna gonna gotta got during after before while until "
    "since enough outta thats theyre hes shes through".split()
)
_INTERJECTIONS = frozenset("lol lmao yo yeah ok well damn rt man fam bro dude oh wow jesus question you u ya".split())
_NOT = re.compile(
    r"(?:\b(?:not|never|no|nobody|cannot|aint|dont|doesnt|didnt|cant|wont|isnt|wasnt|couldnt)|n ?'t)"
    r"\s+(?:[\w'-]+\s+)?(?!(?:an?|the|th(?:is|at|[eo]se)|my|your|his|her|our|their)\b)[\w'-]+\s+$",
    re.IGNORECASE,
)
# "So fucking greedy" is as "so greedy".
_DEGREES = re.compile(r"(?:\b(?:fuck(?:ing|in'?)|(?:god)?damn|bloody|freaking?|really|very)\s+)+$", re.IGNORECASE)
_NEXT = re.compile(r"\s*([\w'-]+|[.,!?;:])")
_LAST = re.compile(r"([\w']+)\s+$")
# Sections of the table that may stand in the place of a single word, by its role.
_SECTIONS: dict[str, tuple[str, ...]] = {
    "noun": ("nouns", "mass"),
    "predicate": ("adjectives", "mass", "nouns"),
    "verb": ("verbs",),
    "command": ("commands",),
    "extra": ("adjectives", "fixed"),
}


@cache
def _persons() -> tuple[frozenset[str], frozenset[str]]:
    """Return all insulting names that are one word: the singulars, and the plurals."""
    singular = frozenset(name for name in load_equivalents().all_names if name.isalpha())
    return singular, frozenset(form for name in singular for form in getInflection(name, "NNS"))


def find_role(text: str, start: int, end: int) -> Role:
    """Return what the phrase at `text[start:end]` is in its sentence.

    Returns:
        "noun" if it ends a noun phrase, "predicate" if it says what something is, "verb", or "command" for a verb at
        the beginning of a clause: the sentence needs these. All else is "extra": what stands before a noun or an
        adjective ("a shit day"), or is set off from the sentence.
    """
    before, phrase = _DEGREES.sub("", text[:start]), text[start:end].lower()
    following = _NEXT.match(text, end)
    behind = following[1].lower() if following else ""
    is_word = behind[:1].isalnum()
    if phrase in _BARE_VERBS and _VERB.search(before) and is_word:
        # "I fucking know" has its verb behind.
        return "extra" if phrase.endswith("ing") and behind not in FUNCTION_WORDS else "verb"
    if phrase in _COMMANDS and _COMMAND.search(before) and is_word and behind not in _NEW_CLAUSE:
        return "command"
    if phrase in _SUBJECTS and behind in _FINITE and _CLAUSE.search(before):
        return "noun"
    singular, plural = _persons()
    last = _LAST.search(before)
    # "That moron drives" has a verb behind, "that moron driver" has not.
    subject = _POINTED_AT.search(before) and "VERB" in getAllLemmas(behind)
    # An insult in the plural stands before no other noun.
    if (phrase in singular and (subject or _CALLED.search(before))) or (phrase in plural and last):
        return "noun"
    if is_word and behind not in FUNCTION_WORDS and behind not in _CHAT:
        # "The most stupid idea" is not "the most idea".
        graded = _GRADED.search(before) and "adjectives" in find_neutral(phrase).values()
        return "predicate" if graded else "extra"
    if _NOUN_PHRASE.search(before):
        return "noun"
    if _PREDICATE.search(before):
        return "predicate"
    named = phrase in singular and bool(_NAMED.search(before))
    return "noun" if last and (named or _ends_noun_phrase(phrase, last[1].lower())) else "extra"


def _ends_noun_phrase(phrase: str, last: str) -> bool:
    """Whether a phrase is the noun of the adjective or verb before it: "crazy shit", "talk shit"."""
    sections = find_neutral(phrase).values()
    return "mass" in sections and last not in _INTERJECTIONS and bool({"ADJ", "VERB"} & {*getAllLemmas(last)})


def is_needed(text: str, start: int, end: int) -> bool:
    """Return whether the sentence has a gap without the phrase at `text[start:end]`; see `find_role`."""
    return find_role(text, start, end) != "extra"


def fitting_words(match: re.Match[str], role: Role, neutral: dict[str, str]) -> list[str]:
    """Return those neutral wordings that can stand in the place of a phrase.

    Args:
        match: The phrase in its sentence.
        role: Its role there, by `find_role`.
        neutral: Neutral wordings of the phrase with their sections, as `Equivalents.neutral` has them.
    """
    text, start, end = match.string, *match.span()
    neutral = {word: section for word, section in neutral.items() if not lexicon() & {*word.split()}}
    if role == "noun" and "negated" in neutral.values() and _NOT.search(text[:start]):
        return [word for word, section in neutral.items() if section == "negated"]
    if " " in text[start:end].strip():
        # "The fuck up" is a mistake, "they fuck up" is to make one.
        nouns = [word for word, section in neutral.items() if section in ("nouns", "mass")]
        others = [word for word, section in neutral.items() if section not in ("nouns", "mass", "negated")]
        return nouns if nouns and (role == "noun" or not others) else others
    if role == "verb" and _PARTICLE.match(text, end):
        return []
    sections = ("verbs",) if role == "predicate" and text[:end].endswith("ing") else _SECTIONS[role]
    return [word for word, section in neutral.items() if section in sections]


def leaves_gap(source: str, rewrite: str) -> bool:
    """Return whether a rewrite has left out a rude word that its source needs.

    It has if, where the source has such a word, the word before it and what is behind it are neighbours in the rewrite,
    as they are nowhere in the source.
    """
    pairs = set()
    for match in re.finditer(r"[\w*$-]+", source):
        word = match[0].lower()
        if (word in lexicon() or find_neutral(word)) and is_needed(source, *match.span()):
            before, behind = _tokens(_DEGREES.sub("", source[: match.start()])), _tokens(source[match.end() :])
            pairs.add((before[-1] if before else "", behind[0] if behind else ""))
    return bool(pairs & (_neighbours(rewrite) - _neighbours(source)))


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+|[.,!?;:]", text.lower())


def _neighbours(text: str) -> set[tuple[str, str]]:
    return {*pairwise(["", *_tokens(text), ""])}
