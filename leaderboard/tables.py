"""The derived tables: what a reader sees, rebuilt from the rows by a pure function.

`latest` holds the newest row of each system under each signature, with ranks and ties; `full` every row there is;
`paired` the J of every sentence of a latest row, from which ties are told without opening each row's sentences.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from leaderboard.row import Row, Status, load_row
from metrics.errors import InputError
from metrics.scoring import METRICS

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = {name: f"data/{name}-00000-of-00001.parquet" for name in ("latest", "full", "paired")}
# Two-sided, 5 %: of the normal distribution that the randomisation test's tends to.
_SEPARATED = 1.959964


@dataclass(frozen=True)
class Verification:
    """What `leaderboard.verify` found of a row. note: the findings, or why nothing could be said."""

    status: Status = "unchecked"
    note: str = ""
    date: str = ""
    version: str = ""


@dataclass(frozen=True)
class Board:
    """All that the tables are made of. j: [n] per run id, of the rows whose sentences are stored."""

    rows: dict[str, Row] = field(default_factory=dict)
    j: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    verifications: dict[str, Verification] = field(default_factory=dict)

    def status(self, row: Row) -> Verification:
        return self.verifications.get(row.run_id, Verification())

    def latest(self) -> list[Row]:
        """The newest row of each system under each signature."""
        newest: dict[tuple[str, str, str], Row] = {}
        for row in sorted(self.rows.values(), key=lambda row: (row.date, row.run_id)):
            newest[row.system.name, row.comparable, row.record] = row
        return list(newest.values())

    def rankings(self) -> list[list[Row]]:
        """The latest rows by J, best first, one list per group that can be compared; the largest groups come first.

        Rows without a rank (see `ranked`) stand at the end of their list.
        """
        groups: dict[str, list[Row]] = {}
        for row in self.latest():
            groups.setdefault(row.comparable, []).append(row)
        ordered = [sorted(group, key=lambda row: (not self.ranked(row), -_j(row), row.system.name))
                   for group in groups.values()]  # fmt: skip
        return sorted(ordered, key=lambda g: (g[0].record, -(g[0].test_set.n or 0), -len(g), g[0].comparable))

    def ranked(self, row: Row) -> bool:
        """Measured, complete, and not found to differ from what its outputs score."""
        return row.record == "measured" and row.complete and self.status(row).status != "mismatch"


def _j(row: Row) -> float:
    return row.scores["j"].mean if "j" in row.scores else float("-inf")


def ranks(ranking: Sequence[Row], board: Board) -> list[int | None]:
    """1 is best; equal J's share a rank; None for rows that get none."""
    found: list[int | None] = []
    for place, row in enumerate(ranking, start=1):
        same = place > 1 and _j(ranking[place - 2]) == _j(row)
        found.append((found[-1] if same else place) if board.ranked(row) else None)
    return found


