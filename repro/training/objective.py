"""The SRO objective as pure functions on tensors.

Source: Xie, Li, Zhu, "Learning from Response not Preference: A Stackelberg Approach for LLM Detoxification using
Non-parallel Data", arXiv 2410.20298. With Δ(t) = log π_θ(t|x) − log π_ref(t|x), summed over the tokens of t:

    pass:  z =  Δ(y) − Δ(x)          fail:  z = −Δ(y)
    loss = −(1−ε)·log σ(βz) − ε·log σ(−βz)

One case is added to the paper's. Where several rollouts of one text were judged and one of them, s, passed, a failed y
has what the paper lacks: a text that is preferred to it. The preference is complete again, whatever y failed for:

    fail beside a passing sibling s:  z = Δ(s) − Δ(y)

With Δ(s) = 0 that is the paper's fail. A fail for lost content or broken language without such a sibling stays
incomplete (y is no better than x, and x no better than y), so that it too only lowers π_θ(y|x).

What is left out: the reduction over a batch (the caller's) and everything that makes Δ.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

# Tokens whose logits are in memory at once: enough of them for fast products, few enough to stay near the processor, or
# on another device to fit in.
_CHUNK, _DEVICE_CHUNK = 128, 4096


def response_margin(
    delta_y: torch.Tensor, delta_x: torch.Tensor, passed: torch.Tensor, delta_sibling: torch.Tensor | None = None
) -> torch.Tensor:
    """The margin z of each rollout, shape [n].

    delta_y, delta_x: [n] log-ratios Δ of the rollout y and of the toxic text x; delta_x counts only where `passed`.
    passed: [n] bool, the follower's verdicts. delta_sibling: [n] Δ of a passing rollout of the same text, 0 where there
    is none; counts only where not `passed`.
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
    """The loss of each rollout, shape [n], never negative.

    On passes it is DPO's loss with label smoothing ε for the pair (y preferred to x), beside a passing sibling that for
    (s preferred to y). On other fails its gradient lowers log π_θ(y|x) and vanishes at βz = log((1−ε)/ε).
    beta: inverse temperature, > 0. epsilon: label smoothing in [0, .5).
    """
    z = beta * response_margin(delta_y, delta_x, passed, delta_sibling)
    return -(1 - epsilon) * F.logsigmoid(z) - epsilon * F.logsigmoid(-z)


def token_logprobs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """log p of `tokens` [...] under `logits` [..., vocabulary], shape [...].

    Gather minus logsumexp: the full log-softmax would be a second tensor of the size of the logits.
    """
    return logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)


class _HeadLogprobs(torch.autograd.Function):
    """`head_logprobs`; its gradient is found on the way forward, while a chunk's logits are at hand."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        size = _CHUNK if hidden.device.type == "cpu" else _DEVICE_CHUNK
        values = hidden.new_empty(len(hidden))
        slopes = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        logits = hidden.new_empty(min(size, len(hidden)), len(weight))
        for start in range(0, len(hidden), size):
            part = slice(start, start + size)
            rows, wanted = hidden[part], tokens[part, None]
            chunk = torch.mm(rows, weight.T, out=logits[: len(rows)])
            top = chunk.amax(-1, keepdim=True)
            found = chunk.gather(-1, wanted)
            sums = chunk.sub_(top).exp_().sum(-1, keepdim=True)
            values[part] = (found - top - sums.log()).squeeze(-1)
            if slopes is not None:
                # d log p(t) / d hidden = W[t] - sum over v of p(v) W[v]
                slopes[part] = weight[tokens[part]] - torch.mm(chunk, weight) / sums
        ctx.save_for_backward(slopes)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        (slopes,) = ctx.saved_tensors
        return None if slopes is None else slopes * gradients[0].unsqueeze(-1), None, None


def head_logprobs(hidden: torch.Tensor, weight: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """log p of `tokens` [n] under logits `hidden` [n, width] x `weight` [vocabulary, width] transposed, shape [n].

    `token_logprobs` of these logits, but only a few rows of them ever exist. `weight` is taken as fixed: `hidden` alone
    gets a gradient.
    """
    return _HeadLogprobs.apply(hidden, weight, tokens)  # type: ignore[no-any-return, no-untyped-call]
