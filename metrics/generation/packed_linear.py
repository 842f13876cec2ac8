"""Products of a frozen model on a processor, whose weights are laid out for them beforehand (oneDNN).

The library otherwise arranges a weight anew for every product that it goes through (`bench/products.py`). Sums come in
another order, so that values differ in their last digits.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from metrics.generation import sampler

# Families whose layers are only ever called; others may take a layer's weight and multiply themselves.
FAMILIES = (*sampler.FAMILIES, "bart", "mt5", "t5")
# Rows that weights are laid out for; they serve any number about as well.
_ROWS = 512


class LaidOut(nn.Module):
    """A linear layer without gradient.

    weight: laid out, of the layer's shape and dtype; nothing else can read it. bias: as it was, or None.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.take(weight)

    def take(self, weight: torch.Tensor) -> None:
        """Has this weight, [out, in], from now on."""
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _ROWS)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., out] of [..., in]."""
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.weight, self.bias, "none", [], "")
        return product


def can_lay_out(weights: Iterable[torch.Tensor]) -> bool:
    """Whether weights of this dtype can be laid out here: on a processor that has such products for it."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    served = {("cpu", torch.float32)}
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        served.add(("cpu", torch.bfloat16))
    return {(weight.device.type, weight.dtype) for weight in weights} <= served


def lay_out(model: nn.Module) -> dict[str, list[LaidOut]]:
    """Puts a `LaidOut` in the place of each linear layer of a model whose weights it can lay out.

    Returns them by the name of the parameter whose values they have: a head may have those of the embeddings, which
    stay as they are.
    """
    found: dict[str, list[LaidOut]] = {}
    if not can_lay_out(model.parameters()):
        return found
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parent in list(model.modules()):
        for place, layer in list(parent.named_children()):
            if type(layer) is nn.Linear:
                laid = LaidOut(layer.weight, layer.bias)
                setattr(parent, place, laid)
                found.setdefault(names[id(layer.weight)], []).append(laid)
    return found
