"""A cache of keys and values that writes what is new behind what is there, in room it has set aside.

The library's own copies all of it for every token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

# Tokens there is room for when a layer has to be laid out anew.
_ROOM = 32


class _RoomyLayer(DynamicLayer):
    """`keys` and `values` are the used part of two larger tensors, unless something else has just put them there."""

    keys: Any
    values: Any

    def __init__(self) -> None:
        super().__init__()
        self._whole: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized or not self.get_seq_length():
            return super().update(key_states, value_states, *args, **kwargs)
        used = self.get_seq_length()
        end = used + key_states.shape[-2]
        now = self.keys, self.values
        # The library repeats rows by putting tensors of its own in the place of these.
        own = bool(self._whole) and all(a.data_ptr() == b.data_ptr() for a, b in zip(self._whole, now, strict=True))
        if not own or end > self._whole[0].shape[-2]:
            self._whole = [old.new_empty(*old.shape[:2], end + _ROOM, old.shape[-1]) for old in now]
            for whole, old in zip(self._whole, now, strict=True):
                whole[..., :used, :] = old
        for whole, new in zip(self._whole, (key_states, value_states), strict=True):
            whole[..., used:end, :] = new
        self._use(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        if used := self.get_seq_length():
            now = self.keys, self.values
            self._whole = [old.new_empty(len(indices), old.shape[1], used + _ROOM, old.shape[-1]) for old in now]
            for whole, old in zip(self._whole, now, strict=True):
                torch.index_select(old, 0, indices, out=whole[..., :used, :])
            self._use(used)

    def join(self, parts: Sequence[DynamicLayer], head: int) -> None:
        """Takes in the rows of all `parts`, which are empty afterwards; see `joined`."""
        rows, used = [len(part.keys) for part in parts], max(part.get_seq_length() for part in parts)  # type: ignore[arg-type]
        self.lazy_initialization(parts[0].keys, parts[0].values)  # type: ignore[arg-type]
        self._whole = []
        for states in zip(*((part.keys, part.values) for part in parts), strict=True):
            whole = states[0].new_zeros(sum(rows), states[0].shape[1], used + _ROOM, states[0].shape[-1])
            for own, to in zip(states, whole.split(rows), strict=True):
                to[:, :, :head] = own[:, :, :head]
                to[:, :, used - own.shape[-2] + head : used] = own[:, :, head:]
            self._whole.append(whole)
        self._use(used)
        for part in parts:
            part.reset()

    def _use(self, end: int) -> None:
        self.keys, self.values = (whole[..., :end, :] for whole in self._whole)


def roomy_cache(model: Any) -> DynamicCache:
    """An empty cache for a model whose layers all see all that was read.

    Errors: ValueError for one with layers of another kind.
    """
    cache = DynamicCache(config=model.config)
    if any(type(layer) is not DynamicLayer for layer in cache.layers):
        raise ValueError("this model has layers that see a part of the text only")
    cache.layers = [_RoomyLayer() for _ in cache.layers]
    return cache


def joined(model: Any, parts: Sequence[DynamicCache], head: int) -> DynamicCache:
    """One cache of the rows of all `parts`, which are empty afterwards.

    The first `head` tokens are in every part; behind them a shorter part is filled up with zeros.
    Errors: as `roomy_cache`.
    """
    cache = roomy_cache(model)
    for layer, *own in zip(cache.layers, *(part.layers for part in parts), strict=True):
        layer.join(own, head)
    return cache
