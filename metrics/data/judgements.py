"""Human judgements of rewrites: the suite's own file format, and the published files that the data folder may hold."""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from metrics.data.judged import ASPECTS, STYLE_QUESTIONS, JudgedRewrites
from metrics.data.languages import require_code
from metrics.data.sources import data_file
from metrics.data.tables import is_table, read_cells
from metrics.util.errors import InputError
from metrics.util.files import atomic_file, read_lines

COLUMNS = ("source", "output", "system", *ASPECTS)
# Columns that a file may have beside: the language of a row, and what its judges of style were asked.
OPTIONAL_COLUMNS = ("lang", "style_question")
# Our columns -> those of the EMNLP 2021 human evaluation (Dale et al.).
_EMNLP_COLUMNS = {"source": "original", "output": "rewritten", "system": "source", **{a: a for a in ASPECTS}}
# Our columns -> those of the TextDetox CLEF 2024 human evaluation, where a folder is a system and a file a language.
_CLEF_COLUMNS = {
    "source": "toxic_sentence", "output": "neutral_sentence",
    "style": "toxic_pairwise_score", "meaning": "content_score", "fluency": "fluency_score",
}  # fmt: skip
CLEF_LANGUAGES = {"de": "German", "es": "Spanish", "ru": "Russian"}
# Those of all files of that evaluation.
_CLEF_CODES = {
    "Amharic": "am", "Arabic": "ar", "Chinese": "zh", "English": "en", "German": "de", "Hindi": "hi", "Russian": "ru",
    "Spanish": "es", "Ukrainian": "uk",
}  # fmt: skip
# Source, output, system; the judgements by `ASPECTS`.
_Row = tuple[tuple[str, str, str], list[float]]


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
    """Read a file of `judgements_by_language` that has one language only."""
    (first, *others) = judgements_by_language(path).values()
    if others:
        languages = ", ".join(judged.language for judged in (first, *others))
        raise InputError(f"{path}: holds the languages {languages}; give a file of one language")
    return first


def judgements_by_language(path: Path) -> dict[str, JudgedRewrites]:
    """Read a file with the columns of `COLUMNS`, and perhaps of `OPTIONAL_COLUMNS`, as language -> rewrites.

    The mean stands for several judgements of one rewrite. An aspect with values outside [0, 1] is scaled by its least
    and largest value, and a warning is printed. A file without the column lang is English.

    Raises:
        InputError: A column is missing, a judgement is not a finite number, or one language has two questions.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder; --convert OUT makes a file of it")
    records = _records(path)
    missing = [name for name in COLUMNS if name not in records[0]]
    if missing:
        published = any(set(columns.values()) <= set(records[0]) for columns in (_EMNLP_COLUMNS, _CLEF_COLUMNS))
        hint = "; --convert OUT makes them" if published else ""
        raise InputError(f"{path}: no column {', '.join(missing)}{hint}")
    rows = _rows(path, records, {name: name for name in COLUMNS})
    groups: dict[str, list[_Row]] = {}
    questions: dict[str, str] = {}
    for number, (record, row) in enumerate(zip(records, rows, strict=True), start=2):
        language = require_code(record.get("lang", "en"), f"{path}: row {number}: lang")
        question = record.get("style_question", "absolute")
        if question not in STYLE_QUESTIONS or questions.setdefault(language, question) != question:
            allowed = f"{' or '.join(STYLE_QUESTIONS)}, the same for all rows of a language"
            raise InputError(f"{path}: row {number}: style_question is {question!r}; it must be {allowed}")
        groups.setdefault(language, []).append(row)
    ranges = _ranges(path, rows)
    return {code: _average(group, ranges, code, questions[code]) for code, group in sorted(groups.items())}


def read_emnlp(path: Path) -> JudgedRewrites:
    """Read a file of the EMNLP 2021 human evaluation; raises as `read_judgements` does."""
    rows = _rows(path, _emnlp_records(path), _EMNLP_COLUMNS)
    return _average(rows, _ranges(path, rows))


def convert(path: Path, target: Path) -> int:
    """Write published judgements with the columns of `COLUMNS`, and return the number of rows.

    Args:
        path: A file of the EMNLP 2021 human evaluation (Dale et al.), or one of the TextDetox CLEF 2024 human
            evaluation, whose folder is the team; the folder of a team; or the folder with the teams' folders. Those of
            CLEF keep their language, and their style is marked as pairwise.
        target: The file to write, a .csv or a TSV.

    Raises:
        InputError: The files are of neither evaluation, or damaged.
    """
    if path.is_dir() or set(_CLEF_COLUMNS.values()) <= set(_records(path)[0]):
        columns: tuple[str, ...] = (*COLUMNS, *OPTIONAL_COLUMNS)
        rows = [row for file in _clef_files(path) for row in _clef_rows(file)]
    else:
        columns = COLUMNS
        records = _emnlp_records(path)
        rows = [{name: record[column] for name, column in _EMNLP_COLUMNS.items()} for record in records]
    with atomic_file(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, delimiter="," if target.suffix.lower() == ".csv" else "\t")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


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
    columns = {name: name for name in COLUMNS}
    rows = [row for path in paths for row in _rows(path, _clef_rows(path), columns)]
    return _average(rows, _ranges(folder, rows), language, "pairwise")


def _clef_files(path: Path) -> list[Path]:
    """The files of a folder of teams, of a team's folder, or the file itself."""
    if not path.is_dir():
        return [path]
    # Hidden files are those that programs add.
    levels = [
        [file for file in sorted(path.glob(pattern)) if is_table(file) and not file.name.startswith(".")]
        for pattern in ("*.*", "*/*.*")
    ]
    files = [file for level in levels for file in level]
    if all(levels):
        raise InputError(f"{path}: holds {levels[0][0].name} beside folders of teams; put it into one, or remove it")
    if unread := [file for file in files if file.suffix != ".tsv"]:
        raise InputError(f"{unread[0]}: not a file of a team, which are called LANGUAGE.tsv; rename or remove it")
    if not files:
        raise InputError(f"{path}: no folder of a team with files such as German.tsv")
    return files


