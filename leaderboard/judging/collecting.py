"""Answers that readers of a page on this machine give: stored in the leaderboard's folder as they come.

A reader has one file of their own, which grows, so that a folder does not get a file per answer.
"""

import json
from typing import Any

from leaderboard.judging.annotators import annotator_id
from leaderboard.judging.answers import read_answers
from leaderboard.judging.storage import page_file, read_judgements
from leaderboard.judging.study import blind_name
from leaderboard.stores.base import Store, retry
from metrics.data.judgement_files import Judgement, latest

# Seconds that a reader waits while others write.
_PATIENCE = 20


class Collector:
    """Stores the answers of readers in the leaderboard `store`, a folder; readers are known by their names."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def enter(self, study: str, name: str) -> dict[str, Any]:
        """Return the reader's id and the answers that are stored for it, as the file that the page saves has them.

        Raises:
            InputError: The name is not valid.
        """
        annotator = annotator_id(name)
        own = latest(read_judgements(self._store.snapshot(), study, [annotator]))
        return {"annotator": annotator, "answers": [_answer(study, one) for one in own]}

    def save(self, document: dict[str, Any], name: str) -> None:
        """Store the answers in a file of the page under the id of the name.

        Raises:
            InputError: The answers are not about the study, or the folder cannot be written.
        """
        data = json.dumps({**document, "annotator": annotator_id(name)}).encode()

        def attempt() -> None:
            snapshot = self._store.snapshot()
            judgements = read_answers(data, "the page's answers", snapshot)
            self._store.commit(page_file(snapshot, judgements), snapshot.revision, "Add answers")

        retry(attempt, self._store.name, _PATIENCE)


def _answer(study: str, judgement: Judgement) -> dict[str, str]:
    runs = [blind_name(study, run) for run in (judgement.run_id, judgement.other_run_id) if run]
    # As browsers write times: the page compares them as texts.
    time = judgement.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    token = ".".join([str(judgement.sentence), *runs])
    return {"item": token, "question": judgement.question, "answer": judgement.answer, "time": time}
