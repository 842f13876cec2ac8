"""The file of answers that an annotator downloads from the page, and the judgements that it stands for.

The page knows rewrites by blind names only (`leaderboard.judging.study.blind_name`), and so does its file. The
leaderboard tells which systems they are.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leaderboard.judging.study import MAX_ITEMS, Runs, Study, blind_name, read_study
from leaderboard.rows.formats import read_json
from leaderboard.rows.row import first_problem
from leaderboard.stores.base import Snapshot
from metrics.data.judgement_files import (
    ANSWERS,
    Annotator,
    Judgement,
    SchemaVersion,
    StudyName,
    Time,
    Version,
    to_judgements,
)
from metrics.util.errors import InputError

# Three questions on each item.
MAX_ANSWERS = 3 * MAX_ITEMS


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Answer(_Part):
    """One answer; `item` is the token of an `Item`, whose runs stand in the order in which they were shown."""

    item: Annotated[str, Field(pattern=r"^\d{1,9}(\.[0-9a-f]{12}){1,2}$")]
    question: Literal["polite", "meaning", "fluent", "better"]
    answer: Literal["yes", "partly", "no", "first", "second", "equal"]
    time: Time


class AnswerFile(_Part):
    """The answers of one annotator in one study."""

    schema_version: SchemaVersion = 1
    study: StudyName
    guidelines: Version
    annotator: Annotator
    answers: Annotated[tuple[Answer, ...], Field(max_length=MAX_ANSWERS)]


def read_answers(data: bytes, where: str, snapshot: Snapshot) -> list[Judgement]:
    """Return the judgements in a file of the page, about rows of the leaderboard `snapshot`.

    Raises:
        InputError: The bytes are no such file, its study is not in the leaderboard, or an answer is not to a question
            of this study.
    """
    document = read_json(data, where)
    try:
        file = AnswerFile.model_validate_json(json.dumps(document))
    except (ValidationError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: not a file of answers ({first_problem(error)})") from None
    study = read_study(snapshot, file.study)
    if file.guidelines != study.guidelines_version:
        versions = f"version {file.guidelines} of the guidelines, and the study has {study.guidelines_version}"
        raise InputError(f"{where}: was answered by {versions}; restart the page before people read on")
    runs = Runs(snapshot)
    names = {blind_name(study.name, run): run for run in study.runs}
    records = []
    for number, answer in enumerate(file.answers, start=1):
        record = _record(study, runs, names, answer)
        if record is None:
            raise InputError(f"{where}: answer {number} is about {answer.item}, which the study {study.name} lacks")
        records.append(record | {"annotator": file.annotator})
    return to_judgements(records, where)


def _record(study: Study, runs: Runs, names: dict[str, str], answer: Answer) -> dict[str, Any] | None:
    """The fields of a judgement; None if the study has no such item, question or answer."""
    place, *blind = answer.item.split(".")
    sentence, shown = int(place), [names.get(name) for name in blind]
    known = sentence in study.sentences and None not in shown and len(shown) == (2 if study.form == "pairs" else 1)
    if not known or answer.question not in study.questions or answer.answer not in ANSWERS[answer.question]:
        return None
    fields: dict[str, Any] = {}
    for prefix, run in zip(("", "other_"), shown, strict=False):
        row, sentences = runs[str(run)]
        fields |= {f"{prefix}system": row.system.name, f"{prefix}run_id": run}
        fields |= {f"{prefix}output": sentences.output[sentence]}
    row, sentences = runs[str(shown[0])]
    return {
        "study": study.name, "guidelines": study.guidelines_version, "lang": study.lang, "question": answer.question,
        "answer": answer.answer, "time": answer.time, "test_set": row.test_set.name,
        "test_set_revision": row.test_set.revision, "sentence": sentence, "source": sentences.source[sentence],
        **fields,
    }  # fmt: skip
