"""What the page says about the state of the art and about single sentences, for boards worked out by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from leaderboard.space.data import FULL, Leaderboard
from leaderboard.space.views.columns import system_name
from leaderboard.space.views.faults import render_fault_table, render_faults
from leaderboard.space.views.history import render_history
from leaderboard.space.views.picture import leader, leader_and_next, render_picture
from leaderboard.space.views.selection import Filters, TableState
from leaderboard.space.views.tables import page_at, page_text
from leaderboard.space.views.texts.differences import mark_differences
from leaderboard.space.views.texts.examples import render_examples
from leaderboard.space.views.texts.explorer import AGREE, DISAGREE, PROFILES_DIFFER, SYSTEMS_DIFFER, Choice, Explorer
from leaderboard.space.views.texts.sentence import render_list, render_sentence
from leaderboard.space.views.texts.sentences import Comparisons
from leaderboard.space.views.ties import letters, tied
from leaderboard.space.views.trust import citation, render_trust
from leaderboard.stores import open_store
from tests.leaderboard.boards import TODAY
from tests.leaderboard.space_boards import COPIED, HOSTILE, published_row, system, write


@pytest.fixture
def board(tmp_path: Path) -> Leaderboard:
    """40 sentences: people at J .5, "first" and "second" one sentence apart, "third" far behind, delete at .25."""
    write(
        tmp_path,
        system("reference", [1] * 40, kind="human"),
        system("first", [1] * 32 + [0] * 8, kind="model", revision="0" * 40),
        system("second", [1] * 31 + [0] * 9),
        system("third", [1] * 4 + [0] * 36),
        system("delete", [1] * 20 + [0] * 20, kind="baseline"),
    )
    return Leaderboard(open_store(local=tmp_path).snapshot())


def key(board: Leaderboard, name: str) -> str:
    return next(k for k, r in board.records.items() if r["system"] == name)


@pytest.mark.parametrize(
    ("ties", "expected"),
    [("a", "a"), ("a b", "a b"), ("c–f", "c d e f"), ("y–ab", "y z aa ab"), ("", ""), (None, ""), ("<b> 1 A", "")],
)
def test_letters_of_ties_are_read_back(ties: Any, expected: str) -> None:
    assert letters({"ties": ties}) == set(expected.split())


def test_letters_from_outside_are_bounded() -> None:
    assert len(letters({"ties": "a–zzz " * 1_000})) <= 1_001 and letters({"ties": "zzz–a"}) == set()


def test_the_picture_says_who_leads_and_whether_the_lead_is_real(board: Leaderboard) -> None:
    group = next(iter(board.groups.values()))
    html = render_picture(group, group.records)
    best = leader(group.records)
    assert best is not None and best["system"] == "first"
    assert "<strong><bdi>first</bdi></strong> leads among the systems with J 0.400" in html
    assert "does not tell it apart from <bdi>second</bdi>." in html
    assert "It is below the human references (0.500), and it is above deleting the rude words (0.250)." in html
    # Only systems are rows; people and delete are lines. One tie of two neighbours is one band with two dots.
    assert re.findall(r"<li>(\d\.\d+)</li>", html) == ["0.400", "0.388", "0.050"]
    assert html.count('class="tie"') == 1 and html.count('<circle class="bracket"') == 2
    assert "references 0.500" in html and "delete 0.250" in html
    without = render_picture(group, [r for r in group.records if r["system"] != "second"])
    assert "The lead is significant" in without and 'class="tie"' not in without
    # What the filters hide is not denied.
    assert "leads among the systems that pass the filters" in without
    alone = render_picture(group, [r for r in group.records if r["system"] == "first"])
    assert "No other system passes the filters." in alone
    assert tied(*(r for r in group.records if r["system"] in ("first", "second")))
    assert render_picture(group, []) == render_picture(None, []) == ""


def test_the_lead_is_a_difference_with_its_interval(board: Leaderboard) -> None:
    # "first" has J .5 in 32 of 40 sentences, "second" in 31 of the same: apart by .5 / 40.
    comparisons = Comparisons(board)
    html = comparisons.render_lead(key(board, "first"))
    assert re.search(
        r"<bdi>first</bdi> minus J of <bdi>second</bdi>, the next system: 0\.013 \[0\.000, 0\.\d{3}\]", html
    )
    assert comparisons.render_lead(key(board, "second")) == comparisons.render_lead("nobody") == ""
    records = next(iter(board.groups.values())).records
    assert [r["system"] for r in leader_and_next(records)] == ["first", "second"]
    assert [r["system"] for r in leader_and_next([r for r in records if r["kind"] != "outputs"])] == [
        "first", "reference"
    ]  # fmt: skip


def test_examples_are_short_rude_and_typical(tmp_path: Path) -> None:
    sources = ("you are a stupid idiot today", "what a nice and sunny day", "this idiot does not listen at all")
    outputs = ("you are not right today", "what a day we have here", "this idiot does not listen at all")
    write(tmp_path, system("m", [1, 1, 0], outputs=outputs, sources=sources))
    board = Leaderboard(open_store(local=tmp_path).snapshot())
    html = render_examples(board, key(board, "m"))
    assert re.findall(r"<h3>(.*?)</h3>", html) == ["A good rewrite", "Still rude <span>STA sinks it</span>"]
    assert "<ins><bdi>not right</bdi></ins>" in html and "sunny" not in html
    assert render_examples(board, "nobody") == render_examples(board, None) == ""


def test_faults_are_counted(board: Leaderboard) -> None:
    html = render_faults(board, key(board, "first"))
    assert "What goes wrong in the 40 outputs of <bdi>first</bdi>" in html
    assert re.findall(r"<li><span>(.*?)</span>.*?<span>(\d+)</span></li>", html) == [
        ("nothing wrong", "32"), ("STA: still rude", "8")
    ]  # fmt: skip
    table = render_fault_table(board, list(board.records.values()))
    assert table.count("<tr>") == 6 and render_fault_table(board, []) == render_faults(board, "nobody") == ""


def test_differences_are_marked_by_word() -> None:
    source, output = mark_differences("You are a fool today", "you are not right today", True)
    assert source == "<bdi>You are</bdi> <del><bdi>a fool</bdi></del> <bdi>today</bdi>"
    assert output == "<bdi>you are</bdi> <ins><bdi>not right</bdi></ins> <bdi>today</bdi>"
    blurred, _ = mark_differences("a fool", "a", False)
    assert '<del><bdi><button type="button" class="rude" ' in blurred
    assert mark_differences("", "a", True) == ('<span class="nothing">–</span>', "<ins><bdi>a</bdi></ins>")
    long = mark_differences("word " * 200, "word " * 199, True)
    assert "<ins>" not in long[1] and "<del>" not in long[0]
    for text in (*HOSTILE, COPIED):
        for html in mark_differences(text, f"{text} {COPIED}", False):
            assert not re.search(r"<(?!/?(bdi|ins|del|button|span)\b)", html) and "\u202e" not in html


# -- the explorer -----------------------------------------------------------------------------------------------------
SOURCES = ("you are a fool today", "go home", "so what , idiot", "what a day it is to be a fool in such a town as this")


@pytest.fixture
def explorer(tmp_path: Path) -> Explorer:
    """Two systems on four sentences, the first also under a profile that puts one sentence on the other side."""
    write(
        tmp_path,
        system("one", [1, 0, 1, 0.2], sources=SOURCES, sim=1.0, outputs=("you are right", "go", "so what", HOSTILE[0])),
        system("two", [1, 1, 0, 0.2], sources=SOURCES, sim=1.0),
        system("one", [1, 1, 1, 0.1], sources=SOURCES, sim=1.0, profile="s2",
               outputs=("you are right", "go", "so what", HOSTILE[0])),
        system("other", [1, 1, 1, 1]),
    )  # fmt: skip
    return Explorer(Leaderboard(open_store(local=tmp_path).snapshot()))


def test_sentences_are_filtered_and_sorted(explorer: Explorer) -> None:
    board = explorer.board
    one = key(board, "one")
    assert board.records[one]["profile"] == "s1"
    group = board.group_of(one)
    assert group is not None

    def places(**choice: str) -> list[int]:
        return explorer.choose(one, Choice(**choice), lambda: explorer.systems(group.records, one))

    assert places() == [1, 3, 0, 2] and places(order="Highest J first") == [0, 2, 3, 1]
    assert places(order="As in the test set") == [0, 1, 2, 3] == places(order="<b>")
    # Apart by 1 in two sentences, by nothing in the others.
    assert places(order=SYSTEMS_DIFFER) == [1, 2, 0, 3]
    assert places(order=PROFILES_DIFFER) == [1, 3, 0, 2]
    assert places(profiles=DISAGREE) == [1] and places(profiles=AGREE) == [3, 0, 2]
    assert places(sunk="STA") == [1, 3] and places(sunk="none") == [0, 2]
    assert places(length="long, from 13") == [3] and places(toxicity="insult", sunk="none") == [0, 2]
    assert places(words="HOME") == [1] and places(words="right") == [0] and places(words="nobody") == []
    two = key(board, "two")
    assert explorer.other_profiles(two) == {} and explorer.choose(two, Choice(profiles=AGREE), list) == []
    assert [record["system"] for record, _ in explorer.systems(group.records, two)] == ["one", "two"]


def test_one_sentence_shows_every_system_and_what_sank_it(explorer: Explorer) -> None:
    board = explorer.board
    one = key(board, "one")
    group = board.group_of(one)
    assert group is not None
    listed, place = render_list(explorer, group.records, one, Choice(), -1, 0, False)
    assert place == 1 and "4 sentences" in listed and listed.count("<li") == 4
    assert '<li aria-current="true"><button type="button" class="plain" data-event="pick" data-value="1">' in listed
    assert render_list(explorer, group.records, one, Choice(), 2, 0, False)[1] == 2
    assert "2 of 4 sentences" in render_list(explorer, group.records, one, Choice(sunk="STA"), 2, 0, False)[0]
    html = render_sentence(explorer, group.records, one, 1, False)
    assert html.count('<tr class="chosen">') == 1 and html.count('scope="row"') == 2
    assert html.count("STA: still rude") == 1 and "by other profiles: <bdi>s2</bdi> 1.000" in html
    assert "<script>" not in render_sentence(explorer, group.records, one, 3, True) + listed
    assert render_sentence(explorer, group.records, one, 4, True) == render_sentence(explorer, [], "x", 0, True) == ""
    assert render_list(explorer, [], "x", Choice(), 0, 0, True)[1] == -1
    two = key(board, "two")
    assert "only one profile" in render_list(explorer, group.records, two, Choice(profiles=AGREE), -1, 0, True)[0]


# -- trust and history ------------------------------------------------------------------------------------------------
def test_trust_is_said_in_words(tmp_path: Path) -> None:
    rows = [system(name, [1, 0]) for name in ("good", "bad", "alone")]
    write(tmp_path, *rows, published_row("paper", 0.5), verified={"good": "verified", "bad": "mismatch"})
    board = Leaderboard(open_store(local=tmp_path).snapshot())
    good, bad, alone, paper = (
        render_trust(board.records[key(board, name)]) for name in ("good", "bad", "alone", "paper")
    )
    assert "on <bdi>2026-11-24</bdi> by version <bdi>0.3.0</bdi>" in good and "scored the stored outputs again" in good
    assert "good was looked at" in good and "no rank" not in good
    assert "give other values than the row states" in bad and "no rank: its outputs score differently" in bad
    assert "No check of this row is stored" in alone and "on <bdi>" not in alone
    assert "A figure from a paper" in paper and citation(board, board.records[key(board, "paper")]) == ""


def test_a_row_is_cited_with_its_signature(tmp_path: Path) -> None:
    write(tmp_path, system("a_b {x}%", [1, 0]), verified={"a_b {x}%": "verified"})
    board = Leaderboard(open_store(local=tmp_path).snapshot())
    record = next(iter(board.records.values()))
    entry = citation(board, record)
    assert entry.startswith(
        f"@misc{{detox_{record['run_id']},\n  title = {{a\\_b \\{{x\\}}\\% on t, 2 sentences: J 0.250 ["
    )
    assert record["signature"].replace("_", "\\_") in entry and "; verified; signature " in entry
    # Braces of a name cannot end the entry.
    assert entry.count("{") - entry.count("\\{") == entry.count("}") - entry.count("\\}")


def test_the_history_has_replaced_rows_and_other_profiles(tmp_path: Path) -> None:
    old = system("m", [1, 0, 0], revision=f"sha256:{'1' * 64}")
    new = system("m", [1, 1, 0], revision=f"sha256:{'2' * 64}", date=TODAY.replace(year=2027))
    other = system("m", [1, 1, 1], profile="s2", revision=f"sha256:{'1' * 64}")
    write(tmp_path, old, new, other, system("n", [0, 0, 0]), replaced={old[0].run_id: new[0].run_id})
    board = Leaderboard(open_store(local=tmp_path).snapshot())
    newest = next(r for r in board.records.values() if r["system"] == "m" and r["profile"] == "s1")
    html = render_history(board, newest["key"])
    assert (
        html.count("<tr") == 4 and html.count("this row") == 1 and html.count(f"replaced by <bdi>{new[0].run_id}") == 1
    )
    assert html.index("this row") < html.index("replaced by") and html.count('data-event="choose"') == 1
    assert [">0.333<" in html, ">0.167<" in html, ">0.500<" in html] == [True] * 3
    (tmp_path / FULL).write_bytes(b"")
    assert "Not available" in render_history(Leaderboard(open_store(local=tmp_path).snapshot()), newest["key"])
    (tmp_path / FULL).unlink()
    assert "rebuild" in render_history(Leaderboard(open_store(local=tmp_path).snapshot()), newest["key"])


def test_rows_of_one_name_and_of_like_names_are_told_apart(tmp_path: Path) -> None:
    honest, forged = system("a-1", [1, 0, 0]), system("a-1", [0, 0, 0], revision=f"sha256:{'2' * 64}")
    write(
        tmp_path,
        honest,
        forged,
        system("\u0430-1", [0, 1, 1]),
        system("n", [0, 0, 1]),
        system("a-1", [1], profile="s2"),
    )
    board = Leaderboard(open_store(local=tmp_path).snapshot())
    group = next(group for group in board.groups.values() if len(group.records) == 4)
    names = {record["run_id"]: system_name(record) for record in group.records}
    for row, _ in (honest, forged):
        assert f"(<bdi>row {row.run_id} of 2026-11-24; not \u0430-1</bdi>)" in names[row.run_id]
    assert sum("not a-1" in name for name in names.values()) == 1
    assert any(name.endswith("<bdi>n</bdi></button>") for name in names.values())
    (alone,) = next(group for group in board.groups.values() if len(group.records) == 1).records
    assert system_name(alone).endswith("</button>")


def test_states_in_the_address_are_checked() -> None:
    for text in ("-j", "size", "rank"):
        assert TableState.parse(text).text == text
    assert TableState.parse("-j.2.ab12") == TableState("j", True, 2, "ab12")
    for text in ("", None, "nobody", "-__class__", "j.x.y", "j.999999999999.a", "j" * 5_000, {"a": 1}):
        assert TableState.parse(text) == TableState()
    state = TableState.parse(TableState("j", page=3).of("group", Filters("a")).text)
    # A page is a page of some rows: with other filters the table starts again.
    turned = TableState.parse(f"j.3.{TableState().of('group', Filters('a')).rows}")
    assert state.page == 0 and turned.of("group", Filters("a")).page == 3 and turned.of("group", Filters("b")).page == 0
    assert page_at(page_text(2, "system", "order"), "system", "order") == 2
    assert page_at(page_text(2, "system", "order"), "other", "order") == page_at("2.x", "system") == page_at("", 1) == 0
