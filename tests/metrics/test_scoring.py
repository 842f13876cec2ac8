"""Scores: what an empty output is worth, what J is, what the signature pins, and the statistics around them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from metrics.corpora import TestSet
from metrics.profiles import load_profile
from metrics.scorers import ProfanityCheck, SentenceEncoder
from metrics.scoring import Evaluator, Result, SentenceScores, signature
from metrics.statistics import mean_interval, paired_difference
from metrics.systems import Rewrites, delete_rude_words, read_outputs
from metrics.text import detokenise, is_copy, length_ratio, repetition

SOURCES = ("you are a damn fool", "what a stupid game", "shut up , idiot", "the damn cat is here")


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(load_profile("offline"))


def test_offline_scores_of_real_models(evaluator: Evaluator) -> None:
    """One pass of SmolLM2, MiniLM and the classifier over outputs whose order of merit nobody disputes."""
    outputs = ["you are wrong", "what a stupid game", "", "   "]
    scores = evaluator.score(SOURCES, outputs)
    assert scores.sta.tolist() == [1.0, 0.0, 0.0, 0.0]
    # An empty output is a failure on every metric, and stays in the count.
    assert [scores.metric(name)[2:].tolist() for name in ("sta", "sim", "fl", "j", "soft_sta")] == [[0.0, 0.0]] * 5
    assert scores.sim[1] == pytest.approx(1.0, abs=1e-6) and 0.2 < scores.sim[0] < 0.95
    assert scores.j.tolist() == pytest.approx((scores.sta * scores.sim * scores.fl).tolist())
    # Word salad is less fluent than the sentence it was made from; all lie strictly inside (0, 1).
    whole, salad = (
        evaluator.score(SOURCES[:1], ["the cat sat on the mat"]),
        evaluator.score(SOURCES[:1], ["mat the on cat the sat"]),
    )
    assert 0 < salad.fl[0] < whole.fl[0] < 1
    # Permuting sentences permutes scores: batches and duplicates do not show.
    again = evaluator.score(SOURCES[::-1], outputs[::-1])
    np.testing.assert_allclose(again.fl[::-1], scores.fl, atol=1e-5)
    np.testing.assert_allclose(again.sim[::-1], scores.sim, atol=1e-5)


def test_equal_texts_score_alike_wherever_they_stand() -> None:
    texts = ["a fool", "a much longer sentence about the weather in the north", "a fool", "fine"]
    for scorer in (ProfanityCheck("alt-profanity-check"), SentenceEncoder("minilm-l6")):
        values = scorer(texts)
        np.testing.assert_allclose(values[0], values[2])
        alone = scorer([texts[1]])
        np.testing.assert_allclose(values[1], alone[0], atol=1e-5)


def test_j_is_the_mean_of_products_and_may_be_negative() -> None:
    scores = SentenceScores(
        sta=np.array([1.0, 0.0, 1.0]), sim=np.array([0.5, 1.0, -0.2]), fl=np.array([0.8, 1.0, 0.5]), soft_sta=np.ones(3)
    )
    assert scores.j.tolist() == pytest.approx([0.4, 0.0, -0.1])
    result = Result(Rewrites("x", "outputs", "1", {}, ("a", "b", "c")), _test_set(3), scores, "s")
    assert result.summary["j"].mean == pytest.approx(0.1)  # the product of the means would be .222


def _test_set(n: int, name: str = "t") -> TestSet:
    return TestSet(name, "folder", "r", SOURCES[:n], tuple(() for _ in range(n)))


def test_signature_changes_with_what_makes_scores_incomparable_and_with_nothing_else(evaluator: Evaluator) -> None:
    import dataclasses

    base = signature(evaluator, _test_set(3))
    assert signature(evaluator, dataclasses.replace(_test_set(3), origin="hub", revision="other")) == base
    assert signature(evaluator, _test_set(2)) != base
    assert signature(evaluator, _test_set(3, "u")) != base
    stricter = dataclasses.replace(load_profile("offline"), sta_threshold=0.4)
    assert signature(Evaluator(stricter), _test_set(3)) != base
    assert base.rpartition("|")[2].startswith("version:")
    assert [part.partition(":")[0] for part in base.split("|")] == [
        "profile", "sta", "sim", "fl", "test", "n", "version",
    ]  # fmt: skip


def test_intervals() -> None:
    ones = mean_interval(np.ones(10))
    assert (ones.mean, ones.low, ones.high) == (1.0, 1.0, 1.0)
    # A fair coin thrown 400 times: ±1.96 · .5/√400 = ±.049.
    coin = mean_interval(np.array([0.0, 1.0] * 200))
    assert coin.mean == 0.5
    assert (coin.low, coin.high) == (pytest.approx(0.451, abs=0.004), pytest.approx(0.549, abs=0.004))
    same = paired_difference(np.array([0.1, 0.9, 0.4]), np.array([0.1, 0.9, 0.4]))
    assert (same.mean, same.low, same.high) == (0.0, 0.0, 0.0) and not same.excludes_zero
    rng = np.random.default_rng(0)
    left = rng.random(200)
    assert paired_difference(left + 0.05 + 0.01 * rng.random(200), left).excludes_zero
    with pytest.raises(ValueError, match="paired"):
        paired_difference(left, left[1:])


def test_text_rules_by_hand() -> None:
    assert detokenise("well , yes ( no ) !") == "well, yes (no)!"
    assert detokenise("it 's a - b") == "it 's a - b"  # STRAP joins nothing else
    # well , | , well | well , | , well: 2 distinct of 4.
    assert repetition("well , well , well") == pytest.approx(0.5)
    assert repetition("one two three") == repetition("one") == repetition("") == 0.0
    assert length_ratio("a b c d", "a b") == 0.5
    assert is_copy("a  b ", "a b") and not is_copy("a b", "A b")


def test_delete_by_hand() -> None:
    assert delete_rude_words("you damn fool , go home") == "you , go home"
    assert delete_rude_words("The DAMN class passed the assessment") == "The class passed the assessment"
    assert delete_rude_words("fuck") == ""


def test_outputs_files_keep_their_count(tmp_path: Path) -> None:
    from metrics.errors import InputError

    path = tmp_path / "outputs.txt"
    path.write_bytes(b"one\r\n\nthr\xe2\x80\xa8ee\n")
    assert read_outputs(path, 3) == ["one", "", "thr\u2028ee"]
    with pytest.raises(InputError, match="3 lines for 4 test sentences"):
        read_outputs(path, 4)


def test_the_shipped_head_is_a_probability_of_cola() -> None:
    """The logistic head by hand at one point, from its four numbers."""
    from metrics.scorers import LMAcceptability

    scorer = LMAcceptability("smollm2-135m-q4")
    (a, b, c), bias = scorer.head["weights"], scorer.head["bias"]
    scorer.features = lambda texts: np.array([[-4.0, -9.0, 10.0]])  # type: ignore[method-assign]
    expected = 1 / (1 + math.exp(-(-4 * a - 9 * b + 10 * c + bias)))
    assert scorer(["x"])[0] == pytest.approx(expected)
    # More probable text must never count as less acceptable.
    assert a > 0 and c < 0
