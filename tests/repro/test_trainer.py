"""Invariants of training: accumulation, resuming, seeds, departures, stopping."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metrics.models.loading import load_model
from metrics.models.resolve import resolve_model
from repro.followers.follower import ScreenerFollower
from repro.leader.leader import Leader
from repro.leader.rollouts import RolloutGenerator
from repro.methods.config import SROConfig
from repro.methods.sro import SROTrainer
from repro.training.callbacks import DevelopmentCallback
from repro.training.checkpoints import COMPLETE
from repro.training.config import DevelopmentConfig
from repro.training.development import DevelopmentScores, best_step, stop_reason
from repro.training.trainer import training_arguments
from tests.leaders import scores_by_norm, weights

GREEDY = SROConfig(
    beta=0.1, epsilon=0.1, rollouts=1, sample=False, temperature=1.0, rollout_max_new_tokens=6, shift_right=True,
    rejected_with_prompt=False, rollout_dropout=0.0, rollout_dtype="float32", rollout_engine="none", siblings=False,
    lone_fail_weight=1.0, credit="all", imitation=0.0, seed=0,
)  # fmt: skip
SAMPLED = GREEDY.__class__(**{**vars(GREEDY), "sample": True, "rollouts": 2})
BFLOAT16 = GREEDY.__class__(**{**vars(SAMPLED), "rollout_dtype": "bfloat16"})


def stop_limits(**limits: float) -> DevelopmentConfig:
    return DevelopmentConfig(development_set="sample-dev", development_limit=0, evaluate_every=2, **limits)


NEVER_STOP = stop_limits(stop_repetition=1, stop_length_ratio=0, patience=0)


class WordScreener:
    """A screener that passes texts with few letters: a real rule, deterministic, with passes and fails."""

    def passes(self, texts: list[str], call: int = 0) -> np.ndarray[Any, Any]:
        return np.array([sum(map(len, text.split())) % 2 == 0 for text in texts])


def make_trainer(
    folder: Path, out: Path, texts: list[str], config: SROConfig = GREEDY, *, batch: int = 4, accumulation: int = 1,
    steps: int = 6, train_what: str | int = "full", die_after: int | None = None,
) -> tuple[SROTrainer, list[dict[str, Any]]]:  # fmt: skip
    """Return a trainer of the tiny leader, and its log; `die_after` raises in that step, as a kill would end it."""
    torch.manual_seed(0)
    leader = Leader(load_model(resolve_model(str(folder)), prompt="paraphrase : {text}"), train=train_what)
    # Not Adam, which divides by the gradient's own size and so turns rounding errors of tiny gradients into full steps.
    arguments = training_arguments(
        out, max_steps=steps, per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation,
        learning_rate=1e-1, lr_scheduler_type="constant_with_warmup", weight_decay=0.01, save_steps=2, seed=7,
        optim="sgd",
    )  # fmt: skip
    events: list[dict[str, Any]] = []
    development = DevelopmentCallback(leader, scores_by_norm(leader, die_after), NEVER_STOP, events.append)
    follower = ScreenerFollower(WordScreener())
    trainer = SROTrainer(leader, follower, config, arguments, texts, log=events.append, callbacks=[development])
    return trainer, events


def train(*args: Any, **kwargs: Any) -> tuple[Leader, list[dict[str, Any]]]:
    """Train the trainer of `make_trainer` to the end; return its leader and log."""
    trainer, events = make_trainer(*args, **kwargs)
    trainer.train_or_resume()
    return trainer.leader, events


@pytest.mark.parametrize("kind", ["tiny_llama", "tiny_t5"])
def test_batch_1_times_8_is_batch_8_times_1(
    kind: str, sentences: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    # The sampler groups by length: equal lengths leave both runs the same order.
    texts = [" ".join((text.split() * 3)[:6]) for text in sentences[:16]]
    small, _ = train(folder, tmp_path / "a", texts, batch=1, accumulation=8, steps=2)
    large, _ = train(folder, tmp_path / "b", texts, batch=8, accumulation=1, steps=2)
    start = Leader(load_model(resolve_model(str(folder)), prompt="{text}"), train="full")
    assert (weights(large) - weights(start)).abs().max() > 1e-3
    torch.testing.assert_close(weights(small), weights(large), atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize(("train_what", "config"), [("full", SAMPLED), (2, SAMPLED), ("lora", SAMPLED), (2, BFLOAT16)])
def test_resumed_training_equals_uninterrupted_training(
    train_what: str | int, config: SROConfig, tiny_llama: Path, sentences: list[str], tmp_path: Path
) -> None:
    uninterrupted, expected_events = train(
        tiny_llama, tmp_path / "uninterrupted", sentences, config, train_what=train_what
    )
    with pytest.raises(KeyboardInterrupt):
        train(tiny_llama, tmp_path / "cut", sentences, config, train_what=train_what, die_after=4)
    # What a kill -9 inside a save leaves: a folder without its mark. It must not be believed.
    torn = tmp_path / "cut" / "checkpoint-4"
    torn.mkdir()
    (torn / "trainer_state.json").write_text("{}")
    resumed, events = train(tiny_llama, tmp_path / "cut", sentences, config, train_what=train_what)
    assert torch.equal(weights(uninterrupted), weights(resumed))
    best = [tmp_path / name / "best.safetensors" for name in ("uninterrupted", "cut")]
    assert best[0].read_bytes() == best[1].read_bytes()
    losses = {event["step"]: event["loss"] for event in expected_events if "loss" in event}
    assert all(losses[event["step"]] == event["loss"] for event in events if "loss" in event)
    assert {event["step"] for event in events if "loss" in event} == {3, 4, 5, 6}


@pytest.mark.parametrize("gone", ["trained.safetensors", COMPLETE])
def test_a_kill_while_an_old_checkpoint_is_removed_loses_nothing(
    gone: str, tiny_llama: Path, sentences: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninterrupted, _ = train(tiny_llama, tmp_path / "uninterrupted", sentences)
    assert [path.name for path in (tmp_path / "uninterrupted").glob("checkpoint-*")] == ["checkpoint-6"]

    def killed(path: Path, *given: Any, **named: Any) -> None:
        assert Path(path).name == "checkpoint-2"
        (Path(path) / gone).unlink(missing_ok=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", killed)
        train(tiny_llama, tmp_path / "cut", sentences)
    resumed, events = train(tiny_llama, tmp_path / "cut", sentences)
    assert torch.equal(weights(uninterrupted), weights(resumed))
    assert {event["step"] for event in events if "loss" in event} == {5, 6}


@pytest.mark.parametrize(("kind", "train_what"), [("tiny_llama", 2), ("tiny_llama", "lora"), ("tiny_t5", "full")])
def test_a_bfloat16_copy_rolls_out_with_the_latest_weights(
    kind: str, train_what: str | int, sentences: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    def values() -> dict[tuple[str, int], torch.Tensor]:
        """Return all weights of the copy; the weight of a packed layer is its output for a unit matrix."""
        found = {(name, 0): value.clone() for name, value in copied.named_parameters()}
        for name, layers in rollouts._packed_layers.items():
            for place, layer in enumerate(layers, 1):
                found[name, place] = layer(torch.eye(own[name].shape[1]).bfloat16()).T
        return found

    folder = request.getfixturevalue(kind)
    trainer, _ = make_trainer(folder, tmp_path, sentences, BFLOAT16, train_what=train_what, steps=2)
    trainer.train_or_resume()
    leader, rollouts = trainer.leader, trainer.rollouts
    assert RolloutGenerator(leader, GREEDY).current_model() is leader.model
    copied, own = rollouts._copy, dict(leader.model.named_parameters())
    old = values()
    assert rollouts.current_model() is copied
    assert all(value.dtype == torch.float32 for value in own.values())
    new = values()
    assert {name for name, _ in new} == set(own)
    for (name, _), value in new.items():
        assert torch.equal(value, own[name].bfloat16()), name
    # The copy that rolled out last was that of before the last update.
    assert any(not torch.equal(value, old[place]) for place, value in new.items())
    # Positions keep their angles.
    for ours, other in zip(leader.model.buffers(), copied.buffers(), strict=True):
        assert ours.dtype == other.dtype and torch.equal(ours, other)


def test_a_finished_training_does_not_train_again(tiny_llama: Path, sentences: list[str], tmp_path: Path) -> None:
    first, _ = train(tiny_llama, tmp_path, sentences)
    again, events = train(tiny_llama, tmp_path, sentences)
    assert torch.equal(weights(first), weights(again))
    assert not [event for event in events if "loss" in event]


def test_equal_seeds_equal_curves_and_other_seeds_other_rollouts(
    tiny_llama: Path, sentences: list[str], tmp_path: Path
) -> None:
    runs = [
        train(tiny_llama, tmp_path / str(i), sentences, SAMPLED.__class__(**{**vars(SAMPLED), "seed": seed}), steps=3)
        for i, seed in enumerate((1, 1, 2))
    ]
    curves = [[event["loss"] for event in events if "loss" in event] for _, events in runs]
    assert curves[0] == curves[1] != curves[2]


def test_departure_2_scores_the_prompt_and_departure_4_rolls_out_with_dropout(
    tiny_t5: Path, sentences: list[str], tmp_path: Path
) -> None:
    published, released = (
        SROTrainer(
            Leader(load_model(resolve_model(str(tiny_t5)), prompt="paraphrase : {text}"), train="full"),
            ScreenerFollower(WordScreener()),
            GREEDY.__class__(**{**vars(GREEDY), "rejected_with_prompt": on, "rollout_dropout": 0.5 * on}),
            training_arguments(tmp_path / str(on), max_steps=1, save_steps=1, seed=0),
            sentences,
            log=lambda _: None,
        )
        for on in (False, True)
    )  # fmt: skip
    batch = {"text": sentences[:8]}
    plain, as_released = published._prepare_inputs(batch), released._prepare_inputs(batch)
    tokenizer = published.leader.tokenizer
    assert tokenizer.decode(plain["rejected"][0]) == f"{sentences[0]} </s>"
    assert tokenizer.decode(as_released["rejected"][0]) == f"paraphrase : {sentences[0]} </s>"
    assert plain["outputs"] != as_released["outputs"]
    assert plain["outputs"] == published._prepare_inputs(batch)["outputs"]
    assert not released.leader.model.training  # dropout is for rolling out alone


def test_checkpoints_hold_no_pickled_model(tiny_llama: Path, sentences: list[str], tmp_path: Path) -> None:
    train(tiny_llama, tmp_path, sentences, steps=2)
    names = {path.name for path in (tmp_path / "checkpoint-2").iterdir()}
    assert {"trained.safetensors", COMPLETE} <= names
    assert not {"pytorch_model.bin", "model.safetensors"} & names
    state = json.loads((tmp_path / "checkpoint-2" / "trainer_state.json").read_text())
    assert [entry["step"] for entry in state["log_history"] if "development" in entry] == [0, 2]


def scores(step: int, j: float, *, length: float = 1.0, repeat: float = 0.0) -> DevelopmentScores:
    return DevelopmentScores(step, j, 0.5, 0.5, 0.5, 0.0, length, repeat)


def test_stop_reasons_and_best_step_by_hand() -> None:
    limits = stop_limits(stop_repetition=0.3, stop_length_ratio=1.6, patience=2)
    rising = [scores(0, 0.2), scores(5, 0.3)]
    assert stop_reason([], limits) is None
    assert stop_reason(rising, limits) is None
    assert stop_reason([*rising, scores(10, 0.29)], limits) is None
    assert "no better development J in 2" in str(stop_reason([*rising, scores(10, 0.29), scores(15, 0.3)], limits))
    assert "repetition 0.40" in str(stop_reason([scores(5, 0.9, repeat=0.4)], limits))
    assert "length ratio 1.70" in str(stop_reason([scores(5, 0.9, length=1.7)], limits))
    assert "length ratio 0.60" in str(stop_reason([scores(5, 0.9, length=0.6)], limits))
    assert stop_reason([scores(5, 0.9, length=0.0)], limits.model_copy(update={"stop_length_ratio": 0})) is None
    assert best_step([*rising, scores(10, 0.3)]) == 5