def _clef_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a file of one team, with the columns of `COLUMNS` and `OPTIONAL_COLUMNS`."""
    records = _records(path)
    missing = [name for name in _CLEF_COLUMNS.values() if name not in records[0]]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}: not a file of the CLEF 2024 human evaluation")
    named = _CLEF_CODES.get(path.stem, "")
    team = path.resolve().parent.name
    rows = []
    for number, record in enumerate(records, start=2):
        lang = record.get("lang", named).strip().lower()
        if not lang or (named and lang != named):
            problem = f"is {lang}, and the file's name says {named}" if lang else "is not stated"
            raise InputError(f"{path}: row {number}: its language {problem}")
        row = {name: record[column] for name, column in _CLEF_COLUMNS.items()}
        rows.append({**row, "system": team, "lang": lang, "style_question": "pairwise"})
    return rows


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
        try:
            # Python reads 1_0 as ten.
            values = [float(record[columns[aspect]].replace("_", " _ ")) for aspect in ASPECTS]
        except ValueError:
            raise InputError(f"{path}: row {number}: style, meaning and fluency must be numbers") from None
        if not all(np.isfinite(values)):
            raise InputError(f"{path}: row {number}: a judgement that is not finite")
        rows.append(((record[columns["source"]], record[columns["output"]], record[columns["system"]]), values))
    return rows


_Ranges = dict[str, tuple[float, float]]


def _ranges(path: Path, rows: Sequence[_Row]) -> _Ranges:
    """The scale of each aspect: [0, 1], or from the least to the largest judgement, with a warning."""
    values = np.array([values for _, values in rows])
    columns = zip(ASPECTS, values.min(axis=0), values.max(axis=0), strict=True)
    return {aspect: _scale(path, aspect, low, high) for aspect, low, high in columns}


def _average(
    rows: Iterable[_Row], ranges: _Ranges, language: str = "en", style_question: str = "absolute"
) -> JudgedRewrites:
    """Average the judgements of each rewrite, and multiply the aspects."""
    grouped: dict[tuple[str, str, str], list[list[float]]] = {}
    for key, values in rows:
        grouped.setdefault(key, []).append(values)
    means = np.array([np.mean(values, axis=0) for values in grouped.values()])
    judgements = {
        aspect: mean if ranges[aspect] == (0, 1) else (mean - ranges[aspect][0]) / np.subtract(*ranges[aspect][::-1])
        for aspect, mean in zip(ASPECTS, means.T, strict=True)
    }
    judgements["joint"] = judgements["style"] * judgements["meaning"] * judgements["fluency"]
    sources, outputs, systems = (list(column) for column in zip(*grouped, strict=True))
    return JudgedRewrites(sources, outputs, systems, judgements, language, style_question)


def _records(path: Path) -> list[dict[str, str]]:
    header, *rows = read_cells(path)
    if not rows:
        raise InputError(f"{path}: contains no judgement")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _scale(path: Path, aspect: str, low: float, high: float) -> tuple[float, float]:
    if low >= 0 and high <= 1:
        return 0, 1
    if low == high:
        raise InputError(f"{path}: {aspect} is {low:g} in every row: its scale is unknown; convert it to [0, 1]")
    print(f"{path}: {aspect} runs from {low:g} to {high:g}; read as 0 to 1", file=sys.stderr)
    return low, high
