"""XCOMET-lite: scores of the original code on a tiny model, and what must not change or break them."""

from __future__ import annotations

import json
import os
import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from metrics.models.resolve import resolve_config
from metrics.profiles import load_profile
from metrics.scorers.xcomet import XCometLite, mqm
from metrics.scoring.measures import Fluency
from metrics.util.errors import InputError
from tests.tiny_scorers import XCOMET, write_xcomet

SOURCES, OUTPUTS, REFERENCES, SCORES = map(list, zip(*XCOMET["source_output_reference_score"], strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_xcomet(tmp_path_factory.mktemp("xcomet") / "model")


@pytest.fixture(scope="module")
def scorer(folder: Path) -> XCometLite:
    return XCometLite(str(folder))


def test_scores_are_those_of_the_original(scorer: XCometLite) -> None:
    """Among them: regressions above 1, spans of every severity, open at the end, beyond the cap; texts cut twice."""
    values = scorer.compare(SOURCES, OUTPUTS, REFERENCES)
    assert values.dtype == np.float64
    assert values == pytest.approx(SCORES, abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_neither_order_nor_batches_change_a_score(folder: Path, batch_size: int) -> None:
    order = random.Random(batch_size).sample(range(len(SCORES)), len(SCORES))
    columns = [[column[i] for i in order] for column in (SOURCES, OUTPUTS, REFERENCES)]
    values = XCometLite(str(folder), batch_size=batch_size).compare(*columns)
    assert values == pytest.approx([SCORES[i] for i in order], abs=1e-5)


def test_equal_triples_are_scored_once(scorer: XCometLite, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    original = scorer._predict

    def counted(sequences: Sequence[list[int]], pad: int) -> Any:
        sizes.append(len(sequences))
        return original(sequences, pad)

    monkeypatch.setattr(scorer, "_predict", counted)
    # The first two differ in their sources alone.
    values = scorer.compare(["you", "are", "you", "you"], ["no"] * 4, ["stop"] * 4)
    assert sizes == [2, 2, 2]
    assert values[0] == values[2] == values[3] != values[1]


def test_empty_and_malformed_texts_have_finite_scores(scorer: XCometLite) -> None:
    odd = ["", " \n\t", "\ud800", "ok \udfff ok", "\x00", "x" * 100_000]
    values = scorer.compare(odd, odd, odd[::-1])
    assert np.isfinite(values).all() and len(set(values.tolist())) > 2
    assert scorer.compare(["\ud800"], ["a"], ["b"]) == scorer.compare(["\ufffd"], ["a"], ["b"])
    assert scorer.compare([], [], []).shape == (0,)


def test_the_first_token_of_a_span_decides_its_penalty() -> None:
    assert mqm([0, 0, 0]) == 1.0
    assert mqm([0, 1, 0]) == pytest.approx(24 / 25)
    assert mqm([2, 3, 3, 0, 0]) == pytest.approx(20 / 25)
    assert mqm([0, 3, 0, 1, 1, 0, 2, 0]) == pytest.approx(9 / 25)
    assert mqm([3, 0, 3, 0, 3, 0]) == 0.0
    # Open at the end: COMET drops it.
    assert mqm([0, 1, 0, 3, 3]) == pytest.approx(24 / 25)
    assert mqm([3, 3]) == 1.0


def test_revision_pins_weights_and_encoder(folder: Path, tmp_path: Path) -> None:
    own, _, encoder = XCometLite(str(folder)).revision.partition("+")
    assert own.startswith("sha256:") and encoder == resolve_config(str(folder / "encoder")).revision
    copy = write_xcomet(tmp_path / "copy")
    (copy / "encoder" / "pytorch_model.bin").unlink()
    assert resolve_config(str(copy / "encoder")).revision == encoder
    (copy / "encoder" / "config.json").write_text(json.dumps({**XCOMET["encoder"], "layer_norm_eps": 1e-6}))
    assert resolve_config(str(copy / "encoder")).revision != encoder


def test_a_hub_revision_names_both_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    model = write_xcomet(tmp_path / "model", pretrained_model="lab/base")
    folders = {"lab/lite": model, "lab/base": model / "encoder"}
    asked: list[tuple[str, str | None]] = []
    fetched: dict[str, list[str]] = {}

    heads = {"lab/lite": "1" * 40, "lab/base": "2" * 40}

    def model_info(self: Any, name: str, revision: str | None = None, **_: Any) -> Any:
        asked.append((name, revision))
        files = [SimpleNamespace(rfilename=file.name) for file in folders[name].iterdir()]
        return SimpleNamespace(sha=revision or heads[name], siblings=files)

    def snapshot_download(name: str, revision: str, allow_patterns: list[str]) -> str:
        fetched[name] = allow_patterns
        return str(folders[name])

    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    given = [f"{'a' * 40}+{'b' * 40}", "a" * 40]
    assert XCometLite("lab/lite", given[0]).revision == given[0]
    assert XCometLite("lab/lite", given[1]).revision == f"{given[1]}+{heads['lab/base']}"
    assert XCometLite("lab/lite").revision == "+".join(heads.values())
    base_asked = [revision for name, revision in asked if name == "lab/base"]
    # The encoder's branch was pinned when it was first found.
    assert base_asked == ["b" * 40, None, heads["lab/base"]]
    # Of the encoder's own repository nothing that holds weights.
    assert "*.safetensors" in fetched["lab/lite"] and "*.model" in fetched["lab/base"]
    assert not {"*.safetensors", "*.bin"} & set(fetched["lab/base"])


def test_fluency_of_clef2025(folder: Path, scorer: XCometLite) -> None:
    measure = Fluency(load_profile("clef2025").model_copy(update={"fl_model": str(folder)}))
    assert measure.needs_references and f"{folder}@{scorer.revision};" in measure.signature_field
    items = [(s, o, (r, "another")) for s, o, r in zip(SOURCES, OUTPUTS, REFERENCES, strict=True)]
    assert measure(items) == pytest.approx(np.stack([SCORES, SCORES], axis=-1), abs=1e-5)


def test_pickled_weights_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps("not read"))
    with pytest.raises(InputError, match=r"only pickle weights \(pytorch_model.bin\)") as error:
        XCometLite(str(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer_transformation": "sparsemax"}, "layer_transformation sparsemax; XCOMET-lite has softmax"),
        ({"encoder_model": "XLM-RoBERTa"}, "encoder_model XLM-RoBERTa; XCOMET-lite has DeBERTa"),
        ({"pretrained_model": "/nowhere"}, "/nowhere: no such folder"),
        ({"word_layer": 5}, r"cannot be loaded as XCOMET-lite \(word_layer 5 of 4\)"),
        ({"word_layer": "8"}, "word_layer 8 has another type than XCOMET-lite's"),
        ({"hidden_sizes": [24]}, "cannot be loaded as XCOMET-lite .*estimator.ff.3"),
        ({"drop": "hidden2tag.bias"}, "cannot be loaded as XCOMET-lite .*hidden2tag.bias"),
    ],
)
def test_models_that_are_not_xcomet_lite(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    folder = write_xcomet(tmp_path / "model", **arguments)
    with pytest.raises(InputError, match=message) as error:
        XCometLite(str(folder)).compare(["a"], ["b"], ["c"])
    assert "\n" not in str(error.value)


@pytest.mark.skipif("SRO_XCOMET_LITE" not in os.environ, reason="no released weights (SRO_XCOMET_LITE)")
def test_released_weights_give_published_scores() -> None:
    """SRO_XCOMET_LITE: myyycroft/XCOMET-lite or its folder. Scores: those that naist-nlp/mbrs 0.1.8 tests for."""
    outputs = ["this is a test", "another test", "this is a fest"]
    references = ["ref", "this is a test", "producţia de zahăr brut se exprimă în zahăr alb;"]
    published = [[0.75441, 0.93626, 0.52062], [0.65309, 0.74183, 0.42666], [0.42499, 0.52537, 0.36234]]
    scorer = XCometLite(os.environ["SRO_XCOMET_LITE"])
    for reference, expected in zip(references, np.transpose(published), strict=True):
        values = scorer.compare(["これはテストです"] * 3, outputs, [reference] * 3)
        assert values == pytest.approx(expected, abs=1e-3)
