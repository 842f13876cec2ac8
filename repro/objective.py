"""The SRO objective as pure functions on tensors.

Source: Xie, Li, Zhu, "Learning from Response not Preference: A Stackelberg Approach for LLM Detoxification using
Non-parallel Data", arXiv 2410.20298. With Δ(t) = log π_θ(t|x) − log π_ref(t|x), summed over the tokens of t:

    pass:  z =  Δ(y) − Δ(x)          fail:  z = −Δ(y)
    loss = −(1−ε)·log σ(βz) − ε·log σ(−βz)

What is left out: the reduction over a batch (the caller's) and everything that makes Δ.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def response_margin(delta_y: torch.Tensor, delta_x: torch.Tensor, passed: torch.Tensor) -> torch.Tensor:
    """The margin z of each rollout, shape [n].

    delta_y, delta_x: [n] log-ratios Δ of the rollout y and of the toxic text x; delta_x counts only where `passed`.
    passed: [n] bool, the screener's verdicts.
    """
    if passed.dtype != torch.bool:
        raise TypeError(f"passed must be a bool tensor, not {passed.dtype}")
    return torch.where(passed, delta_y - delta_x, -delta_y)


def sro_loss(
    delta_y: torch.Tensor, delta_x: torch.Tensor, passed: torch.Tensor, beta: float, epsilon: float
) -> torch.Tensor:
    """The loss of each rollout, shape [n], never negative.

    On passes it is DPO's loss with label smoothing ε for the pair (y preferred to x). On fails its gradient lowers
    log π_θ(y|x) and vanishes at βz = log((1−ε)/ε).
    beta: inverse temperature, > 0. epsilon: label smoothing in [0, .5).
    """
    z = beta * response_margin(delta_y, delta_x, passed)
    return -(1 - epsilon) * F.logsigmoid(z) - epsilon * F.logsigmoid(-z)


def token_logprobs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """log p of `tokens` [...] under `logits` [..., vocabulary], shape [...].

    Gather minus logsumexp: the full log-softmax would be a second tensor of the size of the logits.
    """
    return logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)
