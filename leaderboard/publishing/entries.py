"""Reads what is to be published: result files, or the rows of a local leaderboard."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from leaderboard.board.board import Entry
from leaderboard.board.reading import load_board, read_sentences
from leaderboard.rows.results import row_from_result
from leaderboard.rows.row import About, load_row
from leaderboard.stores import open_store
from metrics.scoring.result_files import read_results
from metrics.util.errors import InputError


def read_entries(path: Path, name: str | None = None, about: About | None = None) -> list[Entry]:
    """Return the rows, with their sentences, of a result file or a local leaderboard.

    Args:
        path: A file of `metrics.score --json`, or a folder.
        name: The system's name on the board, for a file with one result.
        about: Facts about the system, for a file.

    Raises:
        InputError: The path is neither, is damaged, or has no measured row.
    """
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise InputError(f"{str(path)[:80]}: not a valid path ({error.strerror})") from None
    if not is_folder:
        return entries_from_documents(read_results(path), str(path), name, about)
    if name is not None or about is not None:
        raise InputError(f"{path}: a leaderboard, whose rows have names and facts; --name and --about are for results")
    snapshot = open_store(local=path).snapshot()
    rows = [row for row in load_board(snapshot).rows.values() if row.record == "measured" and row.sentences]
    if not rows:
        raise InputError(f"{path}: no measured rows; give a result file, or the leaderboard folder that a run left")
    return [(row, read_sentences(snapshot, row) if row.sentences_path in snapshot.files else None) for row in rows]


def entries_from_documents(
    documents: Sequence[Mapping[str, Any]], where: str, name: str | None = None, about: About | None = None
) -> list[Entry]:
    """Return the rows, with their sentences, of result documents; arguments as in `row_from_result`."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return [
        row_from_result(document, where, submitter="local", date=now, name=name, about=about) for document in documents
    ]


def with_submitter(entries: Iterable[Entry], submitter: str) -> list[Entry]:
    """Return entries whose rows name `submitter`.

    Raises:
        InputError: The name is not valid.
    """
    return [
        (load_row({**row.model_dump(mode="json"), "submitter": submitter}, "--submitter"), sentences)
        for row, sentences in entries
    ]
