"""The derived tables: ranks, ties, unranked rows; they are a pure function of the rows."""

from __future__ import annotations

import datetime
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.board.board import Board, Placing, Verification
from leaderboard.board.markdown import table
from leaderboard.board.tables import COLUMNS, TABLES, derive, record
from leaderboard.board.ties import EXACT, MIN_SENTENCES, format_letters, letter, significant_pairs, tie_letters
from metrics.scoring.statistics import randomisation_test
from tests.leaderboard.boards import TODAY, board, entry, pin


def test_ranking_is_by_j_within_a_signature() -> None:
    made = board(
        entry("low", [1, 0, 0]), entry("high", [1, 1, 1]), entry("elsewhere", [1, 1, 0], profile="s2"),
        entry("mid", [1, 1, 0]),
    )  # fmt: skip
    assert [[row.system.name for row in ranking] for ranking in made.rankings] == [
        ["high", "mid", "low"],
        ["elsewhere"],
    ]
    shown = table(made.rankings[0], made).split("\n")[2:]
    assert [[cell.strip() for cell in line.split("|")][1:4:2] for line in shown] == [
        ["1", "high"],
        ["2", "mid"],
        ["3", "low"],
    ]


def places(made: Board) -> list[tuple[str, int | None]]:
    return [(row.system.name, made.placing(row).rank) for ranking in made.rankings for row in ranking]


def test_equal_js_share_a_rank_and_some_rows_are_unranked() -> None:
    """Ranks 1, 2, 2, 4 by hand; rows with a mismatch, without SIM and without outputs come last."""
    entries = [entry("a", [1, 1, 1]), entry("b", [1, 1, 0]), entry("c", [1, 1, 0]), entry("d", [0, 0, 0])]
    made = board(*entries)
    assert places(made) == [("a", 1), ("b", 2), ("c", 2), ("d", 4)]
    row, gap = entries[0][0], entries[1][0]
    gap = gap.model_copy(update={"scores": {k: v for k, v in gap.scores.items() if k != "sim"}})
    bare = entry("e", [1, 1, 1])[0]
    found = {row.run_id: Verification("mismatch", "j", row=row.sha256)}
    disproved = Board({**made.rows, gap.run_id: gap, bare.run_id: bare}, made.j, found)
    assert places(disproved) == [("c", 1), ("d", 2), ("a", None), ("e", None), ("b", None)]
    # The verification of another version of the row does not count.
    other = Board(made.rows, made.j, {row.run_id: Verification("mismatch", "j", row="another")})
    assert places(other) == places(made) and other.status(row).status == "unchecked"


def test_the_tolerance_orders_nothing() -> None:
    """b's values are a's raised by 9e-5, c's by 3e-4: b shares rank and letter with a, a constant shift or not."""
    made = board(entry("a", [1.0] * 24), *(entry(n, [1.0] * 24, sim=s) for n, s in (("b", 0.50009), ("c", 0.5003))))
    ranking = [(row.system.name, *vars(made.placing(row)).values()) for row in made.rankings[0]]
    assert ranking == [("c", 1, "a"), ("a", 2, "b"), ("b", 2, "b")]


def test_rows_of_other_lengths_under_one_signature_are_not_stacked() -> None:
    """A row may state another n than its signature, which only verification compares with its sentences."""
    (row, sentences), other = entry("liar", [1, 1, 1]), entry("x", [1, 0])
    liar = row.model_copy(update={"signature": row.signature.replace("|n:3|", "|n:2|")})
    made = board((liar, sentences), other)
    assert liar.comparable == other[0].comparable and places(made) == [("x", 1), ("liar", None)]
    assert derive(made)


def test_latest_is_the_newest_row_of_a_system() -> None:
    morning = TODAY - datetime.timedelta(hours=3)
    old, new = entry("x", [1, 0, 0], date=morning), entry("x", [1, 1, 0], revision=pin("2"), date=TODAY)
    made = board(new, old)
    assert [row.run_id for row in made.latest] == [new[0].run_id]
    tables = {name: pd.read_parquet(BytesIO(derive(made)[path])) for name, path in TABLES.items()}
    assert len(tables["latest"]) == 1 and tables["full"]["run_id"].tolist() == [new[0].run_id, old[0].run_id]
    assert tables["latest"].columns.tolist() == list(COLUMNS)
    assert list(record(new[0], Verification(), Placing())) == list(COLUMNS)
    assert tables["paired"]["j"].map(list).tolist() == [[0.5, 0.5, 0.0]]


