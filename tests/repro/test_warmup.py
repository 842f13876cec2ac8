"""Rows of the warm-up: noise in neutral sentences, paraphrase pairs, and their shares."""

from __future__ import annotations

import random

import pytest

from metrics.systems.baselines import lexicon
from repro.training.config import WarmupConfig
from repro.training.warmup import add_noise, denoising_rows, rude_noise

NEUTRAL = ["the soup was cold when it came", "we waited for an hour at the door"]
TOXIC = ["you are a damn fool and you know it", "shut up you idiot"]


def test_substitutions_have_the_neighbours_of_a_rude_word() -> None:
    """Between "the" and "was" stood a rude word, between "it" and "came" none."""
    noise = rude_noise(["the shit was cold"], random.Random(1))
    assert noise.substitutes == {("the", "was"): ["shit"]}
    for seed in range(20):
        assert add_noise("the soup was here", noise, 1, 1.0, random.Random(seed)) == "the shit was here"
        changed = add_noise("it soup came here", noise, 1, 1.0, random.Random(seed)).split()
        assert (
            len(changed) > 4
            and "shit" in changed
            and [w for w in "it soup came here".split() if w not in changed] == []
        )


def test_rows_have_the_given_shares_and_no_rude_target() -> None:
    pairs = [("it rained a lot", "there was much rain")]
    config = WarmupConfig(
        warmup="denoise", warmup_corpora=[], warmup_steps=100, warmup_batch_size=20, warmup_learning_rate=0,
        warmup_changes=3, warmup_substitutions=0.0, warmup_pair_share=0.25, warmup_max_words=14,
    )  # fmt: skip
    rows = denoising_rows(NEUTRAL, TOXIC, pairs, config, seed=1)
    sources = [(row["source"], row["target"]) for row in rows]
    # A quarter are pairs. 2,000 draws: standard deviation .01.
    assert sources.count(pairs[0]) / 2_000 == pytest.approx(0.25, abs=0.04)
    restored = [row for row in rows if row["target"] in NEUTRAL]
    assert len(restored) == 2_000 - sources.count(pairs[0])
    assert all(len(row["source"].split()) > len(row["target"].split()) for row in restored)
    assert not any(lexicon() & set(row["target"].split()) for row in restored)
    assert rows == denoising_rows(NEUTRAL, TOXIC, pairs, config, seed=1)
