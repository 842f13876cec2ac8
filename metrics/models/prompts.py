"""Prompt templates of rewriters: the one in a model's folder, the one of a published model, or a default.

A template contains `{text}` exactly once; a `Preamble` may stand before it. After the prefix `chat:` it is the user's
message of the model's chat template.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrics.models.resolve import ModelRef
from metrics.util.errors import InputError
from metrics.util.files import write_json

REWRITER_FILE = "rewriter.json"
_SCHEMA = 1
CHAT_PREFIX = "chat:"
CHAT_PROMPT = (
    "chat:Rewrite this text politely. Keep its meaning, drop rude words. Answer with the rewritten text only.\n\n{text}"
)
# The prompts that published models were trained with (from their model cards).
KNOWN_PROMPTS = {
    "humarin/chatgpt_paraphraser_on_T5_base": "paraphrase: {text}",
    "s-nlp/mt0-xl-detox-orpo": "Detoxify: {text}",
}


@dataclass(frozen=True)
class Preamble:
    """What stands before the prompt of each text.

    Attributes:
        system: The system message.
        examples: Pairs of a source and its rewrite.
    """

    system: str = ""
    examples: tuple[tuple[str, str], ...] = ()

    def text_before(self, prompt: str) -> str:
        """Return the system message and the examples as text that stands before a `prompt` without a chat template.

        An example is the prompt of its source, followed by its rewrite: on the same line if the prompt ends with white
        space, else on the next. Empty lines separate the parts.
        """
        parts = [self.system] if self.system else []
        head, tail = prompt.split("{text}")
        for source, rewrite in self.examples:
            filled = head + source + tail
            parts.append(filled + ("" if filled[-1:].isspace() else "\n") + rewrite)
        return "".join(f"{part}\n\n" for part in parts)


NO_PREAMBLE = Preamble()


def default_prompt(ref: ModelRef, tokenizer: Any, seq2seq: bool) -> str:
    """Return the prompt template of a model for which the user gives none.

    That is the prompt in `rewriter.json` of the model's or its base's folder, else the known prompt of a published
    model, else `CHAT_PROMPT` for models whose `tokenizer` has a chat template, and the text alone for others.

    Raises:
        InputError: `rewriter.json` has no prompt, or says anything else.
    """
    for resolved in (ref, ref.base):
        if resolved and (path := resolved.folder / REWRITER_FILE).is_file():
            return _read_prompt(path)
    if ref.name in KNOWN_PROMPTS:
        return KNOWN_PROMPTS[ref.name]
    if seq2seq:
        return "{text}"
    return CHAT_PROMPT if tokenizer.chat_template else "{text}\n"


def _read_prompt(path: Path) -> str:
    try:
        stored = json.loads(path.read_text("utf-8"))
        prompt, others = stored["prompt"], sorted(stored.keys() - {"schema", "prompt"})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path}: not a JSON object with a prompt") from None
    if not isinstance(prompt, str):
        raise InputError(f"{path}: its prompt is no text")
    if others or stored.get("schema", _SCHEMA) != _SCHEMA:
        unknown = others[0][:80] if others else f"schema {str(stored['schema'])[:80]}"
        raise InputError(f"{path}: {unknown} is unknown; it holds a prompt and schema {_SCHEMA}")
    return prompt


def write_prompt(folder: Path, prompt: str) -> None:
    """Store a rewriter's prompt template in its model folder, where `default_prompt` finds it."""
    write_json(folder / REWRITER_FILE, {"schema": _SCHEMA, "prompt": prompt})
