"""Rollouts by the suite's own sampler: the library's tokens where nothing is drawn, the model's probabilities where."""

from __future__ import annotations

import copy
import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from metrics.generation import cuda_graphs as graphed
from metrics.generation import kv_cache as cache
from metrics.generation import prompt_lookup as drafts
from metrics.generation import sampler
from metrics.generation.rewriting import end_tokens, generate_ids, has_bare_tokens, prompt_ids
from metrics.generation.sampler import sample_ids
from metrics.models.loading import LoadedModel, load_model
from metrics.models.resolve import resolve_model

NEVER = 2.0


@pytest.fixture
def loaded(tiny_causal: Path) -> LoadedModel:
    """A model of weights large enough to write more than its last token again and again."""
    torch.manual_seed(0)
    loaded = load_model(resolve_model(str(tiny_causal)), prompt="paraphrase : {text}")
    with torch.no_grad():
        for weight in (p for p in loaded.model.parameters() if p.dim() > 1):
            weight.normal_(0, 0.3)
    return loaded


def ask(loaded: LoadedModel, texts: list[str], ends: set[int], **settings: Any) -> list[list[int]]:
    prompts = prompt_ids(loaded.tokenizer, loaded.prompt, texts, False)
    return sample_ids(
        loaded.model, prompts, ends=ends, pad=loaded.tokenizer.pad_token_id, max_new_tokens=12, seed=3, **settings
    )


def frequent(loaded: LoadedModel, texts: list[str]) -> set[int]:
    """A few tokens that this model writes often: as ends they end answers early and late."""
    written = [t for row in ask(loaded, texts, set(), copies=2, temperature=1.0) for t in row]
    return set(np.argsort(-np.bincount(written))[:4].tolist())


