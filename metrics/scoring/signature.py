"""Signatures: everything that two J's must share to be comparable, in one line (after sacrebleu, Post 2018)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metrics.util.errors import InputError
from metrics.util.files import content_hash

# The order in which fields are written. `decoding` names how the system wrote, not how it was measured.
ORDER = ("profile", "sta", "sim", "fl", "joint", "test", "n", "decoding", "version")
_SHORT = {"profile": "p", "sta": "s", "sim": "m", "fl": "f", "joint": "j", "test": "t", "n": "n", "decoding": "d"}
_SHORT["version"] = "v"


@dataclass(frozen=True)
class Signature:
    """An ordered signature. Two are equal exactly when their scores are comparable.

    measure: field -> value, everything but the decoding. decoding: the system's own settings; they are written in both
    spellings and do not enter equality, since systems that decode differently are what one compares.
    """

    measure: tuple[tuple[str, str], ...]
    decoding: str = field(default="none", compare=False)

    @classmethod
    def of(cls, measure: dict[str, str], decoding: dict[str, Any]) -> Signature:
        """Errors (ValueError): fields other than those of `ORDER`, or "|" in a value."""
        expected = [name for name in ORDER if name != "decoding"]
        if sorted(measure) != sorted(expected) or any("|" in value for value in measure.values()):
            raise ValueError(f"not the fields of a signature: {measure}")
        return cls(tuple((name, measure[name]) for name in expected), describe_decoding(decoding))

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Reads the long spelling. Errors: anything else."""
        parts = [part.partition(":") for part in text.split("|")]
        if tuple(name for name, _, _ in parts) != ORDER:
            raise InputError(f"not a signature of this program: {text[:80]}")
        values = {name: value for name, _, value in parts}
        decoding = values.pop("decoding")
        return cls(tuple(values.items()), decoding)

    def fields(self) -> dict[str, str]:
        values = {**dict(self.measure), "decoding": self.decoding}
        return {name: values[name] for name in ORDER}

    @property
    def long(self) -> str:
        return "|".join(f"{name}:{value}" for name, value in self.fields().items())

    @property
    def short(self) -> str:
        """One-letter names, and eight hexadecimal digits for long values."""
        return "|".join(
            f"{_SHORT[name]}:{value if len(value) <= 16 else content_hash(value)[:8]}"
            for name, value in self.fields().items()
        )

    @property
    def key(self) -> str:
        """The long spelling without the decoding: equal exactly when the signatures are."""
        return "|".join(f"{name}:{value}" for name, value in self.measure)

    def differences(self, other: Signature) -> list[str]:
        """The fields that make the two incomparable, as lines "name: mine against theirs"."""
        theirs = dict(other.measure)
        return [f"{name}: {value} against {theirs[name]}" for name, value in self.measure if theirs[name] != value]

    def __str__(self) -> str:
        return self.long


def describe_decoding(decoding: dict[str, Any]) -> str:
    """The settings in one word, the prompt as a hash; "none" for systems that do not generate."""
    if not decoding:
        return "none"
    shown = dict(decoding)
    if "prompt" in shown:
        shown["prompt"] = f"#{content_hash(shown['prompt'])[:8]}"
    return ",".join(f"{name}={value}" for name, value in sorted(shown.items())).replace("|", "/")
