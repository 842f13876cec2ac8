"""A study: which rewrites of which sentences people judge, by which guidelines; judgements/<study>/study.json."""

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from leaderboard.board.board import Board
from leaderboard.board.reading import read_row, read_sentences, row_files
from leaderboard.rows.formats import read_json
from leaderboard.rows.row import Line, Row, RunId, first_problem
from leaderboard.rows.sentences import Sentences
from leaderboard.stores.base import Snapshot
from metrics.data.judgement_files import (
    ANSWERS,
    FOLDER,
    PAIR_QUESTION,
    Language,
    SchemaVersion,
    StudyName,
    Text,
    Version,
)
from metrics.util.errors import InputError, suggest
from metrics.util.files import content_hash

# An annotator reads some 200 rewrites an hour.
MAX_ITEMS = 5_000
MAX_RUNS = 50
# Characters of all texts of a study; the browser holds them.
MAX_CHARACTERS = 4_000_000
# Sentences of which annotators read all rewrites, in an order of their own, before the next ones: those who do not
# finish have judged the same sentences.
BLOCK = 5
# Of the names of systems that the browser gets.
_BLIND_DIGITS = 12
GUIDELINES_VERSION = "1"
_GUIDELINES = Path(__file__).parent / f"guidelines-{GUIDELINES_VERSION}.txt"
_STUDY_FILE = re.compile(rf"^{FOLDER}/([a-z0-9][a-z0-9-]{{0,59}})/study\.json$", re.ASCII)


class Study(BaseModel):
    """What annotators read.

    Attributes:
        form: "single": three questions on one rewrite; "pairs": which of two rewrites of a sentence is better.
        guidelines: What annotators read beside the rewrites; plain text.
        runs: Run ids of the rows whose outputs are judged.
        sentences: Numbers of the sentences of the test set, from 0, in the order in which they are read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    schema_version: SchemaVersion = 1
    name: StudyName
    title: Annotated[Line, Field(min_length=1)]
    form: Literal["single", "pairs"]
    lang: Language = "en"
    guidelines_version: Version
    guidelines: Text
    runs: Annotated[tuple[RunId, ...], Field(min_length=1, max_length=MAX_RUNS)]
    sentences: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1, max_length=MAX_ITEMS)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for values in (self.runs, self.sentences):
            if len(set(values)) != len(values):
                raise ValueError("a run or a sentence stands twice")
        if self.form == "pairs" and len(self.runs) < 2:
            raise ValueError("pairs need two runs")
        if self.size > MAX_ITEMS:
            raise ValueError(f"{self.size:,} items; at most {MAX_ITEMS:,}: choose fewer sentences or systems")
        return self

    @property
    def size(self) -> int:
        """The number of rewrites, or of pairs of them."""
        n = len(self.runs)
        return len(self.sentences) * (n if self.form == "single" else n * (n - 1) // 2)

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions about each item."""
        return (PAIR_QUESTION,) if self.form == "pairs" else tuple(name for name in ANSWERS if name != PAIR_QUESTION)

    @property
    def path(self) -> str:
        """Path of the study in its leaderboard."""
        return study_path(self.name)

    def to_json(self) -> bytes:
        """Return the study as it is stored."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


@dataclass(frozen=True)
class Item:
    """What is judged at once: the output of one run, or those of two, for one source.

    `token` names it to the browser, without the systems: sentence and blind names of the runs, as "12.0f3a….9b0c…".
    """

    token: str
    block: int
    source: str
    outputs: tuple[str, ...]


def study_path(name: str) -> str:
    """Return the path of a study in its leaderboard."""
    return f"{FOLDER}/{name}/study.json"


def default_guidelines() -> str:
    """Return the guidelines of version `GUIDELINES_VERSION`."""
    return _GUIDELINES.read_text("utf-8")


def blind_name(study: str, run: str) -> str:
    """Return what stands for a run in what annotators get and send."""
    return content_hash([study, run])[:_BLIND_DIGITS]


def load_study(data: bytes, where: str) -> Study:
    """Return the study in the bytes of its file; raises InputError if it is none."""
    document = read_json(data, where)
    try:
        study = Study.model_validate_json(json.dumps(document))
    except (ValidationError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: {first_problem(error)}") from None
    if where != study.path:
        raise InputError(f"{where}: holds the study {study.name}")
    return study


def stored_studies(snapshot: Snapshot) -> list[str]:
    """Return the names of the studies of a leaderboard, sorted."""
    return sorted(match[1] for path in snapshot.files if (match := _STUDY_FILE.match(path)))


def read_study(snapshot: Snapshot, name: str) -> Study:
    """Return a study of a leaderboard; raises InputError if it is damaged or not there."""
    known = stored_studies(snapshot)
    if name not in known:
        raise InputError(f"study {name[:60]}: not in this leaderboard{suggest(name, known)}")
    path = f"{FOLDER}/{name}/study.json"
    return load_study(snapshot.read(path), path)


class Runs:
    """The rows of a snapshot with their sentences, read when they are needed and once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._read: dict[str, tuple[Row, Sentences]] = {}

    @cached_property
    def paths(self) -> dict[str, str]:
        """The path of each row that has sentences, by run id."""
        files = self._snapshot.files
        found = {run: path for path, run in row_files(self._snapshot).items()}
        return {run: path for run, path in found.items() if path.removesuffix(".json") + ".parquet" in files}

    def __getitem__(self, run: str) -> tuple[Row, Sentences]:
        """Return the row and its sentences; raises InputError if they are not there or damaged."""
        if run not in self._read:
            if run not in self.paths:
                raise InputError(f"run {run}: no row with stored sentences in this leaderboard")
            row = read_row(self._snapshot, self.paths[run])
            self._read[run] = row, read_sentences(self._snapshot, row)
        return self._read[run]


