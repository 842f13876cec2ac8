"""Files of human judgements as a leaderboard stores them: Parquet, one answer of one annotator per row.

A leaderboard has them in judgements/<study>/. They hold the texts that were judged, so that a file can be read without
the leaderboard, and no name of an annotator: a salted hash stands for one.
"""

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from metrics.data.judged import ASPECTS, JudgedPairs, JudgedRewrites
from metrics.data.languages import CODE_PATTERN
from metrics.data.parquet import read_parquet, to_records, write_parquet
from metrics.data.text import well_formed
from metrics.util.characters import require_name
from metrics.util.dates import Date, is_ahead
from metrics.util.errors import InputError, one_line
from metrics.util.files import read_bytes

FOLDER = "judgements"
# Question -> its answers, in the order of the keys 1, 2 and 3. The first three are about one rewrite.
ANSWERS = {
    "polite": ("yes", "partly", "no"),
    "meaning": ("yes", "partly", "no"),
    "fluent": ("yes", "partly", "no"),
    "better": ("first", "second", "equal"),
}  # fmt: skip
PAIR_QUESTION = "better"
# The aspect of `JudgedRewrites` that each question about one rewrite is about.
ASPECT_OF = dict(zip(ANSWERS, ASPECTS, strict=False))
# In [0, 1], as in the human evaluation of ParaDetox (Logacheva et al. 2022); of a pair, for its first rewrite.
VALUES = {"yes": 1.0, "partly": 0.5, "no": 0.0, "first": 1.0, "equal": 0.5, "second": 0.0}
# As of the sentences of a row.
MAX_TEXT = 10_000
# Bytes of a file in memory; 20,000 judgements of sentences take far less.
_MAX_UNPACKED = 64_000_000
_COLUMNS = {
    "schema_version": pa.int64(), "study": pa.string(), "guidelines": pa.string(), "annotator": pa.string(),
    "question": pa.string(), "answer": pa.string(), "time": pa.timestamp("ms", tz="UTC"), "lang": pa.string(),
    "test_set": pa.string(), "test_set_revision": pa.string(), "sentence": pa.int64(), "source": pa.string(),
    "system": pa.string(), "run_id": pa.string(), "output": pa.string(),
    "other_system": pa.string(), "other_run_id": pa.string(), "other_output": pa.string(),
}  # fmt: skip
_SCHEMA = pa.schema(list(_COLUMNS.items()))


