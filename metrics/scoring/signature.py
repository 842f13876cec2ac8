"""Signatures: how a score was computed and how its system decoded, in one line (after sacrebleu, Post 2018)."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Self

from metrics.data.languages import ENGLISH
from metrics.util.errors import InputError
from metrics.util.files import content_hash

# sta, sim, fl: model and rule. joint: the formula of J. test: name@hash. lang: the language, which is not written for
# English. n: sentences. decoding: how the system wrote.
ORDER = ("profile", "sta", "sim", "fl", "joint", "test", "lang", "n", "decoding", "version")
_MEASUREMENT = tuple(name for name in ORDER if name != "decoding")
_LETTERS = dict(zip(ORDER, "psmfjtlndv", strict=True))
# Signatures had no language at first, and those of English are to stay as they are.
_UNWRITTEN = ("lang", ENGLISH)
_PLAIN_NAME = re.compile(r"[\w.-]+")
_SEVERAL = re.compile(r"\||,[^=]*=")


@dataclass(frozen=True)
class Signature:
    """What a score depends on. Two scores are comparable exactly when their signatures are equal.

    Attributes:
        measurement: (field, value) for every field but the decoding, in the order of `ORDER`.
        decoding: The system's decoding settings, as `describe_decoding` writes them. They are part of the text but not
            of equality, because comparing systems that decode differently is the point.
    """

    measurement: tuple[tuple[str, str], ...]
    decoding: str = field(default="none", compare=False)

    @classmethod
    def of(cls, measurement: dict[str, str], decoding: dict[str, Any]) -> Self:
        """Build a signature from decoding settings and a value without "|" for each other field of `ORDER`.

        Without `lang` it is English.

        Raises:
            ValueError: Other fields, or a value with "|".
        """
        measurement = dict([_UNWRITTEN]) | measurement
        if sorted(measurement) != sorted(_MEASUREMENT) or any("|" in value for value in measurement.values()):
            raise ValueError(f"not the fields of a signature: {measurement}")
        return cls(tuple((name, measurement[name]) for name in _MEASUREMENT), describe_decoding(decoding))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the long form.

        Raises:
            InputError: `text` is not the long form of a signature.
        """
        parts = [part.partition(":") for part in text.split("|")]
        values = {name: value for name, _, value in parts}
        names = tuple(name for name in ORDER if name in values or name != _UNWRITTEN[0])
        if tuple(name for name, _, _ in parts) != names or _UNWRITTEN in values.items():
            raise InputError(f"not a signature of this program: {text[:80]}")
        values = dict([_UNWRITTEN]) | values
        return cls(tuple((name, values[name]) for name in _MEASUREMENT), values["decoding"])

    def fields(self) -> dict[str, str]:
        """Return all fields, the decoding included, in the order of `ORDER`."""
        values = {**dict(self.measurement), "decoding": self.decoding}
        return {name: values[name] for name in ORDER}

    @property
    def long(self) -> str:
        """The long form: name:value|name:value|…"""
        return "|".join(f"{name}:{value}" for name, value in self._written(self.fields()).items())

    @property
    def short(self) -> str:
        """The short form: names of one letter, and eight hexadecimal digits of a hash for long values."""
        written = self._written(self.fields())
        values = {name: v if len(v) <= 16 else content_hash(v)[:8] for name, v in written.items()}
        return "|".join(f"{_LETTERS[name]}:{value}" for name, value in values.items())

    @property
    def key(self) -> str:
        """The long form without the decoding: equal exactly when the signatures are equal."""
        return "|".join(f"{name}:{value}" for name, value in self._written(dict(self.measurement)).items())

    @staticmethod
    def _written(values: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in values.items() if (name, value) != _UNWRITTEN}

    def differences(self, other: "Signature") -> list[str]:
        """Return the fields that make the two incomparable, each as "name: own value against the other's"."""
        theirs = dict(other.measurement)
        return [f"{name}: {value} against {theirs[name]}" for name, value in self.measurement if theirs[name] != value]

    def __str__(self) -> str:
        return self.long


def describe_decoding(decoding: dict[str, Any]) -> str:
    """Return decoding settings as name=value,…; "none" for systems that do not generate.

    Different settings are described differently, so that "False" is not False. A prompt and a system message stand
    there as eight digits of a hash.
    """
    settings = sorted(decoding.items())
    hashes = {name: f"#{content_hash(value)[:8]}" for name, value in settings if name in ("prompt", "system")}
    shown = (f"{_name(name)}={hashes.get(name) or _value(value)}" for name, value in settings)
    return ",".join(shown) or "none"


def _name(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else _quoted(name)


def _value(value: Any) -> str:
    """A number, True, False, None or a text as it is; a list, a mapping or an ambiguous text as JSON."""
    if isinstance(value, list | tuple | dict) or (isinstance(value, str) and _is_ambiguous(value)):
        return _quoted(value)
    return str(value)


def _is_ambiguous(text: str) -> bool:
    """Whether a text reads as another value, or as several settings, or has the sign that ends a signature's field."""
    try:
        float(text)
    except ValueError:
        return text in ("True", "False", "None") or text.startswith(('"', "[", "{")) or bool(_SEVERAL.search(text))
    return True


def _quoted(value: Any) -> str:
    return json.dumps(value, sort_keys=True).replace("|", "\\u007c")
