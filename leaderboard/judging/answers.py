"""Files of answers and the judgements that they stand for: what an annotator saved on the page, and tables.

The page knows rewrites by blind names only (`leaderboard.judging.study.blind_name`), and so does its file. The
leaderboard tells which systems they are. A table, of another program or by hand, names systems and annotators.
"""

import datetime
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leaderboard.judging.annotators import annotator_id
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
from metrics.data.tables import Table, read_table
from metrics.util.errors import InputError, suggest

# Three questions on each item.
MAX_ANSWERS = 3 * MAX_ITEMS
# Rows of a table: the answers of a hundred annotators in a study of a thousand items.
MAX_ROWS = 300_000
# Columns that a table of answers must have. It may have those of `Judgement` beside; they must agree with the study.
TABLE_COLUMNS = ("study", "annotator", "sentence", "system", "question", "answer")


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
    file = _answer_file(document, where)
    study = read_study(snapshot, file.study)
    return _judgements(file, study, Runs(snapshot), where)


def read_answer_table(path: Path, snapshot: Snapshot) -> list[Judgement]:
    """Return the judgements in a .tsv, .csv or .jsonl file with `TABLE_COLUMNS`, about rows of `snapshot`.

    A salted hash takes the place of each annotator's name. `other_system` is the rewrite of a pair that was shown
    second. Answers without a `time` have the file's; a time without a zone is UTC.

    Raises:
        InputError: A column is missing, or a row is not about the study, or contradicts it.
    """
    table = read_table(path)
    missing = [name for name in TABLE_COLUMNS if name not in table.columns]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; answers have {', '.join(TABLE_COLUMNS)}")
    if len(table.rows) > MAX_ROWS:
        raise InputError(f"{path}: {len(table.rows):,} rows; at most {MAX_ROWS:,}")
    saved = datetime.datetime.fromtimestamp(int(path.stat().st_mtime), datetime.UTC).isoformat()
    runs = Runs(snapshot)
    studies: dict[str, Study] = {}
    judgements = []
    for number, place in enumerate(table.places):
        where, cells = f"{path}: {place}", _cells(table, number)
        name = cells["study"]
        study = studies[name] = studies.get(name) or read_study(snapshot, name)
        document = {
            "study": name, "guidelines": cells.get("guidelines") or study.guidelines_version,
            "annotator": annotator_id(cells["annotator"]), "answers": [{
                "item": _item(study, runs, cells, where), "question": cells["question"], "answer": cells["answer"],
                "time": _time(cells.get("time") or saved, where),
            }],
        }  # fmt: skip
        (judgement,) = _judgements(_answer_file(document, where), study, runs, where)
        for column, value in judgement.model_dump(mode="json", exclude={"annotator", "time"}).items():
            if cells.get(column, "" if value is None else str(value)) != ("" if value is None else str(value)):
                raise InputError(f"{where}: {column} is not that of the study {study.name}")
        judgements.append(judgement)
    return judgements


def _cells(table: Table, row: int) -> dict[str, str]:
    """The cells of a row as texts; those of JSON may be numbers, or missing."""
    return {name: "" if value is None else str(value) for name, value in table.rows[row].items()}


def _item(study: Study, runs: Runs, cells: dict[str, str], where: str) -> str:
    """The token of the rewrite, or pair, that a row of a table is about."""
    names = [cells["system"], *([cells["other_system"]] if cells.get("other_system") else [])]
    known = {runs[run][0].system.name: run for run in study.runs}
    if len(known) < len(study.runs):
        raise InputError(f"{where}: two systems of the study {study.name} have one name; import the page's files")
    for name in names:
        if name not in known:
            raise InputError(f"{where}: the study {study.name} has no system {name[:80]}{suggest(name, known)}")
    return ".".join([cells["sentence"], *(blind_name(study.name, known[name]) for name in names)])


def _time(text: str, where: str) -> str:
    try:
        time = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(f"{where}: time is {text[:40]!r}; write 2026-11-24T12:00:00Z") from None
    return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).isoformat()


def _answer_file(document: Any, where: str) -> AnswerFile:
    try:
        return AnswerFile.model_validate_json(json.dumps(document))
    except (ValidationError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: not a file of answers ({first_problem(error)})") from None


def _judgements(file: AnswerFile, study: Study, runs: Runs, where: str) -> list[Judgement]:
    if file.guidelines != study.guidelines_version:
        versions = f"version {file.guidelines} of the guidelines, and the study has {study.guidelines_version}"
        raise InputError(f"{where}: was answered by {versions}; restart the page before people read on")
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
