"""The SRO objective as a pure function on tensors.

Source: Xie, Li, Zhu, "Learning from Response not Preference: A Stackelberg Approach for LLM Detoxification using
Non-parallel Data", arXiv 2410.20298. With Δ(t) = log π_θ(t|x) − log π_ref(t|x), summed over the tokens of t:

    pass:  z =  Δ(y) − Δ(x)          fail:  z = −Δ(y)
    loss = −(1−ε)·log σ(βz) − ε·log σ(−βz)

This implementation adds one case. If another rollout s of the same text passed (a sibling), s is preferred to a failed
rollout y for whatever reason y failed, so the preference is complete:

    fail with a passing sibling s:  z = Δ(s) − Δ(y)

With Δ(s) = 0 this is the paper's fail. A rollout that fails for lost content or broken language, without a passing
sibling, leaves the preference incomplete (neither of x and y is better), so it too only lowers π_θ(y|x).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def sro_loss(
    delta_y: Tensor, delta_x: Tensor, passed: Tensor, beta: float, epsilon: float, delta_sibling: Tensor | None = None
) -> Tensor:
    """Return the loss of each rollout, ≥ 0, [n]; the caller reduces it.

    On a pass it is DPO's loss with label smoothing ε for the pair (y preferred to x), with a passing sibling for the
    pair (s preferred to y). On other fails its gradient lowers log π_θ(y|x) and vanishes at βz = log((1−ε)/ε).

    Args:
        delta_y: Log-ratio Δ of the rollout, [n].
        delta_x: Δ of the toxic text, [n]; used only where `passed`.
        passed: The follower's verdicts, bool [n].
        beta: Inverse temperature β > 0.
        epsilon: Label smoothing ε in [0, 0.5).
        delta_sibling: Δ of a passing rollout of the same text, 0 where there is none, [n]; used where not `passed`.

    Raises:
        TypeError: `passed` is not a bool tensor.
    """
    if passed.dtype != torch.bool:
        raise TypeError(f"passed must be a bool tensor, not {passed.dtype}")
    sibling = torch.zeros_like(delta_y) if delta_sibling is None else delta_sibling
    z = beta * torch.where(passed, delta_y - delta_x, sibling - delta_y)
    return -(1 - epsilon) * F.logsigmoid(z) - epsilon * F.logsigmoid(-z)
