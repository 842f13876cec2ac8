"""A KV cache with spare columns, so that decoding does not copy it for every token as transformers' own does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
        if not self.is_initialized or not self.get_seq_length():
            return super().update(key_states, value_states, *args, **kwargs)
        used = self.get_seq_length()
        end = used + key_states.shape[-2]
        states = self.keys, self.values
        # transformers replaces `keys` and `values` by other tensors when it repeats rows, for example.
        valid = bool(self._buffers) and all(
            buffer.data_ptr() == state.data_ptr() for buffer, state in zip(self._buffers, states, strict=True)
        )
        if not valid or end > self._buffers[0].shape[-2]:
            self._buffers = [old.new_empty(*old.shape[:2], end + _SPARE_COLUMNS, old.shape[-1]) for old in states]
            for buffer, old in zip(self._buffers, states, strict=True):
                buffer[..., :used, :] = old
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., used:end, :] = new
        self._use(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep only the rows `indices`."""
        if used := self.get_seq_length():
            states = self.keys, self.values
            self._buffers = [
                old.new_empty(len(indices), old.shape[1], used + _SPARE_COLUMNS, old.shape[-1]) for old in states
            ]
            for buffer, old in zip(self._buffers, states, strict=True):
                torch.index_select(old, 0, indices, out=buffer[..., :used, :])
            self._use(used)

    def concatenate(self, parts: Sequence[DynamicLayer], prefix_length: int) -> None:
        """Take over the rows of `parts` and reset them; see `PreallocatedCache.concatenate`."""
        rows, used = [len(part.keys) for part in parts], max(part.get_seq_length() for part in parts)  # type: ignore[arg-type]
        self.lazy_initialization(parts[0].keys, parts[0].values)  # type: ignore[arg-type]
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

    def _use(self, end: int) -> None:
        self.keys, self.values = (buffer[..., :end, :] for buffer in self._buffers)


class PreallocatedCache(DynamicCache):
    """A KV cache for models with full attention in every layer.

    Args:
        config: The model's configuration.

    Raises:
        ValueError: A layer has another kind of attention, such as a sliding window.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config=config)
        layers: list[Any] = self.layers
        if any(type(layer) is not DynamicLayer for layer in layers):
            raise ValueError("this model has layers without full attention")
        self.layers: list[Any] = [_PreallocatedLayer() for _ in layers]

    @classmethod
    def concatenate(cls, config: Any, parts: Sequence[DynamicCache], prefix_length: int) -> PreallocatedCache:
        """Move the rows of `parts`, which begin with the same prefix, into one cache.

        Shorter parts get columns of zeros after the prefix.
        """
        cache = cls(config)
        for layer, *layers in zip(cache.layers, *(part.layers for part in parts), strict=True):
            layer.concatenate(layers, prefix_length)
        return cache
