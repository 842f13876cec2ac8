"""The warm-up's rows: what is made of neutral and of toxic sentences, and in which shares."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from metrics.corpora import load_corpus
from metrics.systems import lexicon
from repro.content import ContentModel
from repro.follower import GuardedFollower
from repro.naturalness import NaturalnessModel
from repro.warmup import add_noise, denoising_rows, edit_pairs, edited, rude_noise

NEUTRAL = ["the soup was cold when it came", "we waited for an hour at the door"]
TOXIC = ["you are a damn fool and you know it", "shut up you idiot"]


class CountsIdiots:
    """P(toxic) by the number of times "idiot" or "moron" stands in a text; passes none of them."""

    def p_toxic(self, texts: list[str]) -> np.ndarray[Any, Any]:
        return np.array([min(0.9, 0.1 + 0.4 * sum(text.count(word) for word in ("idiot", "moron"))) for text in texts])

    def passes(self, texts: list[str], draw: int = 0) -> np.ndarray[Any, Any]:
        return self.p_toxic(texts) <= 0.1


@pytest.fixture(scope="module")
def follower() -> GuardedFollower:
    corpus = load_corpus("sample")
    return GuardedFollower(
        CountsIdiots(), ContentModel(), NaturalnessModel().fit([*corpus.toxic, *corpus.neutral], 1), 0.5, 1.3, 0.0
    )


def test_an_edit_drops_what_the_screener_objects_to_and_no_more(follower: GuardedFollower) -> None:
    screener = CountsIdiots()
    assert edited("only an idiot would order the soup here", screener, follower) == "only an would order the soup here"
    twice = edited("this idiot waiter and that moron cook forgot the soup", screener, follower)
    assert twice == "this waiter and that cook forgot the soup"
    # Four words are too many, and of three words too little would be left.
    assert edited("idiot idiot moron moron forgot our whole soup order", screener, follower) is None
    assert edited("you idiot moron", screener, follower) is None


def test_edits_come_from_sentences_of_the_right_length(follower: GuardedFollower) -> None:
    long = "this idiot waiter forgot the soup " * 3
    texts = ["this idiot waiter forgot the soup", "this idiot waiter forgot the soup", long, "you idiot there"]
    pairs = edit_pairs(texts, CountsIdiots(), follower, max_words=8)
    assert pairs == [("this idiot waiter forgot the soup", "this waiter forgot the soup")]


def test_substitutions_stand_where_rude_words_stood() -> None:
    """Between "the" and "was" stood a rude word, between "it" and "came" none."""
    noise = rude_noise(["the shit was cold"], random.Random(1))
    assert noise.in_place == {("the", "was"): ["shit"]}
    for seed in range(20):
        assert add_noise("the soup was here", noise, 1, 1.0, random.Random(seed)) == "the shit was here"
        changed = add_noise("it soup came here", noise, 1, 1.0, random.Random(seed)).split()
        assert (
            len(changed) > 4
            and "shit" in changed
            and [w for w in "it soup came here".split() if w not in changed] == []
        )


def test_rows_hold_the_shares_asked_for_and_teach_no_rude_word() -> None:
    edits, pairs = [("a moron cooked the soup", "a cook cooked the soup")], [("it rained a lot", "there was much rain")]
    settings: dict[str, Any] = {"rows": 2_000, "changes": 3, "substitutions": 0.0, "max_words": 14, "seed": 1}
    rows = denoising_rows(NEUTRAL, TOXIC, pairs, pair_share=0.25, edits=edits, edit_share=0.4, **settings)
    sources = [(row["source"], row["target"]) for row in rows]
    # A quarter are pairs; of the other three quarters two fifths are edits. 2,000 draws: standard deviation .01.
    assert sources.count(pairs[0]) / 2_000 == pytest.approx(0.25, abs=0.04)
    assert sources.count(edits[0]) / 2_000 == pytest.approx(0.3, abs=0.04)
    restored = [row for row in rows if row["target"] in NEUTRAL]
    assert len(restored) == 2_000 - sources.count(pairs[0]) - sources.count(edits[0])
    assert all(len(row["source"].split()) > len(row["target"].split()) for row in restored)
    assert not any(lexicon() & set(row["target"].split()) for row in restored)
    assert rows == denoising_rows(NEUTRAL, TOXIC, pairs, pair_share=0.25, edits=edits, edit_share=0.4, **settings)