@pytest.mark.parametrize("head", [0, 2])
@pytest.mark.parametrize("equal_lengths", [False, True])
@pytest.mark.parametrize("cheap_tokens", [0, 40, 200])
@pytest.mark.parametrize("apart", [1, 5, 64])
def test_greedy_answers_are_the_librarys(
    loaded: LoadedModel, sentences: list[str], head: int, equal_lengths: bool, cheap_tokens: int, apart: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Rows end at different steps and leave the batch; every token is the one that `generate` writes.

    With a head the prompts' first two tokens are read once for all; one prompt is nothing else. The cache is laid out
    anew both when rows leave and when its room is used up. Drafts come never, when some rows have left, or at once.
    Prompts are read one by one, a few at once, or together.
    """
    monkeypatch.setattr(cache, "_ROOM", 3)
    monkeypatch.setattr(drafts, "CHEAP_TOKENS", cheap_tokens)
    monkeypatch.setattr(sampler, "_APART", apart)
    monkeypatch.setattr(sampler, "_MANY_HEADS", 12 * head or 1000)
    texts = [text * (1 + i % 3) for i, text in enumerate(sentences[:12])]
    texts = [" ".join((text.split() * 5)[:5]) for text in texts] if equal_lengths else [*texts, ""]
    whole = ask(loaded, texts, set(), copies=1, temperature=None)
    loaded.model.generation_config.eos_token_id = sorted({whole[0][2], whole[1][7]})
    ends = end_tokens(loaded.model, loaded.tokenizer)
    prompts = prompt_ids(loaded.tokenizer, loaded.prompt, texts, False)
    expected = []
    for prompt in prompts:
        settings = {"do_sample": False, "max_new_tokens": 12, "pad_token_id": 0, "eos_token_id": sorted(ends)}
        (row,) = loaded.model.generate(torch.tensor([prompt]), **settings).tolist()
        expected.append(row[len(prompt) :])
    answers = ask(loaded, texts, ends, copies=2, temperature=None)
    assert answers == [row for row in expected for _ in range(2)]
    assert len({len(row) for row in expected}) > 1


def test_what_is_drawn_does_not_depend_on_which_rows_have_left(
    loaded: LoadedModel, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = frequent(loaded, sentences[:6])
    drawn = ask(loaded, sentences[:6], ends, copies=4, temperature=1.0)
    assert drawn == ask(loaded, sentences[:6], ends, copies=4, temperature=1.0)
    monkeypatch.setattr(sampler, "_LEAVE", NEVER)
    assert drawn == ask(loaded, sentences[:6], ends, copies=4, temperature=1.0)
    assert len({len(row) for row in drawn}) > 2
    assert all(not ends & set(row[:-1]) for row in drawn)


@pytest.mark.parametrize("temperature", [None, 0.7])
def test_shapes_that_stay_write_the_same(
    loaded: LoadedModel, sentences: list[str], temperature: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU records and replays, here step by step: batches of several sizes after one another, each as before."""
    ends = frequent(loaded, sentences[:6])
    batches = [(sentences[:6], 4), (sentences[:3], 1), ([text * 5 for text in sentences[:2]], 2), (sentences[6:12], 4)]
    expected = [ask(loaded, texts, ends, copies=copies, temperature=temperature) for texts, copies in batches]
    assert len({len(row) for rows in expected for row in rows}) > 2
    monkeypatch.setattr(sampler, "GRAPHED", {"cpu"})
    monkeypatch.setattr(graphed, "_ROWS", 8)
    monkeypatch.setattr(graphed, "_SHAPES", 2)
    for _ in range(2):
        assert [ask(loaded, texts, ends, copies=n, temperature=temperature) for texts, n in batches] == expected
    assert len(graphed._KEPT[loaded.model]) == 2


def test_shapes_that_stay_follow_the_weights_and_let_the_model_go(
    loaded: LoadedModel, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers() -> list[list[int]]:
        return ask(loaded, sentences[:4], set(), copies=1, temperature=None)

    monkeypatch.setattr(sampler, "GRAPHED", {"cpu"})
    before = answers()
    copied = copy.deepcopy(loaded.model)
    with torch.no_grad():
        for weight in loaded.model.parameters():
            weight += 0.2 * torch.randn_like(weight)
    after = answers()
    monkeypatch.setattr(sampler, "GRAPHED", frozenset())
    assert after == answers() != before
    monkeypatch.setattr(sampler, "GRAPHED", {"cpu"})
    # Weights that lie elsewhere are read there.
    loaded.model.lm_head.weight.data = loaded.model.lm_head.weight.data.flip(0).contiguous()
    assert len(graphed._KEPT[loaded.model]) == 1
    moved = answers()
    assert moved != after and len(graphed._KEPT[loaded.model]) == 2
    assert copied not in graphed._KEPT
    model = weakref.ref(loaded.model)
    loaded.model = None
    gc.collect()
    assert model() is None


def test_what_fsdp_divides_is_not_recorded(
    loaded: LoadedModel, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = torch.distributed
    before = ask(loaded, sentences[:3], set(), copies=1, temperature=None)
    monkeypatch.setattr(sampler, "GRAPHED", {"cpu"})
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        fully_shard(loaded.model.get_decoder().layers[-1], mesh=init_device_mesh("cpu", (1,)))
        assert ask(loaded, sentences[:3], set(), copies=1, temperature=None) == before
    finally:
        distributed.destroy_process_group()
    assert loaded.model not in graphed._KEPT


@pytest.mark.parametrize("temperature", [0.7, 2.0])
def test_tokens_come_as_often_as_the_model_says(loaded: LoadedModel, sentences: list[str], temperature: float) -> None:
    """20,000 first tokens against softmax(logits / temperature): Pearson's χ² over the likelier tokens."""
    n = 20_000
    (prompt,) = prompt_ids(loaded.tokenizer, loaded.prompt, sentences[:1], False)
    with torch.no_grad():
        logits = loaded.model(torch.tensor([prompt])).logits[0, -1]
    expected = n * (logits / temperature).softmax(-1).double().numpy()
    rows = sample_ids(
        loaded.model, [prompt], copies=n, temperature=temperature, max_new_tokens=1, ends=set(), pad=0, seed=1
    )
    counts = np.bincount([row[0] for row in rows], minlength=len(expected))
    likely = expected >= 20
    squares = ((counts - expected) ** 2 / np.maximum(expected, 1e-9))[likely].sum()
    freedom = int(likely.sum())
    assert freedom > 10
    # Mean `freedom`, variance twice that: four standard deviations.
    assert squares < freedom + 4 * (2 * freedom) ** 0.5


def test_sampled_rewrites_are_drawn_here_by_torchs_seed(loaded: LoadedModel, sentences: list[str]) -> None:
    settings = {"do_sample": True, "top_k": 0, "temperature": 0.7, "max_new_tokens": 12}
    prompts = prompt_ids(loaded.tokenizer, loaded.prompt, sentences[:3], False)

    def drawn(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        return generate_ids(loaded.model, loaded.tokenizer, prompts, False, settings)

    torch.manual_seed(5)
    seed = int(torch.randint(2**53, ()))
    assert drawn(5) == drawn(5) != drawn(6)
    ends = end_tokens(loaded.model, loaded.tokenizer)
    assert drawn(5) == sample_ids(
        loaded.model, prompts, copies=1, temperature=0.7, max_new_tokens=12, ends=ends, pad=0, seed=seed
    )


def test_a_model_with_windows_is_left_to_the_library(loaded: LoadedModel) -> None:
    assert has_bare_tokens(loaded.model)
    loaded.model.config.layer_types = ["full_attention", "sliding_attention"]
    assert not has_bare_tokens(loaded.model)
