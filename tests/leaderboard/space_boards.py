"""Leaderboard folders for the tests of the page: constructed rows, among them hostile ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from leaderboard.board.board import Board, Verification
from leaderboard.board.replaced import REPLACED, replaced_file
from leaderboard.board.tables import derive
from leaderboard.rows.results import row_from_result
from leaderboard.rows.row import About, Row, load_row
from leaderboard.rows.sentences import Sentences
from leaderboard.space.data import LATEST
from metrics.scoring.signature import Signature
from metrics.util.files import content_hash
from tests.leaderboard.boards import TODAY, document

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# Names that a row may have.
HOSTILE = (
    "<script>window.hacked = 1</script>",
    '<img src=x onerror="window.hacked=1">',
    '"><svg/onload=window.hacked=1>',
    "' onmouseover='window.hacked=1",
    "[link](javascript:window.hacked=1) **bold** $\\frac{1}{2}$",
    "=cmd|'/C calc'!A0",
    "../../../etc/passwd",
    "${window.hacked = 1}",
    "{{constructor.constructor('window.hacked=1')()}}",
    "</td></table><style>*{display:none}</style>",
    "&lt;b&gt; &#60;script&#62;",
)
COPIED = "you <b>stupid</b> idiot ${window.hacked=1} \u202eyou\u202c {{1}} </bdi></td><script>window.hacked=1</script>"
Entry = tuple[Row, Sentences | None]


def system(
    name: str, sta: list[float], *, about: About | None = None, of: int | None = None, drop: tuple[str, ...] = (),
    decoding: dict[str, Any] | None = None, sim_model: str | None = None, recipe: dict[str, Any] | None = None,
    outputs: tuple[str, ...] | None = None, **more: Any,
) -> Entry:  # fmt: skip
    """A row with one sentence per value of `sta`, J = sta / 2. drop: metrics that it lacks."""
    date = more.pop("date", TODAY)
    made = document("x", sta, outputs=outputs or tuple(f"{name} {i}" for i in range(len(sta))), **more)
    signature = Signature.parse(made["signature"])
    measure = {**dict(signature.measurement), "n": str(len(sta)), **({"sim": sim_model} if sim_model else {})}
    made["system"]["decoding"] = made["system"]["decoding"] if decoding is None else decoding
    made["signature"] = Signature.of(measure, made["system"]["decoding"]).long
    made["test_set"]["of"] = of or len(sta)
    row, sentences = row_from_result(
        made, name, submitter="ann", date=date, name=name, about=about or About(), recipe=recipe
    )
    if drop:
        document_ = json.loads(row.to_json())
        document_["scores"] = {metric: score for metric, score in document_["scores"].items() if metric not in drop}
        row = load_row(document_, name)
    return row, sentences


def published_row(name: str, j: float, title: str = "Dale et al., 2021") -> Entry:
    return load_row(
        {
            "schema_version": 2, "record": "published", "run_id": content_hash(name)[:16],
            "system": {"name": name, "kind": "outputs", "revision": "published"},
            "test_set": {"name": "t", "origin": "x", "revision": "x", "sha256": "x", "n": 10_000, "of": 10_000},
            "profile": "emnlp2021", "signature": "", "decoding": {},
            "scores": {"sta": {"mean": 0.9}, "sim": {"mean": 0.7}, "fl": {"mean": 0.8}, "j": {"mean": j}},
            "submitter": "ann", "date": "2026-11-24T00:00:00Z", "source": {"title": title, "url": "https://aclanthology.org/x"},
        },
        name,
    ), None  # fmt: skip


def write(
    folder: Path, *entries: Entry, verified: dict[str, str] | None = None, replaced: dict[str, str] | None = None
) -> None:
    """A leaderboard folder: rows, sentences and tables. verified: status by system. replaced: run id by run id."""
    board = Board().with_entries({row.run_id: entry for entry in entries for row in entry[:1]})
    found = {
        row.run_id: Verification(status, f"{row.system.name} was looked at", "2026-11-24", "0.3.0", row.sha256)  # type: ignore[arg-type]
        for row in board.rows.values()
        if (status := (verified or {}).get(row.system.name))
    }
    board = Board(board.rows, board.j, found, replaced=replaced or {})
    files = dict(derive(board))
    files |= {REPLACED: replaced_file(replaced)} if replaced else {}
    for row, sentences in entries:
        files[row.path] = row.to_json().encode()
        if sentences is not None:
            files[row.sentences_path] = sentences.to_parquet()
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def tamper(folder: Path, name: str, path: str = LATEST, /, **values: Any) -> None:
    """Write values that no check has seen into the table that the page reads, or into another one."""
    table = parquet.read_table(folder / path)
    rows = [{**row, **values} if row["system"] == name else row for row in table.to_pylist()]
    parquet.write_table(pa.Table.from_pylist(rows, schema=table.schema), folder / path)
