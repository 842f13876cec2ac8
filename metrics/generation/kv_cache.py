"""A KV cache with spare columns, so that decoding does not copy it for every token as transformers' own does."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

# Columns (tokens) to spare when a layer allocates new buffers.
_SPARE_COLUMNS = 32


class _PreallocatedLayer(DynamicLayer):
    """One layer, whose `keys` and `values` are views of the used columns of two larger buffers."""

    keys: Any
    values: Any

    def __init__(self) -> None:
        super().__init__()
        self._buffers: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the states of new tokens, [rows, heads, tokens, head size], and return all states."""
        used = self.get_seq_length()
        if not used:
            return super().update(key_states, value_states, *args, **kwargs)
        end = used + key_states.shape[-2]
        states = self.keys, self.values
        # transformers replaces `keys` and `values` by other tensors when it repeats rows, for example.
        valid = [buffer.data_ptr() for buffer in self._buffers] == [state.data_ptr() for state in states]
        if not valid or end > self._buffers[0].shape[-2]:
            self._allocate(len(key_states), end)
            for buffer, old in zip(self._buffers, states, strict=True):
                buffer[..., :used, :] = old
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., used:end, :] = new
        self._use(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep only the rows `indices`."""
        if used := self.get_seq_length():
            self._allocate(len(indices), used)
            for buffer, old in zip(self._buffers, (self.keys, self.values), strict=True):
                torch.index_select(old, 0, indices, out=buffer[..., :used, :])
            self._use(used)

    def concatenate(self, parts: Sequence[Any], prefix_length: int) -> None:
        """Take over the rows of `parts` and reset them; see `PreallocatedCache.concatenate`."""
        rows, used = [len(part.keys) for part in parts], max(part.get_seq_length() for part in parts)
        self.lazy_initialization(parts[0].keys, parts[0].values)
        self._buffers = []
        for states in zip(*((part.keys, part.values) for part in parts), strict=True):
            buffer = states[0].new_zeros(sum(rows), states[0].shape[1], used + _SPARE_COLUMNS, states[0].shape[-1])
            for source, target in zip(states, buffer.split(rows), strict=True):
                target[:, :, :prefix_length] = source[:, :, :prefix_length]
                target[:, :, used - source.shape[-2] + prefix_length : used] = source[:, :, prefix_length:]
            self._buffers.append(buffer)
        self._use(used)
        for part in parts:
            part.reset()

    def _allocate(self, rows: int, columns: int) -> None:
        """Allocate new buffers; `keys` and `values` stay views of the old ones."""
        shapes = [(rows, old.shape[1], columns + _SPARE_COLUMNS, old.shape[-1]) for old in (self.keys, self.values)]
        self._buffers = [self.keys.new_empty(shape) for shape in shapes]

    def _use(self, end: int) -> None:
        self.keys, self.values = (buffer[..., :end, :] for buffer in self._buffers)


class PreallocatedCache(DynamicCache):
    """A KV cache for models with full attention in every layer; raises `ValueError` for other models."""

    def __init__(self, config: Any) -> None:
        super().__init__(config=config)
        if any(type(layer) is not DynamicLayer for layer in self.layers):
            raise ValueError("this model has layers without full attention")
        self.layers: list[Any] = [_PreallocatedLayer() for _ in self.layers]

    @classmethod
    def concatenate(cls, config: Any, parts: Sequence[DynamicCache], prefix_length: int) -> Self:
        """Move the rows of `parts`, which begin with the same prefix, into one cache.

        Shorter parts get columns of zeros after the prefix.
        """
        cache = cls(config)
        for layer, *layers in zip(cache.layers, *(part.layers for part in parts), strict=True):
            layer.concatenate(layers, prefix_length)
        return cache


def next_logits(model: Any, cache: DynamicCache, ids: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Return the logits after each of the tokens `ids` [rows, width], whose states are added to the cache.

    visible: [rows, width, columns of the cache, these tokens included], 0 for those that a token does not see.
    """
    # Given a two-dimensional mask, every layer would build this bias again.
    bias = torch.zeros(visible.shape, dtype=model.dtype, device=visible.device).masked_fill_(visible == 0, -torch.inf)
    positions = visible.sum(-1) - 1
    return model(
        input_ids=ids, attention_mask=bias[:, None], position_ids=positions, past_key_values=cache, use_cache=True
    ).logits
