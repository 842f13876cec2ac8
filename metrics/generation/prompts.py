"""Fill prompt templates with texts and tokenize them."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from metrics.data.text import well_formed
from metrics.generation.chat import Chat, render_chats
from metrics.models.prompts import CHAT_PREFIX, NO_PREAMBLE, Preamble
from metrics.util.errors import InputError
from metrics.util.files import content_hash

MAX_PROMPT_TOKENS = 512
# Texts from which the tokens that a tokenizer adds at the end are read; one of them has a token in any vocabulary.
_PROBES = ("a", "the", "you", "1", ".", "你", "я")


@dataclass(frozen=True)
class Prompts:
    """Tokenized prompts.

    Attributes:
        ids: The token ids of each prompt.
        shortened: The number of prompts whose text was cut, because it did not fit.
        changed: The number of prompts in which the chat template shows another text than the given one, white space and
            case aside.
    """

    ids: list[list[int]]
    shortened: int
    changed: int = 0


def prompt_ids(
    tokenizer: Any, prompt: str, texts: Sequence[str], seq2seq: bool, max_length: int = MAX_PROMPT_TOKENS,
    preamble: Preamble = NO_PREAMBLE,
) -> list[list[int]]:  # fmt: skip
    """Return the token ids of the prompt of each text; see `tokenize_prompts`."""
    return tokenize_prompts(tokenizer, prompt, texts, seq2seq, max_length, preamble).ids


def tokenize_prompts(
    tokenizer: Any, prompt: str, texts: Sequence[str], seq2seq: bool, max_length: int = MAX_PROMPT_TOKENS,
    preamble: Preamble = NO_PREAMBLE,
) -> Prompts:  # fmt: skip
    """Tokenize the prompt of each text as the tokenizer does: with its special tokens, or by its chat template.

    A causal model continues the prompt, so that the tokens which its tokenizer adds at the end are left out. If a
    prompt is longer than `max_length`, only the text is cut: the template around it stays complete.

    Args:
        prompt: A template with `{text}` (see `metrics.models.prompts`).
        seq2seq: Whether the model is an encoder-decoder.
        max_length: The greatest number of tokens of a prompt.
        preamble: What stands before the prompt.

    Returns:
        The prompts. An empty one becomes one special token, because a model cannot decode from no token.

    Raises:
        InputError: The chat template cannot be rendered or leaves out a message, or the prompt does not fit without
            its text.
    """
    tokenize: Callable[[Sequence[str]], list[list[int]]]
    if prompt.startswith(CHAT_PREFIX):
        require_complete_chat(tokenizer, prompt, preamble)
        tokenize = functools.partial(_tokenize_chats, tokenizer, prompt, preamble)
    else:
        ending = 0 if seq2seq else _count_end_tokens(tokenizer)
        tokenize = functools.partial(_tokenize_plain, tokenizer, prompt, preamble, ending)

    specials = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    fallback = [token for token in specials if token is not None][:1]
    current, step = [well_formed(text) for text in texts], 1
    result: list[list[int]] = [[] for _ in texts]
    pending = list(range(len(texts)))
    shortened: set[int] = set()
    while pending:
        rows = tokenize([current[i] for i in pending])
        remaining = []
        for i, ids in zip(pending, rows, strict=True):
            result[i] = ids or fallback
            if len(ids) <= max_length:
                continue
            text = current[i]
            if not text:
                reason = f"the prompt has {len(ids)} tokens without its text, but {max_length} fit"
                raise InputError(f"{reason}; shorten --prompt, --system or --few-shot")
            # The proportional estimate stalls where many characters are one token or none, so the least step doubles.
            keep = min(int(len(text) * max_length / len(ids)) - 1, len(text) - step)
            current[i] = text[: max(0, keep)]
            remaining.append(i)
        pending, step = remaining, 2 * step
        shortened.update(remaining)
    changed = _count_changed(tokenizer, prompt, preamble, current) if prompt.startswith(CHAT_PREFIX) else 0
    return Prompts(result, len(shortened), changed)


def _count_changed(tokenizer: Any, prompt: str, preamble: Preamble, texts: Sequence[str]) -> int:
    rendered = render_chats(tokenizer, [chat_messages(prompt, text, preamble) for text in texts])
    pairs = zip(map(_folded, texts), map(_folded, rendered), strict=True)
    return sum(text not in chat for text, chat in pairs)


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def chat_messages(prompt: str, text: str, preamble: Preamble) -> Chat:
    """Return the conversation that ends with the user's message for `text`; examples are earlier turns."""
    chat = [{"role": "system", "content": preamble.system}] if preamble.system else []
    head, tail = prompt.removeprefix(CHAT_PREFIX).split("{text}")
    for source, rewrite in preamble.examples:
        chat.append({"role": "user", "content": head + source + tail})
        chat.append({"role": "assistant", "content": rewrite})
    return [*chat, {"role": "user", "content": head + text + tail}]


def rendered_template(tokenizer: Any, prompt: str, preamble: Preamble = NO_PREAMBLE) -> str:
    """Return the conversation for the text "{text}" as the chat template renders it."""
    return render_chats(tokenizer, [chat_messages(prompt, "{text}", preamble)])[0]


def template_hash(tokenizer: Any, prompt: str, preamble: Preamble = NO_PREAMBLE) -> str:
    """Return what the decoding says of the chat template: a hash of `rendered_template`."""
    return f"#{content_hash(rendered_template(tokenizer, prompt, preamble))[:16]}"


def require_complete_chat(tokenizer: Any, prompt: str, preamble: Preamble = NO_PREAMBLE) -> None:
    """Check that every message changes what the chat template renders.

    Raises:
        InputError: The template cannot be rendered, or leaves out the text, the system message or an example.
    """
    chat = chat_messages(prompt, "{text}", preamble)
    changed = [[{**m, "content": f"x{m['content']}x"} if m is message else m for m in chat] for message in chat]
    rendered, *others = render_chats(tokenizer, [chat, *changed])
    if "{text}" not in rendered.casefold():
        raise InputError("chat template: does not show the text; give a --prompt without the prefix chat:")
    for message, other in zip(chat, others, strict=True):
        if rendered == other:
            option = "the system message; leave out --system"
            if message["role"] != "system":
                option = "an example; leave out --few-shot"
            if message is chat[-1]:
                option = "the text; give a --prompt without the prefix chat:"
            raise InputError(f"chat template: does not show {option}")


def _tokenize_chats(tokenizer: Any, prompt: str, preamble: Preamble, texts: Sequence[str]) -> list[list[int]]:
    rendered = render_chats(tokenizer, [chat_messages(prompt, text, preamble) for text in texts])
    return [list(tokenizer(chat, add_special_tokens=False)["input_ids"]) for chat in rendered]


def _tokenize_plain(
    tokenizer: Any, prompt: str, preamble: Preamble, ending: int, texts: Sequence[str]
) -> list[list[int]]:
    (head, tail), before = prompt.split("{text}"), preamble.text_before(prompt)
    rows = [list(tokenizer(before + head + text + tail)["input_ids"]) for text in texts]
    return [row[: len(row) - ending] for row in rows]


def _count_end_tokens(tokenizer: Any) -> int:
    """Return the number of tokens that the tokenizer adds behind a text."""
    for probe in _PROBES:
        plain = list(tokenizer(probe, add_special_tokens=False)["input_ids"])
        full = list(tokenizer(probe)["input_ids"])
        for start in range(len(full) - len(plain) + 1) if plain else ():
            if full[start : start + len(plain)] == plain:
                return len(full) - start - len(plain)
    return 0
