"""The sampler: greedy tokens equal those of transformers; sampled tokens have the model's probabilities."""

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

from metrics.generation import cuda_graphs, kv_cache, prompt_lookup, sampler
from metrics.generation.decoding import sampler_supports
from metrics.generation.prompts import prompt_ids
from metrics.generation.rewriting import generate_ids
from metrics.generation.sampler import sample_ids
from metrics.generation.tokens import get_eos_token_ids
from metrics.models.loading import LoadedModel, load_model
from metrics.models.resolve import resolve_model

# A share that no batch reaches: ended rows never leave it.
NEVER = 2.0


@pytest.fixture
def loaded(tiny_causal: Path) -> LoadedModel:
    """A model with weights large enough that it does not repeat its last token."""
    torch.manual_seed(0)
    loaded = load_model(resolve_model(str(tiny_causal)), prompt="paraphrase : {text}")
    with torch.no_grad():
        for weight in (p for p in loaded.model.parameters() if p.dim() > 1):
            weight.normal_(0, 0.3)
    return loaded


def generate(loaded: LoadedModel, texts: list[str], eos_token_ids: set[int], **settings: Any) -> list[list[int]]:
    prompts = prompt_ids(loaded.tokenizer, loaded.prompt, texts, False)
    return sample_ids(
        loaded.model,
        prompts,
        eos_token_ids=eos_token_ids,
        pad_token_id=loaded.tokenizer.pad_token_id,
        max_new_tokens=12,
        seed=3,
        **settings,
    )


def frequent_tokens(loaded: LoadedModel, texts: list[str]) -> set[int]:
    """Return a few tokens that this model often generates: as EOS tokens they end outputs early and late."""
    outputs = [t for row in generate(loaded, texts, set(), num_return_sequences=2, temperature=1.0) for t in row]
    return set(np.argsort(-np.bincount(outputs))[:4].tolist())


