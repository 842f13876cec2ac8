"""Human judgements of rewrites: the suite's own file format, and the published files that the data folder may hold."""

import csv
import io
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.data.sources import data_file
from metrics.util.errors import InputError
from metrics.util.files import atomic_file, read_lines, read_text

Array = NDArray[np.float64]
ASPECTS = ("style", "meaning", "fluency")
COLUMNS = ("source", "output", "system", *ASPECTS)
# Our columns -> those of the EMNLP 2021 human evaluation (Dale et al.).
_EMNLP_COLUMNS = {"source": "original", "output": "rewritten", "system": "source", **{a: a for a in ASPECTS}}
# Our columns -> those of the TextDetox CLEF 2024 human evaluation, where a folder is a system and a file a language.
_CLEF_COLUMNS = {
    "source": "toxic_sentence", "output": "neutral_sentence",
    "style": "toxic_pairwise_score", "meaning": "content_score", "fluency": "fluency_score",
}  # fmt: skip
CLEF_LANGUAGES = {"de": "German", "es": "Spanish", "ru": "Russian"}
# Source, output, system; the judgements by `ASPECTS`.
_Row = tuple[tuple[str, str, str], list[float]]


@dataclass(frozen=True)
class JudgedRewrites:
    """n rewrites; judgements: aspect, or "joint" for the product of the three -> means [n] in [0, 1], 1 is best.

    Judges who answered about one aspect leave that one alone. `language` is an ISO 639-1 code.
    """

    sources: list[str]
    outputs: list[str]
    systems: list[str]
    judgements: dict[str, Array]
    language: str = "en"


def judgement_sets(data_dir: Path) -> dict[str, JudgedRewrites]:
    """Return the judgements that the data folder holds, by the name of the set.

    Raises:
        InputError: A file is missing or damaged.
    """
    msr = read_paraphrases(data_file(data_dir, "paraphrase/msr_paraphrase_test.txt"))
    clef = {f"clef2024_{code}": read_clef(data_dir / "clef2024_human", code) for code in CLEF_LANGUAGES}
    return {
        "emnlp_eval": read_emnlp(data_file(data_dir, "human_judgements/emnlp_eval_mean.tsv")),
        "msr_test": msr,
        **clef,
    }


def read_judgements(path: Path) -> JudgedRewrites:
    """Read a file with the columns of `COLUMNS`; the mean stands for several judgements of one rewrite.

    An aspect with values outside [0, 1] is scaled by its least and largest value, and a warning is printed.

    Raises:
        InputError: A column is missing, or a judgement is not a finite number.
    """
    records = _records(path)
    missing = [name for name in COLUMNS if name not in records[0]]
    if missing:
        hint = "; --convert OUT makes them" if set(_EMNLP_COLUMNS.values()) <= set(records[0]) else ""
        raise InputError(f"{path}: no column {', '.join(missing)}{hint}")
    return _average(path, _rows(path, records, {name: name for name in COLUMNS}))


def read_emnlp(path: Path) -> JudgedRewrites:
    """Read a file of the EMNLP 2021 human evaluation; raises as `read_judgements` does."""
    return _average(path, _rows(path, _emnlp_records(path), _EMNLP_COLUMNS))


def convert_emnlp(path: Path, target: Path) -> int:
    """Write a file of the EMNLP 2021 human evaluation with the columns of `COLUMNS`; return the number of rows."""
    records = _emnlp_records(path)
    with atomic_file(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="," if target.suffix.lower() == ".csv" else "\t")
        writer.writeheader()
        writer.writerows({name: record[column] for name, column in _EMNLP_COLUMNS.items()} for record in records)
    return len(records)


def read_clef(folder: Path, language: str) -> JudgedRewrites:
    """Read the TextDetox CLEF 2024 human evaluation of one of `CLEF_LANGUAGES`: a folder per team, a file per language.

    Style is toxic_pairwise_score, the mean of judges who compared a rewrite with its source: less toxic 1, as toxic
    .5, more toxic 0; most copies of their source have .5. Meaning is content_score and fluency fluency_score, 0 or 1.

    Raises:
        InputError: No team has a file of the language, or as `read_judgements`.
    """
    paths = sorted(folder.glob(f"*/{CLEF_LANGUAGES[language]}.tsv"))
    if not paths:
        raise InputError(f"{folder}: no folder holds {CLEF_LANGUAGES[language]}.tsv")
    rows: list[_Row] = []
    for path in paths:
        records = _records(path)
        missing = [name for name in _CLEF_COLUMNS.values() if name not in records[0]]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}: not a file of the CLEF 2024 human evaluation")
        rows += _rows(
            path, [{**record, "team": path.parent.name} for record in records], {**_CLEF_COLUMNS, "system": "team"}
        )
    return _average(folder, rows, language)


def read_paraphrases(path: Path) -> JudgedRewrites:
    """Read all pairs of a file of the Microsoft Research Paraphrase Corpus; meaning is 1 for paraphrases, else 0."""
    rows = [line.split("\t") for line in read_lines(path)[1:]]
    if not rows or any(len(row) != 5 or row[0] not in ("0", "1") for row in rows):
        raise InputError(f"{path}: not a file of the Microsoft Research Paraphrase Corpus; copy it again")
    labels, _, _, first, second = (list(column) for column in zip(*rows, strict=True))
    return JudgedRewrites(first, second, ["news"] * len(rows), {"meaning": np.array(labels, dtype=np.float64)})


def _emnlp_records(path: Path) -> list[dict[str, str]]:
    records = _records(path)
    missing = [name for name in _EMNLP_COLUMNS.values() if name not in records[0]]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}: not a file of the EMNLP 2021 human evaluation")
    return records


def _rows(path: Path, records: Iterable[Mapping[str, str]], columns: Mapping[str, str]) -> list[_Row]:
    """The rows of a file; columns: our name of a column -> the file's."""
    rows: list[_Row] = []
    for number, record in enumerate(records, start=2):
        if any(record[name] is None for name in columns.values()):
            raise InputError(f"{path}: row {number} has too few columns")
        try:
            values = [float(record[columns[aspect]]) for aspect in ASPECTS]
        except ValueError:
            raise InputError(f"{path}: row {number}: style, meaning and fluency must be numbers") from None
        if not all(np.isfinite(values)):
            raise InputError(f"{path}: row {number}: a judgement that is not finite")
        rows.append(((record[columns["source"]], record[columns["output"]], record[columns["system"]]), values))
    return rows


def _average(path: Path, rows: Iterable[_Row], language: str = "en") -> JudgedRewrites:
    """Average the judgements of each rewrite, and multiply the aspects."""
    grouped: dict[tuple[str, str, str], list[list[float]]] = {}
    for key, values in rows:
        grouped.setdefault(key, []).append(values)
    means = np.array([np.mean(values, axis=0) for values in grouped.values()])
    every = np.concatenate([np.array(values) for values in grouped.values()])
    ranges = zip(ASPECTS, means.T, every.min(axis=0), every.max(axis=0), strict=True)
    judgements = {aspect: _to_unit(path, aspect, mean, low, high) for aspect, mean, low, high in ranges}
    judgements["joint"] = judgements["style"] * judgements["meaning"] * judgements["fluency"]
    sources, outputs, systems = (list(column) for column in zip(*grouped, strict=True))
    return JudgedRewrites(sources, outputs, systems, judgements, language)


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
