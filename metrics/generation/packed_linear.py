"""Linear layers of frozen models on a CPU, with weights packed once for oneDNN.

PyTorch's own layer packs its weight anew in every call (`bench/products.py`). The packed product adds in another order,
so values differ in their last digits.
"""

from collections.abc import Iterable

import torch
from torch import nn

from metrics.generation.decoding import LLAMA_LIKE

# Model types that only ever call their linear layers; others may use a layer's weight directly.
PACKABLE_FAMILIES = (*LLAMA_LIKE, "bart", "mt5", "t5")
# The number of rows that oneDNN packs for; the packed weight is about as fast for any other number.
_ROWS = 512


class PackedLinear(nn.Module):
    """A linear layer without gradients. Only the layer itself can read its attribute `weight`."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.set_weight(weight)

    def set_weight(self, weight: torch.Tensor) -> None:
        """Replace the weight by another one, [out, in]."""
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _ROWS)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map [..., in] to [..., out]."""
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, "none", [], "")
        return outputs


def can_pack(weights: Iterable[torch.Tensor]) -> bool:
    """Return whether this machine can pack all `weights`: on the CPU, float32, or bfloat16 if the CPU supports it."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    supported = {("cpu", torch.float32)}
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        supported.add(("cpu", torch.bfloat16))
    return {(weight.device.type, weight.dtype) for weight in weights} <= supported


def pack_linear_layers(model: nn.Module) -> dict[str, list[PackedLinear]]:
    """Replace every linear layer of a model by a `PackedLinear`, if its weights can be packed.

    Returns:
        The packed layers by the name of the parameter whose values they hold. A head that is tied to the embeddings is
        listed under their name; the embeddings stay unpacked.
    """
    packed: dict[str, list[PackedLinear]] = {}
    if not can_pack(model.parameters()):
        return packed
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parent in list(model.modules()):
        for attribute, layer in list(parent.named_children()):
            if type(layer) is nn.Linear:
                replacement = PackedLinear(layer.weight, layer.bias)
                setattr(parent, attribute, replacement)
                packed.setdefault(names[id(layer.weight)], []).append(replacement)
    return packed
