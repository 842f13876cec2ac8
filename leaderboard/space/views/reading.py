"""What the browser gets of a study: texts, questions and guidelines, without the names of systems."""

import json
from typing import Any

from leaderboard.judging.study import GUIDELINES_VERSION, Runs, Study, default_guidelines, read_study, study_items
from leaderboard.space.data import Leaderboard
from metrics.data.judgement_files import ANSWERS, MAX_TEXT
from metrics.util.characters import printable
from metrics.util.errors import InputError

# Studies of a leaderboard that has none: to see what reading is like. Their answers stay in the browser.
TRIALS = {"trial": "Trial: one rewrite at a time", "trial-pairs": "Trial: which of two is better"}
_TRIAL_SYSTEMS, _TRIAL_SENTENCES = 4, 10
_QUESTIONS = {
    "polite": "Is the rewrite polite?",
    "meaning": "Does it say the same as the source, rudeness aside?",
    "fluent": "Is it good English?",
    "better": "Which rewrite is better?",
}
_ANSWERS = {
    "yes": "Yes", "partly": "Partly", "no": "No",
    "first": "The first", "second": "The second", "equal": "About the same",
}  # fmt: skip


def study_choices(board: Leaderboard, stored: list[str]) -> list[tuple[str, str]]:
    """Return (title, name) of the studies that can be read: those of the leaderboard, or else the trials."""
    if stored:
        return [(name, name) for name in stored]
    return [(title, name) for name, title in TRIALS.items()] if _trial_runs(board) else []


def study_payload(board: Leaderboard, name: str | None) -> dict[str, Any]:
    """Return what assets/judge.js shows of a study, or the key "problem" with the reason why there is nothing."""
    runs = Runs(board.snapshot)
    try:
        study = _find(board, runs, str(name or ""))
        items = study_items(study, runs)
    except InputError as error:
        return {"problem": printable(str(error))}
    return {
        "study": study.name, "title": printable(study.title), "lang": study.lang, "trial": study.name in TRIALS,
        "guidelines": [printable(line, MAX_TEXT) for line in study.guidelines.split("\n")],
        "version": study.guidelines_version, "form": study.form,
        "questions": [
            {"name": question, "text": _QUESTIONS[question], "answers": [[a, _ANSWERS[a]] for a in ANSWERS[question]]}
            for question in study.questions
        ],
        "items": [
            [item.token, item.block, printable(item.source, MAX_TEXT), *(printable(o, MAX_TEXT) for o in item.outputs)]
            for item in items
        ],
    }  # fmt: skip


def _find(board: Leaderboard, runs: Runs, name: str) -> Study:
    """A study of the leaderboard, or a trial of the first rows."""
    if name not in TRIALS:
        return read_study(board.snapshot, name)
    chosen = _trial_runs(board)
    if not chosen:
        raise InputError("no two rows of one test set have stored outputs")
    shortest = min(len(runs[run][1].source) for run in chosen)
    values = {
        "name": name, "title": TRIALS[name], "form": "pairs" if name == "trial-pairs" else "single",
        "guidelines": default_guidelines(), "guidelines_version": GUIDELINES_VERSION, "runs": chosen,
        "sentences": list(range(min(shortest, _TRIAL_SENTENCES))),
    }  # fmt: skip
    return Study.model_validate_json(json.dumps(values))


def _trial_runs(board: Leaderboard) -> list[str]:
    """Run ids of the first rows of the first group that has two with outputs."""
    paths = Runs(board.snapshot).paths
    for group in board.groups.values():
        runs = [*dict.fromkeys(str(record["run_id"]) for record in group.records if record["run_id"] in paths)]
        if len(runs) > 1:
            return runs[:_TRIAL_SYSTEMS]
    return []
