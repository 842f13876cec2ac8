"""Log-probabilities of tokens without the log-softmax over the vocabulary in memory."""

from typing import Any

import torch

# Tokens whose logits are in memory at once. On a processor a chunk stays in its cache; on a GPU large matmuls are fast.
_CPU_CHUNK, _GPU_CHUNK = 128, 4096


def token_logprobs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return log p of each token, computed as logit minus logsumexp.

    Args:
        logits: [..., vocabulary].
        tokens: [...].

    Returns:
        Log-probabilities, [...].
    """
    return logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)


def head_logprobs(hidden: torch.Tensor, weight: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return `token_logprobs(hidden @ weight.T, tokens)`, with the logits of one chunk of tokens in memory at a time.

    Args:
        hidden: Last hidden states, [n, width]; they alone get a gradient.
        weight: Weights of the frozen head, [vocabulary, width].
        tokens: [n].

    Returns:
        Log-probabilities, [n].
    """
    return _HeadLogprobs.apply(hidden, weight, tokens)  # type: ignore[no-any-return, no-untyped-call]


class _HeadLogprobs(torch.autograd.Function):
    """`head_logprobs`; the forward pass computes the gradient too, while it has the logits of a chunk."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        size = _CPU_CHUNK if hidden.device.type == "cpu" else _GPU_CHUNK
        logprobs = hidden.new_empty(len(hidden))
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        logits = hidden.new_empty(min(size, len(hidden)), len(weight))
        for start in range(0, len(hidden), size):
            part = slice(start, start + size)
            states, targets = hidden[part], tokens[part, None]
            chunk = torch.mm(states, weight.T, out=logits[: len(states)])
            top = chunk.amax(-1, keepdim=True)
            target_logits = chunk.gather(-1, targets)
            sums = chunk.sub_(top).exp_().sum(-1, keepdim=True)
            logprobs[part] = (target_logits - top - sums.log()).squeeze(-1)
            if gradient is not None:
                # d log p(t) / d hidden = W[t] - sum over v of p(v) W[v]
                gradient[part] = weight[tokens[part]] - torch.mm(chunk, weight) / sums
        ctx.save_for_backward(gradient)
        return logprobs

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        (gradient,) = ctx.saved_tensors
        return None if gradient is None else gradient * gradients[0].unsqueeze(-1), None, None
