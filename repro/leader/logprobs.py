"""Log-probabilities of targets under the leader and its reference, alike for causal and seq2seq models.

No work is done twice: with a split decoder, frozen layers run once for policy and reference and each prompt once for
all its targets; an encoder runs once per distinct prompt, and once for both models if it is frozen.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutput

from repro.leader.leader import Leader
from repro.leader.split_decoder import SharedPrompts, SplitDecoder, Tokens, pad_rows, share_prompts

# Tokens whose logits are in memory at once. On a processor a chunk stays in its cache; on a GPU large matmuls are fast.
_CPU_CHUNK, _GPU_CHUNK = 128, 4096


def sequence_logprobs(
    leader: Leader, prompts: Tokens, targets: Tokens, *, shift_right: bool = True, reference: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `target_logprobs` summed over each target's tokens: log π_θ and log π_ref, each [n]."""
    parts = target_logprobs(leader, prompts, targets, shift_right=shift_right, reference=reference)
    policy, reference_values = (torch.stack([part.sum() for part in values]) for values in parts)
    return policy, reference_values


def target_logprobs(
    leader: Leader, prompts: Tokens, targets: Tokens, *, shift_right: bool = True, reference: bool = True
) -> tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]:
    """Return log π_θ and log π_ref of the tokens of n targets given their prompts, for each target [tokens].

    Only log π_θ carries a gradient.

    Args:
        leader: The policy and its reference.
        prompts: Token ids of each target's prompt.
        targets: Token ids of each target.
        shift_right: Whether token t is scored before the model reads it. False scores it at the position that was just
            fed token t, as the released SRO code does (departure 1 of its notebooks).
        reference: Whether to compute log π_ref; otherwise zeros stand for it.
    """
    tokens = torch.tensor([t for target in targets for t in target], device=leader.device)
    if leader.split_decoder is None:
        parts = _model_logprobs(leader, prompts, targets, tokens, shift_right, reference)
    else:
        batch = share_prompts(prompts, targets, leader.tokenizer.pad_token_id, shift_right, leader.device)
        parts = _split_logprobs(leader, leader.split_decoder, batch, tokens, reference)
    lengths = [len(t) for t in targets]
    policy, reference_values = (values.split(lengths) for values in parts)
    return policy, reference_values


def _split_logprobs(
    leader: Leader, split: SplitDecoder, batch: SharedPrompts, tokens: torch.Tensor, reference: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    head = leader.model.lm_head.weight
    with _autocast(leader):
        trunk = split.trunk_states(batch)
        states = split.policy_states(trunk, batch)[batch.scored]
        reference_states = split.reference_states(trunk, batch)[batch.scored] if reference else None
    policy = head_logprobs(states, head, tokens)
    zeros = torch.zeros_like(policy)
    return policy, zeros if reference_states is None else head_logprobs(reference_states, head, tokens)


def _model_logprobs(
    leader: Leader, prompts: Tokens, targets: Tokens, tokens: torch.Tensor, shift_right: bool, reference: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    with _autocast(leader):
        encoded = _encode(leader, leader.model, prompts) if leader.seq2seq else None
        logits = _target_logits(leader, leader.model, prompts, targets, encoded, shift_right)
    policy = token_logprobs(logits.float(), tokens)
    if not reference:
        return policy, torch.zeros_like(policy)
    # Before `reference`, because disabling an adapter freezes it.
    trains_encoder = leader.seq2seq and any(p.requires_grad for p in leader.model.get_encoder().parameters())
    with torch.no_grad(), leader.reference() as model, _autocast(leader):
        if trains_encoder:
            encoded = _encode(leader, model, prompts)
        logits = _target_logits(leader, model, prompts, targets, encoded, shift_right)
    return policy, token_logprobs(logits.float(), tokens)


def _autocast(leader: Leader) -> torch.autocast:
    return torch.autocast(leader.device.type, leader.dtype, enabled=leader.dtype != torch.float32)


def _encode(leader: Leader, model: Any, prompts: Tokens) -> dict[str, Any]:
    """Return a seq2seq model's keyword arguments that stand for the prompts; each distinct one is encoded once."""
    row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    ids = pad_rows(list(row_of), leader.tokenizer.pad_token_id, leader.device)
    mask = pad_rows([[1] * len(prompt) for prompt in row_of], 0, leader.device)
    states = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    rows = torch.tensor([row_of[tuple(prompt)] for prompt in prompts], device=leader.device)
    return {"encoder_outputs": BaseModelOutput(last_hidden_state=states[rows]), "attention_mask": mask[rows]}


def _target_logits(
    leader: Leader, model: Any, prompts: Tokens, targets: Tokens, encoded: dict[str, Any] | None, shift_right: bool
) -> torch.Tensor:
    """Return the logits of all target tokens, [target tokens, vocabulary]; `encoded` is that of a seq2seq model."""
    if encoded is None:
        inputs = [[*prompt, *target] for prompt, target in zip(prompts, targets, strict=True)]
        starts = [len(prompt) - shift_right for prompt in prompts]
    else:
        start = model.config.decoder_start_token_id
        inputs = [[start, *target[:-1]] if shift_right else [*target] for target in targets]
        starts = [0] * len(targets)
    ids = pad_rows(inputs, leader.tokenizer.pad_token_id, leader.device)
    name = "decoder_input_ids" if encoded else "input_ids"
    logits = model(**(encoded or {}), **{name: ids}, use_cache=False).logits
    rows = [row for row, target in enumerate(targets) for _ in target]
    columns = [start + i for start, target in zip(starts, targets, strict=True) for i in range(len(target))]
    return logits[torch.tensor(rows, device=leader.device), torch.tensor(columns, device=leader.device)]


def token_logprobs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return log p of the tokens [...], computed from logits [..., vocabulary] as logit minus logsumexp."""
    return logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)


def head_logprobs(hidden: torch.Tensor, weight: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return `token_logprobs(hidden @ weight.T, tokens)`, with the logits of one chunk of tokens in memory at a time.

    Args:
        hidden: Last hidden states, [n, width]; they alone get a gradient.
        weight: Weights of the frozen head, [vocabulary, width].
        tokens: [n].
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
