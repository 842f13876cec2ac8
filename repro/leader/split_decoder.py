"""A llama-like decoder split below its trained layers, whose frozen layers policy and reference share.

All targets of one prompt stand in one row of its batches, so that the prompt is computed once.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from metrics.generation.packed_linear import pack_linear_layers

# Rows of integers, such as token ids.
Tokens = Sequence[Sequence[int]]


@dataclass(frozen=True)
class SharedPrompts:
    """Prompts with their targets concatenated behind them, and where each target token is scored.

    Attributes:
        ids: Token ids, [rows, length], padded on the right.
        positions: Position ids, [rows, length]; every target of a row starts at the end of the prompt.
        mask: Attention mask, bool [rows, 1, length, length], in which targets do not see each other; None (causal) if
            no prompt has two targets.
        scored: Row and column of each target token's logits, [target tokens] each, in the order of the targets.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor | None
    scored: tuple[torch.Tensor, torch.Tensor]


def pad_rows(rows: Tokens, value: int, device: torch.device) -> torch.Tensor:
    """Return rows of integers as a tensor [rows, length of the longest], padded on the right with `value`."""
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value).to(device)


def share_prompts(prompts: Tokens, targets: Tokens, pad: int, shift_right: bool, device: torch.device) -> SharedPrompts:
    """Put targets behind their prompts, one row per distinct prompt.

    Args:
        prompts: Token ids of the prompt of each target; equal prompts share a row.
        targets: Token ids of each target.
        pad: The id of the padding token.
        shift_right: Whether a token is scored at the position before it (see `sequence_logprobs`).
    """
    row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    ids = [list(prompt) for prompt in row_of]
    positions = [list(range(len(prompt))) for prompt in row_of]
    # Number of each token's segment: 0 for the prompt, then 1, 2, … for its targets.
    segments = [[0] * len(prompt) for prompt in row_of]
    rows: list[int] = []
    columns: list[int] = []
    for prompt, target in zip(prompts, targets, strict=True):
        row, start = row_of[tuple(prompt)], len(prompt)
        inputs = range(len(ids[row]), len(ids[row]) + len(target))
        ids[row] += target
        positions[row] += range(start, start + len(target))
        segments[row] += [segments[row][-1] + 1] * len(target)
        rows += [row] * len(target)
        # Shifted, a target's first token is scored at the end of the prompt, the others at the token before them.
        columns += [start - 1, *inputs][: len(target)] if shift_right else inputs
    mask = None
    if len(ids) < len(targets):
        segment = pad_rows(segments, -1, device)
        visible = (segment[:, None, :] == 0) | (segment[:, None, :] == segment[:, :, None])
        mask = (visible & torch.ones_like(visible[0]).tril())[:, None]
    scored = torch.tensor(rows, device=device), torch.tensor(columns, device=device)
    return SharedPrompts(pad_rows(ids, pad, device), pad_rows(positions, 0, device), mask, scored)


def copy_trained(module: Any) -> Any:
    """Return a frozen copy of a module, which shares the weights that are not trained."""
    shared = {id(p): p for p in module.parameters() if not p.requires_grad}
    return copy.deepcopy(module, shared).requires_grad_(False).eval()


class SplitDecoder:
    """A causal model as a frozen trunk, the trained top layers, and a frozen copy of them for the reference.

    Args:
        model: A model of one of `metrics.generation.decoding.LLAMA_LIKE`.
        top_layers: How many layers are trained.
        trunk_dtype: Dtype of the trunk's weights. Unless it is float32, the trunk is a copy of the frozen layers, cast
            once.

    Attributes:
        matches_model: Whether the split computes the model's logits; if not, it must not be used.
    """

    def __init__(self, model: Any, top_layers: int, trunk_dtype: torch.dtype = torch.float32) -> None:
        self.model = model
        self._num_frozen = len(model.model.layers) - top_layers
        self._trunk = model.model.layers[: self._num_frozen]
        self._reference_layers = copy_trained(model.model.layers[self._num_frozen :])
        self._reference_norm = copy.deepcopy(model.model.norm).requires_grad_(False)
        self.matches_model = self._matches_model()
        if self.matches_model and trunk_dtype != torch.float32:
            self._trunk = copy.deepcopy(self._trunk).to(trunk_dtype)
            pack_linear_layers(self._trunk)

    def trunk_states(self, batch: SharedPrompts) -> torch.Tensor:
        """Return the hidden states above the frozen layers, float32 [rows, length, width], without gradient."""
        with torch.no_grad(), torch.autocast(batch.ids.device.type, enabled=False):
            embedded = self.model.model.embed_tokens(batch.ids)
            embedded = embedded.to(next(self._trunk.parameters(), embedded).dtype)
            return self._run(self._trunk, embedded, batch).float()

    def policy_states(self, trunk_states: torch.Tensor, batch: SharedPrompts) -> torch.Tensor:
        """Return the policy's last hidden states [rows, length, width], with gradient."""
        return self.model.model.norm(self._run(self.model.model.layers[self._num_frozen :], trunk_states, batch))

    def reference_states(self, trunk_states: torch.Tensor, batch: SharedPrompts) -> torch.Tensor:
        """Return the reference's last hidden states [rows, length, width], without gradient."""
        with torch.no_grad():
            return self._reference_norm(self._run(self._reference_layers, trunk_states, batch))

    def _run(self, layers: Any, hidden: torch.Tensor, batch: SharedPrompts) -> torch.Tensor:
        positions = batch.positions
        rotary = self.model.model.rotary_emb(hidden, position_ids=positions)
        for layer in layers:
            hidden = layer(hidden, attention_mask=batch.mask, position_ids=positions, position_embeddings=rotary)
        return hidden

    def _matches_model(self) -> bool:
        """Whether two targets behind one prompt get the logits of plain forward passes of the model.

        The split relies on how transformers implements the family, which may change between versions.
        """
        training = self.model.training
        self.model.eval()
        ids = torch.arange(5, 29, device=self.model.device).remainder(self.model.config.vocab_size).view(2, 12)
        with torch.no_grad():
            ids[1, :6] = ids[0, :6]
            expected = self.model(input_ids=ids, use_cache=False).logits[:, 5:-1].flatten(0, 1)
            batch = share_prompts(ids[:, :6].tolist(), ids[:, 6:].tolist(), 0, True, ids.device)
            trunk, head = self.trunk_states(batch), self.model.lm_head.weight
            both = self.policy_states, self.reference_states
            found = [states(trunk, batch)[batch.scored] @ head.T for states in both]
        self.model.train(training)
        return all(torch.allclose(expected, logits, atol=1e-3, rtol=1e-3) for logits in found)
