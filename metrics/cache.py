"""A cache of keys and values that writes what is new behind what is there, in room it has set aside.

The library's own copies all of it for every token.
"""

from __future__ import annotations

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
        # The library selects and repeats rows by putting tensors of its own in the place of these.
        own = bool(self._whole) and all(a.data_ptr() == b.data_ptr() for a, b in zip(self._whole, now, strict=True))
        if not own or end > self._whole[0].shape[-2]:
            self._whole = [old.new_empty(*old.shape[:2], end + _ROOM, old.shape[-1]) for old in now]
            for whole, old in zip(self._whole, now, strict=True):
                whole[..., :used, :] = old
        for whole, new in zip(self._whole, (key_states, value_states), strict=True):
            whole[..., used:end, :] = new
        self.keys, self.values = (whole[..., :end, :] for whole in self._whole)
        return self.keys, self.values


def roomy_cache(model: Any) -> DynamicCache:
    """An empty cache for a model whose layers all see all that was read.

    Errors: ValueError for one with layers of another kind.
    """
    cache = DynamicCache(config=model.config)
    if any(type(layer) is not DynamicLayer for layer in cache.layers):
        raise ValueError("this model has layers that see a part of the text only")
    cache.layers = [_RoomyLayer() for _ in cache.layers]
    return cache
