"""Decoding on a GPU, a token by a recorded graph: what a small model computes takes less time there than launching it.

What `metrics.generation.sampler` does for processors, where rows leave the batch, is done here with shapes that stay:
keys and
values lie in tensors made once, a row that has ended goes on and what it writes is cut off, and the launches of a step
are recorded once for a shape and replayed (CUDA graphs). Shapes are rounded up, so that few of them occur.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule
from transformers import StaticCache

from metrics.generation.rewriting import cut_after_end
from metrics.generation.sampler import draw

# Rows and places are rounded up to multiples of these.
_ROWS, _PLACES = 32, 64
# Steps between two looks at whether all rows have ended, for which the processor has to wait.
_LOOK = 8
# Shapes kept for a model, the last used ones: each holds keys and values of its own.
_SHAPES = 2

_KEPT: weakref.WeakKeyDictionary[Any, dict[tuple[Any, ...], _Graphed]] = weakref.WeakKeyDictionary()


class _Graphed:
    """One step of decoding for `rows` rows of up to `places` tokens, recorded where the device can."""

    def __init__(
        self, model: Any, rows: int, places: int, steps: int, temperature: float | None, ends: list[int]
    ) -> None:
        device, dtype = model.device, model.dtype
        # The graphs are kept by the model's side and must not keep it.
        self.model, self.temperature = weakref.ref(model), temperature
        self.rows = rows
        self.cache = StaticCache(config=model.config, max_cache_len=places)
        self.tokens = torch.zeros(rows, dtype=torch.long, device=device)
        self.positions = torch.zeros(rows, dtype=torch.long, device=device)
        self.place = torch.zeros(1, dtype=torch.long, device=device)
        self.step = torch.zeros(1, dtype=torch.long, device=device)
        self.seen = torch.zeros(rows, places, dtype=dtype, device=device)
        self.chances = torch.zeros(steps, rows, device=device)
        self.written = torch.zeros(steps, rows, dtype=torch.long, device=device)
        self.ended = torch.zeros(rows, dtype=torch.bool, device=device)
        self.ends = torch.tensor(ends, device=device)
        self.graph: Any = None

    def load(self, read: Any, tokens: torch.Tensor, mask: torch.Tensor, copies: int, chances: torch.Tensor) -> None:
        """Puts a batch in place. read: the cache of its prompts, of each once, less their last tokens.

        tokens [n], mask [n, length], chances [steps, n]: of the rows, copies of one prompt together.
        """
        n, behind = len(tokens), mask.shape[1] - 1
        layers: list[Any] = self.cache.layers
        for layer, source in zip(layers, read.layers, strict=True):
            keys, values = (states.repeat_interleave(copies, 0) for states in (source.keys, source.values))
            if not layer.is_initialized:
                # A look at one row for what all have; the rows are those of the shape.
                layer.lazy_initialization(*(s[:1].expand(self.rows, -1, -1, -1) for s in (keys, values)))
            layer.keys[:n, :, :behind], layer.values[:n, :, :behind] = keys, values
            layer.cumulative_length.fill_(behind)
        self.tokens[:n], self.positions[:n] = tokens, mask.sum(1) - 1
        self.place.fill_(behind)
        self.step.zero_()
        self.seen.fill_(-torch.inf)
        self.seen[:n, :behind].masked_fill_(mask[:, :behind] == 1, 0)
        self.chances[:, :n] = chances
        self.ended.fill_(True)
        self.ended[:n] = False

    def advance(self) -> None:
        """One token for every row; all of it happens in the tensors above."""
        self.seen.index_fill_(1, self.place, 0)
        logits = self.model()(  # type: ignore[misc]
            input_ids=self.tokens[:, None], attention_mask=self.seen[:, None, None],
            position_ids=self.positions[:, None], past_key_values=self.cache, use_cache=True,
        ).logits[:, -1]  # fmt: skip
        tokens = draw(logits, self.temperature, self.chances.index_select(0, self.step)[0])
        self.tokens.copy_(tokens)
        self.written.index_copy_(0, self.step, tokens[None])
        self.ended |= (tokens[:, None] == self.ends).any(1)
        self.positions += 1
        self.place += 1
        self.step += 1

    def record(self) -> None:
        """Records `advance`. What it does while it is recorded and before must be undone by `load`."""
        if self.tokens.device.type != "cuda":
            return
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            # Libraries set themselves up in the first calls, which cannot be recorded.
            for _ in range(2):
                self.step.zero_()
                self.advance()
        torch.cuda.current_stream().wait_stream(beside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.advance()

    def run(self, steps: int) -> list[list[int]]:
        """The tokens of every row after at most `steps` steps, [rows][steps taken]."""
        taken = 0
        while taken < steps and not (taken % _LOOK == 0 and bool(self.ended.all())):
            if self.graph is None:
                self.advance()
            else:
                self.graph.replay()
            taken += 1
        return self.written[:taken].T.tolist()  # type: ignore[no-any-return]


def can_record(model: Any) -> bool:
    """Whether its weights lie where they lay: FSDP fetches them anew, by hooks that a graph cannot hold."""
    return not any(isinstance(module, FSDPModule) for module in model.modules())


def decode(
    model: Any,
    read: Any,
    tokens: torch.Tensor,
    mask: torch.Tensor,
    *,
    copies: int,
    chances: torch.Tensor,
    temperature: float | None,
    ends: set[int],
) -> list[list[int]]:
    """The new tokens of each row, each with the end it wrote; see `metrics.generation.sampler.sample_ids`, which calls
    this.

    read: the cache of the prompts less their last tokens. tokens [n]: these last ones. mask [n, length]: 1 for each
    token of a prompt, 0 for padding on the left. Both with `copies` rows for a prompt. chances: [most new tokens, n].
    """
    steps, n = chances.shape
    rows = -(-n // _ROWS) * _ROWS
    places = -(-(mask.shape[1] + steps) // _PLACES) * _PLACES
    kept = _KEPT.setdefault(model, {})
    # What was recorded reads the weights where they lay.
    weights = hash(tuple(p.data_ptr() for p in model.parameters()))
    key = (rows, places, steps, temperature, *sorted(ends), model.dtype, weights)
    batch = read, tokens, mask, copies, chances
    with torch.no_grad():
        graphed = kept.pop(key, None)
        if graphed is None:
            while len(kept) >= _SHAPES:
                kept.pop(next(iter(kept)))
            graphed = _Graphed(model, rows, places, steps, temperature, sorted(ends))
            graphed.load(*batch)
            graphed.record()
        graphed.load(*batch)
        kept[key] = graphed
        written = graphed.run(steps)
    return [cut_after_end(row, ends) for row in written[:n]]
