"""A row: one system, one test set, one profile. The schema is this dataclass; it is kept in Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from metrics.errors import InputError
from metrics.files import atomic_file, content_hash
from metrics.scoring import Result

SCHEMA_VERSION = 1
ROWS_FILE = "rows.parquet"


@dataclass(frozen=True)
class Row:
    """kind: baseline, human, outputs or model. *_low and *_high: 95 % interval. decoding and provenance: JSON.

    signature: without the decoding, equal exactly when two rows can be compared.
    """

    schema_version: int
    row_id: str
    system: str
    kind: str
    revision: str
    test_set: str
    test_set_origin: str
    test_set_sha256: str
    n: int
    signature: str
    decoding: str
    sta: float
    sta_low: float
    sta_high: float
    sim: float
    sim_low: float
    sim_high: float
    fl: float
    fl_low: float
    fl_high: float
    j: float
    j_low: float
    j_high: float
    length_ratio: float
    copies: float
    provenance: str


def row_from_result(result: Result, provenance: dict[str, object]) -> Row:
    """The row of a result. `row_id` depends on what was run, not on when: running it again gives the same row."""
    from metrics.text import is_copy, length_ratio

    pairs = list(zip(result.test_set.sources, result.rewrites.outputs, strict=True))
    scores: dict[str, float] = {}
    for name, interval in result.summary.items():
        scores |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    decoding = json.dumps(result.rewrites.decoding, sort_keys=True)
    return Row(
        schema_version=SCHEMA_VERSION,
        row_id=content_hash([result.rewrites.system, result.rewrites.revision, decoding, result.signature.key])[:16],
        system=result.rewrites.system,
        kind=result.rewrites.kind,
        revision=result.rewrites.revision,
        test_set=result.test_set.name,
        test_set_origin=result.test_set.origin,
        test_set_sha256=result.test_set.sha256,
        n=len(pairs),
        signature=result.signature.key,
        decoding=decoding,
        length_ratio=sum(length_ratio(*pair) for pair in pairs) / len(pairs),
        copies=sum(is_copy(*pair) for pair in pairs) / len(pairs),
        provenance=json.dumps(provenance, sort_keys=True),
        **scores,
    )


def write_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Writes `rows` to `folder`, beside the rows that are there; a row with the same id is replaced."""
    import pandas as pd

    merged = {row.row_id: row for row in read_rows(folder, missing_ok=True)}
    merged |= {row.row_id: row for row in rows}
    with atomic_file(folder / ROWS_FILE) as temporary:
        pd.DataFrame([asdict(row) for row in merged.values()]).to_parquet(temporary, index=False)


def read_rows(folder: Path, *, missing_ok: bool = False) -> list[Row]:
    """The rows in `folder`. Errors: no rows file, a newer schema, missing columns."""
    import pandas as pd

    path = folder / ROWS_FILE
    if not path.is_file():
        if missing_ok:
            return []
        raise InputError(f"{folder}: no {ROWS_FILE} in it; give the leaderboard folder that a run left")
    try:
        records = pd.read_parquet(path).to_dict("records")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a Parquet file ({error})") from None
    names = {f.name for f in fields(Row)}
    for record in records:
        if record.get("schema_version") != SCHEMA_VERSION or not names <= set(record):
            raise InputError(
                f"{path}: schema version {record.get('schema_version')}, this program reads {SCHEMA_VERSION}"
            )
    return [Row(**{str(k): v for k, v in record.items() if k in names}) for record in records]


def rankings(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows by J, best first, one ranking per signature: J's under different signatures are not comparable."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.signature, []).append(row)
    return [sorted(group, key=lambda row: (-row.j, row.system)) for group in groups.values()]


def table(ranking: Sequence[Row]) -> str:
    """A ranking as a Markdown table."""
    lines = ["| rank | system | J | STA | SIM | FL | length ratio | copies |", "|--:|---|---|---|---|---|--:|--:|"]
    for rank, row in enumerate(ranking, start=1):
        cells = [
            f"{getattr(row, m):.3f} [{getattr(row, f'{m}_low'):.3f}, {getattr(row, f'{m}_high'):.3f}]"
            for m in ("j", "sta", "sim", "fl")
        ]
        lines.append(f"| {rank} | {row.system} | {' | '.join(cells)} | {row.length_ratio:.2f} | {row.copies:.1%} |")
    return "\n".join(lines)
