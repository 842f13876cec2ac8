"""Rows of tokens: padding, the choice of the next token, and the end at an end-of-sequence (EOS) token."""

from collections.abc import Sequence
from typing import Any


def get_eos_token_ids(model: Any, tokenizer: Any) -> set[int]:
    """Return every token that ends an output: those of the generation config, as in transformers.

    Where it names none, an output ends with the tokenizer's EOS token; transformers would write on.
    """
    stored = model.generation_config.eos_token_id
    eos_token_ids = {stored} if isinstance(stored, int) else set(stored or [])
    if not eos_token_ids and tokenizer.eos_token_id is not None:
        eos_token_ids.add(tokenizer.eos_token_id)
    return eos_token_ids


def cut_after_eos(tokens: Sequence[int], eos_token_ids: set[int]) -> list[int]:
    """Return `tokens` up to and including the first EOS token."""
    end = next((i for i, token in enumerate(tokens, 1) if token in eos_token_ids), len(tokens))
    return list(tokens[:end])


def pad(rows: Sequence[Sequence[int]], token: int, side: str, device: Any) -> tuple[Any, Any]:
    """Return two tensors [rows, width]: the rows, padded on the `side` "left" or "right", and a mask, 0 for padding."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids = [torch.tensor(row, dtype=torch.long) for row in rows]
    masks = [torch.ones_like(row) for row in ids]
    return pad_sequence(ids, True, token, side).to(device), pad_sequence(masks, True, 0, side).to(device)


def draw_tokens(logits: Any, temperature: float | None, uniforms: Any) -> Any:
    """Return a tensor with the next token of each row, drawn by inverse transform sampling.

    Args:
        logits: [rows, vocabulary].
        temperature: Sample from softmax(logits / temperature); None takes the most likely token.
        uniforms: [rows] random numbers in [0, 1), which select from the cumulative distribution.
    """
    import torch

    if temperature is None:
        # Faster than `argmax` on a CPU, especially in bfloat16.
        return logits.max(-1).indices
    cumulative = logits.float().div_(temperature).softmax(-1).cumsum_(-1)
    total = cumulative[:, -1]
    # The product may round up to the total, which lies behind the last token.
    points = torch.minimum(uniforms * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, points[:, None], right=True).squeeze(1)
