"""The likeliest answers of few rows, several tokens a step: drafts copied from what was read and written before.

A step of few rows waits for the model's weights to be read, whether each row asks for one token or for six. What a
rewrite says next often stands in the text behind its last words, and a row that has begun to repeat itself goes on to;
the model reads such a draft whole, and what it would have written itself is kept of it (prompt lookup, Saxena 2023).

A step of many rows waits for its products instead: there a draft costs what a token costs, and many are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

# Up to about so many tokens a step takes little longer than one of a single row (`bench/products.py`).
CHEAP_TOKENS = 48
_LONGEST = 7
_MATCH = 3


def few(rows: int) -> bool:
    """Whether a step of so many rows is still cheap with a draft in each."""
    return 2 * rows <= CHEAP_TOKENS


def draft(text: Sequence[int], longest: int) -> list[int]:
    """The `longest` tokens that may follow `text`: what stands behind the latest place that ends as it does.

    That place shares as many last tokens with it as any, of three; where none shares one, the draft is empty. Where
    fewer tokens stand behind it, they come again: so a text goes on that repeats itself.
    """
    for n in range(min(_MATCH, len(text) - 1), 0, -1):
        end = text[-n:]
        for start in range(len(text) - n - 1, -1, -1):
            if text[start : start + n] == end:
                behind = list(text[start + n :])
                return (behind * longest)[:longest]
    return []


def finish(
    model: Any, cache: DynamicCache, mask: torch.Tensor, texts: Sequence[Sequence[int]], *, ends: set[int], room: int
) -> list[list[int]]:
    """The likeliest tokens behind each text, `room` at most, up to the first of `ends`, which is among them.

    cache: holds all but the last token of each text. mask: [rows, columns of the cache], 0 where it holds padding.
    They are what one step a token would write, but for ties in the last digits of a sum.
    """
    import torch

    read, written = [list(text) for text in texts], [0] * len(texts)
    alive = list(range(len(texts)))
    while alive:
        longest = min(_LONGEST, CHEAP_TOKENS // len(alive) - 1)
        # The last token there is room for comes without a draft.
        own = [[read[row][-1], *draft(read[row], min(longest, room - written[row] - 1))] for row in alive]
        width = max(map(len, own))
        # A short draft is filled up with anything: what is wrong is not kept.
        ids = mask.new_tensor([[*tokens, *[tokens[-1]] * (width - len(tokens))] for tokens in own])
        rows = len(alive)
        seen = torch.cat(
            [mask[:, None].expand(-1, width, -1), mask.new_ones(width, width).tril().expand(rows, -1, -1)], -1
        )
        hidden = torch.zeros(seen.shape, dtype=model.dtype, device=mask.device).masked_fill_(seen == 0, -torch.inf)
        likeliest = model(
            input_ids=ids, attention_mask=hidden[:, None], position_ids=seen.sum(-1) - 1, past_key_values=cache,
            use_cache=True,
        ).logits.max(-1).indices  # fmt: skip
        right = (likeliest[:, :-1] == ids[:, 1:]).cumprod(1).sum(1)
        left = []
        for place, (row, tokens, kept) in enumerate(zip(alive, likeliest.tolist(), right.tolist(), strict=True)):
            new = tokens[: min(kept + 1, room - written[row])]
            end = next((i for i, token in enumerate(new, 1) if token in ends), 0)
            new = new[: end or len(new)]
            read[row] += new
            written[row] += len(new)
            if not end and written[row] < room:
                left.append(place)
        # Columns that no row keeps are used again; those that another row keeps stay hidden from this one.
        most = 1 + int(right.max())
        if most < width:
            cache.crop(most - width)
        kept_columns = torch.arange(most, device=mask.device) <= right[:, None]
        mask = torch.cat([mask, kept_columns.to(mask.dtype)], 1)
        if len(left) < rows:
            cache.batch_select_indices(mask.new_tensor(left))
            mask, alive = mask[left], [alive[place] for place in left]
    return [tokens[len(text) :] for tokens, text in zip(read, texts, strict=True)]
