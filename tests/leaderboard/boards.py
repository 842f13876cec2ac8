"""Small rows and boards for the tests of this folder."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

import numpy as np

from leaderboard.board.board import Board
from leaderboard.rows.results import row_from_result
from leaderboard.rows.row import Row
from leaderboard.rows.sentences import Sentences
from metrics.data.test_sets import TestSet
from metrics.scoring.items import SentenceScores
from metrics.scoring.result import Result
from metrics.scoring.signature import ORDER, Signature
from metrics.systems.resolve import Rewrites

SOURCES = ("a fool you are", "go home", "so what , idiot")
TODAY = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)


def pin(version: str) -> str:
    """Return a revision of a file of outputs."""
    return f"sha256:{hashlib.sha256(version.encode()).hexdigest()}"


def document(
    name: str,
    sta: list[float],
    *,
    outputs: tuple[str, ...] | None = None,
    profile: str = "s1",
    kind: str = "outputs",
    revision: str = pin("1"),
    sim: float = 0.5,
    lang: str = "en",
    sources: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Return a result document with one sentence per value of `sta` and FL 1, so that J = STA · SIM."""
    n = len(sta)
    sources = sources or tuple(SOURCES[i % 3] + (f" {i}" if i >= 3 else "") for i in range(n))
    ones = np.ones(n)
    scores = SentenceScores(sta=np.array(sta, dtype=np.float64), sim=sim * ones, fl=ones, soft_sta=ones, soft_fl=ones)
    rewrites = Rewrites(name, kind, revision, {"num_beams": 4}, outputs or tuple(f"{name} {i}" for i in range(n)))
    fields = {f: "x" for f in ORDER if f != "decoding"} | {"profile": profile, "test": "t@x", "lang": lang, "n": str(n)}
    test_set = TestSet("t", "folder", "r", sources, ((),) * n, langs=(lang,) * n)
    return Result(rewrites, test_set, scores, Signature.of(fields, rewrites.decoding)).to_json()


def entry(name: str, sta: list[float], **more: Any) -> tuple[Row, Sentences]:
    submitter, date = more.pop("submitter", "ann"), more.pop("date", TODAY)
    return row_from_result(document(name, sta, **more), name, submitter=submitter, date=date)


def board(*entries: tuple[Row, Sentences | None]) -> Board:
    return Board().with_entries({row.run_id: (row, sentences) for row, sentences in entries})