def separated(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which of m systems a paired test tells apart at 5 %, two-sided: [m, m], from J per sentence [m, n].

    The test is `metrics.statistics.randomisation_test` in its normal limit: under exchanged signs the sum of the paired
    differences d has mean 0 and variance Σd². One matrix product serves all pairs. Not corrected for their number.
    """
    values = np.asarray(values, dtype=np.float64)
    gram = values @ values.T
    squares = np.diag(gram)
    variance = np.maximum(squares[:, None] + squares[None, :] - 2 * gram, 0)
    total = values.sum(axis=1)
    difference = np.abs(total[:, None] - total[None, :])
    # Rounding leaves a little variance between equal rows; a difference must exceed it as well.
    return (difference > _SEPARATED * np.sqrt(variance)) & (difference > 1e-9)


def tie_letters(apart: np.ndarray[Any, Any]) -> list[list[int]]:
    """For m systems, best first, the numbers of the letters of each: two share one exactly when not `apart` [m, m].

    Runs of neighbours of which no two are apart come first, since ties are mostly those; a pair that no run covers
    gets a letter of its own (a compact letter display, Piepho 2004).
    """
    m = len(apart)
    groups: list[list[int]] = []
    end = 0
    for start in range(m):
        stop = start
        while stop < m and not apart[start : stop + 1, stop].any():
            stop += 1
        if stop > end:
            groups.append(list(range(start, stop)))
            end = stop
    covered = np.zeros_like(apart, dtype=bool)
    for group in groups:
        covered[np.ix_(group, group)] = True
    for i, k in np.argwhere(np.triu(~apart & ~covered)):
        if not covered[i, k]:
            group = [int(i), int(k)]
            for x in range(m):
                if x not in group and not apart[x, group].any():
                    group.append(x)
            groups.append(group)
            covered[np.ix_(group, group)] = True
    return [[number for number, group in enumerate(groups) if i in group] for i in range(m)]


def letter(number: int) -> str:
    """0 → a, 25 → z, 26 → aa: as columns of a spreadsheet are called."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("a") + digit) + text
    return text


def spell(numbers: Sequence[int]) -> str:
    """The letters of one system; more than three in a row as first–last."""
    if len(numbers) > 3 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{letter(numbers[0])}–{letter(numbers[-1])}"
    return " ".join(map(letter, numbers))


def ties(ranking: Sequence[Row], board: Board) -> dict[str, str]:
    """run id → letters, for the ranked rows of one ranking whose sentences are stored."""
    rows = [row for row in ranking if board.ranked(row) and len(board.j.get(row.run_id, ())) == row.test_set.n]
    if not rows:
        return {}
    apart = separated(np.stack([board.j[row.run_id] for row in rows]))
    return {row.run_id: spell(numbers) for row, numbers in zip(rows, tie_letters(apart), strict=True)}


# -- columns --------------------------------------------------------------------------------------------------------
# In the order in which a viewer shows them.
COLUMNS = (
    "rank", "ties", "system", "sta", "sta_low", "sta_high", "sim", "sim_low", "sim_high", "fl", "fl_low", "fl_high",
    "j", "j_low", "j_high", "n", "verification", "verification_note", "verification_date", "verification_version",
    "kind", "revision", "size", "licence", "base", "training_data", "parallel_data", "contamination", "note",
    "test_set", "test_set_origin", "test_set_revision", "test_set_sha256", "test_set_size", "profile", "signature",
    "comparable", "decoding", "soft_sta", "soft_fl", "length_ratio", "copies", "empty", "seconds", "device",
    "provenance", "submitter", "date", "record", "source", "source_url", "run_id", "path", "schema_version",
)  # fmt: skip


def record(row: Row, verification: Verification, rank: int | None = None, tie: str = "") -> dict[str, Any]:
    """A row as the flat record that the tables hold; its keys are `COLUMNS`."""
    about = row.system.about
    scores: dict[str, float | None] = {}
    for metric in METRICS:
        score = row.scores.get(metric)
        for part, name in (("mean", metric), ("low", f"{metric}_low"), ("high", f"{metric}_high")):
            scores[name] = getattr(score, part) if score else None
    return {
        "rank": rank,
        "ties": tie,
        "system": row.system.name,
        **scores,
        "n": row.test_set.n,
        "verification": verification.status,
        "verification_note": verification.note,
        "verification_date": verification.date,
        "verification_version": verification.version,
        "kind": row.system.kind,
        "revision": row.system.revision,
        "size": about.size,
        "licence": about.licence,
        "base": about.base,
        "training_data": list(about.training_data),
        "parallel_data": about.parallel_data,
        "contamination": about.contamination,
        "note": about.note,
        "test_set": row.test_set.name,
        "test_set_origin": row.test_set.origin,
        "test_set_revision": row.test_set.revision,
        "test_set_sha256": row.test_set.sha256,
        "test_set_size": row.test_set.of,
        "profile": row.profile,
        "signature": row.signature,
        "comparable": row.comparable,
        "decoding": json.dumps(row.decoding, sort_keys=True, ensure_ascii=False),
        "soft_sta": row.soft_sta,
        "soft_fl": row.soft_fl,
        "length_ratio": row.length_ratio,
        "copies": row.copies,
        "empty": row.empty,
        "seconds": row.cost.seconds,
        "device": row.cost.device,
        "provenance": json.dumps(row.provenance.model_dump(mode="json"), sort_keys=True, ensure_ascii=False),
        "submitter": row.submitter,
        "date": row.date.isoformat(),
        "record": row.record,
        "source": row.source.title if row.source else "",
        "source_url": row.source.url if row.source else "",
        "run_id": row.run_id,
        "path": row.path,
        "schema_version": row.schema_version,
    }


def _types(*more: str) -> dict[str, pa.DataType]:
    """Of the columns and `more` text columns: they keep their type when all their values are unknown."""
    import pyarrow as pa

    integers = ("rank", "n", "size", "test_set_size", "empty", "schema_version")
    numbers = {f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")}
    numbers |= {"soft_sta", "soft_fl", "length_ratio", "copies", "seconds"}
    types = {name: pa.int64() if name in integers else pa.float64() if name in numbers else pa.string()
             for name in (*COLUMNS, *more)}  # fmt: skip
    return {**types, "parallel_data": pa.bool_(), "training_data": pa.list_(pa.string())}


def derive(board: Board) -> dict[str, bytes]:
    """path → Parquet of the derived tables. Pure: equal boards give equal bytes."""
    import pyarrow as pa

    latest: list[dict[str, Any]] = []
    paired: list[dict[str, Any]] = []
    placed: dict[str, tuple[int | None, str]] = {}
    for ranking in board.rankings():
        letters = ties(ranking, board)
        for row, rank in zip(ranking, ranks(ranking, board), strict=True):
            placed[row.run_id] = rank, letters.get(row.run_id, "")
            latest.append(record(row, board.status(row), *placed[row.run_id]))
            if row.run_id in board.j:
                paired.append({"run_id": row.run_id, "j": board.j[row.run_id].tolist()})
    history = sorted(board.rows.values(), key=lambda row: (row.date, row.run_id), reverse=True)
    full = [
        {**record(row, board.status(row), *placed.get(row.run_id, (None, ""))), "document": row.to_json()}
        for row in history
    ]
    return {
        TABLES["latest"]: _parquet(latest, _types()),
        TABLES["full"]: _parquet(full, _types("document")),
        TABLES["paired"]: _parquet(paired, {"run_id": pa.string(), "j": pa.list_(pa.float64())}),
    }


def read_board(full: bytes, paired: bytes) -> Board:
    """The board that `derive` made the tables of, but for the J's of rows that are not the latest.

    Errors (InputError): tables that are damaged or of a newer program.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        records = parquet.read_table(BytesIO(full)).to_pylist()
        vectors = parquet.read_table(BytesIO(paired)).to_pylist()
        rows = [load_row(json.loads(record["document"]), record["path"]) for record in records]
        j = {record["run_id"]: np.array(record["j"], dtype=np.float64) for record in vectors}
        verifications = {
            record["run_id"]: Verification(
                *(record[f"verification{end}"] for end in ("", "_note", "_date", "_version"))
            )
            for record in records
        }
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{TABLES['full']}: damaged ({error}); run python -m leaderboard.rebuild") from None
    return Board({row.run_id: row for row in rows}, j, verifications)


def _parquet(records: Iterable[Mapping[str, Any]], types: Mapping[str, Any]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = BytesIO()
    table = pa.Table.from_pylist(list(records), schema=pa.schema(list(types.items())))
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
