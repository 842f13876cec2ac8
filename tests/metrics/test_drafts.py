"""Several tokens a step: those of `generate`, in fewer steps, and nothing else that the sampler does changes by it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metrics.generation import prompt_lookup as drafts
from metrics.generation.prompt_lookup import draft
from metrics.generation.sampler import sample_ids
from metrics.models.loading import load_model
from metrics.models.resolve import resolve_model

TEXTS = st.lists(st.integers(0, 4), max_size=30)
ROOM = 24


@pytest.fixture
def model(tiny_causal: Path) -> Any:
    return load_model(resolve_model(str(tiny_causal)), prompt="{text}").model


def repetitive(seed: int, rows: int) -> list[list[int]]:
    """Prompts of different lengths that say a few tokens again and again, not always the same way."""
    rng = random.Random(seed)
    return [
        [token for _ in range(rng.randint(1, 6)) for token in rng.sample(part, k=rng.randint(1, len(part)))]
        for part in (rng.choices(range(2, 40), k=rng.randint(1, 5)) for _ in range(rows))
    ]


def greedy(model: Any, prompts: list[list[int]], ends: set[int]) -> list[list[int]]:
    return sample_ids(model, prompts, copies=1, temperature=None, max_new_tokens=ROOM, ends=ends, pad=0, seed=0)


@contextmanager
def watched(model: Any) -> Iterator[list[int]]:
    """How many tokens a row each call of the model had."""
    widths: list[int] = []

    def count(_module: Any, _arguments: Any, named: dict[str, Any]) -> None:
        widths.append(named["input_ids"].shape[1])

    handle = model.register_forward_pre_hook(count, with_kwargs=True)
    yield widths
    handle.remove()


@given(TEXTS, st.integers(0, 9))
def test_a_draft_stands_behind_the_best_and_latest_match(text: list[int], longest: int) -> None:
    def shared(place: int) -> int:
        """How many tokens before `place` are the last ones, of three."""
        return next((n for n in range(min(3, place), 0, -1) if text[place - n : place] == text[-n:]), 0)

    places = [place for place in range(1, len(text)) if shared(place)]
    best = max(places, key=lambda place: (shared(place), place), default=len(text))
    drafted = draft(text, longest)
    assert len(drafted) == (longest if places else 0)
    assert all(token == [*text, *drafted][best + i] for i, token in enumerate(drafted))


@pytest.mark.parametrize("spread", [0.1, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_tokens_are_those_of_generate(model: Any, seed: int, spread: float) -> None:
    """Drafts that are right and drafts that are wrong, in rows that end early, late, and not at all.

    What a model writes hangs on how large its random weights are: the same token again, or ever others.
    """
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in (p for p in model.parameters() if p.dim() > 1):
            weight.normal_(0, spread)
    prompts = repetitive(seed, 14)
    ends = {1, greedy(model, prompts, set())[0][5]}
    expected = []
    for prompt in prompts:
        (row,) = model.generate(
            torch.tensor([prompt]), do_sample=False, max_new_tokens=ROOM, pad_token_id=0, eos_token_id=sorted(ends)
        ).tolist()
        expected.append(row[len(prompt) :])
    with watched(model) as widths:
        assert greedy(model, prompts, ends) == expected
    assert max(widths) > 1
    # A column for each token of the row that keeps most, and none for what no row keeps.
    assert len(widths) <= max(map(len, expected))


def test_what_was_said_before_takes_few_steps(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As small as they come, this model's weights make it repeat its last token: seven of eight come by drafts."""
    prompts = [[5, 6, 7, 7], [9, 9]]
    with watched(model) as widths:
        answers = greedy(model, prompts, set())
    assert answers == [[7] * ROOM, [9] * ROOM]
    assert widths == [8] * (ROOM // 8)
    monkeypatch.setattr(drafts, "CHEAP_TOKENS", 0)
    with watched(model) as widths:
        assert greedy(model, prompts, set()) == answers
    assert widths == [1] * ROOM


@pytest.mark.parametrize(("temperature", "training", "rows"), [(1.0, False, 2), (None, True, 2), (None, False, 25)])
def test_no_drafts_where_tokens_are_drawn_and_where_rows_are_many(
    model: Any, temperature: float | None, training: bool, rows: int
) -> None:
    """Recorded runs drew one token a step; and a model that drops out draws for every token it reads."""
    model.train(training)
    with watched(model) as widths:
        sample_ids(
            model, [[5, 6, 5, 6]] * rows, copies=1, temperature=temperature, max_new_tokens=6, ends=set(), pad=0, seed=0
        )
    assert widths == [1] * 6
