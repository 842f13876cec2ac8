"""Answers of a llama-like model, likeliest or drawn: each prompt read once, rows that have ended computed no further.

`transformers.generate` goes on with all rows until the last has ended, and draws a random number for every word of the
vocabulary. Here rows leave the batch as they end, and a row takes one number a token; what is drawn does not depend on
which other rows are still there (where the model drops out, it does: that draws for the rows there are). The likeliest
tokens of the last rows are written several a step (`metrics.generation.prompt_lookup`). On a GPU rows stay, and what
they write behind their end is cut off (`metrics.generation.cuda_graphs`).
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metrics.generation import prompt_lookup as drafts

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

# Families whose decoder is embed -> layers(hidden, position_embeddings) -> norm -> lm_head with nothing in between.
FAMILIES = ("llama", "qwen2", "qwen3")
# Devices whose decoding is `metrics.generation.cuda_graphs`'s.
GRAPHED = frozenset({"cuda"})
# Rows leave the batch when at least this share of it has ended: leaving copies what was read.
_LEAVE = 1 / 8
# Prompts that begin with this many equal tokens have them read once: examples, instructions.
_LONG_HEAD = 16
# And greedy ones also where that spares reading this many, which takes several times as long as one step more. Draws
# are left as they were recorded: what is read in another batch differs in its last digits.
_MANY_HEADS = 256
# Greedy prompts are read so many at once, each lot with as much padding as it needs itself.
_APART = 64


def sample_ids(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    copies: int,
    temperature: float | None,
    max_new_tokens: int,
    ends: set[int],
    pad: int,
    seed: int,
    part: tuple[int, int] = (0, 1),
) -> list[list[int]]:
    """The new tokens of `copies` answers to each prompt, those of one prompt together, each with the end it wrote.

    temperature: None takes the likeliest token; else tokens come with softmax(logits / temperature), whatever else the
    model's generation config asks for. Answers stop after a token of `ends` or after `max_new_tokens`. Equal seeds draw
    alike. part: (k, n), where the prompts are the k-th of n equal parts of a batch and are to draw as they would in it.
    """
    import torch

    device = next(model.parameters()).device
    columns = zip(*(p[:-1] for p in prompts), strict=False)
    head = [column[0] for column in itertools.takewhile(lambda column: len(set(column)) == 1, columns)]
    if len(head) < _LONG_HEAD and not (temperature is None and len(head) * len(prompts) >= _MANY_HEADS):
        head = []
    rests = [list(p[len(head) :]) for p in prompts]
    width = max(map(len, rests))
    ids = torch.tensor([[*[pad] * (width - len(rest)), *rest] for rest in rests], device=device)
    mask = torch.tensor(
        [[1] * len(head) + [0] * (width - len(rest)) + [1] * len(rest) for rest in rests], device=device
    )
    rows = len(prompts) * copies
    place, parts = part
    chances = torch.rand(max_new_tokens, parts * rows, generator=torch.Generator().manual_seed(seed))
    chances = chances[:, place * rows : (place + 1) * rows].to(device)
    written: list[list[int]] = [[] for _ in range(rows)]
    stops = torch.tensor(sorted(ends), device=device)
    with torch.no_grad():
        apart = temperature is None and device.type not in GRAPHED
        cache = _read(model, head, ids[:, :-1], mask[:, :-1], rows=_APART if apart else len(ids))
        tokens, mask = ids[:, -1].repeat_interleave(copies), mask.repeat_interleave(copies, 0)
        if device.type in GRAPHED and mask.shape[1] > 1 and not model.training:
            from metrics.generation.cuda_graphs import can_record, decode

            if can_record(model):
                return decode(
                    model, cache, tokens, mask, copies=copies, chances=chances, temperature=temperature, ends=ends
                )
        if copies > 1:
            cache.batch_repeat_interleave(copies)
        alive = torch.arange(rows, device=device)
        ended = torch.zeros(rows, dtype=torch.bool, device=device)
        for step, chance in enumerate(chances):
            # Dropout draws for every token that is read: with drafts it would draw for others.
            if temperature is None and drafts.few(len(alive)) and not model.training:
                left = (~ended).nonzero().squeeze(1)
                cache.batch_select_indices(left)
                texts = [[*prompts[row // copies], *written[row]] for row in alive[left].tolist()]
                answers = drafts.finish(model, cache, mask[left, :-1], texts, ends=ends, room=max_new_tokens - step)
                for row, answer in zip(alive[left].tolist(), answers, strict=True):
                    written[row] += answer
                break
            positions = mask.sum(1, keepdim=True) - 1
            # Made once here, where each layer would make its own of the plain one.
            seen = torch.zeros(mask.shape, dtype=model.dtype, device=device).masked_fill_(mask == 0, -torch.inf)
            logits = model(
                input_ids=tokens[:, None], attention_mask=seen[:, None, None], position_ids=positions,
                past_key_values=cache, use_cache=True,
            ).logits[:, -1]  # fmt: skip
            tokens = draw(logits, temperature, chance[alive])
            for row, token, over in zip(alive.tolist(), tokens.tolist(), ended.tolist(), strict=True):
                if not over:
                    written[row].append(token)
            ended |= torch.isin(tokens, stops)
            if ended.all():
                break
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
            if ended.float().mean() >= _LEAVE:
                left = (~ended).nonzero().squeeze(1)
                cache.batch_select_indices(left)
                tokens, mask, alive, ended = tokens[left], mask[left], alive[left], ended[left]
    return written


def _read(model: Any, head: list[int], ids: torch.Tensor, mask: torch.Tensor, *, rows: int) -> DynamicCache:
    """The cache of a model that has read `head`, once for all, and left-padded `ids` behind it, `rows` of them at once.

    mask: 1 for each token of the head and of `ids` that is none of the padding.
    """
    import torch

    from metrics.generation.kv_cache import joined, roomy_cache

    before, decoder = roomy_cache(model), model.get_decoder()
    if head:
        decoder(input_ids=ids.new_tensor([head]), past_key_values=before, use_cache=True)
    parts = []
    for own, seen in zip(ids.split(rows), mask.split(rows), strict=True):
        cache = copy.deepcopy(before)
        if head:
            cache.batch_repeat_interleave(len(own))
        if ids.shape[1]:
            padding = min(ids.shape[1] - int(seen.sum(1).max()) + len(head), ids.shape[1] - 1)
            own, seen = own[:, padding:], torch.cat([seen[:, : len(head)], seen[:, len(head) + padding :]], 1)
            positions = (seen.cumsum(-1) - 1).clamp(min=0)[:, len(head) :]
            decoder(input_ids=own, attention_mask=seen, position_ids=positions, past_key_values=cache, use_cache=True)
        parts.append(cache)
    return parts[0] if len(parts) == 1 or not parts[0].get_seq_length() else joined(model, parts, len(head))


def draw(logits: torch.Tensor, temperature: float | None, chance: torch.Tensor) -> torch.Tensor:
    """A token of each row: the likeliest, or the one in whose part of [0, 1) the row's `chance` falls."""
    import torch

    if temperature is None:
        # Faster than `argmax` on a processor, in bfloat16 most so.
        return logits.max(-1).indices
    below = logits.float().div_(temperature).softmax(-1).cumsum_(-1)
    total = below[:, -1]
    # A chance next to 1 may be rounded to the very end, where no token's part is.
    point = torch.minimum(chance * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(below, point[:, None], right=True).squeeze(1)
