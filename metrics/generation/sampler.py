"""Decoding of llama-like models, greedy or by sampling, without the idle work of `transformers.generate`.

A prefix that the prompts share is computed once, and rows leave the batch as they end. Each row takes one random number
per token, so that samples do not depend on which other rows are still in the batch, except with dropout.
`prompt_lookup` decodes the last rows of a greedy batch. On a GPU `cuda_graphs` takes over after the prefill.
"""

import copy
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from metrics.generation import cuda_graphs, prompt_lookup
from metrics.generation.kv_cache import PreallocatedCache, next_logits
from metrics.generation.tokens import draw_tokens, pad

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
    model: Any, prompts: Sequence[Sequence[int]], *, num_return_sequences: int, temperature: float | None,
    max_new_tokens: int, eos_token_ids: set[int], pad_token_id: int, seed: int, shard: tuple[int, int] = (0, 1),
) -> list[list[int]]:  # fmt: skip
    """Generate outputs for each prompt; equal seeds give equal outputs.

    Args:
        model: A model that `metrics.generation.decoding.sampler_supports`.
        prompts: The token ids of each prompt.
        num_return_sequences: The number of outputs per prompt.
        temperature: Sample from softmax(logits / temperature); None decodes greedily.
        shard: (k, n) if the prompts are the k-th of n equal parts of a batch: outputs are those of the full batch.

    Returns:
        The new tokens of each output, including the EOS token; the outputs of one prompt are adjacent.
    """
    device = next(model.parameters()).device
    prefix = _shared_prefix(prompts, greedy=temperature is None)
    ids, mask = pad([prompt[len(prefix) :] for prompt in prompts], pad_token_id, "left", device)
    mask = torch.cat([mask.new_ones(len(prompts), len(prefix)), mask], 1)
    rank, shards = shard
    shape = max_new_tokens, shards * len(prompts) * num_return_sequences
    uniforms = torch.rand(shape, generator=torch.Generator().manual_seed(seed)).chunk(shards, 1)[rank].to(device)
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


def _prefill(model: Any, prefix: list[int], ids: torch.Tensor, mask: torch.Tensor, chunk_size: int) -> DynamicCache:
    """Compute the KV cache of the shared prefix and the left-padded `ids`, in chunks of rows; `mask` covers both."""
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
            visible = torch.cat([visible[:, : len(prefix)], visible[:, len(prefix) + padding :]], 1)
            positions = (visible.cumsum(-1) - 1).clamp(min=0)[:, len(prefix) :]
            decoder(
                input_ids=part[:, padding:], attention_mask=visible, position_ids=positions, past_key_values=cache,
                use_cache=True,
            )  # fmt: skip
        parts.append(cache)
    if len(parts) == 1 or not parts[0].get_seq_length():
        return parts[0]
    return PreallocatedCache.concatenate(model.config, parts, len(prefix))


def _decode(
    model: Any, cache: DynamicCache, tokens: torch.Tensor, mask: torch.Tensor, texts: list[list[int]], *,
    uniforms: torch.Tensor, temperature: float | None, eos_token_ids: set[int],
) -> list[list[int]]:  # fmt: skip
    """Continue the texts, of which `tokens` are the last ones: one per step, and by prompt lookup when few are left."""
    device = tokens.device
    outputs: list[list[int]] = [[] for _ in texts]
    eos = torch.tensor(sorted(eos_token_ids), device=device)
    active = torch.arange(len(texts), device=device)
    ended = torch.zeros(len(texts), dtype=torch.bool, device=device)
    for step, uniform in enumerate(uniforms):
        # A step stays cheap with a candidate per row. Dropout draws for every input token, also for candidates.
        if temperature is None and 2 * len(active) <= prompt_lookup.MAX_STEP_TOKENS and not model.training:
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
        logits = next_logits(model, cache, tokens[:, None], mask[:, None])[:, -1]
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
