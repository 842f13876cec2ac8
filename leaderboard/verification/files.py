"""Verifies the files of a leaderboard that are no rows: nothing may lie there that readers load unchecked."""

import re
from contextlib import suppress
from dataclasses import replace
from typing import Any

from leaderboard.board.board import Board
from leaderboard.board.reading import (
    V1_ROWS,
    read_row,
    read_verification,
    row_files,
    stored_sentences,
    stored_verification,
)
from leaderboard.board.recomputed import RECOMPUTED
from leaderboard.board.replaced import REPLACED, is_line, read_lines
from leaderboard.board.tables import TABLES
from leaderboard.judging.storage import answer_files, check_file
from leaderboard.judging.study import Runs, read_study, stored_studies, study_items, study_path
from leaderboard.publishing.card import CARD, EVAL, MAKERS, SAMPLE
from leaderboard.rows.formats import read_json
from leaderboard.rows.row import RESULTS, SCHEMA_FILE
from leaderboard.stores.base import Snapshot
from leaderboard.verification.rows import Outcome
from metrics.data.parquet import read_parquet
from metrics.util.dates import is_ahead, parse_day
from metrics.util.errors import InputError
from metrics.util.nesting import load_yaml

# Of older versions of this program, and what the Hub makes.
_OTHERS = re.compile(r"row-v\d{1,3}\.schema\.json|\.gitattributes", re.ASCII)
_VERIFICATION = re.compile(r"verification/([0-9a-f]{16})\.json", re.ASCII)


def check_files(snapshot: Snapshot) -> list[Outcome]:
    """Return an outcome for each file that is not one of a leaderboard's, or not as this program writes it.

    A mismatch is what readers would load: files of no row beside the rows and tables, another sample or row schema,
    verifications and answers that are none, and what is no file at all. Other strays, and a card or an eval.yaml that
    the owner may have changed, are unverifiable.
    """
    outcomes = [Outcome(path, findings=[f"file: {kind}, not a file"]) for path, kind in sorted(snapshot.unread.items())]
    outcomes += _strays(snapshot) + _replaced(snapshot) + _of_people(snapshot)
    for path in (CARD, EVAL, SAMPLE, SCHEMA_FILE.name):
        if path in snapshot.files:
            outcomes += _own_file(snapshot, path)
    return outcomes


def _strays(snapshot: Snapshot) -> list[Outcome]:
    """Files of no row; and verifications that are none."""
    rows = row_files(snapshot)
    known = {*TABLES.values(), *rows, *(path.removesuffix(".json") + ".parquet" for path in rows)}
    known |= {
        RECOMPUTED,
        REPLACED,
        V1_ROWS,
        *MAKERS,
        *answer_files(snapshot),
        *map(study_path, stored_studies(snapshot)),
    }
    outcomes = []
    for path in sorted(snapshot.files - known):
        verification = _VERIFICATION.fullmatch(path)
        # The card's `configs` load all Parquet files below `data` and `results`.
        if path.startswith(("data/", f"{RESULTS}/")):
            problem = "file: belongs to no row; if a publisher was killed, publish again, or delete it"
            outcomes.append(Outcome(path, findings=[problem]))
        elif verification and verification[1] in rows.values():
            outcomes += _verification(snapshot, path)
        elif verification:
            outcomes.append(Outcome(path, missing=["the row that it verifies is not here; delete the file"]))
        elif not _OTHERS.fullmatch(path):
            outcomes.append(Outcome(path, missing=["no file of a leaderboard; no command reads it"]))
    return outcomes


def _verification(snapshot: Snapshot, path: str) -> list[Outcome]:
    try:
        date = read_verification(snapshot, path).date
    except InputError as error:
        return [Outcome(path, findings=[f"file: {error}"])]
    return [Outcome(path, findings=[f"date: {date} is in the future"])] if is_ahead(parse_day(date)) else []


def _replaced(snapshot: Snapshot) -> list[Outcome]:
    """The list of replaced rows, if a line has no effect."""
    outcome = Outcome(REPLACED)
    try:
        lines = read_lines(snapshot)
    except InputError as error:
        return [Outcome(REPLACED, findings=[f"file: {error}"])]
    replaced = {old: new for old, new in lines.items() if is_line(old, new)}
    outcome.findings += [f"{old[:40]}: not two run ids; remove this line" for old in lines.keys() - replaced.keys()]
    named = {*replaced, *replaced.values()}
    rows = {}
    for path, run in row_files(snapshot).items():
        if run in named:
            with suppress(InputError):
                rows[run] = read_row(snapshot, path)
    found = {run: one for run, row in rows.items() if (one := stored_verification(snapshot, row))}
    board = Board(rows, verifications=found, replaced=replaced, stored=stored_sentences(snapshot, rows.values()))
    # With no sentences and no verifications stored anywhere, submitters, names and signatures alone decide.
    bare = replace(board, stored=frozenset(), verifications={})
    for old, new in replaced.items():
        if old in rows and board.successor(rows[old]):
            continue
        if old in rows and bare.successor(rows[old]):
            disproved = new in rows and board.disproved(rows[new])
            reason = "is a mismatch" if disproved else "has no stored outputs, and so no rank"
            outcome.missing.append(f"{old}: stays in the ranking, because {new} {reason}")
        else:
            reason = "not here, in a circle, or of another submitter, system or signature"
            outcome.findings.append(f"{old}: {new} cannot replace it ({reason}); correct or remove this line")
    return [outcome] if outcome.status != "verified" else []


def _of_people(snapshot: Snapshot) -> list[Outcome]:
    """Studies and answers that are not valid, or about texts that the rows do not have."""
    runs, outcomes = Runs(snapshot), []
    answered: set[tuple[str, ...]] = set()
    studies = {study_path(name): name for name in stored_studies(snapshot)}
    for path in [*studies, *answer_files(snapshot)]:
        try:
            if path in studies:
                study_items(read_study(snapshot, studies[path]), runs)
            else:
                keys = {(one.annotator, *one.item) for one in check_file(snapshot, path, runs)}
                if again := len(keys & answered):
                    problem = f"{again} answers to what another file of this annotator answers; the later ones count"
                    outcomes.append(Outcome(path, missing=[problem]))
                answered |= keys
        except InputError as error:
            outcomes.append(Outcome(path, findings=[f"file: {error}"]))
    return outcomes


def _own_file(snapshot: Snapshot, path: str) -> list[Outcome]:
    """Compare a file with what this program writes there."""
    try:
        stored, own = (_content(path, data) for data in (snapshot.read(path), MAKERS[path]()))
    except InputError as error:
        return [Outcome(path, findings=[f"file: {error}"])]
    if stored == own:
        return []
    if path in (CARD, EVAL):
        part = "its configs are" if path == CARD else "it is"
        return [Outcome(path, missing=[f"{part} not as this program writes; read it before you use it"])]
    return [Outcome(path, findings=["file: not that of this program; delete it and run leaderboard.rebuild"])]


def _content(path: str, data: bytes) -> Any:
    """What readers take from a file: of the card, which files the configurations of the data set load."""
    if path == SAMPLE:
        return read_parquet(data, path)
    if path == SCHEMA_FILE.name:
        return read_json(data, path)
    try:
        text = data.decode("utf-8")
        return load_yaml(text.partition("---\n")[2].partition("\n---")[0])["configs"] if path == CARD else text
    except (KeyError, TypeError, ValueError):
        return None
