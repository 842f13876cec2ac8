"""Readers of the files in which this field exchanges texts: TSV, CSV, JSON Lines, Parquet, or one text per line.

A .zip holds one such table, as the shared tasks ask of submissions.
"""

import csv
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metrics.data.text import well_formed
from metrics.util.errors import InputError, one_line
from metrics.util.files import read_bytes, read_lines, read_text

_DELIMITED = (".tsv", ".csv")
_JSON = (".jsonl", ".ndjson", ".json")
_ZIP = ".zip"
TABLE_SUFFIXES = (*_DELIMITED, *_JSON, ".parquet", _ZIP)
# Bytes of the table in a .zip; a submission takes a hundredth.
_MAX_UNPACKED = 256_000_000
FORMATS = "text (one per line), .jsonl, .tsv, .csv, .parquet or a .zip with one of these"
_FOREIGN = (".xlsx", ".xls", ".ods", ".gz", ".bz2", ".xz", ".zst", ".arrow", ".feather", ".pkl", ".pickle")
# Names that stand in the first line of a table, whatever the file is called.
_HEADER_NAMES = {"toxic_sentence", "neutral_sentence", "lang", "id", "text", "toxic", "source", "output", "neutral1"}
# Of these, names that no text of one's own consists of.
_LONE_HEADERS = {"toxic_sentence", "neutral_sentence", "neutral1"}
# Characters of a text in a message.
_SHOWN = 60


@dataclass(frozen=True)
class Table:
    """Rows of a file: column -> value; `places` [n] name them in messages, such as "row 3"."""

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]
    places: Sequence[str]

    def text(self, row: int, column: str) -> str:
        """Return the text of a cell, well-formed; raise an `InputError` if there is none, or another kind of value."""
        value = self.rows[row].get(column)
        if value is None:
            raise InputError(f'{self.path}: {self.places[row]}: no {column}; write "" for an empty text')
        if not isinstance(value, str):
            raise InputError(f"{self.path}: {self.places[row]}: {column} is {one_line(repr(value))[:80]}, not text")
        return well_formed(value)

    def texts(self, row: int, column: str) -> list[str]:
        """Return the texts of a cell that may hold none, one, or a list of them; blank ones are left out."""
        value = self.rows[row].get(column)
        values = value if isinstance(value, list) else [] if value is None else [value]
        for text in values:
            if not isinstance(text, str):
                raise InputError(f"{self.path}: {self.places[row]}: {column} holds {one_line(repr(text))[:80]}")
            if _is_written_list(text):
                problem = f"{column} is a list that was written as text, {quoted(text)}"
                action = "give a column for each text, or a list in .jsonl or .parquet"
                raise InputError(f"{self.path}: {self.places[row]}: {problem}; {action}")
        return [well_formed(text) for text in values if text.strip()]

    def key(self, row: int, column: str) -> str:
        """Return an id, which may be a whole number, as text; raise an `InputError` if it is empty or anything else."""
        value = self.rows[row].get(column)
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{self.path}: {self.places[row]}: {column} is {value!r}; give a text or a whole number")
        return text


def is_table(path: Path) -> bool:
    """Whether the file's name says that it holds a table."""
    return path.suffix.lower() in TABLE_SUFFIXES


def read_table(path: Path) -> Table:
    """Read a .tsv, .csv, .jsonl or .parquet file, or the one in a .zip.

    Cells are quoted as by the csv module, and may then hold line breaks; a TSV in which each line has all columns, and
    which is not quoted correctly, has quotes as ordinary characters.

    Raises:
        InputError: The file is missing or damaged, a column has no name or another's, or a row has missing cells.
    """
    suffix = path.suffix.lower()
    if suffix == _ZIP:
        return _read_zip(path)
    if suffix == ".parquet":
        columns, rows, places = _read_parquet(path)
    elif suffix in _JSON:
        columns, rows, places = _read_json_lines(path)
    else:
        columns, *cells = read_cells(path)
        rows = [dict(zip(columns, row, strict=True)) for row in cells]
        places = [f"row {number}" for number in range(2, len(cells) + 2)]
    _require_unique(path, columns)
    return Table(path, tuple(columns), rows, places)


