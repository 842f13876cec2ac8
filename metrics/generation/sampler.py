"""Decoding of llama-like models, greedy or by sampling, without the idle work of `transformers.generate`.

`transformers.generate` computes every row until the last one ends and draws a random number for every word of the
vocabulary. Here a prefix that the prompts share is computed once, and rows leave the batch as they end. Each row takes
one random number per token, so that samples do not depend on which other rows are still in the batch (with dropout they
do: it draws for the rows that are there).

`metrics.generation.prompt_lookup` decodes the last rows of a greedy batch. On a GPU `metrics.generation.cuda_graphs`
takes over after the prefill.
"""

import copy
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from metrics.generation import cuda_graphs, prompt_lookup
from metrics.generation.kv_cache import PreallocatedCache
from metrics.generation.tokens import draw_tokens

# Device types on which `cuda_graphs` decodes.
CUDA_GRAPH_DEVICES = frozenset({"cuda"})
# Ended rows leave the batch when they are at least this share of it: removing them copies the KV cache.
_MIN_ENDED_SHARE = 1 / 8
# Prompts share the prefill of a common prefix from this length on: few-shot examples, instructions.
_MIN_PREFIX_TOKENS = 16
# Greedy prompts also share that of a shorter prefix if it saves this many tokens, which take several times as long as
# the additional pass. Sampling does not: another batch changes the last digits of logits, and thus recorded samples.
_MIN_SAVED_TOKENS = 256
# The prefill of greedy prompts runs in chunks of this size, each with only the padding it needs.
_PREFILL_CHUNK = 64


def sample_ids(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    num_return_sequences: int,
    temperature: float | None,
    max_new_tokens: int,
    eos_token_ids: set[int],
    pad_token_id: int,
    seed: int,
    shard: tuple[int, int] = (0, 1),
) -> list[list[int]]:
    """Generate outputs for each prompt; equal seeds give equal outputs.

    Args:
        model: A model that `metrics.generation.decoding.sampler_supports`.
        prompts: The token ids of each prompt.
        num_return_sequences: The number of outputs per prompt.
        temperature: Sample from softmax(logits / temperature); None decodes greedily.
        max_new_tokens: The greatest length of an output.
        eos_token_ids: The tokens that end an output.
        pad_token_id: The token for padding.
        seed: The seed of the random numbers.
        shard: (k, n) if the prompts are the k-th of n equal parts of a batch: outputs are those of the full batch.

    Returns:
        The new tokens of each output, including the EOS token; the outputs of one prompt are adjacent.
    """
    device = next(model.parameters()).device
    prefix = _shared_prefix(prompts, greedy=temperature is None)
    ids, mask = _left_pad(prompts, len(prefix), pad_token_id, device)
    uniforms = _draw_uniforms(max_new_tokens, len(prompts) * num_return_sequences, seed, shard).to(device)
    graphs = device.type in CUDA_GRAPH_DEVICES
    settings: dict[str, Any] = {"uniforms": uniforms, "temperature": temperature, "eos_token_ids": eos_token_ids}
    with torch.no_grad():
        chunk_size = _PREFILL_CHUNK if temperature is None and not graphs else len(ids)
        cache = _prefill(model, prefix, ids[:, :-1], mask[:, :-1], chunk_size)
        tokens = ids[:, -1].repeat_interleave(num_return_sequences)
        mask = mask.repeat_interleave(num_return_sequences, 0)
        if graphs and mask.shape[1] > 1 and not model.training and cuda_graphs.can_capture(model):
            return cuda_graphs.decode(model, cache, tokens, mask, copies=num_return_sequences, **settings)
        if num_return_sequences > 1:
            cache.batch_repeat_interleave(num_return_sequences)
        texts = [list(prompt) for prompt in prompts for _ in range(num_return_sequences)]
        return _decode(model, cache, tokens, mask, texts, **settings)


def _shared_prefix(prompts: Sequence[Sequence[int]], greedy: bool) -> list[int]:
    """Return the common prefix of the prompts, without their last tokens; [] if a shared prefill does not pay."""
    columns = zip(*(p[:-1] for p in prompts), strict=False)
    prefix = [column[0] for column in itertools.takewhile(lambda column: len(set(column)) == 1, columns)]
    pays = len(prefix) >= _MIN_PREFIX_TOKENS or (greedy and len(prefix) * len(prompts) >= _MIN_SAVED_TOKENS)
    return prefix if pays else []


