"""What a rewrite changed, word by word: what it lost, what it made up, and which rude words it left.

Rude words are no content: a rewrite may leave them out, or put in their place what the table of equivalents
(`repro.wording.rudeness`) holds for them. Every other word that it loses or adds is counted.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

from lemminflect import getAllLemmas

from metrics.systems.baselines import lexicon
from repro.wording.insults import insult_words, plain_words, say_plainly
from repro.wording.roles import leaves_gap
from repro.wording.rudeness import FUNCTION_WORDS, find_rude, words

_NEGATIONS = frozenset("hardly neither never no nobody none nor not nothing nowhere without".split())
# What a leader writes that has nothing to say: "you are an asshole" as "you are a person".
_VAGUE = re.compile(
    r"(?:\b(?:is|are|was|were|am|be|being|been|such)|'s|'re|'m)(?: not| all| just)?(?: an?| such an?| the| some)?"
    r" (?:persons?|people|man|men|guys?|wom[ae]n|things?|stuff|someone|something|ones?)\s*(?:[.,!?]|$)",
    re.IGNORECASE,
)
# "Only a person bets his salary", for "only a moron"; "the same old thing" is none.
_VAGUE_NOUN = re.compile(
    r"\b(?:an?|the|this|that|some|every|any)\s+(person|guy|man|woman|thing)\b"
    r"(?! (?:who|that|with|in|from|at|next|behind)\b)",
    re.IGNORECASE,
)
_GAP = re.compile(
    r"\b(an?|the|my|your|our|their|every|such an?)\s+"
    r"((?:about|am|an?|and|are|as|at|be|because|but|by|can|could|did|do|does|for|from|had|has|have|he|her|him|i|if|in|into"
    r"|is|it|may|me|might|must|my|of|off|on|or|our|out|over|she|should|so|than|that|the|their|them|then|they|this|to|too"
    r"|under|up|us|was|we|were|when|where|which|while|who|why|will|with|would|you|your)\b|[.,!?;:]|$)",
    re.IGNORECASE,
)
# Words that seldom end a clause; a rewrite may end one with them where its source does.
_CUT_OFF = re.compile(
    r"\b(an?|as|be|being|by|either|from|her|his|its|more|most|my|of|our|such|than|the|their|these|those|to|too|very|with"
    r"|your)\s*(?:[.,!?;:]|$|\b(?:and|or|who)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Edits:
    """How a rewrite differs from its source.

    Attributes:
        content_words: Number of the source's words that are neither rude nor function words.
        lost: Those of them that the rewrite lacks.
        invented: Words of the rewrite that neither the source nor the table supports.
        rude: Rude words of the rewrite.
        same_negations: Whether source and rewrite negate equally often; negations of rude phrases may go.
        vague: Whether the rewrite calls somebody a person, or something a thing, and no more.
        insulting: Whether the rewrite has an insulting name or a threat.
        gap: Whether a phrase of the rewrite is cut off: a determiner has lost its noun, a preposition its object, or a
            rude phrase was left out that the sentence needs.
    """

    content_words: int
    lost: tuple[str, ...]
    invented: tuple[str, ...]
    rude: tuple[str, ...]
    same_negations: bool
    vague: bool
    insulting: bool
    gap: bool

    @property
    def kept(self) -> float:
        """Share of the source's content words that the rewrite keeps, in [0, 1]; 1 if there are none."""
        return 1 - len(self.lost) / self.content_words if self.content_words else 1.0


@lru_cache(maxsize=2**16)
def compare(source: str, rewrite: str) -> Edits:
    """Compare a rewrite with its source."""
    rude, supported = _rude_words(source)
    if insults := insult_words(source):
        rude, supported = rude | insults, supported | plain_words(source)
    before, after = words(source), words(rewrite)
    known = Counter(_stems(before))
    content = [word for word in before if word not in rude and word not in FUNCTION_WORDS]
    remaining = Counter(_stems(after))
    lost = [word for word in content if not _take(remaining, word)]
    invented = [word for word in after if not _take(known, word) and word not in supported]
    return Edits(
        len(content),
        tuple(lost),
        tuple(invented),
        tuple(word for word in after if word in lexicon()),
        _negations(before, rude) <= _negations(after) <= _negations(before) + bool(_NEGATIONS & supported),
        _is_vague(source, rewrite),
        say_plainly(rewrite) != rewrite,
        bool(_gaps(rewrite) - _gaps(source)) or leaves_gap(source, rewrite),
    )


@lru_cache(maxsize=2**12)
def _rude_words(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words of a source's rude phrases, and those that may stand in their place."""
    rude = {word for word in words(source) if word in lexicon()}
    supported: set[str] = set()
    for phrase, neutral in find_rude(words(source)):
        rude |= {*phrase}
        supported |= {word for text in neutral for word in words(text)}
    return frozenset(rude), frozenset(supported)


def _is_vague(source: str, rewrite: str) -> bool:
    """Whether a rewrite has a person or a thing without more, and its source has not."""
    nouns = ({noun.lower() for noun in _VAGUE_NOUN.findall(text)} for text in (rewrite, source))
    return bool(next(nouns) - next(nouns)) or bool(_VAGUE.search(rewrite) and not _VAGUE.search(source))


def _gaps(text: str) -> set[tuple[str, str]]:
    """Return each word whose phrase is cut off, with what follows it."""
    gaps = {(match[1].lower(), match[2].lower()) for match in _GAP.finditer(text)}
    return gaps | {(match[1].lower(), "") for match in _CUT_OFF.finditer(text)}


def _stems(texts: Iterable[str]) -> Iterable[str]:
    return (_stem(word) for word in texts)


def _take(counts: Counter[str], word: str) -> bool:
    """Take a word out of a bag of stems; return whether it was there."""
    stem = _stem(word)
    if not counts[stem]:
        return False
    counts[stem] -= 1
    return True


@cache
def _stem(word: str) -> str:
    if word == "an":
        return "a"
    lemmas = [lemma for forms in getAllLemmas(word).values() for lemma in forms]
    return min(lemmas, key=lambda lemma: (len(lemma), lemma), default=word)


def _negations(texts: Iterable[str], without: frozenset[str] = frozenset()) -> int:
    return sum(word in _NEGATIONS and word not in without for word in texts)
