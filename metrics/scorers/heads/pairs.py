"""Training pairs of the judge of content: human rewrites, and the same with made-up faults."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from typing import NamedTuple

from metrics.data.text import repetition
from metrics.scorers.heads.faults import WORDS, Faults, bare, is_content

_FAULTS_PER_ROW = 4
# What a fault of content says of the English; that of the others is open.
_FLUENT = {"other content": True, "gap": False, "repetition": False, "garbled": False}
# The faults of real leaders are few beside the made-up ones.
_ROLLOUT_COPIES = 2
_APOSTROPHE = re.compile(r"\s*['’]\s*")
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|s|er|ly)$")
_CONTRACTIONS = frozenset(
    "dont im youre cant isnt its thats ive ill hes shes theyre didnt doesnt wont wouldnt arent".split()
)
_INSULTS, _ATTRIBUTES = WORDS["insults"].split(), WORDS["attributes"].split()
_PERSONS = frozenset("person people man men woman women guy guys lady boy girl someone somebody user editor".split())
_FILLERS = {name: values.split(", ") for name, values in WORDS["fillers"].items()}
_CONTEMPT_PAIRS = 1200
_RUDE_ADDITIONS = ("you idiot", "fucking", "damn", "the fuck", "asshole", "bitch", "you moron", "stupid", "shit")
_BEFORE_NOUNS = frozenset("the a this that these those your his you".split())
_ADDRESSES = ("you {}", ", you {}", ", {}", "you {} !", ", what a {}", ". what a {} .", "you are a {}", "like a {}")


class TrainingPair(NamedTuple):
    """A source, a rewrite, and what the judge is to say of it; None where the pair does not tell."""

    source: str
    rewrite: str
    kind: str | None
    fluent: bool | None
    polite: bool | None


@dataclass(frozen=True)
class Pass:
    """One pass of the training over newly drawn pairs.

    Attributes:
        seed: Seed of the pairs.
        learning_rate: The largest of the pass.
        drawn: How often each kind of fault is drawn, relative to the others.
        limit: How many pairs to train on; None for all.
        unpaired: Whether toxic sentences without rewrites take part; their labels are noisy.
        prepositions: As in `Faults`.
    """

    seed: int
    learning_rate: float
    drawn: dict[str, float]
    limit: int | None = None
    unpaired: bool = True
    prepositions: bool = False


# The second pass draws what was hardest after the first: gaps, losses and negations.
PASSES = (
    Pass(0, 1e-3, {
        "lost": 6, "inverted": 6, "swapped roles": 4, "invented": 6, "other content": 2, "gap": 3, "repetition": 2,
        "garbled": 3,
    }),
    Pass(1, 5e-4, {
        "lost": 7, "inverted": 6, "swapped roles": 2, "invented": 4, "other content": 1, "gap": 9, "repetition": 1,
        "garbled": 2,
    }, limit=20_000, unpaired=False, prepositions=True),
)  # fmt: skip


@dataclass(frozen=True)
class RudeWords:
    """What human rewriters do with rude words.

    Attributes:
        words: Words that most rewrites remove, and the lexicon's.
        deleted: Word -> the share of its removals that put nothing in its place.
        replaced: Word -> single words in its place, by how often.
    """

    words: frozenset[str]
    deleted: dict[str, float]
    replaced: dict[str, Counter[str]]


def rude_words(rows: Sequence[tuple[str, Sequence[str]]], lexicon: frozenset[str]) -> RudeWords:
    """Align sentences and their rewrites, and count what happens to each word."""
    seen: Counter[str] = Counter()
    removed: Counter[str] = Counter()
    deleted: Counter[str] = Counter()
    replaced: dict[str, Counter[str]] = defaultdict(Counter)
    for source, references in rows:
        left = [bare(word) for word in source.split()]
        for reference in references:
            right = [bare(word) for word in reference.split()]
            seen.update(left)
            for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
                if tag == "delete":
                    removed.update(left[a:b])
                    if b - a == 1:
                        deleted[left[a]] += 1
                elif tag == "replace":
                    removed.update(left[a:b])
                    if b - a == d - c == 1:
                        replaced[left[a]][right[c]] += 1
    words = {w for w, n in removed.items() if n >= 8 and n > 0.8 * seen[w] and is_content(w)} | lexicon
    shares = {w: deleted[w] / removed[w] for w in words if removed[w]}
    return RudeWords(frozenset(words), shares, {w: replaced[w] for w in words if w in replaced})


def training_pairs(
    rows: Sequence[tuple[str, Sequence[str]]],
    paraphrases: Sequence[tuple[str, str]],
    neutral: Sequence[str],
    toxic: Sequence[str],
    rollouts: Sequence[tuple[str, str]],
    lexicon: frozenset[str],
    drawing: Pass,
) -> list[TrainingPair]:
    """Return the pairs in a drawn order.

    Args:
        rows: Toxic sentences with their human rewrites.
        paraphrases: Pairs of texts that say the same.
        neutral: Neutral sentences.
        toxic: Toxic sentences without rewrites; those without a rude word teach what else is rude.
        rollouts: Sources of `rows` with what a leader wrote for them.
        lexicon: Rude words in lower case.
        drawing: The seed of everything that is drawn, and how often it is.
    """
    rng = random.Random(drawing.seed)
    rude = rude_words(rows, lexicon)
    clean = [text for text in neutral if not _is_rude(text, rude) and 4 <= len(text.split()) <= 30]
    texts = [reference for _, references in rows for reference in references] + clean
    scolding = {word for word in rude.words if rude.deleted.get(word, 1) < 0.4}
    faults = Faults(texts, rude.words, scolding, rng, prepositions=drawing.prepositions)
    add_fault = partial(_faulty_pair, faults=faults, rude=rude, drawn=drawing.drawn, rng=rng)
    pairs: list[TrainingPair] = []
    for source, references in rows:
        pairs += _good_pairs(source, references, rude, rng)
        pairs += _rude_pairs(source, references, rude, rng)
        for _ in range(_FAULTS_PER_ROW):
            pairs += add_fault(source, rng.choice(references), references)
    for left, right in paraphrases:
        if not _says_the_same_words(left, right):
            continue
        pairs.append(TrainingPair(left, right, "none", True, True))
        pairs += add_fault(left, rng.choice((left, right)), (right,))
    nouns = sorted(rude.words & lexicon)
    for text in rng.sample(clean, len(clean) // 3):
        source = text if rng.random() < 0.3 else _with_rude_word(text, nouns, rng)
        pairs.append(TrainingPair(source, text, "none", True, True))
        pairs += add_fault(source, text, (text,))
    for text in toxic if drawing.unpaired else ():
        if 4 <= len(text.split()) <= 30 and rng.random() < (0.15 if _is_rude(text, rude) else 0.4):
            pairs.append(TrainingPair(text, text, "none", True, False))
    pairs += [_contempt(clean, rng) for _ in range(_CONTEMPT_PAIRS)]
    references_of = dict(rows)
    for source, rewrite in rollouts:
        if source in references_of:
            pairs += _faulty_rollout(source, rewrite, references_of[source], rude) * _ROLLOUT_COPIES
    rng.shuffle(pairs)
    return pairs


def _contempt(clean: Sequence[str], rng: random.Random) -> TrainingPair:
    """A sentence of contempt, alone or beside a neutral one, kept as it is or with a rude word taken from it."""
    template = rng.choice(WORDS["contempt"])
    text = template.format(**{name: rng.choice(values) for name, values in _FILLERS.items()})
    if rng.random() < 0.3:
        other = rng.choice(clean)
        text = f"{other} {text}" if rng.random() < 0.5 else f"{text} {other}"
    joined, bare_end = text.replace(" .", "."), text.replace(" .", "")
    text = rng.choice((text, joined, bare_end.capitalize(), joined.capitalize()))
    source = text
    if rng.random() < 0.6:
        words = text.split()
        rude = rng.choice(_RUDE_ADDITIONS)
        words.insert(rng.choice((0, len(words), rng.randrange(len(words) + 1))), rude)
        source = " ".join(words)
    return TrainingPair(source, text, "none", None if source == text else True, False)


def _faulty_rollout(source: str, rewrite: str, references: Sequence[str], rude: RudeWords) -> list[TrainingPair]:
    """The pair, if it has a fault that its words alone tell: some invented or lost that no human invented or lost."""
    before, after = _stems(source, rude), _stems(rewrite, rude)
    human = [_stems(reference, rude) for reference in references]
    invented, lost = after - before.union(*human), before.intersection(*human) - after
    if repetition(rewrite) > 0.25 and repetition(source) < 0.1:
        kind = "repetition"
    elif len(invented) > 1 or (invented and lost):
        kind = "invented"
    elif len(lost) > 1:
        kind = "lost"
    else:
        return []
    fluent = False if kind == "repetition" else None
    return [TrainingPair(source, rewrite, kind, fluent, None if _is_rude(rewrite, rude) else True)]


def _stems(text: str, rude: RudeWords) -> set[str]:
    """The content words that are not rude, without their endings."""
    words = [bare(word) for word in _APOSTROPHE.sub("", text).split() if is_content(word)]
    return {_ENDING.sub("", word) for word in words if word not in rude.words and word not in _CONTRACTIONS}


def _good_pairs(source: str, references: Sequence[str], rude: RudeWords, rng: random.Random) -> Iterator[TrainingPair]:
    for reference in references:
        yield TrainingPair(source, reference, "none", True, True)
    if len(references) > 1:
        left, right = rng.sample(list(references), 2)
        yield TrainingPair(left, right, "none", True, True)
    elif rng.random() < 0.2:
        yield TrainingPair(references[0], references[0], "none", True, True)
    if rng.random() < 0.5 and (softened := _soften(source, rude, rng)) is not None:
        yield TrainingPair(source, softened, "none", True, True)
    if rng.random() < 0.2:
        yield TrainingPair(source, _respelt(rng.choice(references), rng), "none", True, True)


def _rude_pairs(source: str, references: Sequence[str], rude: RudeWords, rng: random.Random) -> Iterator[TrainingPair]:
    """Pairs that say the same and are still rude."""
    if rng.random() < 0.5:
        yield TrainingPair(source, source, "none", True, False)
    places = [i for i, word in enumerate(source.split()) if bare(word) in rude.words]
    if len(places) > 1:
        words = source.split()
        i = rng.choice(places)
        if rude.deleted.get(bare(words[i]), 0) > 0.4:
            yield TrainingPair(source, " ".join(words[:i] + words[i + 1 :]), "none", None, False)
    if rng.random() < 0.5:
        yield from _left_insult(source, rng.choice(references), rude, rng)


def _left_insult(source: str, reference: str, rude: RudeWords, rng: random.Random) -> Iterator[TrainingPair]:
    words, insult = source.split(), rng.choice(_INSULTS)
    draw = rng.random()
    places = [i for i, word in enumerate(words) if bare(word) in rude.replaced and _names_person(rude, bare(word))]
    if draw < 0.4 and places:
        for i in places:
            words[i] = insult + ("s" if bare(words[i]).endswith("s") else "")
        yield TrainingPair(source, " ".join(words), "none", None, False)
        return
    words = reference.split()
    places = [i for i, word in enumerate(words) if bare(word) in _PERSONS]
    if draw < 0.7 and places:
        i = rng.choice(places)
        plural = bare(words[i]) in {"people", "men", "women", "guys"}
        words[i] = insult + ("s" if plural else "")
    elif draw < 0.85:
        text = rng.choice(_ADDRESSES).format(insult)
        if words[-1] in {".", "!", "?"}:
            words[-1:] = [text, words[-1]]
        else:
            words.append(text)
    else:
        nouns = [i for i in range(1, len(words)) if words[i - 1].lower() in _BEFORE_NOUNS]
        if not nouns:
            return
        words.insert(rng.choice(nouns), rng.choice(_ATTRIBUTES))
    insulted = " ".join(words)
    # A source that had no such insult gets one too, or the rewrite would have invented it.
    # Where the source has the same insult, nothing is invented.
    if rng.random() < 0.5:
        yield TrainingPair(insulted, insulted, "none", True, False)
    else:
        yield TrainingPair(source, insulted, None, True, False)


def _names_person(rude: RudeWords, word: str) -> bool:
    counts = rude.replaced[word]
    return sum(n for w, n in counts.items() if w in _PERSONS) > 0.25 * counts.total()


def _faulty_pair(
    source: str, good: str, references: Sequence[str], *,
    faults: Faults, rude: RudeWords, drawn: dict[str, float], rng: random.Random,
) -> Iterator[TrainingPair]:  # fmt: skip
    kind = rng.choices(list(drawn), list(drawn.values()))[0]
    text = getattr(faults, kind.replace(" ", "_"))(source, good)
    if text is None or not text.strip() or _same(text, (source, *references)):
        return
    fluent = _FLUENT.get(kind)
    yield TrainingPair(source, text, kind, fluent, None if _is_rude(text, rude) else True)


def _soften(source: str, rude: RudeWords, rng: random.Random) -> str | None:
    """The source with each rude word deleted or replaced as most human rewriters do; None if one has no such way."""
    words, softened = source.split(), []
    for i, word in enumerate(words):
        name = bare(word)
        if name not in rude.words:
            softened.append(word)
            continue
        attribute = i + 1 < len(words) and is_content(words[i + 1]) and bare(words[i + 1]) not in rude.words
        usual = [w for w, n in rude.replaced.get(name, Counter()).items() if n >= 5 and w not in rude.words and w]
        if attribute and rude.deleted.get(name, 0) > 0.5:
            continue
        if not usual:
            return None
        softened.append(rng.choice(usual))
    return " ".join(softened) if softened != words and softened else None


def _respelt(text: str, rng: random.Random) -> str:
    """The same text in another spelling: case, signs at the end, apostrophes."""
    draw = rng.random()
    if draw < 0.3:
        return text.lower()
    if draw < 0.5:
        return text[:1].upper() + text[1:]
    if draw < 0.7:
        return text.rstrip(" .!?")
    return text.replace("'", "") if draw < 0.85 else text.rstrip(" .") + "."


def _with_rude_word(text: str, nouns: Sequence[str], rng: random.Random) -> str:
    words = text.split()
    words.insert(rng.randrange(len(words) + 1), rng.choice(nouns))
    return " ".join(words)


def _is_rude(text: str, rude: RudeWords) -> bool:
    return any(bare(word) in rude.words for word in text.split())


def _says_the_same_words(left: str, right: str) -> bool:
    """Whether each text holds most content words of the other; paraphrases of news often leave some out."""
    a, b = ({bare(word) for word in text.split() if is_content(word)} for text in (left, right))
    return len(a & b) >= 0.6 * max(len(a), len(b))


def _same(text: str, others: Sequence[str]) -> bool:
    words = [bare(word) for word in text.split() if bare(word)]
    return any(words == [bare(word) for word in other.split() if bare(word)] for other in others)
