"""The SRO objective as pure functions on tensors.

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


def response_margin(
    delta_y: torch.Tensor, delta_x: torch.Tensor, passed: torch.Tensor, delta_sibling: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the margin z of each rollout.

    Args:
        delta_y: Log-ratio Δ of the rollout, [n].
        delta_x: Δ of the toxic text, [n]; used only where `passed`.
        passed: The follower's verdicts, bool [n].
        delta_sibling: Δ of a passing rollout of the same text, 0 where there is none, [n]; used only where not `passed`.

    Returns:
        Margins, [n].

    Raises:
        TypeError: `passed` is not a bool tensor.
    """
    if passed.dtype != torch.bool:
        raise TypeError(f"passed must be a bool tensor, not {passed.dtype}")
    sibling = torch.zeros_like(delta_y) if delta_sibling is None else delta_sibling
    return torch.where(passed, delta_y - delta_x, sibling - delta_y)


def sro_loss(
    delta_y: torch.Tensor,
    delta_x: torch.Tensor,
    passed: torch.Tensor,
    beta: float,
    epsilon: float,
    delta_sibling: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the loss of each rollout; the caller reduces it.

    On a pass it is DPO's loss with label smoothing ε for the pair (y preferred to x), with a passing sibling for the
    pair (s preferred to y). On other fails its gradient lowers log π_θ(y|x) and vanishes at βz = log((1−ε)/ε).

    Args:
        delta_y: See `response_margin`, as for `delta_x`, `passed` and `delta_sibling`.
        beta: Inverse temperature β > 0.
        epsilon: Label smoothing ε in [0, 0.5).

    Returns:
        Losses ≥ 0, [n].
    """
    z = beta * response_margin(delta_y, delta_x, passed, delta_sibling)
    return -(1 - epsilon) * F.logsigmoid(z) - epsilon * F.logsigmoid(-z)