def read_cells(path: Path) -> list[list[str]]:
    """Read a TSV or CSV, the header included; its first line tells which of tab, comma and semicolon parts cells.

    Raises:
        InputError: The file has no header or repeats it, two columns have one name, or a row has too few or too many
            columns.
    """
    text = read_text(path)
    csv.field_size_limit(1 << 27)
    candidates = ",;\t" if path.suffix.lower() == ".csv" else "\t;,"
    delimiter = max(candidates, key=text.partition("\n")[0].count)
    lines = [line.removesuffix("\r") for line in text.split("\n") if line.strip()]
    if not lines:
        raise InputError(f"{path}: empty; the first line must name the columns")
    rows: list[list[str]] = []
    problem = ""
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            if row:
                rows.append(row)
    except csv.Error as error:
        problem = f"after row {len(rows)}: {error}"
    else:
        problem = _ragged(rows)
    if delimiter == "\t":
        unquoted = [line.split("\t") for line in lines]
        # Where quotes join lines that are rows by themselves, they are no quotes of cells.
        joined = len(unquoted[0]) > 1 and len(rows) < len(unquoted)
        if not _ragged(unquoted) and (problem or joined):
            rows, problem = unquoted, ""
    if problem:
        raise InputError(f"{path}: {problem}; is it complete, and are its quotes doubled inside quoted cells?")
    header = [name.strip() for name in rows[0]]
    _require_unique(path, header)
    for number, row in enumerate(rows[1:], start=2):
        # Files that were joined, each perhaps with its byte order mark. A lone word may be a text.
        if len(header) > 1 and [cell.strip("\ufeff ") for cell in row] == header:
            raise InputError(f"{path}: row {number} repeats the names of the columns; remove it")
    return [header, *rows[1:]]


def _require_unique(path: Path, columns: Sequence[str]) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise InputError(f"{path}: more than one column {', '.join(twice)}; rename one")


def read_texts(path: Path) -> list[str]:
    """Read a text file with one text per line; raise an `InputError` for a table that is called a text file."""
    if path.suffix.lower() in _FOREIGN:
        raise InputError(f"{path}: {path.suffix} is not read; convert it to {FORMATS}")
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(9)
        if start.startswith(b"PAR1"):
            raise InputError(f"{path}: holds Parquet; rename it to {path.stem}.parquet")
        if start.lower() == b"<!doctype":
            raise InputError(f"{path}: a page of HTML, not plain texts; download the file itself")
    lines = read_lines(path)
    if len(lines) == 1 and "\r" in lines[0].strip("\r"):
        raise InputError(f"{path}: its lines end with carriage returns alone; write one text per line, with line feeds")
    if suffix := _disguised(lines):
        kind = {".jsonl": "JSON", ".tsv": "TSV", ".csv": "CSV"}[suffix]
        raise InputError(f"{path}: its lines are {kind}, not plain texts; rename it to {path.stem}{suffix}")
    return lines


def quoted(text: str) -> str:
    """Return a text in quotes, shortened, for a message."""
    line = " ".join(text.split())
    return f'"{line[:_SHOWN]}…"' if len(line) > _SHOWN else f'"{line}"'


def _ragged(rows: Sequence[Sequence[str]]) -> str:
    """What is wrong with the first row whose number of columns is not the header's; "" for none."""
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            few = "few" if len(row) < len(rows[0]) else "many"
            return f"row {number} has too {few} columns ({len(row)}, the first has {len(rows[0])})"
    return ""


def _is_written_list(text: str) -> bool:
    """Whether a text is a list of texts as Python, NumPy or JSON write it, which no sentence looks like."""
    return re.fullmatch(r"""\s*\[\s*(["']).*\1\s*\]\s*""", text, re.DOTALL) is not None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key stands twice")
    return record


