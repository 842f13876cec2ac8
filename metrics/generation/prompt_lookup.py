"""Greedy decoding of few rows by prompt lookup (Saxena 2023): one pass verifies tokens copied from earlier text.

What a rewrite says next often follows an earlier occurrence of its last tokens. A step with few rows is limited by
reading the weights, whether each row computes one token or six; with many rows a wrong candidate costs as much as a
token, because the matrix products limit the step.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from metrics.generation.kv_cache import next_logits
from metrics.generation.tokens import cut_after_eos

# A step with up to about this many tokens takes little longer than one with a single token (`bench/products.py`).
MAX_STEP_TOKENS = 48
_MAX_CANDIDATES = 7
_MAX_NGRAM = 3


def find_candidates(tokens: Sequence[int], count: int) -> list[int]:
    """Return the `count` tokens that follow the best earlier match of the last of `tokens`; [] without a match.

    The best match shares the longest n-gram (up to 3) with the end of `tokens`; among equals, the latest one. Where
    fewer tokens follow it, they repeat.
    """
    for n in range(min(_MAX_NGRAM, len(tokens) - 1), 0, -1):
        ngram = tokens[-n:]
        for start in range(len(tokens) - n - 1, -1, -1):
            if tokens[start : start + n] == ngram:
                following = list(tokens[start + n :])
                return (following * count)[:count]
    return []


def decode(
    model: Any, cache: DynamicCache, mask: torch.Tensor, texts: Sequence[Sequence[int]], *, eos_token_ids: set[int],
    max_new_tokens: int,
) -> list[list[int]]:  # fmt: skip
    """Continue each text greedily; the tokens are those of one token per step, except for ties after rounding.

    Args:
        model: A model that `metrics.generation.decoding.sampler_supports`.
        cache: The KV cache of all but the last token of each text.
        mask: [rows, columns of the cache], 0 for padding.
        texts: The token ids of each text: prompt and output so far.

    Returns:
        The new tokens of each text, including the EOS token.
    """
    tokens, counts = [list(text) for text in texts], [0] * len(texts)
    active = list(range(len(texts)))
    while active:
        limit = min(_MAX_CANDIDATES, MAX_STEP_TOKENS // len(active) - 1)
        # The step verifies the candidates and adds one token of its own, hence the 1.
        inputs = [
            [tokens[row][-1], *find_candidates(tokens[row], min(limit, max_new_tokens - counts[row] - 1))]
            for row in active
        ]
        ids, likeliest = _forward(model, cache, mask, inputs)
        accepted = (likeliest[:, :-1] == ids[:, 1:]).cumprod(1).sum(1)
        left = []
        for i, (row, chosen, right) in enumerate(zip(active, likeliest.tolist(), accepted.tolist(), strict=True)):
            new = cut_after_eos(chosen[: min(right + 1, max_new_tokens - counts[row])], eos_token_ids)
            tokens[row] += new
            counts[row] += len(new)
            if new[-1] not in eos_token_ids and counts[row] < max_new_tokens:
                left.append(i)
        # Columns that no row accepts are dropped; those that another row accepts are masked.
        columns = 1 + int(accepted.max())
        if columns < ids.shape[1]:
            cache.crop(columns - ids.shape[1])
        accepted_columns = torch.arange(columns, device=mask.device) <= accepted[:, None]
        mask = torch.cat([mask, accepted_columns.to(mask.dtype)], 1)
        if len(left) < len(active):
            cache.batch_select_indices(mask.new_tensor(left))
            mask, active = mask[left], [active[i] for i in left]
    return [row[len(text) :] for row, text in zip(tokens, texts, strict=True)]


def _forward(
    model: Any, cache: DynamicCache, mask: torch.Tensor, inputs: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the input ids, padded on the right, and the most likely token after each of them, both [rows, width]."""
    rows, width = len(inputs), max(map(len, inputs))
    # Any token serves as padding: what follows it is either wrong or correct by chance.
    ids = mask.new_tensor([[*row, *[row[-1]] * (width - len(row))] for row in inputs])
    causal = mask.new_ones(width, width).tril()
    visible = torch.cat([mask[:, None].expand(-1, width, -1), causal.expand(rows, -1, -1)], -1)
    return ids, next_logits(model, cache, ids, visible).max(-1).indices
