"""The reasoning that some models write before their answer: it is no part of the rewrite, and is cut."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metrics.generation.prompts import rendered_template
from metrics.models.loading import LoadedModel
from metrics.models.prompts import CHAT_PREFIX
from metrics.util.errors import InputError

Markers = tuple[str, str]
# What opens and closes the reasoning of published models.
MARKERS: tuple[Markers, ...] = (
    ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"), ("<seed:think>", "</seed:think>"), ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"), ("<|begin_of_thought|>", "<|end_of_thought|>"), ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
)  # fmt: skip
# Tokens of an output with its reasoning, where neither the model nor the user sets a limit.
REASONING_MAX_NEW_TOKENS = 4096


@dataclass(frozen=True)
class Reasoning:
    """How a model reasons.

    Attributes:
        markers: What opens and closes its reasoning.
        opened: The markers that the prompt opens, so that the output begins inside the reasoning; None for none.
        thinks: Whether the prompt lets the model reason: it goes through the chat template, which does not end the
            reasoning before it begins.
    """

    markers: tuple[Markers, ...]
    opened: Markers | None
    thinks: bool


def find_reasoning(loaded: LoadedModel) -> Reasoning | None:
    """Return how a model reasons, or None if nothing declares that it does.

    The chat template declares it by the marker that closes the reasoning; where the prompt does not go through the
    template, both markers are among the tokens that were added to the tokenizer.
    """
    tokenizer = loaded.tokenizer
    if not loaded.prompt.startswith(CHAT_PREFIX):
        added = tokenizer.get_added_vocab()
        markers = tuple(pair for pair in MARKERS if added.keys() >= set(pair))
        return Reasoning(markers, None, False) if markers else None
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:
        raise InputError(f"chat template: {error}") from None
    markers = tuple(pair for pair in MARKERS if pair[1] in template)
    if not markers:
        return None
    end = rendered_template(tokenizer, loaded.prompt, loaded.preamble).rpartition("{text}")[2]
    opened = next((pair for pair in markers if end.rfind(pair[0]) > end.rfind(pair[1])), None)
    closed = any(end.rfind(close) > end.rfind(begin) for begin, close in markers)
    return Reasoning(markers, opened, opened is not None or not closed)


def cut_reasoning(text: str, markers: Sequence[Markers] = MARKERS, opened: Markers | None = None) -> str:
    """Return a text without its reasoning; "" if the reasoning does not end.

    Args:
        text: The output of a model.
        markers: What opens and closes the reasoning.
        opened: The markers whose reasoning the text begins in.
    """
    found = False
    for pair in markers:
        begin, close = pair
        whole = begin + text if pair == opened else text
        found = found or begin in whole or close in whole
        rest = re.sub(f"{re.escape(begin)}.*?{re.escape(close)}", " ", whole, flags=re.DOTALL)
        # What ends here began in the prompt, which a file of outputs does not hold.
        text = rest.rpartition(close)[2]
        if begin in text:
            return ""
    return text.strip() if found else text


def decode_without_reasoning(tokenizer: Any, rows: Sequence[Sequence[int]], reasoning: Reasoning) -> list[str]:
    """Return the text of each row of tokens, without reasoning and special tokens.

    Special tokens may be the markers, so that they are removed last.
    """
    texts = tokenizer.batch_decode(rows, skip_special_tokens=False)
    added = tokenizer.added_tokens_decoder.values()
    special = {str(token) for token in added if token.special} | set(tokenizer.all_special_tokens)
    pattern = "|".join(map(re.escape, sorted(special, key=len, reverse=True)))
    answers = (cut_reasoning(text, reasoning.markers, reasoning.opened) for text in texts)
    return [re.sub(pattern, "", answer) if pattern else answer for answer in answers]
