"""The outputs of a system: as an object, and in a text file with one output per line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError
from metrics.util.files import read_lines


@dataclass(frozen=True)
class Rewrites:
    """A system's outputs for a test set, one per sentence, in order.

    Attributes:
        system, kind, revision: Of the `metrics.systems.resolve.System`.
        decoding: Generation settings, prompt and batch size; empty for systems that do not generate.
        outputs: [n] texts.
        seconds: The time that generating took, without loading; None if it was not measured.
        device: Where the model ran.
        card: What the model card states (`metrics.models.cards`).
    """

    system: str
    kind: str
    revision: str
    decoding: dict[str, Any]
    outputs: tuple[str, ...]
    seconds: float | None = None
    device: str = ""
    card: dict[str, Any] = field(default_factory=dict)


def read_outputs(path: Path, expected: int) -> list[str]:
    """Read outputs, one per line, from a text file; raise an `InputError` if it has not the `expected` lines."""
    lines = read_lines(path)
    if len(lines) != expected:
        counts = f"{len(lines)} lines for {expected} test sentences"
        raise InputError(f"{path}: {counts}; write one output per line, empty ones too")
    return lines
