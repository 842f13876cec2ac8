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
from repro.methods.config import SROConfig
from repro.methods.sro import SROTrainer
from repro.training.trainer import COMPLETE, Development, arguments, best_step, stop_reason
from tests.leaders import by_norm, weights

GAME = SROConfig(
    beta=0.1, epsilon=0.1, rollouts=1, sample=False, temperature=1.0, rollout_max_new_tokens=6, shift_right=True,
    rejected_with_prompt=False, rollout_dropout=0.0, rollout_dtype="float32", rollout_engine="none", siblings=False,
    lone_fail_weight=1.0, imitation=0.0, seed=0,
)  # fmt: skip
SAMPLED = GAME.__class__(**{**vars(GAME), "sample": True, "rollouts": 2})
NARROW = GAME.__class__(**{**vars(SAMPLED), "rollout_dtype": "bfloat16"})


class WordScreener:
    """A screener that passes texts with few letters: a real rule, deterministic, with passes and fails."""

    def passes(self, texts: list[str], draw: int = 0) -> np.ndarray[Any, Any]:
        return np.array([sum(map(len, text.split())) % 2 == 0 for text in texts])


def train(
    folder: Path, out: Path, texts: list[str], game: SROConfig = GAME, *, batch: int = 4, accumulation: int = 1,
    steps: int = 6, train_what: str | int = "full", die_after: int | None = None,
) -> tuple[Leader, list[dict[str, Any]]]:  # fmt: skip
    """Trains the tiny leader; die_after raises inside that step, as a kill would end it."""
    torch.manual_seed(0)
    leader = Leader(load_model(resolve_model(str(folder)), prompt="paraphrase : {text}"), train=train_what)
    keywords = arguments(
        out, batch_size=batch, accumulation=accumulation, learning_rate=1e-1, steps=steps, epochs=1, weight_decay=0.01,
        save_every=2, seed=7, evaluate=True, schedule="constant_with_warmup",
    )  # fmt: skip
    # Adam divides by the gradient's own size, which turns rounding errors of tiny gradients into whole steps.
    keywords["optim"] = "sgd"
    events: list[dict[str, Any]] = []

    follower, develop = ScreenerFollower(WordScreener()), by_norm(leader, die_after)
    SROTrainer(leader, follower, game, keywords, texts, events.append, develop=develop).fit()
    return leader, events


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


@pytest.mark.parametrize(("train_what", "game"), [("full", SAMPLED), (2, SAMPLED), ("lora", SAMPLED), (2, NARROW)])
def test_resuming_equals_not_stopping(
    train_what: str | int, game: SROConfig, tiny_llama: Path, sentences: list[str], tmp_path: Path
) -> None:
    whole, whole_events = train(tiny_llama, tmp_path / "whole", sentences, game, train_what=train_what)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_llama, tmp_path / "cut", sentences, game, train_what=train_what, die_after=4)
    # What a kill -9 inside a save leaves: a folder without its mark. It must not be believed.
    torn = tmp_path / "cut" / "checkpoint-4"
    torn.mkdir()
    (torn / "trainer_state.json").write_text("{}")
    resumed, events = train(tiny_llama, tmp_path / "cut", sentences, game, train_what=train_what)
    assert torch.equal(weights(whole), weights(resumed))
    best = [tmp_path / name / "best.safetensors" for name in ("whole", "cut")]
    assert best[0].read_bytes() == best[1].read_bytes()
    losses = {event["step"]: event["loss"] for event in whole_events if "loss" in event}
    assert all(losses[event["step"]] == event["loss"] for event in events if "loss" in event)
    assert {event["step"] for event in events if "loss" in event} == {3, 4, 5, 6}


