"""Trackers: what TensorBoard's files and Trackio's database hold after a training, and trackers that are not there."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from metrics.util.errors import InputError
from repro.config.recipe import load_recipe
from repro.methods.context import TrainingContext
from repro.training.development import DevelopmentScores
from repro.training.tracking import require_trackers, tensorboard_folder
from tests.repro.test_methods import make_context, train

TABLE = [{"source": "you | fool", "rewrite": "you", "j": 0.25}]


def with_samples(context: TrainingContext) -> TrainingContext:
    evaluate: Callable[[int], DevelopmentScores] = context.evaluate
    samples = {0: TABLE, 2: [{**TABLE[0], "j": 0.5}], 4: [{**TABLE[0], "j": 0.75}]}
    return dataclasses.replace(
        context, evaluate=lambda step: dataclasses.replace(evaluate(step), sta=0.5, samples=samples[step])
    )


@pytest.mark.parametrize("method", ["sro", "grpo"])
def test_trackers_hold_scores_shares_and_rewrites(
    method: str, tiny_llama: Path, sentences: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trackio = pytest.importorskip("trackio")
    monkeypatch.setattr(trackio.utils, "TRACKIO_DIR", tmp_path / "trackio")
    monkeypatch.setattr(trackio.sqlite_storage, "TRACKIO_DIR", tmp_path / "trackio")
    report = "report_to=[tensorboard, trackio]"
    context, events = make_context(method, tiny_llama, tmp_path / "run", sentences, report, die_after=4)
    with tensorboard_folder(tmp_path / "tensorboard"), pytest.raises(KeyboardInterrupt):
        train(with_samples(context))
    # The run resumes after step 2 and sends what is new.
    context, events = make_context(method, tiny_llama, tmp_path / "run", sentences, report)
    with tensorboard_folder(tmp_path / "tensorboard"):
        train(with_samples(context))

    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in board.Scalars("eval/sta")] == [(0, 0.5), (2, 0.5), (4, 0.5)]
    passed = {event["step"]: event["passed"] for event in events if "passed" in event}
    shares = {e.step: e.value for e in board.Scalars("train/passed")}
    assert sorted(shares) == [1, 2, 3, 4] and sorted(passed) == [3, 4]
    assert all(shares[step] == pytest.approx(share) for step, share in passed.items())
    texts = board.Tensors("eval/rewrites/text_summary")
    assert [e.step for e in texts] == [0, 2, 4]
    table = texts[1].tensor_proto.string_val[0].decode().split("\n")
    assert table == ["| source | rewrite | j |", "|---|---|--:|", r"| you \| fool | you | 0.5 |"]

    (database,) = (tmp_path / "trackio").glob("*.db")
    logged = [
        json.loads(row[0]) for row in sqlite3.connect(database).execute("SELECT metrics FROM metrics ORDER BY id")
    ]
    assert [(e["train/global_step"], e["eval/sta"]) for e in logged if "eval/sta" in e] == [
        (0, 0.5),
        (2, 0.5),
        (4, 0.5),
    ]
    tables = [e["eval/rewrites"]["_value"] for e in logged if "eval/rewrites" in e]
    assert [table[0]["j"] for table in tables] == [0.25, 0.5, 0.75] and tables[0] == TABLE
    assert [e["train/passed"] for e in logged if "train/passed" in e][-2:] == [passed[3], passed[4]]


def test_trackers_are_off_by_default_and_no_part_of_a_run() -> None:
    recipe = load_recipe("smoke")
    assert recipe.report_to == []
    # A stage's key is made of the dump: a training is not repeated for a tracker.
    assert load_recipe("smoke", ["report_to=[tensorboard]"]).model_dump() == recipe.model_dump()


def test_trackers_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="report_to: tensorbord is unknown; did you mean tensorboard"):
        require_trackers(["tensorbord"])
    with pytest.raises(
        InputError, match="report_to: comet_ml is not installed; install its package, such as pip install"
    ):
        require_trackers(["comet_ml"])
    monkeypatch.setattr("repro.training.tracking.get_available_reporting_integrations", lambda: ["wandb"])
    with pytest.raises(InputError, match=r"report_to: trackio needs the package trackio; .* -e '\.\[trackers\]'"):
        require_trackers(["wandb", "trackio"])
