"""Texts of the user's own: a file with toxic sentences, and optionally references, languages and ids."""

import sys
from dataclasses import dataclass
from pathlib import Path

from metrics.data.columns import Columns
from metrics.data.languages import require_code
from metrics.data.tables import Table, is_table, quoted, read_table, read_texts
from metrics.data.text import is_copy
from metrics.util.characters import printable, require_visible
from metrics.util.errors import InputError
from metrics.util.files import sha256_file

_MAX_NAME = 150
USUAL = Columns()


@dataclass(frozen=True)
class OwnTexts:
    """n sentences of a file: its name, the SHA-256 of its bytes as revision, and [n] texts.

    `langs` and `ids` are empty if the file states none.
    """

    name: str
    revision: str
    sources: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    langs: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


def own_file(name: str) -> tuple[Path, str] | None:
    """Return the file and the language that FILE or FILE:LANG means, None if there is no such file."""
    head, _, lang = name.rpartition(":")
    for file, language in ((name, ""), (head, lang)):
        try:
            if file and Path(file).is_file():
                return Path(file), language.strip().lower()
        except (OSError, ValueError):
            # The file system allows no file of this name.
            continue
    return None


def read_own_texts(path: Path, columns: Columns = USUAL, *, may_repeat: bool = False) -> OwnTexts:
    """Read a file: text with one sentence per line, or a table (see `metrics.data.tables`).

    Cells are taken as they are, line breaks included. References are empty cells where a sentence has none. Without
    ids, rows with the same source and language are one sentence with the references of all.

    Args:
        path: The file.
        columns: Names of the columns of a table.
        may_repeat: Whether lines of text may repeat each other, as in corpora.

    Raises:
        InputError: The file is missing or damaged, lacks a column, or has an empty sentence, a doubled id, or a doubled
            sentence without references.
    """
    try:
        require_visible(path.name)
        if "|" in path.name or len(path.name) > _MAX_NAME:
            raise ValueError("it has a |, or is too long")
    except ValueError as error:
        problem = f"a result names a test set by its file, and this name is not allowed ({error})"
        raise InputError(f"{path}: {problem}; rename the file") from None
    if is_table(path):
        sources, references, langs, ids = _columns(read_table(path), columns)
    else:
        sources, langs, ids = tuple(read_texts(path)), (), ()
        references = ((),) * len(sources)
        for number, source in enumerate(sources, start=1):
            if not source.strip():
                raise InputError(f"{path}: line {number} is empty; write one sentence per line")
        if not may_repeat:
            _require_unique_lines(path, sources)
    if not sources:
        raise InputError(f"{path}: contains no sentence")
    if all(map(_is_number, sources)):
        problem = f"its sources are numbers, such as {sources[0].strip()[:40]}, and no sentences"
        raise InputError(f"{path}: {problem}; name the column of the sentences with --columns source=…")
    return OwnTexts(path.name, f"sha256:{sha256_file(path)}", sources, references, langs, ids)


def _require_unique_lines(path: Path, lines: tuple[str, ...]) -> None:
    """Raise an `InputError` if two lines are equal: a test set counts each sentence once."""
    firsts: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if (first := firsts.setdefault(line, number)) != number:
            raise InputError(f"{path}: {quoted(line)} stands in line {first} and line {number}; remove one")


def _is_number(text: str) -> bool:
    """Whether a text can be a label or an id that stands in a column named like sources."""
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    # Python also reads these words.
    return any(character.isdigit() for character in text)


_Columns = tuple[tuple[str, ...], tuple[tuple[str, ...], ...], tuple[str, ...], tuple[str, ...]]


def _columns(table: Table, columns: Columns) -> _Columns:
    """Sources, references, languages and ids."""
    numbers = range(len(table.rows))
    id_column, lang_column, source_column = (
        columns.find_id(table),
        columns.find_lang(table),
        columns.find_test_source(table),
    )
    reference_columns = [name for name in columns.find_references(table) if name != source_column]
    used = {id_column, lang_column, source_column, *reference_columns}
    if unread := [name for name in table.columns if name not in used]:
        print(f"{table.path}: columns that are not read: {printable(', '.join(unread), 200)}", file=sys.stderr)
    sources = tuple(table.text(i, source_column) for i in numbers)
    for place, source in zip(table.places, sources, strict=True):
        if not source.strip():
            raise InputError(f"{table.path}: {place}: its {source_column} is empty; leave the row out")
    references = tuple(tuple(t for name in reference_columns for t in table.texts(i, name)) for i in numbers)
    ids = tuple(table.key(i, id_column) for i in numbers) if id_column else ()
    langs = (
        tuple(require_code(table.key(i, lang_column), f"{table.path}: {table.places[i]}") for i in numbers)
        if lang_column
        else ()
    )
    rows: dict[object, list[int]] = {}
    for i in numbers:
        rows.setdefault(ids[i] if ids else (sources[i], langs[i] if langs else ""), []).append(i)
    for first, *others in rows.values():
        # One row per reference is a usual form; without ids the source says which rows belong together.
        if others and (ids or not all(references[i] for i in (first, *others))):
            what = f"id {ids[first]}" if ids else quoted(sources[first])
            hint = "make it unique" if ids else "remove one, give each a reference of its own, or give ids"
            places = f"{table.places[first]} and {table.places[others[0]]}"
            raise InputError(f"{table.path}: {what} stands in {places}; {hint}")
    if len(rows) < len(sources):
        counts = f"{len(sources)} rows are {len(rows)} sentences"
        print(f"{table.path}: {counts}: rows with the same source are its references", file=sys.stderr)
    firsts = [group[0] for group in rows.values()]
    merged = tuple(tuple(dict.fromkeys(t for i in group for t in references[i])) for group in rows.values())
    sources, ids, langs = (tuple(column[i] for i in firsts) if column else () for column in (sources, ids, langs))
    return sources, _without_placeholders(table.path, sources, merged), langs, ids


def _without_placeholders(
    path: Path, sources: tuple[str, ...], references: tuple[tuple[str, ...], ...]
) -> tuple[tuple[str, ...], ...]:
    """No references if each is a copy of its source, as in the inputs of TextDetox 2024."""
    pairs = [(source, text) for source, texts in zip(sources, references, strict=True) for text in texts]
    if not pairs or not all(is_copy(source, text) for source, text in pairs):
        return references
    print(f"{path}: each reference repeats its source; read as a file without references", file=sys.stderr)
    return ((),) * len(sources)
