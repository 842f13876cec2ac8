"""Rewriting with a language model: prompts, length-sorted batches, decoding settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

# The settings of a generation config that change what is written; they enter the signature.
DECODING_KEYS = (
    "do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "num_beams", "num_beam_groups",
    "length_penalty", "early_stopping", "repetition_penalty", "no_repeat_ngram_size",
    "min_length", "min_new_tokens", "max_length", "max_new_tokens",
)  # fmt: skip
DEFAULT_MAX_NEW_TOKENS = 64
MAX_PROMPT_TOKENS = 512
CHAT = "chat:"


def decoding_settings(model: Any, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """The decoding of a model: its own generation config, overridden by `given`, sorted by name.

    A model whose config sets no length gets max_new_tokens=64, never the library's silent default of 20.
    """
    config = model.generation_config
    stored = {k: getattr(config, k, None) for k in DECODING_KEYS}
    settings = {k: v for k, v in stored.items() if v is not None}
    given = dict(given or {})
    if {"max_length", "max_new_tokens"} & given.keys():
        settings = {k: v for k, v in settings.items() if k not in ("max_length", "max_new_tokens")}
    settings.update(given)
    if "max_new_tokens" in settings:
        settings.pop("max_length", None)
    elif "max_length" not in settings:
        settings["max_new_tokens"] = DEFAULT_MAX_NEW_TOKENS
    settings.setdefault("do_sample", False)
    if not settings["do_sample"]:
        # They have no effect on greedy or beam search and would make equal decodings look different.
        for key in ("temperature", "top_k", "top_p", "min_p", "typical_p"):
            settings.pop(key, None)
    return dict(sorted(settings.items()))


def prompt_ids(
    tokenizer: Any, prompt: str, texts: Sequence[str], seq2seq: bool, max_length: int = MAX_PROMPT_TOKENS
) -> list[list[int]]:
    """The tokens a model reads for each text.

    prompt: a template with `{text}`; after `chat:` it is sent as the user's message through the chat template.
    Only the text is ever truncated, so that the prompt's own words and its end survive.
    """
    head, tail = prompt.split("{text}")
    chat = head.startswith(CHAT)
    if chat:
        message = [{"role": "user", "content": head.removeprefix(CHAT) + "{text}" + tail}]
        template = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        head, tail = template.split("{text}")

    def tokens(text: str) -> list[int]:
        if seq2seq:
            return list(tokenizer(head + text + tail, add_special_tokens=True)["input_ids"])
        ids = list(tokenizer(head + text + tail, add_special_tokens=False)["input_ids"])
        bos = tokenizer.bos_token_id
        # Models that were trained with a beginning-of-text token declare it; ChatML templates carry their own.
        if not chat and getattr(tokenizer, "add_bos_token", False) and bos is not None:
            ids.insert(0, bos)
        return ids

    result = []
    for text in texts:
        ids = tokens(text)
        while len(ids) > max_length and text:
            keep = max(0, int(len(text) * max_length / len(ids)) - 1)
            text = text[: min(keep, len(text) - 1)]
            ids = tokens(text)
        result.append(ids[:max_length] if not text else ids)
    return result


def length_sorted_batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Indices in batches of similar length, the longest first, so that a too large batch fails at once."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def generate_ids(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], seq2seq: bool, settings: dict[str, Any]
) -> list[list[int]]:
    """The new tokens for each prompt, in one batch, with the end-of-sequence token where the model wrote it."""
    import torch

    pad = tokenizer.pad_token_id
    width = max(len(p) for p in prompts)
    device = next(model.parameters()).device
    if seq2seq:
        rows = [[*p, *[pad] * (width - len(p))] for p in prompts]
        mask = [[1] * len(p) + [0] * (width - len(p)) for p in prompts]
    else:
        rows = [[*[pad] * (width - len(p)), *p] for p in prompts]
        mask = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
    ends = end_tokens(model, tokenizer)
    with torch.no_grad():
        output = model.generate(
            input_ids=torch.tensor(rows, device=device),
            attention_mask=torch.tensor(mask, device=device),
            pad_token_id=pad,
            eos_token_id=sorted(ends),
            **settings,
        )
    new = output[:, 1:] if seq2seq else output[:, width:]
    return [cut_after_end(row, ends) for row in new.tolist()]


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """All tokens at which the model's turn ends."""
    stored = model.generation_config.eos_token_id
    ends = {stored} if isinstance(stored, int) else set(stored or [])
    if tokenizer.eos_token_id is not None:
        ends.add(tokenizer.eos_token_id)
    return ends


def cut_after_end(tokens: list[int], ends: set[int]) -> list[int]:
    for position, token in enumerate(tokens):
        if token in ends:
            return tokens[: position + 1]
    return tokens


def rewrite_batches(
    model: Any,
    tokenizer: Any,
    prompt: str,
    texts: Sequence[str],
    seq2seq: bool,
    settings: dict[str, Any],
    *,
    batch_size: int = 32,
    seed: int = 0,
    skip: Callable[[list[int]], bool] = lambda _: False,
) -> Iterator[tuple[list[int], list[str]]]:
    """Rewrites `texts` batch by batch: yields (indices, outputs), each output one line of text.

    skip(indices) leaves a batch out that was done before; the others come out as they would have without it.
    """
    import torch

    prompts = prompt_ids(tokenizer, prompt, texts, seq2seq)
    for number, indices in enumerate(length_sorted_batches([len(p) for p in prompts], batch_size)):
        if skip(indices):
            continue
        with torch.random.fork_rng():
            torch.manual_seed(seed * 1_000_003 + number)
            tokens = generate_ids(model, tokenizer, [prompts[i] for i in indices], seq2seq, settings)
        outputs = tokenizer.batch_decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        yield indices, [" ".join(text.split()) for text in outputs]