def _left_pad(
    prompts: Sequence[Sequence[int]], prefix_length: int, pad_token_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the ids after the prefix, [n, width], padded on the left, and the mask with the prefix, [n, length]."""
    rests = [list(p[prefix_length:]) for p in prompts]
    width = max(map(len, rests))
    ids = [[*[pad_token_id] * (width - len(rest)), *rest] for rest in rests]
    mask = [[1] * prefix_length + [0] * (width - len(rest)) + [1] * len(rest) for rest in rests]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _draw_uniforms(steps: int, rows: int, seed: int, shard: tuple[int, int]) -> torch.Tensor:
    """Return the random numbers of this shard, [steps, rows]."""
    rank, shards = shard
    uniforms = torch.rand(steps, shards * rows, generator=torch.Generator().manual_seed(seed))
    return uniforms[:, rank * rows : (rank + 1) * rows]


def _prefill(
    model: Any, prefix: list[int], ids: torch.Tensor, mask: torch.Tensor, chunk_size: int
) -> PreallocatedCache | DynamicCache:
    """Return the KV cache of the shared prefix and the left-padded `ids` [n, width], computed in chunks of rows.

    mask: [n, prefix and width], 0 for padding.
    """
    prefix_cache, decoder = PreallocatedCache(model.config), model.get_decoder()
    if prefix:
        decoder(input_ids=ids.new_tensor([prefix]), past_key_values=prefix_cache, use_cache=True)
    parts = []
    for part, visible in zip(ids.split(chunk_size), mask.split(chunk_size), strict=True):
        cache = copy.deepcopy(prefix_cache)
        if prefix:
            cache.batch_repeat_interleave(len(part))
        if ids.shape[1]:
            padding = min(ids.shape[1] - int(visible.sum(1).max()) + len(prefix), ids.shape[1] - 1)
            part = part[:, padding:]
            visible = torch.cat([visible[:, : len(prefix)], visible[:, len(prefix) + padding :]], 1)
            positions = (visible.cumsum(-1) - 1).clamp(min=0)[:, len(prefix) :]
            decoder(
                input_ids=part, attention_mask=visible, position_ids=positions, past_key_values=cache, use_cache=True
            )
        parts.append(cache)
    if len(parts) == 1 or not parts[0].get_seq_length():
        return parts[0]
    return PreallocatedCache.concatenate(model.config, parts, len(prefix))


def _decode(
    model: Any,
    cache: DynamicCache,
    tokens: torch.Tensor,
    mask: torch.Tensor,
    texts: list[list[int]],
    *,
    uniforms: torch.Tensor,
    temperature: float | None,
    eos_token_ids: set[int],
) -> list[list[int]]:
    """Return the new tokens of each row: one token per step, and by prompt lookup when few greedy rows are left.

    tokens: [rows] last tokens of the prompts; cache: all tokens before them. texts: the prompts of the rows.
    """
    device = tokens.device
    outputs: list[list[int]] = [[] for _ in texts]
    eos = torch.tensor(sorted(eos_token_ids), device=device)
    active = torch.arange(len(texts), device=device)
    ended = torch.zeros(len(texts), dtype=torch.bool, device=device)
    for step, uniform in enumerate(uniforms):
        # Dropout draws random numbers for every input token: candidates would change what it draws.
        if temperature is None and prompt_lookup.is_worthwhile(len(active)) and not model.training:
            left = (~ended).nonzero().squeeze(1)
            cache.batch_select_indices(left)
            rows = active[left].tolist()
            continuations = prompt_lookup.decode(
                model, cache, mask[left, :-1], [texts[row] + outputs[row] for row in rows],
                eos_token_ids=eos_token_ids, max_new_tokens=len(uniforms) - step,
            )  # fmt: skip
            for row, continuation in zip(rows, continuations, strict=True):
                outputs[row] += continuation
            break
        positions = mask.sum(1, keepdim=True) - 1
        # Given the two-dimensional mask, every layer would build this bias again.
        bias = torch.zeros(mask.shape, dtype=model.dtype, device=device).masked_fill_(mask == 0, -torch.inf)
        logits = model(
            input_ids=tokens[:, None], attention_mask=bias[:, None, None], position_ids=positions,
            past_key_values=cache, use_cache=True,
        ).logits[:, -1]  # fmt: skip
        tokens = draw_tokens(logits, temperature, uniform[active])
        for row, token, over in zip(active.tolist(), tokens.tolist(), ended.tolist(), strict=True):
            if not over:
                outputs[row].append(token)
        ended |= torch.isin(tokens, eos)
        if ended.all():
            break
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        if ended.float().mean() >= _MIN_ENDED_SHARE:
            left = (~ended).nonzero().squeeze(1)
            cache.batch_select_indices(left)
            tokens, mask, active, ended = tokens[left], mask[left], active[left], ended[left]
    return outputs
