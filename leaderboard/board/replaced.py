"""The rows that newer ones replace: replaced.json, run id -> run id of the row in its place.

No row can state this: names and submitters are what a row claims, and anybody can claim them. The file is changed only
by who may write to the leaderboard, and its history says who did.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from leaderboard.rows.formats import read_json
from leaderboard.rows.row import Row
from leaderboard.stores.base import Snapshot
from metrics.util.characters import printable
from metrics.util.errors import InputError

REPLACED = "replaced.json"
_RUN_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


def read_replaced(snapshot: Snapshot) -> dict[str, str]:
    """Return which row replaces which, by run id. Lines without two run ids are skipped, each with a warning.

    Raises:
        InputError: The file is damaged.
    """
    lines = read_lines(snapshot)
    replaced = {old: new for old, new in lines.items() if is_line(old, new)}
    for old in lines.keys() - replaced.keys():
        print(f"warning: {REPLACED}: {printable(old, 40)}: not two run ids; skipped", file=sys.stderr)
    return replaced


def read_lines(snapshot: Snapshot) -> dict[str, Any]:
    """Return the lines of the file as they are; raise as `read_replaced` does."""
    if REPLACED not in snapshot.files:
        return {}
    document = read_json(snapshot.read(REPLACED), REPLACED)
    if not isinstance(document, dict):
        raise InputError(f"{REPLACED}: not an object of run ids; correct it, or delete it to rank all rows")
    return document


def is_line(old: str, new: Any) -> bool:
    """Return whether a line has two run ids."""
    return isinstance(new, str) and bool(_RUN_ID.fullmatch(old) and _RUN_ID.fullmatch(new))


def replaced_file(replaced: Mapping[str, str]) -> bytes:
    """Return the content of the file."""
    return (json.dumps(replaced, indent=1, sort_keys=True) + "\n").encode()


def is_replacement(old: Row, new: Row) -> bool:
    """Return whether a row can stand in another's place: of one system and one submitter, under one signature."""
    first, second = ((row.submitter, row.system.name, row.system.kind, row.comparable) for row in (old, new))
    return first == second and old.run_id != new.run_id


def with_replaced(rows: Mapping[str, Row], entries: Sequence[Row], old_runs: Sequence[str]) -> dict[str, str]:
    """Return which row replaces which, by run id, if `entries` replace the rows `old_runs`.

    Args:
        rows: The board's rows by run id. They include those of `entries`, in the version that the board stores: its
            submitter may be another one.
        entries: The rows that are published, with the submitter who publishes them.
        old_runs: Run ids of the rows to replace.

    Raises:
        InputError: A run id has no row, or none of the entries, or several of them, can stand in its place.
    """
    found = {}
    for run in old_runs:
        if run not in rows:
            raise InputError(f"--replaces {run[:40]}: no row with this run id")
        old = rows[run]
        new = [r.run_id for r in entries if is_replacement(old, r) and is_replacement(old, rows[r.run_id])]
        others = {own.submitter for row in entries for own in (row, rows[row.run_id])} - {old.submitter}
        if not new and others:
            problem = f"{old.submitter} submitted it, not {', '.join(sorted(others))}"
            raise InputError(f"--replaces {run}: {problem}; only its own submitter can replace a row")
        if len(new) != 1:
            problem = f"{len(new)} of the results are of {old.system.name} under its signature; give one"
            raise InputError(f"--replaces {run}: {problem}")
        found[run] = new[0]
    return found
