"""Made-up faults of rewriters: each damages a rewrite in one way that a reader would not accept.

They are what the judge of content learns from.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from pathlib import Path

from metrics.util.config import read_yaml

WORDS = read_yaml(Path(__file__).with_name("fault_words.yaml"))
_COMPARING = frozenset(WORDS["comparing"].split())
_PRAISE, _PRAISED_PERSONS, _BABBLE = (WORDS[name].split() for name in ("praise", "praised_persons", "babble"))
_FUNCTION_WORDS = frozenset(
    """a an the and or but if of to in on for with at by from as is are was were be been being am i you he she it we
    they this that these those not no do does did doing have has had having will would can could should may might must
    my your his her its our their me him them us so just than then too very there here what who whom which when where
    why how all any some such only own same s t re ve ll d m n't ca wo about into over under again once more most other
    up down out off because while until although though also even still yet""".split()
)
# Added to or taken from an auxiliary, a negation turns a sentence round.
_AUXILIARIES = frozenset(
    "is are was were am do does did have has had will would can could should must may might be".split()
)
_NEGATED = {
    "can't": "can", "cant": "can", "cannot": "can", "don't": "do", "dont": "do", "doesn't": "does", "doesnt": "does",
    "didn't": "did", "didnt": "did", "isn't": "is", "isnt": "is", "aren't": "are", "arent": "are", "wasn't": "was",
    "wasnt": "was", "weren't": "were", "won't": "will", "wont": "will", "wouldn't": "would", "couldn't": "could",
    "shouldn't": "should", "haven't": "have", "hasn't": "has", "hadn't": "had", "ain't": "is", "aint": "is",
    "nobody": "everybody", "never": "always", "none": "all", "nothing": "everything", "neither": "both", "no": "some",
    "without": "with", "hardly": "really", "barely": "really", "isn": "is",
}  # fmt: skip
_EXCHANGED = {
    "i": "you", "you": "i", "me": "you", "my": "your", "your": "my", "mine": "yours", "yours": "mine", "we": "they",
    "they": "we", "us": "them", "them": "us", "our": "their", "their": "our", "he": "i", "him": "me", "his": "my",
    "she": "i", "her": "my", "i'm": "you're", "you're": "i'm", "im": "youre", "youre": "im", "they're": "we're",
    "we're": "they're", "i've": "you've", "you've": "i've",
}  # fmt: skip
_DETERMINERS = frozenset("a an the my your his her its our their this that these those some any every no".split())
# Behind these a word must come.
_WAITING = _DETERMINERS | frozenset("to of is are was you i they we very and an".split())
_PREPOSITIONS = frozenset("on in with for at from about by like as no being such".split())
_CLAUSE_STARTS = frozenset(", and but because so when if which who that while or since".split())
_OBJECT = {"i": "me", "he": "him", "she": "her", "we": "us", "they": "them", "you": "you", "it": "it"}
_SUBJECT = {object_: subject for subject, object_ in _OBJECT.items()}
_TURNS = ("than", "because", "before", "after", "since", "until", "by", "over", "without", "for", "to", "from", "with")


def words_of(text: str) -> list[str]:
    """Return the words of `text` between blanks, signs of the end and commas as words of their own."""
    return re.findall(r"[^\s,.!?;:\"()]+|[,.!?;:\"()]+", text)


def bare(word: str) -> str:
    """Return a word in lower case without signs around it."""
    return word.lower().strip(".,!?;:\"'()*-")


def is_content(word: str) -> bool:
    """Whether a word carries content: letters or digits, and no function word."""
    word = bare(word)
    return word not in _FUNCTION_WORDS and any(c.isalnum() for c in word)


def _opposites() -> dict[str, list[str]]:
    table: dict[str, list[str]] = defaultdict(list)
    for pair in WORDS["opposites"].split(", "):
        left, right = pair.split()
        table[left].append(right)
        table[right].append(left)
    return dict(table)


OPPOSITES = _opposites()


class Faults:
    """Draws faults; each method damages `rewrite`, a rewrite of `source`, or returns None where it cannot.

    Args:
        texts: Sentences whose words, and pairs of neighbours, inventions are drawn from.
        rude: Rude words in lower case. They are not content: no fault is to lose or to invent one.
        scolding: Those of them that say something bad of somebody or something, as "idiot" does and "fucking" does not.
        rng: Draws everything.
        prepositions: Whether to leave gaps behind prepositions, too.
    """

    def __init__(
        self, texts: Sequence[str], rude: Collection[str], scolding: Collection[str], rng: random.Random, *,
        prepositions: bool = False,
    ) -> None:  # fmt: skip
        self.rude, self.scolding, self._rng, self._texts = frozenset(rude), frozenset(scolding), rng, list(texts)
        self._waiting = _WAITING | _PREPOSITIONS if prepositions else _WAITING
        self._after: dict[str, Counter[str]] = defaultdict(Counter)
        self._before: dict[str, set[str]] = defaultdict(set)
        for text in texts:
            row = [word.lower() for word in words_of(text)]
            for left, right in pairwise(["", *row, ""]):
                self._after[left][right] += 1
                self._before[right].add(left)
        counts = Counter(bare(word) for text in texts for word in words_of(text) if is_content(word))
        self._vocabulary = [word for word, n in counts.items() if n >= 3 and word not in rude and word.isalpha()]
        self._numbers = [word for word in counts if word.isdigit()] or ["3"]

    def lost(self, source: str, rewrite: str) -> str | None:
        """Drop one to three content words, or a clause, or a stretch."""
        words, rng = rewrite.split(), self._rng
        places = self._content(words)
        if len(places) < 2 or len(words) < 4:
            return None
        if rng.random() < 0.5:
            for i in sorted(rng.sample(places, min(rng.choice((1, 1, 1, 2, 3)), len(places) - 1)), reverse=True):
                del words[i]
            return " ".join(words)
        cuts = [i for i in range(2, len(words) - 1) if words[i].lower() in _CLAUSE_STARTS]
        if cuts and rng.random() < 0.7:
            cut = rng.choice(cuts)
            rest = words[:cut] if rng.random() < 0.7 else words[cut:]
            if rest[-1] in {",", "and", "but", "or"}:
                rest = rest[:-1]
        else:
            n = max(1, int(len(words) * rng.uniform(0.25, 0.6)))
            start = rng.choice((0, len(words) - n, rng.randrange(len(words) - n + 1)))
            rest = words[:start] + words[start + n :]
        changed = len(self._content(rest)) < len(places) and rest
        return " ".join(rest) if changed else None

    def inverted(self, source: str, rewrite: str) -> str | None:
        """Turn polarity, a comparison or a negation round, or praise where the source scolds."""
        choices = [self._negate, self._opposite, self._opposite]
        if self.scolding & {bare(word) for word in source.split()}:
            choices += [self._praise, self._praise]
        self._rng.shuffle(choices)
        return next((text for choice in choices if (text := choice(source, rewrite)) is not None), None)

    def swapped_roles(self, source: str, rewrite: str) -> str | None:
        """Exchange who did what to whom: persons, nouns, or the two sides of a word like "than" or "because"."""
        choices: list[Callable[[str, random.Random], str | None]]
        choices = [_exchange_persons, self._exchange_nouns, _exchange_sides, _turn_subject]
        choices += [self._exchange_nouns] if sum(word.isdigit() for word in rewrite.split()) > 1 else []
        self._rng.shuffle(choices)
        return next((text for choice in choices if (text := choice(rewrite, self._rng)) is not None), None)

    def invented(self, source: str, rewrite: str) -> str | None:
        """Replace content words, a rude word's place, a number or a name by others that fit, or add some."""
        rng, draw = self._rng, self._rng.random()
        words = rewrite.split()
        places = self._content(words)
        if draw < 0.3:
            # In the place of a rude word, as rewriters do that must not be rude.
            words = source.split()
            places = [i for i, word in enumerate(words) if bare(word) in self.rude]
            for i in places:
                words[i] = self._fitting(words, i)
            return " ".join(words) if places else None
        if not places:
            return None
        if draw < 0.4:
            digits = [i for i, word in enumerate(words) if any(c.isdigit() for c in word)]
            names = [i for i in places if words[i][:1].isupper() and i > 0]
            if digits or names:
                i = rng.choice(digits or names)
                words[i] = rng.choice(self._numbers) if digits else rng.choice(self._vocabulary).capitalize()
                return " ".join(words)
        if draw < 0.75:
            for i in rng.sample(places, min(rng.choice((1, 1, 1, 2, 3)), len(places))):
                words[i] = self._fitting(words, i)
        elif draw < 0.85:
            i = rng.randrange(len(words) + 1)
            words[i:i] = [rng.choice(self._vocabulary) for _ in range(rng.choice((1, 1, 2)))]
        else:
            other = rng.choice(self._texts).split()
            n = max(2, int(len(other) * rng.uniform(0.3, 0.7)))
            start = rng.choice((0, max(0, len(other) - n)))
            part = other[start : start + n]
            words = [*words, *part] if rng.random() < 0.7 else [*part, *words]
        return " ".join(words)

    def other_content(self, source: str, rewrite: str) -> str | None:
        """Another sentence, a generic reply, or the beginning of this one with the end of another."""
        draw = self._rng.random()
        if draw < 0.3:
            reply = self._rng.choice(WORDS["generic"])
            return reply if self._rng.random() < 0.5 else reply.replace(" .", ".").replace(" '", "'").capitalize()
        other = self._rng.choice(self._texts)
        if draw < 0.7:
            return other
        words, others = rewrite.split(), other.split()
        return " ".join([*words[: max(1, len(words) // 3)], *others[len(others) // 3 :]])

    def gap(self, source: str, rewrite: str) -> str | None:
        """Delete from the source what its sentence needs: a noun after its determiner, a verb after its subject.

        A rude word in such a place is deleted where there is one, else the place of another word of the rewrite.
        """
        for words in (source.split(), rewrite.split()):
            rude = [i for i, word in enumerate(words) if bare(word) in self.rude]
            places = [i for i in rude or range(len(words)) if self._is_needed(words, i)]
            if places:
                i = self._rng.choice(places)
                rest = words[:i] + words[i + 1 :]
                # The other rude words go as well, or the sentence would be rejected for another reason.
                return " ".join(w for j, w in enumerate(rest) if bare(w) not in self.rude) or None
        return None

    def repetition(self, source: str, rewrite: str) -> str | None:
        """Repeat a word, a stretch or letters, once or until the end of the output."""
        rng, words = self._rng, rewrite.split()
        draw, i = rng.random(), rng.randrange(len(words))
        if draw < 0.35:
            words[i:i] = [words[i]] * rng.choice((1, 1, 2, 4, 8))
        elif draw < 0.7 and len(words) > 2:
            n = rng.choice((2, 2, 3, 4))
            words[i:i] = words[max(0, i - n) : i] * rng.choice((1, 1, 2, 3)) or [words[i]]
        elif draw < 0.8:
            words = [*words, *words]
        elif draw < 0.9:
            words = words[: i + 1] + [word for word in words[i : i + 2] for _ in range(rng.randint(3, 12))]
        else:
            letters = words[i][:2] or "o"
            words[i] = letters * rng.randint(4, 12)
        return " ".join(words)

    def garbled(self, source: str, rewrite: str) -> str | None:
        """Break the English: words in a wrong order, function words lost or added, words cut, or mere babble."""
        rng, words = self._rng, rewrite.split()
        if len(words) < 4:
            return None
        draw = rng.random()
        if draw < 0.25:
            start = rng.randrange(len(words) - 3)
            part = words[start : start + rng.randint(3, 6)]
            rng.shuffle(part)
            words[start : start + len(part)] = part
        elif draw < 0.5:
            places = [i for i, word in enumerate(words) if bare(word) in _FUNCTION_WORDS]
            for i in sorted(rng.sample(places, min(2, len(places))), reverse=True):
                del words[i]
        elif draw < 0.65:
            for _ in range(rng.choice((1, 2))):
                words.insert(rng.randrange(len(words)), rng.choice(sorted(_FUNCTION_WORDS)))
        elif draw < 0.8:
            i = rng.randrange(len(words) - 1)
            words[i], words[i + 1] = words[i + 1], words[i]
        elif draw < 0.9:
            words = words[: max(2, int(len(words) * rng.uniform(0.3, 0.8)))]
            if bare(words[-1]) not in _FUNCTION_WORDS:
                words.append(rng.choice(("the", "a", "and", "to", "of", "is", "so")))
        else:
            words = [rng.choice(_BABBLE) for _ in range(rng.randint(4, 14))]
        return " ".join(words) if words != rewrite.split() else None

    def _content(self, words: Sequence[str]) -> list[int]:
        return [i for i, word in enumerate(words) if is_content(word) and bare(word) not in self.rude]

    def _fitting(self, words: Sequence[str], i: int) -> str:
        """Another word that was seen between the neighbours of words[i], or after the left one, or any."""
        left, right = _neighbours(words, i)
        after = [word for word in self._after.get(left, ()) if self._may_replace(word, words[i])]
        after = [word for word in after if word in self._before.get(right, ())] or after
        return self._rng.choice(after) if after and self._rng.random() < 0.8 else self._rng.choice(self._vocabulary)

    def _may_replace(self, word: str, replaced: str) -> bool:
        return is_content(word) and word not in self.rude and word != bare(replaced) and word.isalpha()

    def _is_needed(self, words: Sequence[str], i: int) -> bool:
        """Whether no sentence seen has the neighbours of words[i] side by side, and the left one waits for a word."""
        left, right = _neighbours(words, i)
        return left in self._waiting and is_content(words[i]) and self._after.get(left, Counter())[right] == 0

    def _negate(self, source: str, rewrite: str) -> str | None:
        words = rewrite.split()
        lower = [word.lower() for word in words]
        negations = [i for i, word in enumerate(lower) if word in _NEGATED or word in {"not", "n't"}]
        if negations:
            i = self._rng.choice(negations)
            if lower[i] in {"not", "n't"}:
                del words[i]
                if i and lower[i - 1] in {"ca", "wo"}:
                    words[i - 1] = {"ca": "can", "wo": "will"}[lower[i - 1]]
            else:
                words[i] = _NEGATED[lower[i]]
            return " ".join(words)
        places = [i for i, word in enumerate(lower) if word in _AUXILIARIES]
        if not places:
            return None
        words.insert(self._rng.choice(places) + 1, self._rng.choice(("not", "not", "never")))
        return " ".join(words)

    def _opposite(self, source: str, rewrite: str) -> str | None:
        words = rewrite.split()
        places = [i for i, word in enumerate(words) if bare(word) in OPPOSITES]
        if not places:
            return None
        compared = [i for i in places if bare(words[i]) in _COMPARING]
        i = self._rng.choice(compared or places)
        words[i] = self._rng.choice(OPPOSITES[bare(words[i])])
        return " ".join(words)

    def _praise(self, source: str, rewrite: str) -> str | None:
        """The source with praise in the place of its rude words."""
        words = source.split()
        for i, word in enumerate(words):
            if bare(word) in self.scolding:
                person = i + 1 == len(words) or not is_content(words[i + 1])
                article = i and words[i - 1].lower() in _DETERMINERS
                words[i] = self._rng.choice(_PRAISED_PERSONS if person and article else _PRAISE)
        return " ".join(words)

    def _exchange_nouns(self, rewrite: str, rng: random.Random) -> str | None:
        """Exchange two words that follow determiners, or two capitalised ones."""
        words = rewrite.split()
        nouns = [i for i in self._content(words) if i and words[i - 1].lower() in _DETERMINERS]
        names = [i for i in self._content(words) if i and words[i][:1].isupper()]
        numbers = [i for i, word in enumerate(words) if any(c.isdigit() for c in word) or bare(word) in _COMPARING]
        places = next((some for some in (numbers, names) if len(some) > 1), nouns)
        if len(places) < 2 and len(self._content(words)) > 2 and self._rng.random() < 0.5:
            places = self._content(words)
        if len(places) < 2:
            return None
        i, j = self._rng.sample(places, 2)
        if bare(words[i]) == bare(words[j]):
            return None
        words[i], words[j] = words[j], words[i]
        return " ".join(words)


def _neighbours(words: Sequence[str], i: int) -> tuple[str, str]:
    """The words beside words[i] in lower case; "" at the ends."""
    return words[i - 1].lower() if i else "", words[i + 1].lower() if i + 1 < len(words) else ""


def _exchange_persons(rewrite: str, rng: random.Random) -> str | None:
    words = rewrite.split()
    places = [i for i, word in enumerate(words) if word.lower() in _EXCHANGED]
    if not places:
        return None
    for i in places if rng.random() < 0.6 else [rng.choice(places)]:
        words[i] = _EXCHANGED[words[i].lower()]
    for left, right in (("i", "are"), ("you", "am"), ("i", "is"), ("i", "were"), ("they", "am"), ("we", "is")):
        for i, (a, b) in enumerate(pairwise([word.lower() for word in words])):
            if (a, b) == (left, right):
                words[i + 1] = {"i": "am", "you": "are", "they": "are", "we": "are"}[left]
    return " ".join(words)


def _exchange_sides(rewrite: str, rng: random.Random) -> str | None:
    """Exchange what stands on the two sides of a word like "than" or "because"."""
    end = re.search(r"\s*[.!?]*$", rewrite)
    assert end is not None
    words = rewrite[: end.start()].split()
    places = [i for i, word in enumerate(words) if word.lower() in _TURNS and 2 <= i < len(words) - 2]
    if not places:
        return None
    i = rng.choice(places)
    return " ".join([*words[i + 1 :], words[i], *words[:i]]) + rewrite[end.start() :]


def _turn_subject(rewrite: str, _: random.Random) -> str | None:
    """ "he told me" becomes "i told him": the pronouns of subject and object are exchanged."""
    words = rewrite.split()
    lower = [word.lower() for word in words]
    for i, word in enumerate(lower):
        objects = [j for j in range(i + 2, min(i + 5, len(lower))) if bare(lower[j]) in _SUBJECT]
        if word in _OBJECT and objects and bare(lower[objects[0]]) != _OBJECT[word] and word != "it":
            j = objects[0]
            words[i], words[j] = _SUBJECT[bare(lower[j])], _OBJECT[word]
            return " ".join(words)
    return None