def _in_milliseconds(time: datetime.datetime) -> datetime.datetime:
    # What browsers tell and the files hold.
    return time.astimezone(datetime.UTC).replace(microsecond=time.microsecond // 1_000 * 1_000)


def _require_text(text: str) -> str:
    # JSON can hold them, UTF-8 cannot.
    if well_formed(text) != text:
        raise ValueError("has characters that UTF-8 cannot encode")
    return text


Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_require_text)]
StudyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,39}$")]
Language = Annotated[str, Field(pattern=CODE_PATTERN)]
Annotator = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Time = Annotated[Date, AfterValidator(_in_milliseconds)]
# Not Literal[1], which takes true and 1.0.
SchemaVersion = Annotated[int, Field(ge=1, le=1)]
_Line = Annotated[str, Field(max_length=1_000), AfterValidator(require_name)]
_Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(require_name)]
_RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Judgement(BaseModel):
    """One answer of one annotator to one question about a rewrite, or about which of two rewrites is better.

    Attributes:
        guidelines: Version of the guidelines that the annotator had.
        annotator: Salted hash of whoever answered.
        answer: One of `ANSWERS[question]`.
        lang: ISO 639-1 code of the texts.
        sentence: Number of the sentence in the test set, from 0.
        system, run_id, output: The rewrite; of a pair, the one that was shown first.
        other_system, other_run_id, other_output: The rewrite that was shown second; None for one rewrite.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    schema_version: SchemaVersion = 1
    study: StudyName
    guidelines: Version
    annotator: Annotator
    question: Literal["polite", "meaning", "fluent", "better"]
    answer: Literal["yes", "partly", "no", "first", "second", "equal"]
    time: Time
    lang: Language = "en"
    test_set: _Name
    test_set_revision: _Line
    sentence: Annotated[int, Field(ge=0, lt=2**31)]
    source: Text
    system: _Name
    run_id: _RunId
    output: Text
    other_system: _Name | None = None
    other_run_id: _RunId | None = None
    other_output: Text | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.answer not in ANSWERS[self.question]:
            raise ValueError(f"answer {self.answer} to the question {self.question}")
        others = (self.other_system, self.other_run_id, self.other_output)
        if any((other is not None) != (self.question == PAIR_QUESTION) for other in others):
            raise ValueError(f"the question {PAIR_QUESTION} is about two rewrites, the others about one")
        if self.run_id == self.other_run_id:
            raise ValueError("both rewrites are of the same run")
        return self

    @property
    def item(self) -> tuple[str, ...]:
        """What was judged: study, language, sentence, question and run, or both runs in an order of their own."""
        runs = sorted(run for run in (self.run_id, self.other_run_id) if run)
        return self.study, self.lang, str(self.sentence), self.question, *runs

    @property
    def value(self) -> float:
        """The answer as a number from 0 to 1; of a pair, for the rewrite whose run id is the lower one."""
        swapped = self.other_run_id is not None and self.other_run_id < self.run_id
        return 1 - VALUES[self.answer] if swapped else VALUES[self.answer]


def to_parquet(judgements: Sequence[Judgement]) -> bytes:
    """Return judgements as a Parquet file."""
    return write_parquet(pa.Table.from_pylist([judgement.model_dump() for judgement in judgements], _SCHEMA))


def from_parquet(data: bytes, where: str) -> list[Judgement]:
    """Return the judgements in a Parquet file.

    Raises:
        InputError: The file is damaged or too large, has other columns, or a value that no judgement can have.
    """
    table = read_parquet(data, where, _MAX_UNPACKED)
    if sorted(table.column_names) != sorted(_COLUMNS):
        names = ", ".join(table.column_names)[:200]
        raise InputError(f"{where}: has the columns {names}; judgements have {', '.join(_COLUMNS)}, each once")
    try:
        table = table.select(list(_COLUMNS)).cast(_SCHEMA)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{where}: a column of another type ({one_line(error)[:100]})") from None
    return to_judgements(to_records(table, where), where)


def to_judgements(records: Iterable[dict[str, Any]], where: str) -> list[Judgement]:
    """Return the judgements in mappings with its fields; a wrong value raises InputError, beginning with `where`."""
    judgements = []
    for number, record in enumerate(records, start=1):
        try:
            judgements.append(Judgement.model_validate(record))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            field, problem = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
            raise InputError(f"{where}: judgement {number}: {field + ': ' if field else ''}{problem}"[:300]) from None
        # Of two answers the later one counts: it would stay the last word for good.
        if is_ahead(judgements[-1].time):
            raise InputError(f"{where}: judgement {number}: time: in the future; set the clock")
    return judgements


def read_judgement_files(path: Path) -> list[Judgement]:
    """Return the latest judgements in a Parquet file, the folder of a study, or a leaderboard folder.

    Raises:
        InputError: There are none, or a file is damaged.
    """
    folder = path / FOLDER if (path / FOLDER).is_dir() else path
    files = sorted(folder.rglob("*.parquet")) if path.is_dir() else [path]
    judgements: list[Judgement] = []
    for file in files:
        # A link may point anywhere.
        if path.is_dir() and (file.is_symlink() or not file.is_file()):
            continue
        judgements += from_parquet(read_bytes(file, _MAX_UNPACKED), str(file))
    if not judgements:
        raise InputError(f"{path}: holds no judgements; give a file of them, or a leaderboard folder that has some")
    return latest(judgements)


def latest(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return each annotator's last answer about each item: an answer may be changed."""
    last: dict[tuple[str, ...], Judgement] = {}
    for judgement in sorted(judgements, key=lambda judgement: judgement.time):
        last[(judgement.annotator, *judgement.item)] = judgement
    return list(last.values())


def judged_rewrites(judgements: Iterable[Judgement]) -> dict[str, JudgedRewrites]:
    """Return the rewrites of which people answered all three questions, by language; the mean of several annotators."""
    answers: dict[tuple[str, str, str, str], dict[str, list[float]]] = {}
    for one in judgements:
        if one.question != PAIR_QUESTION:
            questions = answers.setdefault((one.lang, one.source, one.output, one.system), {})
            questions.setdefault(one.question, []).append(one.value)
    complete = {key: questions for key, questions in answers.items() if len(questions) == len(ASPECTS)}
    found = {}
    for lang in sorted({key[0] for key in complete}):
        own = {key: questions for key, questions in complete.items() if key[0] == lang}
        means = {
            aspect: np.array([np.mean(questions[question]) for questions in own.values()])
            for question, aspect in ASPECT_OF.items()
        }
        means["joint"] = means["style"] * means["meaning"] * means["fluency"]
        sources, outputs, systems = ([key[i] for key in own] for i in (1, 2, 3))
        found[lang] = JudgedRewrites(sources, outputs, systems, means, lang)
    return found


def judged_pairs(judgements: Iterable[Judgement]) -> dict[str, JudgedPairs]:
    """Return the pairs of rewrites that people compared, by language."""
    answers: dict[tuple[str, ...], list[float]] = {}
    texts: dict[tuple[str, ...], Judgement] = {}
    for one in judgements:
        if one.question == PAIR_QUESTION:
            answers.setdefault(one.item, []).append(one.value)
            texts[one.item] = one
    found = {}
    for lang in sorted({item[1] for item in answers}):
        own = [item for item in answers if item[1] == lang]
        sides = [_sides(texts[item]) for item in own]
        found[lang] = JudgedPairs(
            sources=[texts[item].source for item in own],
            first=[first[1] for first, _ in sides],
            second=[second[1] for _, second in sides],
            systems=[(first[2], second[2]) for first, second in sides],
            outcomes=np.array([np.mean(answers[item]) for item in own]),
            language=lang,
        )
    return found


def _sides(pair: Judgement) -> list[tuple[str, str, str]]:
    """Run id, output and system of both rewrites of a pair, that with the lower run id first."""
    other = (pair.other_run_id or "", pair.other_output or "", pair.other_system or "")
    return sorted([(pair.run_id, pair.output, pair.system), other])
