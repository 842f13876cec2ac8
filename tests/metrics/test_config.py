"""Configuration files: what a field declaration accepts, and the one line that refuses anything else."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field, model_validator

from metrics.data.judgement_files import read_judgement_files
from metrics.data.tables import is_table, read_table, read_texts
from metrics.util.config import Config, OneOf, read_yaml, validate
from metrics.util.errors import InputError
from metrics.util.files import read_text, sha256_file


def without_bar(value: str) -> str:
    if "|" in value:
        raise ValueError("it must not contain |")
    return value


class Inner(Config):
    count: int = Field(ge=1)


class Example(Config):
    rate: float = Field(gt=0, lt=0.5)
    share: int | float = Field(ge=0, le=1)
    threshold: Annotated[float, Field(ge=0, le=1)] | None
    scale: float
    train: Literal["full", "lora"] | Annotated[int, Field(ge=1)]
    rule: Literal["x", "y"] | None
    scorer: Annotated[str, OneOf({"encoder": 1, "judge": 2})]
    name: Annotated[str, AfterValidator(without_bar)]
    systems: list[str]
    sample: bool
    inner: Inner

    @model_validator(mode="after")
    def _check(self) -> Example:
        if self.rate == 0.25:
            raise ValueError("rate 0.25 needs sample")
        return self


VALID: dict[str, Any] = {
    "rate": 0.1, "share": 1, "threshold": None, "scale": 2, "train": "full", "rule": None, "scorer": "encoder",
    "name": "n", "systems": ["a"], "sample": True, "inner": {"count": 1},
}  # fmt: skip


def test_values_keep_their_types() -> None:
    example = validate(Example, VALID, "example")
    assert type(example.share) is int and type(example.scale) is float
    assert example.inner.count == 1


@pytest.mark.parametrize(("text", "value"), [("1e-4", 1e-4), ("2.5E+1", 25.0), ("1e0", 1.0)])
def test_exponents_that_yaml_1_1_reads_as_strings_are_numbers(text: str, value: float) -> None:
    assert validate(Example, {**VALID, "scale": text}, "example").scale == value
    # A string field is not converted.
    assert validate(Example, {**VALID, "name": text}, "example").name == text


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rate", 0, "rate is 0; it must be a number above 0 and below 0.5"),
        ("rate", True, "rate is True; it must be a number above 0 and below 0.5"),
        ("rate", "0.1", "rate is '0.1'; it must be a number above 0 and below 0.5"),
        ("rate", 0.25, "rate 0.25 needs sample"),
        ("scale", float("inf"), "scale is inf; it must be a finite number"),
        ("share", True, "share is True; it must be a number from 0 to 1"),
        ("share", 2, "share is 2; it must be a number from 0 to 1"),
        ("threshold", float("nan"), "threshold is nan; it must be a number from 0 to 1 or null"),
        ("train", 0, "train is 0; it must be one of full, lora or a whole number of at least 1"),
        ("train", 2.0, "train is 2.0; it must be one of full, lora or a whole number of at least 1"),
        ("train", True, "train is True; it must be one of full, lora or a whole number of at least 1"),
        ("rule", "z", "rule is 'z'; it must be one of x, y or null"),
        ("scorer", "chrf", "scorer is 'chrf'; it must be one of encoder, judge"),
        ("scorer", 3, "scorer is 3; it must be one of encoder, judge"),
        ("name", "a|b", "name is 'a|b'; it must not contain |"),
        ("systems", "a", "systems is 'a'; it must be a list of strings"),
        ("systems", [1], r"systems is [1]; it must be a list of strings"),
        ("sample", 1, "sample is 1; it must be true or false"),
        ("inner", {"count": 0}, "inner.count is 0; it must be a whole number of at least 1"),
        ("inner", {}, "missing field inner.count"),
        ("inner", {"count": 1, "cuont": 2}, "unknown field inner.cuont"),
        ("inner", 3, "inner is 3; it must be a mapping"),
        ("treshold", 1, "unknown field treshold; did you mean threshold?"),
        (7, 1, "unknown field 7"),
    ],
)
def test_a_refusal_names_the_field_the_value_and_what_is_allowed(field: Any, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^example: {re.escape(message)}$"):
        validate(Example, {**VALID, field: value}, "example")


def test_missing_fields_are_listed_together() -> None:
    with pytest.raises(InputError, match=r"^example: missing field name, scale$"):
        validate(Example, {k: v for k, v in VALID.items() if k not in ("scale", "name")}, "example")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1\nb: }", r"not YAML \(.*\)"),
        (b"a: caf\xe9", r"not YAML \(not UTF-8 at byte 6\)"),
        (b"- a", "not a mapping of fields to values"),
        (b"", "not a mapping of fields to values"),
        (b"a: 2024-13-45", r"not YAML \(month must be in 1..12\)"),
        (b"a: " + b"[" * 5000, r"not YAML \(.*\)"),
    ],
)
def test_unreadable_files_are_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"own\.yaml: {message}") as error:
        read_yaml(path)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"gone\.yaml: no such file"):
        read_yaml(tmp_path / "gone.yaml")


# Nine lines of nine aliases each: 9 ** 9 values.
ALIASES = "a: &a0 [x]\n" + "".join(f"k{i}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(9))
MERGES = "a: &a0 {x: 1}\n" + "".join(f"k{i}: &a{i + 1} {{<<: [{', '.join([f'*a{i}'] * 9)}]}}\n" for i in range(9))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "[" * 60 + "]" * 60, "more than 50 levels of lists and mappings"),
        ("a: " + "[" * 100_000, "more than 50 levels of lists and mappings"),
        ("\n".join(" " * i + "a:" for i in range(300)), "more than 50 levels of lists and mappings"),
        ("a: &a [*a]", "more than 50 levels of lists and mappings"),
        (ALIASES, "more than 100,000 values, with those that aliases repeat"),
        (MERGES, "more than 100,000 values, with those that aliases repeat"),
        ("a: " + "x" * 200_000, "200,003 characters, the limit is 200,000"),
        ('a: !!int ""', "not YAML"),
        ("a: !!bool x", "not YAML"),
        ("a: !!timestamp x", "not YAML"),
        ("a: 2024-99-99", "month must be in"),
        ("a: " + "9" * 5_000, "a whole number of 5,000 characters"),
        ("a: 0x" + "f" * 5_000, "a whole number of 5,002 characters"),
        ("1: a\ntrue: b\n", 'the key "true" twice'),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("[1]: 2", "not YAML|unhashable"),
        ("a: 1\nb: 2\na: 3", 'the key "a" twice'),
        ("a: [{b: {c: 1, c: 2}}]", 'the key "c" twice'),
    ],
)
def test_yaml_that_would_wear_the_program_out_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=message) as error:
        read_yaml(path)
    assert str(error.value).startswith(f"{path}: not YAML (") and "\n" not in str(error.value)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("read", [read_yaml, read_text, read_table, read_texts, read_judgement_files, sha256_file])
def test_what_never_ends_is_refused(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    """Reads a device that ends, so that this test does, and a file with a hole of 10 GB, which no memory would hold."""
    device, huge = tmp_path / "device.txt", tmp_path / "huge.txt"
    device.symlink_to("/dev/null")
    with pytest.raises(InputError, match=r"device\.txt: a device, not a file"):
        read(device)
    if read is not sha256_file:
        huge.touch()
        os.truncate(huge, 10_000_000_000)
        with pytest.raises(InputError, match=r"huge\.txt: 10,000,000,000 bytes; the limit is [\d,]+$"):
            read(huge)


@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a.jsonl", "a.parquet", "a.zip"])
def test_a_fifo_does_not_keep_a_command_waiting(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    read = read_table if is_table(path) else read_texts
    with pytest.raises(InputError, match=rf"{name}: a FIFO into which no program writes; give a file"):
        read(path)


def test_a_shells_pipe_is_read() -> None:
    """As of <(command); its name is all that the reader gets."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(b"one\ntwo\n")
    assert read_texts(Path(f"/dev/fd/{reading}")) == ["one", "two"]
    os.close(reading)


def test_errors_of_the_system_are_one_line() -> None:
    """Its size is 0, and no byte can be read at its start."""
    with pytest.raises(InputError, match=r"/proc/self/mem: cannot be read \(Input/output error\)"):
        read_text(Path("/proc/self/mem"))


def test_aliases_and_merges_of_an_honest_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("a: &a {x: 1, y: [1, 2]}\nb: {<<: *a, x: 2}\nc: *a\n")
    assert read_yaml(path) == {"a": {"x": 1, "y": [1, 2]}, "b": {"x": 2, "y": [1, 2]}, "c": {"x": 1, "y": [1, 2]}}