@pytest.mark.parametrize("gone", ["trained.safetensors", COMPLETE])
def test_a_kill_while_an_old_checkpoint_is_removed_loses_nothing(
    gone: str, tiny_llama: Path, sentences: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = train(tiny_llama, tmp_path / "whole", sentences)
    assert [path.name for path in (tmp_path / "whole").glob("checkpoint-*")] == ["checkpoint-6"]

    def killed(path: Path, *given: Any, **named: Any) -> None:
        assert Path(path).name == "checkpoint-2"
        (Path(path) / gone).unlink(missing_ok=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", killed)
        train(tiny_llama, tmp_path / "cut", sentences)
    resumed, events = train(tiny_llama, tmp_path / "cut", sentences)
    assert torch.equal(weights(whole), weights(resumed))
    assert {event["step"] for event in events if "loss" in event} == {5, 6}


@pytest.mark.parametrize(("kind", "train_what"), [("tiny_llama", 2), ("tiny_llama", "lora"), ("tiny_t5", "full")])
def test_a_narrow_copy_rolls_out_and_follows_every_update(
    kind: str, train_what: str | int, sentences: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    def values() -> dict[tuple[str, int], torch.Tensor]:
        """All weights of the copy; those of a layer that is laid out are read with the rows of a unit matrix."""
        found = {(name, 0): value.clone() for name, value in narrow.named_parameters()}
        for name, layers in leader._laid.items():
            for place, layer in enumerate(layers, 1):
                found[name, place] = layer(torch.eye(own[name].shape[1]).bfloat16()).T
        return found

    leader, _ = train(request.getfixturevalue(kind), tmp_path, sentences, NARROW, train_what=train_what, steps=2)
    assert leader.model_as("float32") is leader.model
    narrow, own = leader._cast, dict(leader.model.named_parameters())
    old = values()
    assert leader.model_as("bfloat16") is narrow
    assert all(value.dtype == torch.float32 for value in own.values())
    new = values()
    assert {name for name, _ in new} == set(own)
    for (name, _), value in new.items():
        assert torch.equal(value, own[name].bfloat16()), name
    # The copy that rolled out last was that of before the last update.
    assert any(not torch.equal(value, old[place]) for place, value in new.items())
    # Positions keep their angles.
    for ours, other in zip(leader.model.buffers(), narrow.buffers(), strict=True):
        assert ours.dtype == other.dtype and torch.equal(ours, other)


def test_a_finished_training_stays_finished(tiny_llama: Path, sentences: list[str], tmp_path: Path) -> None:
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
            GAME.__class__(**{**vars(GAME), "rejected_with_prompt": on, "rollout_dropout": 0.5 * on}),
            arguments(
                tmp_path / str(on), batch_size=1, accumulation=1, learning_rate=1e-3, steps=1, epochs=1,
                weight_decay=0.0, save_every=1, seed=0, evaluate=False, schedule="constant",
            ),
            sentences,
            lambda _: None,
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


def development(step: int, j: float, *, length: float = 1.0, repeat: float = 0.0) -> Development:
    return Development(step, j, 0.5, 0.5, 0.5, 0.0, length, repeat)


def test_stopping_by_hand() -> None:
    limits = {"max_repetition": 0.3, "max_length_ratio": 1.6, "patience": 2}
    rising = [development(0, 0.2), development(5, 0.3)]
    assert stop_reason([], **limits) is None
    assert stop_reason(rising, **limits) is None
    assert stop_reason([*rising, development(10, 0.29)], **limits) is None
    assert "no better development J in 2" in str(
        stop_reason([*rising, development(10, 0.29), development(15, 0.3)], **limits)
    )
    assert "repetition 0.40" in str(stop_reason([development(5, 0.9, repeat=0.4)], **limits))
    assert "length ratio 1.70" in str(stop_reason([development(5, 0.9, length=1.7)], **limits))
    assert "length ratio 0.60" in str(stop_reason([development(5, 0.9, length=0.6)], **limits))
    assert stop_reason([development(5, 0.9, length=0.0)], **{**limits, "max_length_ratio": 0}) is None
    assert best_step([*rising, development(10, 0.3)]) == 5
