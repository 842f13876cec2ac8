"""Human judgements of rewrites, read from TSV or CSV files."""

import csv
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metrics.util.errors import InputError
from metrics.util.files import atomic_file, read_text

Array = np.ndarray[Any, np.dtype[np.float64]]
ASPECTS = ("style", "meaning", "fluency")
COLUMNS = ("source", "output", "system", *ASPECTS)
# Columns of the EMNLP 2021 human evaluation (Dale et al.) -> ours.
_EMNLP_COLUMNS = {"original": "source", "rewritten": "output", "source": "system", **{a: a for a in ASPECTS}}


@dataclass(frozen=True)
class JudgedRewrites:
    """n rewrites; judgements: aspect, or "joint" for the product of the three -> means [n] in [0, 1], 1 is best."""

    sources: list[str]
    outputs: list[str]
    systems: list[str]
    judgements: dict[str, Array]


def read_judgements(path: Path) -> JudgedRewrites:
    """Read a file with the columns of `COLUMNS`; the mean stands for several judgements of one rewrite.

    An aspect with values outside [0, 1] is scaled by its least and largest value, and a warning is printed.

    Raises:
        InputError: A column is missing, or a judgement is not a finite number.
    """
    records = _records(path)
    missing = [name for name in COLUMNS if name not in records[0]]
    if missing:
        hint = "; --convert OUT makes them" if set(_EMNLP_COLUMNS) <= set(records[0]) else ""
        raise InputError(f"{path}: no column {', '.join(missing)}{hint}")
    grouped: dict[tuple[str, str, str], list[list[float]]] = {}
    for number, record in enumerate(records, start=2):
        if any(record[name] is None for name in COLUMNS):
            raise InputError(f"{path}: row {number} has too few columns")
        try:
            values = [float(record[aspect]) for aspect in ASPECTS]
        except ValueError:
            raise InputError(f"{path}: row {number}: style, meaning and fluency must be numbers") from None
        if not all(np.isfinite(values)):
            raise InputError(f"{path}: row {number}: a judgement that is not finite")
        grouped.setdefault((record["source"], record["output"], record["system"]), []).append(values)
    means = np.array([np.mean(values, axis=0) for values in grouped.values()])
    every = np.concatenate([np.array(values) for values in grouped.values()])
    ranges = zip(ASPECTS, means.T, every.min(axis=0), every.max(axis=0), strict=True)
    judgements = {aspect: _to_unit(path, aspect, mean, low, high) for aspect, mean, low, high in ranges}
    judgements["joint"] = judgements["style"] * judgements["meaning"] * judgements["fluency"]
    sources, outputs, systems = (list(column) for column in zip(*grouped, strict=True))
    return JudgedRewrites(sources, outputs, systems, judgements)


def convert_emnlp(path: Path, target: Path) -> int:
    """Write a file of the EMNLP 2021 human evaluation with the columns of `COLUMNS`; return the number of rows."""
    records = _records(path)
    missing = [name for name in _EMNLP_COLUMNS if name not in records[0]]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}: not a file of the EMNLP 2021 human evaluation")
    with atomic_file(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="," if target.suffix.lower() == ".csv" else "\t")
        writer.writeheader()
        writer.writerows({name: record[column] for column, name in _EMNLP_COLUMNS.items()} for record in records)
    return len(records)


def _records(path: Path) -> list[dict[str, str]]:
    text = read_text(path)
    csv.field_size_limit(1 << 27)
    delimiter = max("\t;,", key=text.partition("\n")[0].count)
    quoting: Any = csv.QUOTE_NONE if delimiter == "\t" and _is_unquoted(text) else csv.QUOTE_MINIMAL
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)
    try:
        records = list(reader)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: {error}") from None
    if not records:
        raise InputError(f"{path}: contains no judgement")
    return records


def _is_unquoted(text: str) -> bool:
    """Whether quotes in tab-separated `text` are ordinary characters, as programs without a csv module write them.

    They are if every line has all columns by its tabs alone, and a reader that honours quotes loses columns or lines.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    columns = lines[0].count("\t") + 1 if lines else 0
    if any(line.count("\t") + 1 != columns for line in lines):
        return False
    try:
        quoted = [len(row) for row in csv.reader(io.StringIO("\n".join(lines), newline=""), delimiter="\t")]
    except csv.Error:
        return True
    return quoted != [columns] * len(lines)


def _to_unit(path: Path, aspect: str, means: Array, low: float, high: float) -> Array:
    """Return `means` unchanged if all judgements are in [0, 1], else scaled by the least and largest judgement."""
    if low >= 0 and high <= 1:
        return means
    if low == high:
        raise InputError(f"{path}: {aspect} is {low:g} in every row: its scale is unknown; convert it to [0, 1]")
    print(f"{path}: {aspect} runs from {low:g} to {high:g}; read as 0 to 1", file=sys.stderr)
    return (means - low) / (high - low)
