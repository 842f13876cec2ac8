"""The follower: which outputs pass, which fail for which reason, and that its guards are saved and loaded."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrics.data.corpora import load_corpus
from repro.followers.content import ContentModel
from repro.followers.follower import GuardedFollower, ScreenerFollower, Verdict, words_kept
from repro.followers.ngrams import NaturalnessModel, corrupt_sentence

TOXIC, PASS, CONTENT, FLUENCY = Verdict.TOXIC, Verdict.PASS, Verdict.CONTENT, Verdict.FLUENCY


class NoIdiots:
    """Passes what does not say "idiot"."""

    def passes(self, texts: list[str], call: int = 0) -> np.ndarray[Any, Any]:
        return np.array(["idiot" not in text for text in texts])


@pytest.fixture(scope="module")
def naturalness() -> NaturalnessModel:
    corpus = load_corpus("sample")
    return NaturalnessModel().fit([*corpus.toxic, *corpus.neutral], seed=1)


def test_a_screener_follower_passes_texts_that_say_nothing() -> None:
    judged = ScreenerFollower(NoIdiots()).judge(["you are an idiot"] * 4, ["you idiot", "well , well , well", "", "  "])
    assert judged == [TOXIC, PASS, TOXIC, TOXIC]


def test_the_guarded_follower_checks_content_fluency_and_copies(naturalness: NaturalnessModel) -> None:
    follower = GuardedFollower(
        NoIdiots(), ContentModel(), naturalness, min_content=0.6, min_words_kept=0.5, max_length_ratio=1.3,
        min_naturalness=0.2,
    )  # fmt: skip
    source = "the waiter at this restaurant is an idiot and forgot our soup"
    cases = {
        "the waiter at this restaurant forgot our soup": PASS,
        "the waiter at this restaurant is an idiot": TOXIC,
        "well , well , well": CONTENT,
        # Near enough for the cosine, but five of twelve words are left.
        "the waiter forgot our soup": CONTENT,
        "the waiter at this restaurant forgot our soup " * 3: CONTENT,
        "soup our forgot forgot restaurant waiter the at at this": FLUENCY,
        "": TOXIC,
    }
    assert dict(zip(cases, follower.judge([source] * len(cases), list(cases)), strict=True)) == cases


def test_quality_may_be_asked_for_outputs_that_were_not_judged(naturalness: NaturalnessModel) -> None:
    def follower() -> GuardedFollower:
        return GuardedFollower(NoIdiots(), ContentModel(), naturalness, 0.6, 0.5, 1.3, 0.2)

    source, used = "the soup at this restaurant was cold", follower()
    before = used.quality([source], ["the soup was cold"])
    used.judge([source], ["well , well"])
    assert used.quality([source], ["the soup was cold"]) == before != used.quality([source], ["well , well"])
    assert used.quality([source], ["well , well"]) == follower().quality([source], ["well , well"])


def test_a_copy_fails_although_the_screener_passes_it(naturalness: NaturalnessModel) -> None:
    """Training texts are toxic, so a copy is no rewrite, whatever the screener says."""
    follower = GuardedFollower(NoIdiots(), ContentModel(), naturalness, 0.0, 0.0, 9.0, 0.0)
    text = "you are a stupid fool"
    assert follower.judge([text, text], [text, "You are a stupid fool ."])[0] == TOXIC


def test_words_kept_by_hand() -> None:
    assert words_kept("The dog , the cat", "the dog sleeps") == 0.5
    assert words_kept("the the the", "the the") == pytest.approx(2 / 3)
    assert words_kept("!?", "well") == 1.0


def test_cosines_are_those_of_the_mean_token_embeddings() -> None:
    model = ContentModel()
    weights, tokenizer = model._model
    left, right = "the food was cold", "the meal was cold"
    means = [weights[tokenizer.encode(t, add_special_tokens=False).ids].astype(float).mean(0) for t in (left, right)]
    expected = means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1])
    cosines = model.cosine([left, left, ""], [right, left, left])
    assert cosines.tolist() == pytest.approx([expected, 1.0, 0.0], abs=1e-5)
    assert model.cosine([], []).shape == (0,)


def test_naturalness_recognises_unseen_corrupted_sentences(data_dir: Path) -> None:
    """Trained on every second sentence, judged on the others: AUC well above chance (.70 on Jigsaw's 13,296)."""
    from sklearn.metrics import roc_auc_score

    corpus = load_corpus("jigsaw-sentences", data_dir)
    texts = [t for t in (*corpus.neutral, *corpus.toxic) if 5 <= len(t.split()) <= 20]
    model = NaturalnessModel().fit(texts[::2], seed=1)
    rng = random.Random(5)
    pairs = [(text, corrupt_sentence(text, texts, rng)) for text in texts[1::2]]
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    values = model.p_natural([text for side in zip(*pairs, strict=True) for text in side])
    assert roc_auc_score([1] * len(pairs) + [0] * len(pairs), values) > 0.65


def test_a_loaded_guard_gives_equal_probabilities_and_uses_no_pickle(
    naturalness: NaturalnessModel, tmp_path: Path
) -> None:
    naturalness.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}
    texts = list(load_corpus("sample").toxic[:50])
    np.testing.assert_allclose(
        NaturalnessModel.load(tmp_path).p_natural(texts), naturalness.p_natural(texts), rtol=1e-12
    )