def test_rows_of_other_submitters_and_kinds_stay_apart() -> None:
    """A newer row under the same name, by another submitter or of another kind, does not replace the row."""
    later = TODAY + datetime.timedelta(hours=1)
    eve = entry("x", [0, 0, 0], revision=pin("2"), submitter="eve", date=later)
    model = entry("x", [0, 0, 0], revision="0" * 40, kind="model", date=later)
    assert len(board(entry("x", [1, 1, 1]), eve, model).latest) == 3


def test_ties() -> None:
    """a and b differ on every one of 24 sentences, in J by .5; c agrees with b but for one sentence."""
    a, b, c = [1.0] * 24, [0.0] * 24, [1.0] + [0.0] * 23
    made = board(entry("a", a), entry("b", b), entry("c", c))
    assert [(row.system.name, made.placing(row).ties) for row in made.rankings[0]] == [
        ("a", "a"),
        ("c", "b"),
        ("b", "b"),
    ]
    # With so few sentences, no difference is significant.
    few = board(entry("a", a[: MIN_SENTENCES - 1]), entry("b", b[: MIN_SENTENCES - 1]))
    assert {few.placing(row).ties for row in few.latest} == {"a"}


def test_the_paired_test_is_the_randomisation_test_in_its_limit() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((6, 300)) + np.linspace(0, 0.12, 6)[:, None]
    apart = significant_pairs(values)
    told = 0
    for i in range(6):
        for k in range(i):
            p = randomisation_test(values[i], values[k])
            # The sampled test has an error of its own near the threshold.
            if abs(p - 0.05) > 0.01:
                assert apart[i, k] == apart[k, i] == (p < 0.05)
                told += 1
    assert told > 10 and 0 < apart.sum() < 30 and not apart.diagonal().any()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9).flatmap(lambda m: st.lists(st.booleans(), min_size=m * m, max_size=m * m)))
def test_systems_share_a_letter_exactly_when_they_do_not_differ(flat: list[bool]) -> None:
    m = int(len(flat) ** 0.5)
    upper = np.triu(np.array(flat).reshape(m, m), 1)
    apart = upper | upper.T
    letters = [set(own) for own in tie_letters(apart)]
    for i in range(m):
        assert letters[i]
        for k in range(m):
            assert bool(letters[i] & letters[k]) == (not apart[i, k])


def test_letters_of_many_systems_separate_significant_pairs() -> None:
    """Above EXACT systems: tied neighbours share a letter, and systems that share one do not differ."""
    rng = np.random.default_rng(0)
    m = EXACT + 50
    values = np.sort(rng.random(m))[::-1, None] + rng.normal(0, 0.4, (m, 100))
    apart = significant_pairs(values[np.argsort(-values.mean(axis=1))])
    letters = [set(own) for own in tie_letters(apart)]
    assert all(letters) and 0 < apart.sum() < m * m
    for i in range(m):
        for k in range(i):
            assert not (apart[i, k] and letters[i] & letters[k])
        assert i == 0 or apart[i, i - 1] or letters[i] & letters[i - 1]


def test_letters_are_formatted() -> None:
    assert [letter(n) for n in (0, 25, 26, 27, 701, 702)] == ["a", "z", "aa", "ab", "zz", "aaa"]
    numbers = ([0], [0, 1, 2], [0, 1, 2, 3], [0, 2, 3, 9])
    assert [format_letters(own) for own in numbers] == ["a", "a b c", "a–d", "a c d j"]


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(5)))
def test_tables_do_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    entries = [entry(f"s{i}", [float(i > k) for k in range(4)], profile="pq"[i % 2]) for i in range(5)]
    assert derive(board(*(entries[i] for i in order))) == derive(board(*entries))


def test_an_empty_board_has_tables() -> None:
    tables = derive(Board())
    assert pd.read_parquet(BytesIO(tables[TABLES["latest"]])).columns.tolist() == list(COLUMNS)
    with pytest.raises(IndexError):
        _ = Board().rankings[0]
