"""Which rude phrases a sentence needs: without it, "send his ass to bed" has a gap, "send his to bed"."""

import re
from itertools import pairwise

from metrics.systems.baselines import lexicon
from repro.wording.rudeness import FUNCTION_WORDS

_OPEN = re.compile(
    r"\b(?:an?|the|my|your|yo|ur|ya|his|her|our|their|its|no|every|such|of|like|less|more)"
    r"(?:\s+[\w'-]+){0,2}\s+$|(?:\b(?:is|are|was|were|be|been|am|im|youre|hes|shes|theyre|feels?|felt|looks?|sounds?|gets?|so"
    r"|too|how|as)|'s|'re|'m)\s+$",
    re.IGNORECASE,
)
# A verb stands behind these.
_VERB = re.compile(
    r"(?:\b(?:to|tryna|gonna|wanna|gotta|will|can|could|would|should|must|do|does|did"
    r"|don ?'?t|doesn ?'?t|didn ?'?t|won ?'?t"
    r"|can ?'?t|never|they|we|you|i)|'ll)\s+$",
    re.IGNORECASE,
)
_BARE_VERBS = frozenset("fuck fucks fucked screw piss shit shitting fucking bitch bitching".split())
# "So fucking greedy" is as "so greedy".
_DEGREES = re.compile(r"(?:\b(?:fuck(?:ing|in'?)|(?:god)?damn|bloody|freaking?|really|very)\s+)+$", re.IGNORECASE)
_NEXT = re.compile(r"\s*([\w'-]+|[.,!?;:])")


def is_needed(text: str, start: int, end: int) -> bool:
    """Return whether the phrase at `text[start:end]` ends a noun phrase, says what something is, or is a verb.

    What stands before a noun or an adjective ("a shit day") or is set off from the sentence is not needed.
    """
    before, phrase = _DEGREES.sub("", text[:start]), text[start:end].lower()
    following = _NEXT.match(text, end)
    behind = following[1].lower() if following else ""
    if phrase in _BARE_VERBS and _VERB.search(before) and behind[:1].isalnum():
        # "I fucking know" has its verb behind.
        return not phrase.endswith("ing") or behind in FUNCTION_WORDS
    ends_here = not behind[:1].isalnum() or behind in FUNCTION_WORDS
    return ends_here and bool(_OPEN.search(before))


def leaves_gap(source: str, rewrite: str) -> bool:
    """Return whether a rewrite has left out a rude word that its source needs.

    It has if, where the source has such a word, the word before it and what is behind it are neighbours in the rewrite,
    as they are nowhere in the source.
    """
    pairs = set()
    for match in re.finditer(r"[\w*$-]+", source):
        if match[0].lower() in lexicon() and is_needed(source, *match.span()):
            before, behind = _tokens(source[: match.start()]), _tokens(source[match.end() :])
            pairs.add((before[-1] if before else "", behind[0] if behind else ""))
    return bool(pairs & (_neighbours(rewrite) - _neighbours(source)))


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+|[.,!?;:]", text.lower())


def _neighbours(text: str) -> set[tuple[str, str]]:
    return {*pairwise(["", *_tokens(text), ""])}
