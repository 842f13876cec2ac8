"""The rows of the page: the table `latest`, read once, in groups of comparable rows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from leaderboard.board.board import Board
from leaderboard.board.names import name_notes
from leaderboard.board.replaced import read_replaced
from leaderboard.board.tables import TABLES, derive
from leaderboard.rows.row import RESULTS
from leaderboard.rows.sentences import Sentences
from leaderboard.space.escaping import MAX_CELL, MAX_NAME
from leaderboard.stores import open_store
from leaderboard.stores.base import ForbiddenError, Snapshot
from metrics.data.languages import ENGLISH
from metrics.data.parquet import read_parquet
from metrics.scoring import METRICS, metric_range
from metrics.scoring.signature import Signature
from metrics.util.characters import printable
from metrics.util.errors import InputError
from metrics.util.files import content_hash

Record = Mapping[str, Any]
LATEST, FULL = TABLES["latest"], TABLES["full"]
# Columns that tables of older programs lack.
_USAGE_COLUMNS = ("prompt_tokens", "completion_tokens", "token_cost")
# What the history of a system shows of each of its rows.
_HISTORY = (
    *("system", "kind", "record", "date", "test_set", "n", "profile", "signature", "revision", "submitter", "run_id"),
    *(name for metric in METRICS for name in (metric, f"{metric}_low", f"{metric}_high")),
    *("verification", "rank"),
)
_RUN_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
# The sentences of this many systems stay in memory.
_CACHED_SYSTEMS = 32
# Seconds, or words of a text.
_MOST = 1e9
_ROW_PATH = re.compile(rf"^{RESULTS}/[\w.-]+/[0-9a-f]+\.json$", re.ASCII)


@dataclass(frozen=True)
class Group:
    """Comparable rows, in the order of the table: best first. `key` hashes what they have in common.

    Attributes:
        label: Test set and profile for readers; no two groups have the same label.
    """

    key: str
    label: str
    records: tuple[Record, ...]

    @property
    def lang(self) -> str:
        """The language of the test set."""
        return str(self.records[0]["lang"])

    @cached_property
    def search_texts(self) -> tuple[str, ...]:
        """The text that the search field looks in, per record."""
        names = ("system", "base", "licence", "note", "submitter", "revision", "run_id")
        parts = ([*(r[name] or "" for name in names), *(r["training_data"] or ())] for r in self.records)
        # Of thousands of data sets of one row only the first are found: a search reads all these texts.
        return tuple("\n".join(str(text)[:MAX_CELL] for text in texts[:30]).casefold() for texts in parts)

    @cached_property
    def reference(self) -> Record | None:
        """The row of the human rewrites, which the page shows beside the outputs of other systems."""
        return next((r for r in self.records if r["kind"] == "human" and r["system"] == "reference"), None)


class Leaderboard:
    """The rows of one snapshot, in memory; only `sentences` reads from the snapshot later.

    Attributes:
        repo: The data set of the snapshot; None for a local folder.
        records: The rows by key, which stands in the page's address; `place` is a row's place in the table.
        published: The published figures among them.
        groups: The measured rows, by group key.
        sentences: A function from a record's key to its stored sentences; raises `InputError` if there are none.
    """

    def __init__(self, snapshot: Snapshot, repo: str | None = None) -> None:
        """Read the table; raises `InputError` if it is damaged, or if there are rows without a table."""
        self.snapshot, self.repo = snapshot, repo
        self.table = _read_latest(snapshot)
        rows = enumerate(self.table.to_pylist())
        records: dict[str, Record] = {}
        for place, row in rows:
            # Run ids from outside may repeat, or be none; the first row of a run is found by its run id in any version.
            run = str(row["run_id"])
            key = run if _RUN_ID.fullmatch(run) and run not in records else str(place)
            records[key] = {**_in_range(row), "key": key, "place": place}
        notes = _name_notes(records)
        self.records: dict[str, Record] = {k: {**row, "name_note": notes.get(k, "")} for k, row in records.items()}
        self.published = tuple(r for r in self.records.values() if r["record"] == "published")
        self.groups = _groups([r for r in self.records.values() if r["record"] != "published"])
        self.sentences = lru_cache(_CACHED_SYSTEMS)(self._sentences)

    def group_of(self, key: str) -> Group | None:
        """Return the group of the record `key`; None for unknown keys and for published figures."""
        record = self.records.get(key)
        return self.groups.get(_group_key(record)) if record and record["record"] != "published" else None

    @cached_property
    def _history(self) -> dict[tuple[str, str], list[Record]]:
        """All rows ever stored, newest first, by name and kind; read once, when somebody asks."""
        if FULL not in self.snapshot.files:
            raise InputError(f"{FULL}: missing; run python -m leaderboard.rebuild")
        try:
            # Not the documents in it, which hold whole recipes.
            rows = read_parquet(_read(self.snapshot, FULL), FULL).select(_HISTORY).cast(_history_schema()).to_pylist()
        except (InputError, pa.ArrowException, KeyError, ValueError) as error:
            raise InputError(f"{FULL}: damaged ({_line(error)}); run python -m leaderboard.rebuild") from None
        history: dict[tuple[str, str], list[Record]] = {}
        for row in sorted(rows, key=lambda row: str(row["date"]), reverse=True):
            if row["record"] != "published":
                history.setdefault((str(row["system"]), str(row["kind"])), []).append(_in_range(row))
        return history

    def history(self, key: str) -> list[Record]:
        """Return all rows of the system of the record `key`, newest first; under other signatures and versions, too.

        Raises:
            InputError: The table of all rows is missing or damaged.
        """
        record = self.records[key]
        return self._history.get((str(record["system"]), str(record["kind"])), [])

    @cached_property
    def replaced(self) -> dict[str, str]:
        """Run ids of the rows that others replace, with those of the others; empty if the list is damaged."""
        try:
            return read_replaced(self.snapshot)
        except InputError:
            return {}

    def _sentences(self, key: str) -> Sentences:
        """Raises InputError: the record has no stored sentences, or not as many as the row says."""
        record = self.records[key]
        path = str(record["path"]).removesuffix(".json") + ".parquet"
        if not _ROW_PATH.match(str(record["path"])) or path not in self.snapshot.files:
            raise InputError("no sentences are stored for this row")
        sentences = Sentences.from_parquet(_read(self.snapshot, path), path)
        if len(sentences.source) != record["n"]:
            raise InputError(f"{path}: {len(sentences.source)} sentences, the row says {record['n']}")
        return sentences


def open_leaderboard(*, repo: str | None = None, local: str | Path | None = None) -> Leaderboard:
    """Open the leaderboard of a data set on the Hub, ORG/NAME, or of a local folder.

    Raises:
        InputError: There is no such data set or folder, it holds no leaderboard, or the Hub cannot be reached.
    """
    store = open_store(repo=repo, local=local)
    try:
        snapshot = store.snapshot()
    except ForbiddenError as error:
        raise InputError(f"{store.name}: may not be read ({_line(error)}); it needs HF_TOKEN") from None
    # A new data set is an empty leaderboard; a folder without tables is some other folder.
    if local is not None and not snapshot.files & set(TABLES.values()):
        raise InputError(f"{local}: no leaderboard in this folder ({LATEST} is missing)")
    return Leaderboard(snapshot, repo)


def _read_latest(snapshot: Snapshot) -> pa.Table:
    # An empty leaderboard has the current schema; the file may come from an older version, or from anybody.
    schema = parquet.read_schema(BytesIO(derive(Board())[LATEST]))
    if LATEST not in snapshot.files:
        if any(path.startswith(f"{RESULTS}/") for path in snapshot.files):
            raise InputError(f"{LATEST}: missing; run python -m leaderboard.rebuild")
        return schema.empty_table()
    data = _read(snapshot, LATEST)
    try:
        table = read_parquet(data, LATEST)
        if "lang" not in table.column_names:
            # An older program wrote it, whose rows are English.
            table = table.append_column("lang", pa.array([ENGLISH] * table.num_rows, pa.string()))
        for name in (name for name in _USAGE_COLUMNS if name not in table.column_names):
            table = table.append_column(name, pa.nulls(table.num_rows))
        table = table.select(schema.names).cast(schema)
        # Ranks may be missing; the columns that identify rows may not.
        for name in ("system", "lang", "kind", "comparable", "record", "path"):
            if table[name].null_count:
                raise InputError(f"no {name} in a row")
    except (InputError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(f"{LATEST}: damaged ({_line(error)}); run python -m leaderboard.rebuild") from None
    return table


def _history_schema() -> pa.Schema:
    schema = parquet.read_schema(BytesIO(derive(Board())[FULL]))
    return pa.schema([schema.field(name) for name in _HISTORY])


def _read(snapshot: Snapshot, path: str) -> bytes:
    try:
        return snapshot.read(path)
    except ForbiddenError as error:
        raise InputError(f"{path}: the Hub did not give it ({_line(error)}); try again later") from None


def _line(error: Exception) -> str:
    return printable(" ".join(str(error).split()), 100)


def _in_range(row: dict[str, Any]) -> dict[str, Any]:
    """The row with None in place of numbers that no row can have: outside their range, or an interval without its mean.

    The table may come from anybody, and a chart cannot be drawn to a scale of 10^300.
    """
    values = {k: None if isinstance(v, float) and not 0 <= v <= _MOST else v for k, v in row.items()}
    for metric in METRICS:
        lowest, highest = metric_range(metric)
        mean, low, high = (row[name] for name in (metric, f"{metric}_low", f"{metric}_high"))
        known = mean is not None and lowest <= mean <= highest
        ordered = known and None not in (low, high) and lowest <= low <= mean + 1e-6 and mean - 1e-6 <= high <= highest
        values |= {metric: mean if known else None}
        values |= {f"{metric}_low": low if ordered else None, f"{metric}_high": high if ordered else None}
    return values


# -- groups -----------------------------------------------------------------------------------------------------------
def _name_notes(records: Mapping[str, Record]) -> dict[str, str]:
    """What tells rows of one name, or of like ones, apart, by key; within the rows that are comparable."""
    rankings: dict[str, list[tuple[str, str, str, str]]] = {}
    for key, row in records.items():
        named = (key, str(row["system"]), str(row["run_id"]), str(row["date"]))
        rankings.setdefault(str(row["comparable"]), []).append(named)
    return {key: note for ranking in rankings.values() for key, note in name_notes(ranking).items()}


def _group_key(record: Record) -> str:
    return content_hash(record["comparable"])[:12]


def _groups(records: list[Record]) -> dict[str, Group]:
    """Groups by key, in the order of the table: those with the most sentences come first."""
    parts: dict[str, list[Record]] = {}
    for record in records:
        parts.setdefault(_group_key(record), []).append(record)
    labels = {key: _label(rows[0]) for key, rows in parts.items()}
    for label in {label for label in labels.values() if list(labels.values()).count(label) > 1}:
        same = [key for key, other in labels.items() if other == label]
        for key, difference in zip(same, _differences([parts[key][0] for key in same]), strict=True):
            labels[key] = f"{label}; {difference}"
    return {key: Group(key, labels[key], tuple(rows)) for key, rows in parts.items()}


def _label(record: Record) -> str:
    """Test set, language if it is not English, and profile: "paradetox-test (first 400 of 2,000), offline.v2"."""
    n, of = record["n"] or 0, record["test_set_size"] or 0
    sentences = f"first {n:,} of {of:,}" if n < of else f"{n:,} sentences"
    name, profile = (printable(str(record[part] or "unnamed"), MAX_NAME) for part in ("test_set", "profile"))
    lang = "" if record["lang"] == ENGLISH else f":{printable(str(record['lang']), MAX_NAME)}"
    return f"{name}{lang} ({sentences}), {profile}"


def _differences(records: list[Record]) -> list[str]:
    """The fields in which the records' signatures differ, per record; long values as eight digits of a hash."""
    try:
        fields = [dict(Signature.parse(str(record["signature"])).measurement) for record in records]
    except InputError:
        return [f"signature {_group_key(record)}" for record in records]
    short = [{k: value if len(value) <= 16 else content_hash(value)[:8] for k, value in f.items()} for f in fields]
    apart = [name for name in fields[0] if len({field[name] for field in fields}) > 1]
    return [printable(", ".join(f"{name} {field[name]}" for name in apart), MAX_CELL) for field in short]