def _read_json_lines(path: Path) -> tuple[list[str], list[dict[str, Any]], list[str]]:
    text = read_text(path)
    if text.lstrip().startswith("["):
        # One JSON array of objects, as pandas and datasets also write.
        parts = [("the file", text)]
    else:
        parts = [(f"line {i}", line) for i, line in enumerate(text.split("\n"), start=1) if line.strip()]
    values: list[Any] = []
    places = []
    for place, part in parts:
        try:
            value = json.loads(part, object_pairs_hook=_unique_keys)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: {place} is not JSON ({one_line(error)})") from None
        array = place == "the file"
        values += value if array else [value]
        places += [f"element {i}" for i in range(1, len(value) + 1)] if array else [place]
    for place, value in zip(places, values, strict=True):
        if not isinstance(value, dict):
            raise InputError(f'{path}: {place} is not a JSON object such as {{"id": …, "text": …}}')
    return list(dict.fromkeys(name for value in values for name in value)), values, places


def _read_parquet(path: Path) -> tuple[list[str], list[dict[str, Any]], list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # `read_table` cannot read two columns of one name, and the message would be about something else.
        table = pq.ParquetFile(io.BytesIO(read_bytes(path))).read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file ({one_line(error)}); copy it again") from None
    rows = table.to_pylist() if len(set(table.column_names)) == table.num_columns else []
    return table.column_names, rows, [f"row {number}" for number in range(1, len(rows) + 1)]


def _read_zip(path: Path) -> Table:
    """The only table of an archive; folders and files that hide, as macOS adds them, are passed over."""
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path))) as archive, tempfile.TemporaryDirectory() as folder:
            members = [one for one in archive.infolist() if not one.is_dir() and not _hides(one.filename)]
            suffix = Path(members[0].filename).suffix.lower() if len(members) == 1 else ""
            if suffix not in TABLE_SUFFIXES or suffix == _ZIP:
                inside = ", ".join(one.filename for one in members)[:100] or "nothing"
                raise InputError(f"{path}: holds {inside}; a .zip must hold one table")
            with archive.open(members[0]) as member:
                data = member.read(_MAX_UNPACKED + 1)
            if len(data) > _MAX_UNPACKED:
                raise InputError(f"{path}: its table has more than {_MAX_UNPACKED:,} bytes")
            # The archive's own name for the file is not used: it may lead elsewhere.
            unpacked = Path(folder, f"{path.stem}{suffix}")
            unpacked.write_bytes(data)
            return replace(read_table(unpacked), path=path)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a .zip that can be read ({one_line(error)}); pack it again") from None


def _hides(name: str) -> bool:
    return any(part.startswith(".") and part != ".." for part in name.split("/"))


def _disguised(lines: Sequence[str]) -> str:
    """The suffix of the table that lines of a text file hold; "" for texts."""
    filled = [line for line in lines if line.strip()]
    if not filled:
        return ""
    if filled[0].strip('" ').lower() in _LONE_HEADERS:
        return ".tsv"
    if sum(map(_is_json, filled)) * 2 > len(filled) or (filled[0].lstrip()[0] in "[{" and _is_json("\n".join(lines))):
        return ".jsonl"
    for delimiter, suffix in (("\t", ".tsv"), (",", ".csv"), (";", ".csv")):
        head = {name.strip('" ').lower() for name in filled[0].split(delimiter)}
        if len(head) > 1 and len(head & _HEADER_NAMES) > len(head) / 2:
            return suffix
    return ".tsv" if sum("\t" in line for line in filled) * 2 > len(filled) else ""


def _is_json(line: str) -> bool:
    if line.lstrip()[:1] not in ("{", "["):
        return False
    try:
        return isinstance(json.loads(line), dict | list)
    except (ValueError, RecursionError):
        return False
