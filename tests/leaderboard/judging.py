"""Studies and files of answers for the tests of human evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from leaderboard.board.reading import load_board
from leaderboard.judging.study import Runs, Study, new_study, study_items
from leaderboard.publishing.judgements import publish_study
from leaderboard.stores import open_store

ANN, BOB = "a" * 16, "b" * 16


def add_study(folder: Path, name: str = "pilot", systems: tuple[str, ...] = (), **fields: Any) -> Study:
    """Add a study to a leaderboard folder."""
    store = open_store(local=folder)
    snapshot = store.snapshot()
    study = new_study(load_board(snapshot), Runs(snapshot), name, systems, **{"form": "single", **fields})
    publish_study(store, study)
    return study


def answers_file(folder: Path, study: Study, answers: list[tuple[int, str, str]], annotator: str = ANN) -> Path:
    """Write answers (place of the item, question, answer) as the page saves them, beside the leaderboard's folder."""
    items = study_items(study, Runs(open_store(local=folder).snapshot()))
    given = [
        {"item": items[place].token, "question": question, "answer": answer, "time": f"2026-11-24T12:00:{i:02}.123Z"}
        for i, (place, question, answer) in enumerate(answers)
    ]
    return write_answers(folder, {
        "schema_version": 1, "study": study.name, "guidelines": study.guidelines_version, "annotator": annotator,
        "answers": given,
    })  # fmt: skip


def write_answers(folder: Path, document: Any) -> Path:
    path = folder.parent / f"{folder.name}-answers-{len(list(folder.parent.glob('*-answers-*')))}.json"
    path.write_text(json.dumps(document))
    return path
