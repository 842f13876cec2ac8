"""Fill prompt templates with texts and tokenize them."""

from collections.abc import Sequence
from typing import Any

from metrics.data.text import well_formed
from metrics.models.prompts import CHAT_PREFIX

MAX_PROMPT_TOKENS = 512


def prompt_ids(
    tokenizer: Any, prompt: str, texts: Sequence[str], seq2seq: bool, max_length: int = MAX_PROMPT_TOKENS
) -> list[list[int]]:
    """Tokenize the prompt of each text.

    If a prompt is longer than `max_length`, only the text is truncated: the template around it stays complete.

    Args:
        prompt: A template with `{text}` (see `metrics.models.prompts`).
        seq2seq: Whether the model is an encoder-decoder, whose tokenizer adds its special tokens.
        max_length: The greatest number of tokens of a prompt.

    Returns:
        Token ids per text. An empty prompt becomes one special token, because a model cannot decode from no token.
    """
    head, tail = prompt.split("{text}")
    chat = head.startswith(CHAT_PREFIX)
    if chat:
        message = [{"role": "user", "content": head.removeprefix(CHAT_PREFIX) + "{text}" + tail}]
        template = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        head, tail = template.split("{text}")

    # Causal models trained with a BOS token declare it; chat templates contain their own.
    needs_bos = not seq2seq and not chat and getattr(tokenizer, "add_bos_token", False)
    bos = [tokenizer.bos_token_id] if needs_bos and tokenizer.bos_token_id is not None else []

    def tokenize(text: str) -> list[int]:
        return [*bos, *tokenizer(head + text + tail, add_special_tokens=seq2seq)["input_ids"]]

    specials = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    fallback = [token for token in specials if token is not None][:1]
    result = []
    for text in map(well_formed, texts):
        ids, step = tokenize(text), 1
        while len(ids) > max_length and text:
            # The proportional estimate stalls where many characters are one token or none, so the least step doubles.
            keep = min(int(len(text) * max_length / len(ids)) - 1, len(text) - step)
            text, step = text[: max(0, keep)], 2 * step
            ids = tokenize(text)
        result.append((ids[:max_length] if not text else ids) or fallback)
    return result
