"""A llama-like decoder split below its trained layers, so that policy and reference share the frozen ones."""

import copy
from typing import Any

import torch

from metrics.generation.packed_linear import pack_linear_layers
from repro.leader.packing import PackedTargets, pack_targets


class SplitDecoder:
    """A causal model as a frozen trunk, the trained top layers, and a frozen copy of them for the reference.

    Args:
        model: A model of one of `metrics.generation.decoding.LLAMA_LIKE`.
        top_layers: How many layers are trained.
        trunk_dtype: Dtype of the trunk's weights. Other than float32 the trunk is a copy of the model's own layers,
            rounded once instead of in every forward pass.
    """

    def __init__(self, model: Any, top_layers: int, trunk_dtype: torch.dtype = torch.float32) -> None:
        self.model = model
        self._num_frozen = len(model.model.layers) - top_layers
        self._trunk = model.model.layers[: self._num_frozen]
        self._reference_layers = copy.deepcopy(model.model.layers[self._num_frozen :]).requires_grad_(False).eval()
        self._reference_norm = copy.deepcopy(model.model.norm).requires_grad_(False)
        self.matches_model = self._matches_model()
        if self.matches_model and trunk_dtype != torch.float32:
            self._trunk = copy.deepcopy(self._trunk).to(trunk_dtype)
            pack_linear_layers(self._trunk)

    def trunk_states(self, packed: PackedTargets) -> torch.Tensor:
        """Return the hidden states above the frozen layers, float32 [rows, length, width], without gradient."""
        with torch.no_grad(), torch.autocast(packed.ids.device.type, enabled=False):
            embedded = self.model.model.embed_tokens(packed.ids)
            embedded = embedded.to(next(self._trunk.parameters(), embedded).dtype)
            return self._run(self._trunk, embedded, packed).float()

    def policy_states(self, trunk_states: torch.Tensor, packed: PackedTargets) -> torch.Tensor:
        """Return the policy's last hidden states [rows, length, width], with gradient."""
        return self.model.model.norm(self._run(self.model.model.layers[self._num_frozen :], trunk_states, packed))

    def reference_states(self, trunk_states: torch.Tensor, packed: PackedTargets) -> torch.Tensor:
        """Return the reference's last hidden states [rows, length, width], without gradient."""
        with torch.no_grad():
            return self._reference_norm(self._run(self._reference_layers, trunk_states, packed))

    def _run(self, layers: Any, hidden: torch.Tensor, packed: PackedTargets) -> torch.Tensor:
        rotary = self.model.model.rotary_emb(hidden, position_ids=packed.positions)
        for layer in layers:
            hidden = layer(
                hidden, attention_mask=packed.mask, position_ids=packed.positions, position_embeddings=rotary
            )
        return hidden

    def _matches_model(self) -> bool:
        """Whether two targets packed behind one prompt get the logits of plain forward passes of the model.

        The split relies on how transformers implements the family, which may change between versions.
        """
        training = self.model.training
        self.model.eval()
        ids = torch.arange(5, 29, device=self.model.device).remainder(self.model.config.vocab_size).view(2, 12)
        with torch.no_grad():
            ids[1, :6] = ids[0, :6]
            expected = self.model(input_ids=ids, use_cache=False).logits[:, 5:-1].flatten(0, 1)
            packed = pack_targets(ids[:, :6].tolist(), ids[:, 6:].tolist(), 0, shift_right=True).to(ids.device)
            trunk, scored = self.trunk_states(packed), (packed.row, packed.column)
            head = self.model.lm_head.weight
            found = [states(trunk, packed)[scored] @ head.T for states in (self.policy_states, self.reference_states)]
        self.model.train(training)
        return all(torch.allclose(expected, logits, atol=1e-3, rtol=1e-3) for logits in found)
