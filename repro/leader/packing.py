"""Packing: all targets of one prompt in one row, so that the prompt is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class PackedTargets:
    """Prompts with their targets concatenated behind them, and where each target token is scored.

    Attributes:
        ids: Token ids, [rows, length], padded on the right.
        positions: Position ids, [rows, length]; every target of a row starts at the end of the prompt.
        mask: Attention mask, bool [rows, 1, length, length], in which targets do not see each other; None (causal) if
            no prompt has two targets.
        row: Row of each target token's logits, [target tokens], in the order of the targets.
        column: Column of each target token's logits, [target tokens].
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor | None
    row: torch.Tensor
    column: torch.Tensor

    def to(self, device: torch.device) -> PackedTargets:
        """Return a copy on `device`."""
        mask = None if self.mask is None else self.mask.to(device)
        ids, positions = self.ids.to(device), self.positions.to(device)
        return PackedTargets(ids, positions, mask, self.row.to(device), self.column.to(device))


def pack_targets(
    prompts: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], pad: int, shift_right: bool
) -> PackedTargets:
    """Pack targets behind their prompts, one row per distinct prompt.

    Args:
        prompts: Token ids of the prompt of each target; equal prompts share a row.
        targets: Token ids of each target.
        pad: The padding token.
        shift_right: Whether a token is scored at the position before it (see `sequence_logprobs`).
    """
    row_of: dict[tuple[int, ...], int] = {}
    ids: list[list[int]] = []
    positions: list[list[int]] = []
    # Number of each token's segment: 0 for the prompt, then 1, 2, … for its targets.
    segments: list[list[int]] = []
    rows: list[int] = []
    columns: list[int] = []
    for prompt, target in zip(prompts, targets, strict=True):
        row = row_of.setdefault(tuple(prompt), len(row_of))
        start = len(prompt)
        if row == len(ids):
            ids.append(list(prompt))
            positions.append(list(range(start)))
            segments.append([0] * start)
        offset = len(ids[row])
        ids[row] += target
        positions[row] += range(start, start + len(target))
        segments[row] += [segments[row][-1] + 1] * len(target)
        rows += [row] * len(target)
        inputs = range(offset, offset + len(target))
        # Shifted, a target's first token is scored at the end of the prompt, the others at the token before them.
        columns += [start - 1, *inputs][: len(target)] if shift_right else inputs
    segment = pad_sequence([torch.tensor(line) for line in segments], batch_first=True, padding_value=-1)
    mask = None
    if len(ids) < len(targets):
        visible = (segment[:, None, :] == 0) | (segment[:, None, :] == segment[:, :, None])
        mask = (visible & torch.ones(visible.shape[1:], dtype=torch.bool).tril())[:, None]
    return PackedTargets(
        pad_sequence([torch.tensor(line) for line in ids], batch_first=True, padding_value=pad),
        pad_sequence([torch.tensor(line) for line in positions], batch_first=True),
        mask,
        torch.tensor(rows),
        torch.tensor(columns),
    )