@pytest.mark.parametrize("prefix", [0, 2])
@pytest.mark.parametrize("equal_lengths", [False, True])
@pytest.mark.parametrize("step_tokens", [0, 40, 200])
@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_greedy_outputs_equal_those_of_transformers(
    loaded: LoadedModel, sentences: list[str], prefix: int, equal_lengths: bool, step_tokens: int, chunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Rows end at different steps and leave the batch; every token is that of `generate`.

    With a prefix the prompts share the prefill of their first two tokens; one prompt has no other tokens. The cache
    allocates new buffers both when rows leave and when its spare columns are used up. Prompt lookup begins never, when
    some rows have left, or at once. The prefill runs one by one, in small chunks, or in one chunk.
    """
    monkeypatch.setattr(kv_cache, "_SPARE_COLUMNS", 3)
    monkeypatch.setattr(prompt_lookup, "MAX_STEP_TOKENS", step_tokens)
    monkeypatch.setattr(sampler, "_PREFILL_CHUNK", chunk)
    monkeypatch.setattr(sampler, "_MIN_SAVED_TOKENS", 12 * prefix or 1000)
    texts = [text * (1 + i % 3) for i, text in enumerate(sentences[:12])]
    texts = [" ".join((text.split() * 5)[:5]) for text in texts] if equal_lengths else [*texts, ""]
    unended = generate(loaded, texts, set(), num_return_sequences=1, temperature=None)
    loaded.model.generation_config.eos_token_id = sorted({unended[0][2], unended[1][7]})
    eos_token_ids = get_eos_token_ids(loaded.model, loaded.tokenizer)
    prompts = prompt_ids(loaded.tokenizer, loaded.prompt, texts, False)
    expected = []
    for prompt in prompts:
        settings = {"do_sample": False, "max_new_tokens": 12, "pad_token_id": 0, "eos_token_id": sorted(eos_token_ids)}
        (row,) = loaded.model.generate(torch.tensor([prompt]), **settings).tolist()
        expected.append(row[len(prompt) :])
    outputs = generate(loaded, texts, eos_token_ids, num_return_sequences=2, temperature=None)
    assert outputs == [row for row in expected for _ in range(2)]
    assert len({len(row) for row in expected}) > 1


def test_samples_do_not_depend_on_which_rows_have_left(
    loaded: LoadedModel, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    eos_token_ids = frequent_tokens(loaded, sentences[:6])
    samples = generate(loaded, sentences[:6], eos_token_ids, num_return_sequences=4, temperature=1.0)
    assert samples == generate(loaded, sentences[:6], eos_token_ids, num_return_sequences=4, temperature=1.0)
    monkeypatch.setattr(sampler, "_MIN_ENDED_SHARE", NEVER)
    assert samples == generate(loaded, sentences[:6], eos_token_ids, num_return_sequences=4, temperature=1.0)
    assert len({len(row) for row in samples}) > 2
    assert all(not eos_token_ids & set(row[:-1]) for row in samples)


@pytest.mark.parametrize("temperature", [None, 0.7])
def test_fixed_shapes_give_the_same_outputs(
    loaded: LoadedModel, sentences: list[str], temperature: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step that a GPU captures and replays, here on a CPU: batches of several shapes after one another."""
    eos_token_ids = frequent_tokens(loaded, sentences[:6])
    batches = [(sentences[:6], 4), (sentences[:3], 1), ([text * 5 for text in sentences[:2]], 2), (sentences[6:12], 4)]
    expected = [
        generate(loaded, texts, eos_token_ids, num_return_sequences=copies, temperature=temperature)
        for texts, copies in batches
    ]
    assert len({len(row) for rows in expected for row in rows}) > 2
    monkeypatch.setattr(sampler, "CUDA_GRAPH_DEVICES", {"cpu"})
    monkeypatch.setattr(cuda_graphs, "_ROW_MULTIPLE", 8)
    monkeypatch.setattr(cuda_graphs, "_MAX_CAPTURED", 2)
    for _ in range(2):
        assert [
            generate(loaded, texts, eos_token_ids, num_return_sequences=n, temperature=temperature)
            for texts, n in batches
        ] == expected
    assert len(cuda_graphs._CAPTURED[loaded.model]) == 2


def test_fixed_shapes_follow_the_weights_and_do_not_keep_the_model_alive(
    loaded: LoadedModel, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def outputs() -> list[list[int]]:
        return generate(loaded, sentences[:4], set(), num_return_sequences=1, temperature=None)

    monkeypatch.setattr(sampler, "CUDA_GRAPH_DEVICES", {"cpu"})
    before = outputs()
    copied = copy.deepcopy(loaded.model)
    with torch.no_grad():
        for weight in loaded.model.parameters():
            weight += 0.2 * torch.randn_like(weight)
    after = outputs()
    monkeypatch.setattr(sampler, "CUDA_GRAPH_DEVICES", frozenset())
    assert after == outputs() != before
    monkeypatch.setattr(sampler, "CUDA_GRAPH_DEVICES", {"cpu"})
    # A weight at another address is read there.
    loaded.model.lm_head.weight.data = loaded.model.lm_head.weight.data.flip(0).contiguous()
    assert len(cuda_graphs._CAPTURED[loaded.model]) == 1
    moved = outputs()
    assert moved != after and len(cuda_graphs._CAPTURED[loaded.model]) == 2
    assert copied not in cuda_graphs._CAPTURED
    model = weakref.ref(loaded.model)
    loaded.model = None
    gc.collect()
    assert model() is None


def test_a_model_sharded_by_fsdp_is_not_captured(
    loaded: LoadedModel, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = torch.distributed
    before = generate(loaded, sentences[:3], set(), num_return_sequences=1, temperature=None)
    monkeypatch.setattr(sampler, "CUDA_GRAPH_DEVICES", {"cpu"})
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        fully_shard(loaded.model.get_decoder().layers[-1], mesh=init_device_mesh("cpu", (1,)))
        assert generate(loaded, sentences[:3], set(), num_return_sequences=1, temperature=None) == before
    finally:
        distributed.destroy_process_group()
    assert loaded.model not in cuda_graphs._CAPTURED


@pytest.mark.parametrize("temperature", [0.7, 2.0])
def test_token_frequencies_are_the_models_probabilities(
    loaded: LoadedModel, sentences: list[str], temperature: float
) -> None:
    """20,000 first tokens against softmax(logits / temperature): Pearson's χ² over the likelier tokens."""
    n = 20_000
    (prompt,) = prompt_ids(loaded.tokenizer, loaded.prompt, sentences[:1], False)
    with torch.no_grad():
        logits = loaded.model(torch.tensor([prompt])).logits[0, -1]
    expected = n * (logits / temperature).softmax(-1).double().numpy()
    rows = sample_ids(
        loaded.model,
        [prompt],
        num_return_sequences=n,
        temperature=temperature,
        max_new_tokens=1,
        eos_token_ids=set(),
        pad_token_id=0,
        seed=1,
    )
    counts = np.bincount([row[0] for row in rows], minlength=len(expected))
    likely = expected >= 20
    squares = ((counts - expected) ** 2 / np.maximum(expected, 1e-9))[likely].sum()
    freedom = int(likely.sum())
    assert freedom > 10
    # Mean `freedom`, variance twice that: four standard deviations.
    assert squares < freedom + 4 * (2 * freedom) ** 0.5


def test_sampled_rewrites_depend_on_torchs_seed(loaded: LoadedModel, sentences: list[str]) -> None:
    settings = {"do_sample": True, "top_k": 0, "temperature": 0.7, "max_new_tokens": 12}
    prompts = prompt_ids(loaded.tokenizer, loaded.prompt, sentences[:3], False)

    def samples(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        return generate_ids(loaded.model, loaded.tokenizer, prompts, False, settings)

    torch.manual_seed(5)
    seed = int(torch.randint(2**53, ()))
    assert samples(5) == samples(5) != samples(6)
    eos_token_ids = get_eos_token_ids(loaded.model, loaded.tokenizer)
    assert samples(5) == sample_ids(
        loaded.model,
        prompts,
        num_return_sequences=1,
        temperature=0.7,
        max_new_tokens=12,
        eos_token_ids=eos_token_ids,
        pad_token_id=0,
        seed=seed,
    )


def test_a_model_with_sliding_windows_is_not_supported(loaded: LoadedModel) -> None:
    assert sampler_supports(loaded.model)
    loaded.model.config.layer_types = ["full_attention", "sliding_attention"]
    assert not sampler_supports(loaded.model)
