"""The derived tables: ranks, ties, unranked rows; they are a pure function of the rows."""

from __future__ import annotations

import datetime
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.board.board import Board, Placing, Verification
from leaderboard.board.markdown import rankings, table
from leaderboard.board.tables import COLUMNS, TABLES, derive, record
from leaderboard.board.ties import EXACT, MIN_SENTENCES, format_letters, letter, significant_pairs, tie_letters
from leaderboard.rows.row import Row
from metrics.scoring.statistics import randomisation_test
from metrics.util.markdown import escape_markdown
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


def test_the_newer_version_of_a_profile_comes_first() -> None:
    made = board(
        entry("old", [1, 1, 1], profile="s.v9"), entry("older", [1, 1, 0], profile="s.v9"),
        entry("new", [1, 0, 0], profile="s.v10"),
    )  # fmt: skip
    assert [[row.system.name for row in ranking] for ranking in made.rankings] == [["new"], ["old", "older"]]


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


def test_latest_are_the_rows_that_none_replaces() -> None:
    morning = TODAY - datetime.timedelta(hours=3)
    old, new = entry("x", [1, 0, 0], date=morning), entry("x", [1, 1, 0], revision=pin("2"), date=TODAY)
    made = replace(board(new, old), replaced={old[0].run_id: new[0].run_id})
    assert [row.run_id for row in made.latest] == [new[0].run_id]
    tables = {name: pd.read_parquet(BytesIO(derive(made)[path])) for name, path in TABLES.items()}
    assert len(tables["latest"]) == 1 and tables["full"]["run_id"].tolist() == [new[0].run_id, old[0].run_id]
    assert tables["latest"].columns.tolist() == list(COLUMNS)
    assert list(record(new[0], Verification(), Placing())) == list(COLUMNS)
    assert tables["paired"]["j"].map(list).tolist() == [[0.5, 0.5, 0.0]]


def test_a_newer_row_under_the_same_name_and_submitter_replaces_nothing() -> None:
    """Both are claims of the row. The honest row keeps its rank, and the table tells the two apart."""
    later = TODAY + datetime.timedelta(hours=1)
    honest, forged = entry("x", [1, 1, 1]), entry("x", [0, 0, 0], revision=pin("2"), date=later)
    made = board(honest, forged, entry("X", [0, 1, 0]), entry("\u0445", [1, 0, 0]), entry("y", [0, 0, 0]))
    assert [(row.run_id, made.placing(row).rank) for row in made.latest if row.system.name == "x"] == [
        (honest[0].run_id, 1),
        (forged[0].run_id, 4),
    ]
    names = [line.split("|")[3].strip() for line in table(made.rankings[0], made).split("\n")[2:]]
    assert names[0] == f"x (row {honest[0].run_id} of 2026-11-24; not X)"
    assert sorted(names[1:3]) == ["X (not x)", "\u0445 (not X)"] and "y" in names


def test_what_the_list_of_replaced_rows_cannot_do() -> None:
    """Rows in a circle, of another system, profile or kind, or of none, stay; a chain ends at its last row."""
    a, b, c = (entry("x", [1, 0, n / 2], revision=pin(str(n)))[0] for n in range(3))
    others = [entry("z", [1, 1, 1])[0], entry("x", [1, 1, 1], profile="s2")[0]]
    others.append(entry("x", [1, 1, 1], revision="0" * 40, kind="model")[0])
    rows = {row.run_id: row for row in (a, b, c, *others)}

    def left(**replaced: Row) -> set[str]:
        made = Board(rows, replaced={rows_by[name].run_id: new.run_id for name, new in replaced.items()})
        return {name for name, row in rows_by.items() if row not in made.latest}

    rows_by = {"a": a, "b": b, "c": c}
    assert left(a=b, b=c) == {"a", "b"} and left(a=b, b=c, c=a) == set() and left(a=a) == set()
    assert left(a=b, b=c, c=b) == set()
    for other in others:
        assert left(a=other) == set()
    assert Board(rows, replaced={a.run_id: "0" * 16}).successor(a) is None
    assert Board(rows, replaced={a.run_id: b.run_id, b.run_id: c.run_id}).successor(a) == c


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


def test_names_stay_text_in_markdown() -> None:
    """Rows of a name with signs of Markdown or HTML; an escaped sign is text, and a cell stays one cell."""
    names = {
        "<img src=x onerror=alert(1)>": r"\<img src=x onerror=alert(1)>",
        "![x](https://evil.example/x.png)": r"!\[x\](https://evil.example/x.png)",
        "a | b `c` *d* _e_ ~f~ $g$": r"a \| b \`c\` \*d\* \_e\_ \~f\~ \$g\$",
        "&lt;b&gt; \\": r"\&lt;b\&gt; \\",
        "# 1": r"\# 1",
        "s-nlp/bart_base-detox v2 & more < 3": "s-nlp/bart_base-detox v2 & more < 3",
    }
    rows = zip(names, (entry(f"s{n}", [1, 0, 1]) for n in range(len(names))), strict=True)
    named = [(row.model_copy(update={"system": row.system.model_copy(update={"name": n})}), s) for n, (row, s) in rows]
    lines = [line for line in rankings(board(*named)).split("\n") if line.startswith("| 1 |")]
    assert sorted(line.split(" | ", 2)[2].partition(" | 0.333")[0] for line in lines) == sorted(names.values())
    assert escape_markdown("a\x1b[2Jb\u202ec") == r"a⟨U+001B⟩\[2Jb⟨U+202E⟩c"


def test_an_empty_board_has_tables() -> None:
    tables = derive(Board())
    assert pd.read_parquet(BytesIO(tables[TABLES["latest"]])).columns.tolist() == list(COLUMNS)
    with pytest.raises(IndexError):
        _ = Board().rankings[0]
