"""Files of outputs, aligned with the sentences of a test set: line by line, or by id or source sentence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metrics.data.columns import Columns
from metrics.data.own_texts import USUAL, own_file
from metrics.data.tables import Table, is_table, quoted, read_table, read_texts
from metrics.data.test_sets import TestSet
from metrics.data.text import well_formed
from metrics.util.errors import InputError

# An id; or a source with its white space collapsed, and its language where both files state it.
_Key = tuple[str, ...]


def read_outputs(path: Path, expected: int, places: Sequence[int] = (), total: int = 0) -> list[str]:
    """Read outputs, one per line, from a text file; of one with `total` lines, those at `places`, if any are given.

    Raises:
        InputError: It has another number of lines than `expected`.
    """
    lines = read_texts(path)
    if places and len(lines) == total:
        return [lines[place] for place in places]
    if len(lines) != expected:
        counts = f"{len(lines)} lines for {expected} test sentences"
        raise InputError(f"{path}: {counts}; write one output per line, empty ones too")
    return lines


def outputs_for(path: Path, test_set: TestSet, columns: Columns = USUAL) -> list[str]:
    """Return the outputs [n] of a file for the sentences [n] of a test set.

    A text file has one output per line, for these sentences or for all of the test set that a limit or a choice of
    languages left out too. The rows of a table, in any order, are aligned by id if the test set has ids
    and the table too, else by source; with both, each id must have its source. Rows for sentences that were left
    out are not used.

    Raises:
        InputError: A sentence of the test set has no output or more than one, or an output belongs to no sentence.
    """
    if not is_table(path):
        n = len(test_set.sources)
        return read_outputs(path, n, test_set.places, n + len(test_set.left_out))
    rows = _Rows.of(read_table(path), test_set, columns)
    wanted: dict[_Key, list[int]] = {}
    for i, sentence in enumerate(test_set.keys()):
        wanted.setdefault(rows.key(*sentence), []).append(i)
    left_out = {rows.key(*sentence) for sentence in test_set.left_out}
    found: dict[_Key, list[int]] = {}
    for number in range(len(rows.table.rows)):
        key = rows.key_of(number)
        if key in wanted:
            rows.check(number, test_set, wanted[key][0])
            found.setdefault(key, []).append(number)
        elif key not in left_out:
            place = rows.table.places[number]
            raise InputError(f"{path}: {place}: {rows.name(key)} is not in {test_set.name}; remove the row")
    missing = [key for key in wanted if key not in found]
    if missing:
        n = sum(len(wanted[key]) for key in missing)
        counts = f"no output for {n} of {len(test_set.sources)} sentences, the first is {rows.name(missing[0])}"
        raise InputError(f"{path}: {counts}; add it, with an empty text if there is none")
    outputs = [""] * len(test_set.sources)
    for key, numbers in found.items():
        texts = {rows.table.text(number, rows.output) for number in numbers}
        # A test set may repeat a sentence, and the file then too; which output belongs to which is not told.
        if len(texts) > 1 or len(numbers) not in (1, len(wanted[key])):
            first, second = rows.table.places[numbers[0]], rows.table.places[numbers[1]]
            raise InputError(f"{path}: {rows.name(key)} has an output in {first} and in {second}; keep one")
        for i in wanted[key]:
            outputs[i] = next(iter(texts))
    return outputs


def parse_columns(
    settings: Sequence[str], test_settings: Sequence[str], systems: Iterable[str], test_sets: Iterable[str]
) -> tuple[Columns, Columns]:
    """Return the columns of files of outputs and of test sets, as --columns and --test-set-columns give them.

    --columns is for both; --test-set-columns replaces it for test sets.

    Raises:
        InputError: An option cannot be read, or none of the files is a table, whose columns it could name.
    """
    tables = any(is_table(Path(name)) for name in systems)
    test_tables = any(found is not None and is_table(found[0]) for found in map(own_file, test_sets))
    if settings and not (tables or (test_tables and not test_settings)):
        raise InputError("--columns: names columns, and no file here is a table")
    if test_settings and not test_tables:
        raise InputError("--test-set-columns: names columns, and no test set is a table")
    columns = Columns.parse(settings)
    return columns, Columns.parse(test_settings, "--test-set-columns") if test_settings else columns


@dataclass(frozen=True)
class _Rows:
    """A table of outputs, with the names of its columns; "" for those it has not."""

    table: Table
    output: str
    id: str
    source: str
    lang: str
    by_id: bool

    @classmethod
    def of(cls, table: Table, test_set: TestSet, columns: Columns) -> "_Rows":
        id_column, source, lang = columns.find_id(table), columns.find_source(table), columns.find_lang(table)
        output = columns.find_output(table)
        by_id = bool(id_column and test_set.ids)
        if not by_id and not source:
            problem = f"{test_set.name} has no ids" if id_column else "it has neither ids nor sources"
            raise InputError(
                f"{table.path}: {problem}, so nothing tells which output belongs to which sentence; add the column "
                "toxic_sentence, or name it with --columns source=…"
            )
        return cls(table, output, id_column, source, lang if test_set.langs else "", by_id)

    def key(self, id_: str, source: str, lang: str) -> _Key:
        if self.by_id:
            return (id_,)
        text = " ".join(well_formed(source).split())
        return (text, lang) if self.lang else (text,)

    def key_of(self, number: int) -> _Key:
        id_ = self.table.key(number, self.id) if self.by_id else ""
        return self.key(id_, "" if self.by_id else self.table.text(number, self.source), self._lang(number))

    def check(self, number: int, test_set: TestSet, i: int) -> None:
        """Refuse a row whose id is that of a sentence, but not its source or language."""
        if not self.by_id:
            return
        stated: Mapping[str, tuple[str, str]] = {
            "source": (self.table.text(number, self.source), test_set.sources[i]) if self.source else ("", ""),
            "language": (self._lang(number), test_set.langs[i]) if self.lang else ("", ""),
        }
        for what, (here, there) in stated.items():
            if here.split() != well_formed(there).split():
                place = f"{self.table.places[number]}: the {what} of id {self.table.key(number, self.id)}"
                raise InputError(f"{self.table.path}: {place} is {quoted(here)}, in {test_set.name} {quoted(there)}")

    def name(self, key: _Key) -> str:
        if self.by_id:
            return f"id {key[0]}"
        return quoted(key[0]) + (f" ({key[1]})" if self.lang else "")

    def _lang(self, number: int) -> str:
        return self.table.key(number, self.lang).strip().lower() if self.lang else ""
