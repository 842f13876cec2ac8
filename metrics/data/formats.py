"""Readers of the file formats of public corpora: ParaDetox, Jigsaw, and two sets of paraphrases."""

import csv
import io
from pathlib import Path

from metrics.util.errors import InputError
from metrics.util.files import read_lines, read_text

Row = tuple[str, tuple[str, ...]]  # a toxic sentence, and its neutral rewrites
_JIGSAW_LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


def read_paradetox(path: Path) -> list[Row]:
    """Read a ParaDetox TSV.

    The quoting is the csv module's default. Seven rewrites of the public file contain quoted line breaks, which become
    blanks: 11,927 rows in 11,935 lines.

    Raises:
        InputError: The file is not UTF-8, has another header, is truncated, or has a row with missing columns.
    """
    text = read_text(path)
    if not text.endswith("\n"):
        raise InputError(f"{path}: truncated: the last line has no end; copy the file again")
    try:
        header, *table = csv.reader(io.StringIO(text, newline=""), delimiter="\t")
    except csv.Error as error:
        raise InputError(f"{path}: not a TSV ({error}); copy the file again") from None
    if header[:2] != ["toxic", "neutral1"]:
        raise InputError(f"{path}: the first line is not toxic<TAB>neutral1…; is this ParaDetox's TSV?")
    rows = []
    for number, row in enumerate(table, start=1):
        if len(row) != len(header):
            raise InputError(f"{path}: row {number} has {len(row)} columns, not {len(header)}; copy the file again")
        cells = [" ".join(cell.split()) for cell in row]
        references = tuple(cell for cell in cells[1:] if cell)
        if not cells[0] or not references:
            raise InputError(f"{path}: row {number} has no {'toxic sentence' if references else 'rewrite'}")
        rows.append((cells[0], references))
    return rows


def read_comments(path: Path, *, toxic: bool) -> list[str]:
    """Read the comments of a Jigsaw CSV: those whose column `toxic` is 1, or else those without any label.

    Raises:
        InputError: The file lacks a column, or is not a complete CSV.
    """
    comments = []
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
        missing = {"comment_text", "toxic"} - set(reader.fieldnames or ())
        if missing:
            raise InputError(f"{path}: no column {', '.join(sorted(missing))}; is this Jigsaw's CSV?")
        for row in reader:
            if None in row.values() or row["toxic"] not in ("0", "1"):
                raise InputError(f"{path}: line {reader.line_num} is cut off or not CSV; copy the file again")
            if row["toxic"] == "1" if toxic else not any(row.get(label) == "1" for label in _JIGSAW_LABELS):
                comments.append(" ".join(row["comment_text"].split()))
    except csv.Error as error:
        raise InputError(f"{path}: not a complete CSV ({error}); copy the file again") from None
    return [c for c in comments if c]


def read_paraphrases(msr: Path, pit: Path) -> list[tuple[str, str]]:
    """Read pairs of paraphrases: label 1 of the Microsoft Research Paraphrase Corpus, at least 4 of 5 of PIT-2015."""
    pairs = []
    for line in read_lines(msr)[1:]:
        cells = line.split("\t")
        if len(cells) != 5:
            raise InputError(f"{msr}: a line with {len(cells)} columns, not 5; copy the file again")
        if cells[0] == "1":
            pairs.append((cells[3], cells[4]))
    reader = csv.DictReader(io.StringIO(read_text(pit), newline=""))
    if not {"text1", "text2", "human"} <= set(reader.fieldnames or ()):
        raise InputError(f"{pit}: no columns text1, text2, human")
    try:
        pairs += [(row["text1"], row["text2"]) for row in reader if float(row["human"]) >= 4]
    except (TypeError, ValueError):
        problem = f"line {reader.line_num} has no number in its last column"
        raise InputError(f"{pit}: {problem}; copy the file again") from None
    return pairs
