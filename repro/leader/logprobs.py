"""Log-probabilities of targets under the leader and its reference, alike for causal and seq2seq models.

No work is done twice: with a split decoder, frozen layers run once for policy and reference and each prompt once for
all its targets; an encoder runs once per distinct prompt, and once for both models if it is frozen.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import BaseModelOutput

from repro.leader.leader import Leader
from repro.leader.packing import pack_targets
from repro.leader.split_decoder import SplitDecoder
from repro.leader.token_logprobs import head_logprobs, token_logprobs

Tokens = Sequence[Sequence[int]]


def sequence_logprobs(
    leader: Leader, prompts: Tokens, targets: Tokens, *, shift_right: bool = True, reference: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log π_θ and log π_ref of each target given its prompt, summed over the target's tokens.

    Args:
        leader: The policy and its reference.
        prompts: Token ids of the prompt of each of n targets.
        targets: Token ids of each target.
        shift_right: Whether token t is scored before the model reads it. False scores it at the position that was just
            fed token t, as the released SRO code does (departure 1 of its notebooks).
        reference: Whether to compute log π_ref; otherwise zeros stand for it.

    Returns:
        Two tensors [n]; only the first carries a gradient.
    """
    tokens = torch.tensor([t for target in targets for t in target], device=leader.device)
    if leader.split_decoder is None:
        parts = _model_logprobs(leader, prompts, targets, tokens, shift_right, reference)
    else:
        parts = _split_logprobs(leader, leader.split_decoder, prompts, targets, tokens, shift_right, reference)
    lengths = [len(t) for t in targets]
    policy, reference_values = (torch.stack([part.sum() for part in values.split(lengths)]) for values in parts)
    return policy, reference_values


def _split_logprobs(
    leader: Leader,
    split: SplitDecoder,
    prompts: Tokens,
    targets: Tokens,
    tokens: torch.Tensor,
    shift_right: bool,
    reference: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    packed = pack_targets(prompts, targets, leader.tokenizer.pad_token_id, shift_right).to(leader.device)
    scored = packed.row, packed.column
    head = leader.model.lm_head.weight
    with _autocast(leader):
        trunk = split.trunk_states(packed)
        states = split.policy_states(trunk, packed)[scored]
        reference_states = split.reference_states(trunk, packed)[scored] if reference else None
    policy = head_logprobs(states, head, tokens)
    if reference_states is None:
        return policy, torch.zeros_like(policy.detach())
    return policy, head_logprobs(reference_states, head, tokens)


def _model_logprobs(
    leader: Leader, prompts: Tokens, targets: Tokens, tokens: torch.Tensor, shift_right: bool, reference: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    encoded = None
    with _autocast(leader):
        if leader.seq2seq:
            encoded = _encode(leader, leader.model, prompts)
        logits = _target_logits(leader, leader.model, prompts, targets, encoded, shift_right)
    policy = token_logprobs(logits.float(), tokens)
    if not reference:
        return policy, torch.zeros_like(policy.detach())
    encoder = leader.model.get_encoder() if leader.seq2seq else None
    # Before `reference`, because disabling an adapter freezes it.
    trains_encoder = encoder is not None and any(p.requires_grad for p in encoder.parameters())
    with torch.no_grad(), leader.reference() as model:
        with _autocast(leader):
            if trains_encoder:
                encoded = _encode(leader, model, prompts)
            logits = _target_logits(leader, model, prompts, targets, encoded, shift_right)
        return policy, token_logprobs(logits.float(), tokens)


def _autocast(leader: Leader) -> torch.autocast:
    return torch.autocast(leader.device.type, leader.dtype, enabled=leader.dtype != torch.float32)


def _encode(leader: Leader, model: Any, prompts: Tokens) -> dict[str, Any]:
    """Return a seq2seq model's keyword arguments that stand for the prompts; each distinct one is encoded once."""
    row_of = {p: i for i, p in enumerate(dict.fromkeys(map(tuple, prompts)))}
    ids, mask = ([torch.tensor(p) for p in row_of], [torch.ones(len(p), dtype=torch.long) for p in row_of])
    padded = pad_sequence(ids, batch_first=True, padding_value=leader.tokenizer.pad_token_id).to(leader.device)
    padded_mask = pad_sequence(mask, batch_first=True).to(leader.device)
    states = model.get_encoder()(input_ids=padded, attention_mask=padded_mask).last_hidden_state
    rows = torch.tensor([row_of[tuple(p)] for p in prompts], device=leader.device)
    return {"encoder_outputs": BaseModelOutput(last_hidden_state=states[rows]), "attention_mask": padded_mask[rows]}


def _target_logits(
    leader: Leader,
    model: Any,
    prompts: Tokens,
    targets: Tokens,
    encoded: dict[str, Any] | None,
    shift_right: bool,
) -> torch.Tensor:
    """Return the logits of all target tokens, [target tokens, vocabulary], by a plain forward pass.

    Args:
        encoded: `_encode` of the prompts, for a seq2seq model.
    """
    pad, device = leader.tokenizer.pad_token_id, leader.device
    if encoded is None:
        rows_of_ids = [torch.tensor([*p, *t]) for p, t in zip(prompts, targets, strict=True)]
        starts = [len(p) - (1 if shift_right else 0) for p in prompts]
        inputs: dict[str, Any] = {}
    else:
        start = model.config.decoder_start_token_id
        rows_of_ids = [torch.tensor([start, *t[:-1]] if shift_right else list(t)) for t in targets]
        starts = [0] * len(targets)
        inputs = encoded
    ids = pad_sequence(rows_of_ids, batch_first=True, padding_value=pad).to(device)
    logits = model(**inputs, **{"decoder_input_ids" if encoded else "input_ids": ids}, use_cache=False).logits
    rows = torch.tensor([i for i, t in enumerate(targets) for _ in t], device=device)
    columns = torch.tensor([s + j for s, t in zip(starts, targets, strict=True) for j in range(len(t))], device=device)
    return logits[rows, columns]
