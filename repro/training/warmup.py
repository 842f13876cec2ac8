"""Warm-up: an instruction model becomes a paraphraser without parallel detoxification data.

Denoising: rude words, and short stretches around rude words cut from toxic sentences, are put into a neutral sentence,
at random places or in the place of a word; the leader restores the sentence. Paraphrase pairs join in where the corpus
gives them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metrics.systems.baselines import lexicon

_MAX_CONTEXT = 2
# Longer texts are comments, not sentences.
MAX_TOXIC_WORDS = 25


@dataclass(frozen=True)
class Noise:
    """What rudeness looks like in toxic sentences.

    stretches: of words, with a rude one in each. in_place: rude words by the two words that they stood between, in
    lower case, "" for an end of the sentence.
    """

    stretches: list[list[str]]
    in_place: dict[tuple[str, str], list[str]]


def rude_noise(toxic: Sequence[str], rng: random.Random) -> Noise:
    """The noise in `toxic`: of the stretches half are the bare word, half come with up to two words on either side."""
    rude = lexicon()
    noise = Noise([], {})
    for text in toxic:
        words = text.split()
        around = ["", *(word.lower() for word in words), ""]
        for place, word in enumerate(words):
            if word.lower().strip(".,!?") in rude:
                left = rng.randint(0, min(_MAX_CONTEXT, place))
                right = rng.randint(0, min(_MAX_CONTEXT, len(words) - 1 - place))
                bare = rng.random() < 0.5
                noise.stretches.append([word] if bare else words[place - left : place + right + 1])
                noise.in_place.setdefault((around[place], around[place + 2]), []).append(word)
    return noise


def add_noise(text: str, noise: Noise, changes: int, substitutions: float, rng: random.Random) -> str:
    """`text` with 1 to `changes` changes.

    A share `substitutions` of them, where the text allows it, puts a rude word in the place of a word whose neighbours
    it had in a toxic sentence: the leader learns to find a word that fits there. The others put a stretch at a random
    place: it learns what to leave out.
    """
    words = text.split()
    for _ in range(rng.randint(1, changes)):
        around = ["", *(word.lower() for word in words), ""]
        places = [i for i in range(len(words)) if (around[i], around[i + 2]) in noise.in_place]
        if places and rng.random() < substitutions:
            place = rng.choice(places)
            words[place] = rng.choice(noise.in_place[around[place], around[place + 2]])
        else:
            place = rng.randint(0, len(words))
            words[place:place] = rng.choice(noise.stretches)
    return " ".join(words)


def denoising_rows(
    neutral: Sequence[str],
    toxic: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    *,
    rows: int,
    changes: int,
    substitutions: float,
    pair_share: float,
    max_words: int,
    seed: int,
) -> list[dict[str, Any]]:
    """`rows` training rows {source, target, length}: a share `pair_share` of them paraphrase pairs if there are any,
    and the rest denoising.

    Neutral sentences with a rude word in them are left out: the leader must not learn to write it.
    """
    rng = random.Random(seed)
    rude = lexicon()
    noise = rude_noise(toxic, rng)
    if not noise.stretches:
        noise = Noise([[word] for word in sorted(rude)], {})
    clean = [t for t in neutral if 4 <= len(t.split()) <= max_words and not rude & set(t.lower().split())]
    short_pairs = [p for p in pairs if max(len(p[0].split()), len(p[1].split())) <= max_words]
    result = []
    for _ in range(rows):
        if short_pairs and rng.random() < pair_share:
            source, target = rng.choice(short_pairs)
        else:
            target = rng.choice(clean)
            source = add_noise(target, noise, changes, substitutions, rng)
        result.append({"source": source, "target": target, "length": len(source.split()) + len(target.split())})
    return result
