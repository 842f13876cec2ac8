"""The options --system and --few-shot: what stands before the prompt of each text."""

from pathlib import Path
from typing import Any

from metrics.data.text import well_formed
from metrics.models.prompts import Preamble
from metrics.util.errors import InputError
from metrics.util.files import content_hash, read_lines

# The cells of a first line of a file of examples that is a header.
_HEADERS = (
    {"source", "toxic", "toxic_sentence", "toxic_comment", "en_toxic_comment"},
    {"rewrite", "target", "reference", "neutral", "neutral1", "neutral_sentence", "neutral_comment",
     "en_neutral_comment"},
)  # fmt: skip


def read_preamble(system: str | None, few_shot: Path | None) -> Preamble:
    """Return the preamble of the options --system and --few-shot.

    Args:
        system: The system message; None for none.
        few_shot: A file with an example per line: source, tab, rewrite. A header line may come first.

    Raises:
        InputError: An option is empty, or a line of the file does not hold two texts.
    """
    if system is not None and not system.strip():
        raise InputError("--system: empty; leave it out")
    if well_formed(system or "") != (system or ""):
        raise InputError("--system: not valid UTF-8")
    examples = []
    for number, line in enumerate(read_lines(few_shot) if few_shot else (), 1):
        cells = line.split("\t")
        if len(cells) != 2 or not all(map(str.strip, cells)):
            raise InputError(f"--few-shot {few_shot}, line {number}: write a source, a tab and its rewrite")
        # No text has quotes around it and doubled ones inside; the model would imitate them.
        if any(cell[:1] == cell[-1:] == '"' and '""' in cell[1:-1] for cell in map(str.strip, cells)):
            raise InputError(f"--few-shot {few_shot}, line {number}: quoted as a table; write plain texts")
        if number == 1 and all(cell.strip().lower() in names for cell, names in zip(cells, _HEADERS, strict=True)):
            continue
        examples.append((cells[0], cells[1]))
    if few_shot and not examples:
        raise InputError(f"--few-shot {few_shot}: no example in this file")
    return Preamble(system or "", tuple(examples))


def describe_preamble(preamble: Preamble) -> dict[str, Any]:
    """Return what the decoding says of a preamble: the system message, and the number of examples with their hash."""
    found: dict[str, Any] = {"system": preamble.system} if preamble.system else {}
    if preamble.examples:
        found["few_shot"] = f"{len(preamble.examples)} #{content_hash(preamble.examples)[:16]}"
    return found