def study_items(study: Study, runs: Runs) -> list[Item]:
    """Return what a study asks about, in the order of its sentences; pairs of equal outputs are left out.

    Raises:
        InputError: A run is not there, is in another language, lacks a sentence or has another source for it, or the
            texts are too long.
    """
    read = {run: runs[run][1] for run in study.runs}
    if apart := sorted({runs[run][0].test_set.lang for run in study.runs} - {study.lang}):
        raise InputError(f"study {study.name}: is in {study.lang}, its runs in {', '.join(apart)}")
    groups = list(itertools.combinations(study.runs, 2 if study.form == "pairs" else 1))
    items: list[Item] = []
    characters = 0
    for place, sentence in enumerate(study.sentences):
        sources = {sentences.source[sentence] for sentences in read.values() if sentence < len(sentences.source)}
        if len(sources) != 1 or any(sentence >= len(sentences.source) for sentences in read.values()):
            raise InputError(f"study {study.name}: its runs do not share the sentence {sentence}")
        source = sources.pop()
        for group in groups:
            outputs = tuple(read[run].output[sentence] for run in group)
            if len(set(outputs)) < len(outputs):
                continue
            token = ".".join([str(sentence), *(blind_name(study.name, run) for run in group)])
            items.append(Item(token, place // BLOCK, source, outputs))
            characters += len(source) + sum(map(len, outputs))
    if characters > MAX_CHARACTERS:
        problem = f"{characters:,} characters of texts; at most {MAX_CHARACTERS:,}"
        raise InputError(f"study {study.name}: {problem}: choose fewer sentences")
    if not items:
        raise InputError(f"study {study.name}: all outputs are the same; there is nothing to judge")
    return items


def new_study(
    board: Board, runs: Runs, name: str, systems: Sequence[str], *,
    lang: str | None = None, sentences: int = 50, seed: int = 0, **fields: Any,
) -> Study:  # fmt: skip
    """Draw the sentences of a study of rows that share a test set and a profile.

    Args:
        board: The leaderboard.
        runs: Its rows.
        name: Of the study.
        systems: Names of the systems; none for the latest rows with outputs of the first ranking that has two.
        lang: Of the rows; None for the language of the first ranking that has the systems.
        sentences: How many sentences are drawn.
        seed: Of the draw.
        fields: `title`, `form`, `guidelines` and `guidelines_version` of `Study`; only `form` must be given.

    Raises:
        InputError: No ranking has all systems with stored outputs, or a value is not valid.
    """
    chosen = _choose(board, runs, systems, lang)
    n = min(len(runs[row.run_id][1].source) for row in chosen)
    drawn = np.random.default_rng(seed).permutation(n)[:sentences].tolist()
    values = {
        "title": name, "guidelines": default_guidelines(), "guidelines_version": GUIDELINES_VERSION, **fields,
        "lang": chosen[0].test_set.lang,
        "name": name, "runs": [row.run_id for row in chosen], "sentences": drawn,
    }  # fmt: skip
    try:
        study = Study.model_validate_json(json.dumps(values))
    except (ValidationError, ValueError) as error:
        raise InputError(f"study {name[:60]}: {first_problem(error)}") from None
    study_items(study, runs)
    return study


def _choose(board: Board, runs: Runs, systems: Sequence[str], lang: str | None) -> list[Row]:
    """The row of each system in the first ranking, in the language if it is given, that has all of them."""
    rankings = [[row for row in ranking if row.run_id in runs.paths] for ranking in board.rankings]
    if lang is not None and not (rankings := [r for r in rankings if r and r[0].test_set.lang == lang]):
        raise InputError(f"--lang {lang[:40]}: no row with stored outputs in this language")
    if not systems:
        found = next((rows for rows in rankings if len(rows) > 1), None)
        if found is None:
            raise InputError("no two rows of one test set have stored outputs; publish rows with their sentences first")
        return found[:MAX_RUNS]
    for rows in rankings:
        # The best of several rows of one name comes first.
        by_name = {row.system.name: row for row in reversed(rows)}
        if all(system in by_name for system in systems):
            return [by_name[system] for system in dict.fromkeys(systems)]
    known = sorted({row.system.name for rows in rankings for row in rows})
    unknown = [system for system in systems if system not in known]
    if unknown:
        raise InputError(f"system {unknown[0][:80]}: no row with stored outputs{suggest(unknown[0], known)}")
    raise InputError(f"{', '.join(systems)[:200]}: no test set and profile has rows of all of them")
