"""Prompt lookup decoding: the tokens of `generate` in fewer steps, for few greedy rows only."""

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

from metrics.generation import prompt_lookup
from metrics.generation.prompt_lookup import find_candidates
from metrics.generation.sampler import sample_ids
from metrics.models.loading import load_model
from metrics.models.resolve import resolve_model

TEXTS = st.lists(st.integers(0, 4), max_size=30)
MAX_NEW_TOKENS = 24


@pytest.fixture
def model(tiny_causal: Path) -> Any:
    return load_model(resolve_model(str(tiny_causal)), prompt="{text}").model


def repetitive(seed: int, rows: int) -> list[list[int]]:
    """Prompts of different lengths in which a few tokens recur, not always in the same order."""
    rng = random.Random(seed)
    return [
        [token for _ in range(rng.randint(1, 6)) for token in rng.sample(part, k=rng.randint(1, len(part)))]
        for part in (rng.choices(range(2, 40), k=rng.randint(1, 5)) for _ in range(rows))
    ]


def greedy(model: Any, prompts: list[list[int]], eos_token_ids: set[int]) -> list[list[int]]:
    return sample_ids(
        model,
        prompts,
        num_return_sequences=1,
        temperature=None,
        max_new_tokens=MAX_NEW_TOKENS,
        eos_token_ids=eos_token_ids,
        pad_token_id=0,
        seed=0,
    )


@contextmanager
def step_widths(model: Any) -> Iterator[list[int]]:
    """Collect the number of tokens per row of each forward pass."""
    widths: list[int] = []

    def count(_module: Any, _arguments: Any, named: dict[str, Any]) -> None:
        widths.append(named["input_ids"].shape[1])

    handle = model.register_forward_pre_hook(count, with_kwargs=True)
    yield widths
    handle.remove()


@given(TEXTS, st.integers(0, 9))
def test_candidates_follow_the_longest_and_latest_match(text: list[int], count: int) -> None:
    def shared(place: int) -> int:
        """Return how many of the last three tokens also stand before `place`."""
        return next((n for n in range(min(3, place), 0, -1) if text[place - n : place] == text[-n:]), 0)

    places = [place for place in range(1, len(text)) if shared(place)]
    best = max(places, key=lambda place: (shared(place), place), default=len(text))
    candidates = find_candidates(text, count)
    assert len(candidates) == (count if places else 0)
    assert all(token == [*text, *candidates][best + i] for i, token in enumerate(candidates))


@pytest.mark.parametrize("spread", [0.1, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_outputs_equal_those_of_generate(model: Any, seed: int, spread: float) -> None:
    """Right and wrong candidates, in rows that end early, late, or not at all.

    The size of the random weights decides whether a model repeats one token or always generates others.
    """
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in (p for p in model.parameters() if p.dim() > 1):
            weight.normal_(0, spread)
    prompts = repetitive(seed, 14)
    eos_token_ids = {1, greedy(model, prompts, set())[0][5]}
    expected = []
    for prompt in prompts:
        (row,) = model.generate(
            torch.tensor([prompt]),
            do_sample=False,
            max_new_tokens=MAX_NEW_TOKENS,
            pad_token_id=0,
            eos_token_id=sorted(eos_token_ids),
        ).tolist()
        expected.append(row[len(prompt) :])
    with step_widths(model) as widths:
        assert greedy(model, prompts, eos_token_ids) == expected
    assert max(widths) > 1
    # No more steps than the longest output has tokens.
    assert len(widths) <= max(map(len, expected))


def test_repetition_takes_few_steps(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its small weights this model repeats its last token: seven of eight tokens are accepted candidates."""
    prompts = [[5, 6, 7, 7], [9, 9]]
    with step_widths(model) as widths:
        outputs = greedy(model, prompts, set())
    assert outputs == [[7] * MAX_NEW_TOKENS, [9] * MAX_NEW_TOKENS]
    assert widths == [8] * (MAX_NEW_TOKENS // 8)
    monkeypatch.setattr(prompt_lookup, "MAX_STEP_TOKENS", 0)
    with step_widths(model) as widths:
        assert greedy(model, prompts, set()) == outputs
    assert widths == [1] * MAX_NEW_TOKENS


@pytest.mark.parametrize(("temperature", "training", "rows"), [(1.0, False, 2), (None, True, 2), (None, False, 25)])
def test_no_candidates_for_samples_training_and_many_rows(
    model: Any, temperature: float | None, training: bool, rows: int
) -> None:
    """Samples take one token per step; with dropout every input token draws random numbers."""
    model.train(training)
    with step_widths(model) as widths:
        sample_ids(
            model,
            [[5, 6, 5, 6]] * rows,
            num_return_sequences=1,
            temperature=temperature,
            max_new_tokens=6,
            eos_token_ids=set(),
            pad_token_id=0,
            seed=0,
        )
    assert widths == [1] * 6
