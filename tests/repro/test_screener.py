"""Screeners: what NB-SVM learns, that it is saved and loaded, and that flips are seeded."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from repro.followers.ngrams import NBSVM, split_punctuation
from repro.followers.screener import ClassifierScreener, FlippingScreener

TOXIC = ["you idiot", "what an idiot you are", "idiot , go away", "such an idiot again"]
NEUTRAL = ["you friend", "what a friend you are", "friend , come in", "such a friend again"]


def test_nb_svm_ratio_by_hand() -> None:
    """min_df 3 leaves "you", "," no … by hand: idiot in 4 of 4 toxic, friend in 4 of 4 neutral, you in 2 + 2."""
    screener = NBSVM().fit(TOXIC, NEUTRAL)
    assert sorted(screener.vectorizer.vocabulary_) == ["friend", "idiot", "you"]
    ratio = dict(zip(screener.vectorizer.get_feature_names_out(), screener.ratio, strict=True))
    assert ratio["you"] == pytest.approx(0, abs=1e-12)
    assert ratio["idiot"] == pytest.approx(-ratio["friend"], abs=1e-12)
    # Sublinear tf is 1 for one occurrence; "idiot" alone has weight 1, beside "you" idf(idiot)/norm.
    idf_you, idf_word = math.log(9 / 5) + 1, math.log(9 / 5) + 1
    beside = idf_word / math.hypot(idf_you, idf_word)
    expected = math.log((2 * 1 + 2 * beside + 1) / (0 + 1))
    assert ratio["idiot"] == pytest.approx(expected, abs=1e-9)
    assert screener.passes(["hello friend", "hello idiot"]).tolist() == [True, False]


def test_a_loaded_screener_gives_equal_probabilities_and_uses_no_pickle(tmp_path: Path, sentences: list[str]) -> None:
    screener = NBSVM(threshold=0.4).fit(TOXIC, NEUTRAL)
    screener.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}
    texts = [*TOXIC, *NEUTRAL, *sentences]
    np.testing.assert_allclose(NBSVM.load(tmp_path).p_toxic(texts), screener.p_toxic(texts), rtol=1e-12)
    assert NBSVM.load(tmp_path).threshold == 0.4


def test_punctuation_is_split_off() -> None:
    assert split_punctuation("you're wrong!!") == ["you", "'", "re", "wrong", "!", "!"]


def test_flips_are_seeded_and_have_the_rate(sentences: list[str]) -> None:
    screener = NBSVM().fit(TOXIC, NEUTRAL)
    texts = sentences * 100
    truth = screener.passes(texts)
    flipped = FlippingScreener(screener, 0.1, seed=3)
    flips = flipped.passes(texts) != truth
    # 4,800 draws at .1: the standard deviation of the share is .0043.
    assert flips.mean() == pytest.approx(0.1, abs=0.015)
    assert np.array_equal(flipped.passes(texts), flipped.passes(texts))
    assert not np.array_equal(flipped.passes(texts), flipped.passes(texts, call=1))
    assert not np.array_equal(flipped.passes(texts), FlippingScreener(screener, 0.1, seed=4).passes(texts))
    assert np.array_equal(FlippingScreener(screener, 0.0, seed=3).passes(texts), truth)
    assert np.array_equal(FlippingScreener(screener, 1.0, seed=3).passes(texts), ~truth)


def test_any_sequence_classifier_can_screen(tokenizer_folder: Path, sentences: list[str], tmp_path: Path) -> None:
    """Class 0 is neutral: a text passes when P(class 1) is at most the threshold, worked out one text at a time."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, initializer_range=1.0,
        )
    ).eval()  # fmt: skip
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with torch.no_grad():
        logits = [model(**tokenizer(t, return_tensors="pt", return_token_type_ids=False)).logits[0] for t in sentences]
    toxic = [float(row.softmax(-1)[1]) for row in logits]
    verdicts = ClassifierScreener(str(tmp_path), threshold=0.6).passes(sentences)
    assert verdicts.tolist() == [p <= 0.6 for p in toxic]
    assert 0 < verdicts.sum() < len(sentences)
