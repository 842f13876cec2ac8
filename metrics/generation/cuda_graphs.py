"""Decoding on a GPU by CUDA graphs, which save the launches that take longer than a small model's computation.

Shapes stay fixed, and are rounded up so that few of them occur: keys and values lie in static tensors, ended rows
continue and their surplus is cut off. One decoding step is captured once per shape and replayed.
"""

import weakref
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule
from transformers import DynamicCache, StaticCache

from metrics.generation.tokens import cut_after_eos, draw_tokens

# Rows and columns (tokens) of a shape are multiples of these.
_ROW_MULTIPLE, _COLUMN_MULTIPLE = 32, 64
# Steps between two checks whether all rows have ended: each check makes the CPU wait for the GPU.
_CHECK_INTERVAL = 8
# The most recently used shapes that stay captured for a model: each holds its own KV cache.
_MAX_CAPTURED = 2
# By model and shape.
_CAPTURED: weakref.WeakKeyDictionary[Any, dict[tuple[Any, ...], "_CapturedStep"]] = weakref.WeakKeyDictionary()


class _CapturedStep:
    """One decoding step for `rows` rows and `columns` tokens with its static tensors, captured if the device can."""

    def __init__(
        self, model: Any, rows: int, columns: int, steps: int, temperature: float | None, eos_token_ids: list[int]
    ) -> None:
        device = model.device
        # A strong reference would keep the model in `_CAPTURED` alive.
        self.model: Any = weakref.ref(model)
        self.temperature, self.rows = temperature, rows
        self.cache = StaticCache(config=model.config, max_cache_len=columns)
        self.tokens, self.positions = torch.zeros(2, rows, dtype=torch.long, device=device)
        self.column, self.step = torch.zeros(2, 1, dtype=torch.long, device=device)
        self.bias = torch.zeros(rows, columns, dtype=model.dtype, device=device)
        self.uniforms = torch.zeros(steps, rows, device=device)
        self.outputs = torch.zeros(steps, rows, dtype=torch.long, device=device)
        self.ended = torch.zeros(rows, dtype=torch.bool, device=device)
        self.eos_token_ids = torch.tensor(eos_token_ids, device=device)
        self.graph: Any = None

    def load(
        self, prefill: DynamicCache, tokens: torch.Tensor, mask: torch.Tensor, copies: int, uniforms: torch.Tensor
    ) -> None:
        """Copy a batch into the static tensors; the arguments are those of `decode`."""
        n, used = len(tokens), mask.shape[1] - 1
        layer: Any
        source: Any
        for layer, source in zip(self.cache.layers, prefill.layers, strict=True):
            keys, values = (states.repeat_interleave(copies, 0) for states in (source.keys, source.values))
            if not layer.is_initialized:
                # One row shows the layer its sizes; the number of rows is that of the shape.
                layer.lazy_initialization(*(s[:1].expand(self.rows, -1, -1, -1) for s in (keys, values)))
            layer.keys[:n, :, :used], layer.values[:n, :, :used] = keys, values
            layer.cumulative_length.fill_(used)
        self.tokens[:n], self.positions[:n] = tokens, mask.sum(1) - 1
        self.column.fill_(used)
        self.step.zero_()
        self.bias.fill_(-torch.inf)
        self.bias[:n, :used].masked_fill_(mask[:, :used] == 1, 0)
        self.uniforms[:, :n] = uniforms
        self.ended.fill_(True)
        self.ended[:n] = False

    def advance(self) -> None:
        """Decode one token for every row, with operations on the static tensors only."""
        self.bias.index_fill_(1, self.column, 0)
        logits = self.model()(
            input_ids=self.tokens[:, None], attention_mask=self.bias[:, None, None],
            position_ids=self.positions[:, None], past_key_values=self.cache, use_cache=True,
        ).logits[:, -1]  # fmt: skip
        tokens = draw_tokens(logits, self.temperature, self.uniforms.index_select(0, self.step)[0])
        self.tokens.copy_(tokens)
        self.outputs.index_copy_(0, self.step, tokens[None])
        self.ended |= (tokens[:, None] == self.eos_token_ids).any(1)
        self.positions += 1
        self.column += 1
        self.step += 1

    def capture(self) -> None:
        """Capture `advance` as a CUDA graph; the caller must `load` again, because capturing changes the tensors."""
        if self.tokens.device.type != "cuda":
            return
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            # Libraries initialize themselves in their first calls, which cannot be captured.
            for _ in range(2):
                self.step.zero_()
                self.advance()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.advance()

    def run(self, max_steps: int) -> list[list[int]]:
        """Return the tokens of every row, [rows][steps], after at most `max_steps` steps."""
        advance = self.graph.replay if self.graph else self.advance
        steps = 0
        while steps < max_steps and not (steps % _CHECK_INTERVAL == 0 and bool(self.ended.all())):
            advance()
            steps += 1
        return self.outputs[:steps].T.tolist()


def can_capture(model: Any) -> bool:
    """Return whether a model's weights stay in place: FSDP gathers them anew, by hooks that a graph cannot contain."""
    return not any(isinstance(module, FSDPModule) for module in model.modules())


def decode(
    model: Any, prefill: DynamicCache, tokens: torch.Tensor, mask: torch.Tensor, *, copies: int, uniforms: torch.Tensor,
    temperature: float | None, eos_token_ids: set[int],
) -> list[list[int]]:  # fmt: skip
    """Decode a batch for `metrics.generation.sampler.sample_ids`.

    Args:
        model: A model that `can_capture` accepts.
        prefill: The KV cache of every prompt but for its last token.
        tokens: [n] last tokens of the prompts, `copies` rows for each prompt.
        mask: [n, prompt length], 0 for the padding on the left.
        copies: The number of outputs per prompt.
        uniforms: [max_new_tokens, n] random numbers for `draw_tokens`, which also takes the temperature.

    Returns:
        The new tokens of each row, including the EOS token.
    """
    steps, n = uniforms.shape
    rows = -(-n // _ROW_MULTIPLE) * _ROW_MULTIPLE
    columns = -(-(mask.shape[1] + steps) // _COLUMN_MULTIPLE) * _COLUMN_MULTIPLE
    captured = _CAPTURED.setdefault(model, {})
    # A graph reads the weights at the addresses where they were captured.
    addresses = hash(tuple(p.data_ptr() for p in model.parameters()))
    key = (rows, columns, steps, temperature, *sorted(eos_token_ids), model.dtype, addresses)
    batch = prefill, tokens, mask, copies, uniforms
    with torch.no_grad():
        step = captured.pop(key, None)
        if step is None:
            if len(captured) >= _MAX_CAPTURED:
                captured.pop(next(iter(captured)))
            step = _CapturedStep(model, rows, columns, steps, temperature, sorted(eos_token_ids))
            step.load(*batch)
            step.capture()
        step.load(*batch)
        captured[key] = step
        outputs = step.run(steps)
    return [cut_after_eos(row, eos_token_ids) for row in outputs[:n]]
