"""Rows: kept whole, ranked by J, and only against rows with their own signature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaderboard.rows import ROWS_FILE, Row, rankings, read_rows, row_from_result, table, write_rows
from leaderboard.show import main
from metrics.corpora import TestSet
from metrics.errors import InputError
from metrics.scoring import Result, SentenceScores
from metrics.signature import ORDER, Signature
from metrics.systems import Rewrites

SOURCES = ("a fool you are", "go home", "so what , idiot")
TESTS = TestSet("t", "folder", "r", SOURCES, ((), (), ()))


def row(system: str, sta: list[float], signature: str = "s1") -> Row:
    ones = np.ones(3)
    scores = SentenceScores(sta=np.array(sta), sim=0.5 * ones, fl=ones, soft_sta=ones, soft_fl=ones)
    rewrites = Rewrites(system, "outputs", "rev", {"num_beams": 4}, ("a fool you are", "go", "what ,"))
    fields = {name: signature if name == "profile" else "x" for name in ORDER if name != "decoding"}
    result = Result(rewrites, TESTS, scores, Signature.of(fields, rewrites.decoding))
    return row_from_result(result, {"note": "x"})


def test_a_row_by_hand() -> None:
    made = row("x", [1.0, 0.0, 1.0])
    assert (made.n, made.sta, made.sim, made.fl, made.j) == (3, pytest.approx(2 / 3), 0.5, 1.0, pytest.approx(1 / 3))
    assert made.copies == pytest.approx(1 / 3)
    assert made.length_ratio == pytest.approx((1 + 1 / 2 + 2 / 4) / 3)
    assert made.j_low <= made.j <= made.j_high
    assert made.decoding == '{"num_beams": 4}'


def test_rows_come_back_and_a_rerun_adds_none(tmp_path: Path) -> None:
    rows = [row("x", [1.0, 0.0, 1.0]), row("y", [1.0, 1.0, 1.0])]
    write_rows(tmp_path, rows)
    write_rows(tmp_path, rows[:1])
    assert read_rows(tmp_path) == rows


def test_ranking_is_by_j_within_a_signature() -> None:
    rows = [row("low", [1, 0, 0]), row("high", [1, 1, 1]), row("elsewhere", [1, 1, 0], "s2"), row("mid", [1, 1, 0])]
    assert [[r.system for r in ranking] for ranking in rankings(rows)] == [["high", "mid", "low"], ["elsewhere"]]
    assert [line.split("|")[2].strip() for line in table(rankings(rows)[0]).split("\n")[2:]] == ["high", "mid", "low"]


def test_show_prints_what_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(tmp_path, [row("x", [1.0, 0.0, 1.0]), row("y", [1.0, 1.0, 1.0])])
    main([str(tmp_path)])
    shown = capsys.readouterr().out
    assert "| 1 | y | 0.500 [0.500, 0.500]" in shown and "signature: profile:s1|" in shown and "n = 3" in shown


def test_rows_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no rows\.parquet"):
        read_rows(tmp_path)
    newer = replace(row("x", [1, 1, 1]), schema_version=99)
    pd.DataFrame([vars(newer)]).to_parquet(tmp_path / ROWS_FILE)
    with pytest.raises(InputError, match="schema version 99, this program reads 1"):
        read_rows(tmp_path)
    (tmp_path / ROWS_FILE).write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="not a Parquet file"):
        read_rows(tmp_path)
