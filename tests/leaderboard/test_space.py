"""The leaderboard's page without a browser: its HTML for constructed and for hostile rows, its commands, the Space."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from leaderboard.board.board import Placing, Verification
from leaderboard.board.tables import record as flat
from leaderboard.rows.row import About, Row
from leaderboard.space.data import FULL, LATEST, Leaderboard, open_leaderboard
from leaderboard.space.escaping import blur_rude_words, external_link, hub_link, is_rude, to_csv_cell, to_html
from leaderboard.space.page import Page
from leaderboard.space.stage import PAGE_BUNDLE, write_page_space
from leaderboard.space.views.charts import Axis, render_charts
from leaderboard.space.views.columns import COLUMNS
from leaderboard.space.views.details import render_details
from leaderboard.space.views.faults import render_fault_table, render_faults
from leaderboard.space.views.picture import render_picture
from leaderboard.space.views.ranking import render_published, render_ranking, to_csv, to_parquet
from leaderboard.space.views.reproduce import reproduce_command, verify_command
from leaderboard.space.views.selection import Filters, TableState, select
from leaderboard.space.views.tables import number_cells
from leaderboard.space.views.texts.examples import render_examples
from leaderboard.space.views.texts.sentences import Comparisons, render_outputs
from leaderboard.space.views.texts.slices import render_slices
from leaderboard.stores import open_store
from metrics.score import parser as score_parser
from metrics.scoring.statistics import paired_difference, randomisation_test
from metrics.spaces.bundle import bundle
from metrics.util.errors import InputError
from tests.bundles import import_every_module, import_modules, missing_modules
from tests.conftest import ROOT
from tests.leaderboard.space_boards import COMMIT, COPIED, HOSTILE, published_row, system, tamper, write
from tests.warm_python import run_module


@pytest.fixture
def board(tmp_path: Path) -> Leaderboard:
    """Four systems of one group with J .5, 5/12, 1/4 and 0, one of another group, one published figure."""
    write(
        tmp_path,
        system("reference", [1] * 6, kind="human"),
        system(
            "org/polite", [1, 1, 1, 1, 1, 0], kind="model", revision=COMMIT,
            about=About(size=135_000_000, parallel_data=True, contamination="clean", note="a polite one"),
        ),
        system("delete", [1, 1, 1, 0, 0, 0], kind="baseline", about=About(size=0, parallel_data=False)),
        system("echo", [0] * 6, kind="baseline"),
        system("delete", [1, 0], kind="baseline", profile="s2"),
        published_row("CondBERT", 0.5),
    )  # fmt: skip
    return load(tmp_path)


def load(folder: Path) -> Leaderboard:
    return Leaderboard(open_store(local=folder).snapshot())


def names(records: Any) -> list[str]:
    return [record["system"] for record in records]


def key(board: Leaderboard, name: str, profile: str = "s1") -> str:
    return next(k for k, r in board.records.items() if r["system"] == name and r["profile"] == profile)


# -- text -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<b>&\"'", "<bdi>&lt;b&gt;&amp;&quot;&#x27;</bdi>"),
        ("a\u202eb\u2066c\x00", "<bdi>a⟨U+202E⟩b⟨U+2066⟩c⟨U+0000⟩</bdi>"),
        ("a\r\nb\tc\u2028", "<bdi>a⟨U+000D⟩↵b⇥c⟨U+2028⟩</bdi>"),
        ("naïve 日本 \u00a0 🙂", "<bdi>naïve 日本 \u00a0 🙂</bdi>"),
        ("x" * 1005, f"<bdi>{'x' * 1000}… (5 more characters)</bdi>"),
        (0, "<bdi>0</bdi>"),
    ],
)
def test_text_from_outside_is_escaped(text: Any, html: str) -> None:
    assert to_html(text) == html


def test_missing_values_are_dashes() -> None:
    assert to_html(None) == to_html("") == '<span class="nothing">–</span>'


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "http://a.org", "https:///x", "https://user@evil.org", "https://a.org/ b", "https://[",
     "https://a.org/\u202e", "//a.org", "", "data:text/html,x"],
)  # fmt: skip
def test_only_plain_https_addresses_become_links(url: str) -> None:
    assert external_link(url, "text") == "text"


def test_links() -> None:
    link = external_link('https://a.org/?a=1&b="2"', "text")
    assert link == (
        '<a href="https://a.org/?a=1&amp;b=&quot;2&quot;" rel="noopener noreferrer" target="_blank">text</a>'
    )
    assert f'href="https://huggingface.co/org/m/tree/{COMMIT}"' in hub_link("org/m", f"{COMMIT}+base:{COMMIT}")
    for name, revision in (
        ("m", COMMIT),
        ("org/../m/x", COMMIT),
        ("org/m", "main"),
        ("../x", COMMIT),
        ("a/<b>", COMMIT),
    ):
        assert hub_link(name, revision) == ""


@pytest.mark.parametrize(
    ("value", "cell"),
    [("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"), ("\t=1", "'⇥=1"), ("\r=1", "'⟨U+000D⟩=1"),
     ("＝1", "'＝1"), ("a=1", "a=1"), (-0.5, -0.5), (3, 3), (None, ""), (["=a", "b"], "'=a; b"), (True, True)],
)  # fmt: skip
def test_csv_cells_never_begin_a_formula(value: Any, cell: Any) -> None:
    assert to_csv_cell(value) == cell


@pytest.mark.parametrize(
    "word", ["idiot", "IDIOT", "f**k", "f*ck", "sh!t", "$hit", "fuuuuck", "1d1ot", "stupid!you", "idi\u200bot", "a**"]
)
def test_masked_rude_words_are_found(word: str) -> None:
    assert is_rude(word)


@pytest.mark.parametrize("word", ["as", "class", "hello", "5*", "**", "455", "i'm", "passé", "w*rd", "grass"])
def test_harmless_words_are_not_rude(word: str) -> None:
    assert not is_rude(word)


def test_only_rude_words_are_blurred() -> None:
    hidden = '<span aria-hidden="true">idiot</span>'
    blurred = f'<button type="button" class="rude" title="rude word">{hidden}</button>'
    assert blur_rude_words("<i>You</i> idiot!", show=False) == f"<bdi>&lt;i&gt;You&lt;/i&gt; {blurred}!</bdi>"
    assert blur_rude_words("You idiot", show=True) == "<bdi>You idiot</bdi>"
    assert blur_rude_words("ok " + "x" * 997 + "idiot", show=False).endswith("x… (5 more characters)</bdi>")
    # Masks without end take no time.
    assert "more characters" in blur_rude_words("f*a*b*c*" * 20_000, show=False)


# -- data -------------------------------------------------------------------------------------------------------------
def test_groups_hold_comparable_rows(board: Leaderboard) -> None:
    labels = [group.label for group in board.groups.values()]
    assert labels == ["t (6 sentences), s1", "t (2 sentences), s2"]
    first, second = board.groups.values()
    assert names(first.records) == ["reference", "org/polite", "delete", "echo"]
    assert names(second.records) == ["delete"] and names(board.published) == ["CondBERT"]
    assert first.reference is not None and first.reference["system"] == "reference" and second.reference is None
    assert board.group_of(key(board, "CondBERT", "emnlp2021")) is None and board.group_of("nobody") is None


def test_groups_with_equal_labels_name_their_difference(tmp_path: Path) -> None:
    write(tmp_path, system("a", [1, 0], sim_model="one"), system("a", [1, 0], sim_model="another model altogether"))
    labels = [group.label for group in load(tmp_path).groups.values()]
    assert sorted(label.rpartition(" ")[0] for label in labels) == ["t (2 sentences), s1; sim"] * 2
    assert len(set(labels)) == 2 and any(label.endswith("sim one") for label in labels)


def test_labels_name_the_part_of_a_test_set(tmp_path: Path) -> None:
    write(tmp_path, system("a", [1, 0], of=2_000))
    assert [g.label for g in load(tmp_path).groups.values()] == ["t (first 2 of 2,000), s1"]


def test_filters(board: Leaderboard) -> None:
    group = next(iter(board.groups.values()))

    def passing(**fields: str) -> list[str]:
        return names(Filters(**fields).apply(group))

    assert passing() == ["reference", "org/polite", "delete", "echo"]
    assert passing(search="POLITE one") == ["org/polite"] and passing(search="polite nobody") == []
    assert passing(kind="baseline") == ["delete", "echo"]
    assert passing(size="none") == ["delete"] and passing(size="under 200M") == ["org/polite"]
    assert passing(size="unknown") == ["reference", "echo"]
    assert passing(parallel="used") == ["org/polite"] and passing(parallel="not used") == ["delete"]
    assert passing(parallel="unknown") == ["reference", "echo"]
    assert passing(verification="unchecked", kind="human") == ["reference"] and passing(verification="verified") == []
    assert passing(contamination="clean") == ["org/polite", "delete"]


def test_sorting_puts_missing_values_last(board: Leaderboard) -> None:
    group = next(iter(board.groups.values()))
    view = TableState().sorted_by("size")
    assert view == TableState("size", descending=True)
    assert names(view.apply(group.records)) == ["org/polite", "delete", "reference", "echo"]
    view = view.sorted_by("size")
    assert names(view.apply(group.records)) == ["delete", "org/polite", "reference", "echo"]
    assert (
        TableState(page=3).sorted_by("system") == TableState("system")
        and TableState().sorted_by("__class__") == TableState()
    )
    assert names(TableState("system").apply(group.records)) == ["delete", "echo", "org/polite", "reference"]


def test_the_ranking_is_a_semantic_table(board: Leaderboard) -> None:
    html = render_ranking(
        next(iter(board.groups.values())), Filters(), ("j", "parallel_data"), TableState("j", descending=True)
    )
    assert "Systems: 1–1 of 1" in html and "<caption><bdi>t (6 sentences), s1</bdi></caption>" in html
    assert re.findall(r'aria-sort="(\w+)"><button[^>]*data-value="(\w+)"', html) == [
        ("none", "rank"), ("none", "system"), ("descending", "j"), ("none", "parallel_data")
    ]  # fmt: skip
    # References and baselines stand apart, above the systems.
    assert re.findall(r'class="c-rank number">(.*?)</td>', html) == ["1", "3", "4", "2"]
    assert re.findall(r'scope="rowgroup".*?<span>(.*?)</span>', html) == [
        "References and baselines: what to beat", "Systems"
    ]  # fmt: skip
    assert '<td class="c-parallel_data">used</td>' in html and "0.417" in html
    low, high = (
        next(r for r in board.records.values() if r["system"] == "org/polite")[f"j_{end}"] for end in ("low", "high")
    )
    assert f'0.417<span class="bar" style="--value:41.7%;--low:{100 * low:.1f}%;--high:{100 * high:.1f}%">' in html
    assert f'<span class="interval">[{low:.3f}, {high:.3f}]</span>' in html


def test_pages(tmp_path: Path) -> None:
    write(tmp_path, *(system(f"s{i:03}", [1, 0]) for i in range(120)))
    group = next(iter(load(tmp_path).groups.values()))

    def page(number: int) -> str:
        return render_ranking(group, Filters(), (), TableState("system", page=number))

    assert "Systems: 51–100 of 120" in page(1) and "Page 2 of 3" in page(1)
    assert page(2).count('scope="row"') == 20 == page(99).count('scope="row"')
    assert re.findall(r'data-event="turn" data-value="(-?\d+)"( disabled)?', page(0)) == [
        ("-1", " disabled"),
        ("1", ""),
    ]
    assert "Systems: none (120 rows do not pass the filters)" in render_ranking(
        group, Filters("nobody"), (), TableState()
    )


def test_unranked_rows_give_the_reason(tmp_path: Path) -> None:
    write(
        tmp_path, system("whole", [1, 0]), system("without-fl", [1, 1], drop=("fl",)), system("other", [1, 1]),
        verified={"other": "mismatch"},
    )  # fmt: skip
    group = next(iter(load(tmp_path).groups.values()))
    html = render_ranking(group, Filters(), ("fl", "verification"), TableState())
    assert html.count("no rank: no FL") == 2 and html.count("no rank: its outputs score differently") == 2
    assert '<span class="badge mismatch"><bdi>mismatch</bdi></span>' in html
    assert group.records[0]["system"] == "whole" and group.records[0]["rank"] == 1


def test_published_figures_have_their_own_table_with_sources(board: Leaderboard) -> None:
    html = render_published(board.published)
    assert "cannot be compared" in html and 'href="https://aclanthology.org/x"' in html and "CondBERT" in html
    assert "CondBERT" not in "".join(
        render_ranking(group, Filters(), tuple(COLUMNS), TableState()) for group in board.groups.values()
    )
    assert render_published([]) == ""
    assert reproduce_command(board.published[0]) == verify_command(board.published[0], None) == ""


def test_charts_name_every_system(board: Leaderboard) -> None:
    group = next(iter(board.groups.values()))
    html = render_charts(group.records)
    assert html.count("<svg viewBox") == 2 and html.count("<g>") == 8 and "1  reference" in html
    assert "org/polite: J 0.417 [" in html
    assert "No system with scores" in render_charts([])
    assert [round(t, 3) for t in Axis(0, 0.52, 0, 100).ticks] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert [round(t, 3) for t in Axis(-0.26, 1.0, 0, 1).ticks] == [-0.2, 0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_outputs_are_shown_beside_the_references(board: Leaderboard) -> None:
    html = render_outputs(board, key(board, "delete"), "Lowest J first", True, 0)
    assert "Human rewrite" in html and "<bdi>reference 3</bdi>" in html and "<bdi>delete 3</bdi>" in html
    assert re.findall(r'<th scope="row" class="number">(\d+)', html) == ["4", "5", "6", "1", "2", "3"]
    assert "Human rewrite" not in render_outputs(board, key(board, "reference"), "", True, 0)
    assert "Human rewrite" not in render_outputs(board, key(board, "delete", "s2"), "", True, 0)
    assert render_outputs(board, "nobody", "", True, 0) == ""
    assert "no sentences are stored" in render_outputs(board, key(board, "CondBERT", "emnlp2021"), "", True, 0)


def test_scores_by_slice(board: Leaderboard, tmp_path: Path) -> None:
    """Sources "a fool you are", "go home", "so what , idiot", twice; polite has J .5 but for the last, which is 0."""
    html = render_slices(board, key(board, "org/polite"))
    insult = ("4", "0.375", "0.750", "0.500", "1.000")
    assert f"<bdi>insult</bdi></th>{number_cells(insult)}" in html
    assert f"<bdi>STA</bdi></th>{number_cells(('1', '0.000', '0.000', '0.500', '1.000'))}" in html
    assert "Lowest metric if J &lt; 0.5" in html and "judge" not in html
    assert render_slices(board, None) == render_slices(board, key(board, "CondBERT", "emnlp2021")) == ""
    pair = Comparisons(board).render(key(board, "org/polite"), key(board, "echo"), "", True, 0)
    assert f"<bdi>insult</bdi></th>{number_cells(('4', '0.375', '0.000', '+0.375'))}" in pair
    assert "Lowest metric" not in pair
    hostile = "<script>window.hacked = 1</script>"
    path = tmp_path / board.records[key(board, "org/polite")]["path"].replace(".json", ".parquet")
    table = parquet.read_table(path)
    parquet.write_table(table.append_column("fault", pa.array([hostile] + ["none"] * 5)), path)
    changed = load(tmp_path)
    html = render_slices(changed, key(changed, "org/polite"))
    assert "<script>" not in html and "<bdi>&lt;script&gt;window.hacked" in html and "Fault that the judge sees" in html
    outputs = render_outputs(changed, key(changed, "org/polite"), "", True, 0)
    assert "<script>" not in outputs and '<th scope="col">Fault</th>' in outputs


def test_references_of_other_sentences_are_not_shown(board: Leaderboard, tmp_path: Path) -> None:
    path = tmp_path / board.records[key(board, "reference")]["path"].replace(".json", ".parquet")
    table = parquet.read_table(path)
    parquet.write_table(table.set_column(0, "source", pa.array(["another"] * 6)), path)
    changed = load(tmp_path)
    assert "Human rewrite" not in render_outputs(changed, key(changed, "delete"), "", True, 0)
    assert "under one signature" in Comparisons(changed).render(
        key(changed, "delete"), key(changed, "reference"), "", True, 0
    )


def test_paired_test_uses_the_same_sentences(board: Leaderboard) -> None:
    comparisons = Comparisons(board)
    html = comparisons.render(key(board, "org/polite"), key(board, "echo"), "First ahead", True, 0)
    left, right = np.array([0.5] * 5 + [0.0]), np.zeros(6)
    assert f'<td class="number">{paired_difference(left, right)}</td>' in html
    p = f"{randomisation_test(left, right):.3f}"[1:]
    assert f'<td class="number">{p}</td></tr></tbody>' in html and "the first is ahead in 5, the second in 0" in html
    assert re.findall(r'<th scope="row" class="number">(\d+)', html) == ["1", "2", "3", "4", "5", "6"]
    turned = comparisons.render(key(board, "org/polite"), key(board, "echo"), "Second ahead", True, 0)
    assert re.findall(r'<th scope="row" class="number">(\d+)', turned)[0] == "6"
    for other, why in (
        (key(board, "org/polite"), "both are the same row"),
        (key(board, "delete", "s2"), "other sentences or by another protocol"),
        (key(board, "CondBERT", "emnlp2021"), "a published figure has no sentences"),
    ):
        assert why in comparisons.render(key(board, "org/polite"), other, "", True, 0)
    assert "Choose two systems" in comparisons.render(key(board, "delete"), None, "", True, 0)


def test_downloads_hold_the_filtered_ranking(board: Leaderboard) -> None:
    group = next(iter(board.groups.values()))
    records = select(group, Filters(kind="baseline"), TableState("j"))
    rows = list(csv.DictReader(io.StringIO(to_csv(board, records).decode("utf-8-sig"))))
    assert [(row["system"], float(row["j"]), row["parallel_data"]) for row in rows] == [
        ("echo", 0, ""), ("delete", 0.25, "False")
    ]  # fmt: skip
    table = parquet.read_table(io.BytesIO(to_parquet(board, records)))
    assert table.schema == board.table.schema and table["system"].to_pylist() == ["echo", "delete"]
    assert to_parquet(board, []) and to_csv(board, []).decode("utf-8-sig").startswith("rank,ties,system")


# -- the command ------------------------------------------------------------------------------------------------------
def record(name: str, **more: Any) -> dict[str, Any]:
    row: Row = system(name, [1, 0], of=10, **more)[0]
    return flat(row, Verification(), Placing())


def test_score_command_repeats_the_recorded_settings() -> None:
    decoding = {"num_beams": 4, "do_sample": False, "prompt": "Say:\n{text}", "batch_size": 8}
    made = record("org/m", kind="model", revision=COMMIT, decoding=decoding)
    command = reproduce_command({**made, "profile": "offline.v2"})
    options = score_parser().parse_args(shlex.split(command)[3:])
    assert (options.systems, options.revision, options.limit) == (["org/m"], COMMIT, 2)
    # The version, too: "offline" alone would score with the version of today.
    assert (options.test_set, options.profile, options.batch_size) == ("t", ["offline-v2"], 8)
    assert options.decoding == ["do_sample=false", "num_beams=4"] and options.prompt == "Say:\n{text}"
    for told, engine in (
        ("ctranslate2-4.8.5-float32", "ctranslate2"),
        ("ctranslate2-4.8.5-int8", "ctranslate2-int8"),
        ("vllm-0.29.0-bfloat16", "vllm"),
        ("vllm-0.29.0-float32", "vllm-float32"),
    ):
        by_engine = record("org/m", kind="model", decoding={**decoding, "engine": told})
        assert score_parser().parse_args(shlex.split(reproduce_command(by_engine))[3:]).engine == engine
    narrow = record("org/m", kind="model", decoding={**decoding, "dtype": "bfloat16"})
    assert score_parser().parse_args(shlex.split(reproduce_command(narrow))[3:]).dtype == "bfloat16"
    assert reproduce_command(record("delete", kind="baseline", decoding={})) == (
        "python -m metrics.score delete --test-set t --limit 2 --profile s1"
    )
    assert verify_command(made, "lab/board").startswith("python -m leaderboard.verify --repo lab/board --only ")


def test_train_command_uses_the_recorded_recipe(tmp_path: Path) -> None:
    recipe = {"name": "it's mine", "sro_learning_rate": 1e-5, "prompt": "Rude: {text}\n\nPolite:\n", "train": 8}
    made = record("sro", kind="model", revision=f"sha256:{'0' * 64}", recipe=recipe)
    command = reproduce_command(made)
    assert command.endswith("python -m repro.run it-s-mine.yaml")
    run(command, tmp_path)
    assert yaml.safe_load((tmp_path / "it-s-mine.yaml").read_text()) == recipe


def test_outputs_command_reads_the_stored_sentences() -> None:
    made = record("=paragedi", kind="outputs")
    first, second = reproduce_command(made).split("\n")
    assert f"results/paragedi/{made['run_id']}.parquet > paragedi.txt" in first
    assert second.startswith("python -m metrics.score paragedi.txt --test-set t")


@pytest.mark.parametrize(
    "name", [*HOSTILE, "--json=/tmp/x", "$(touch pwned)", "`touch pwned`", "a'; touch pwned; '", "\n; touch pwned"]
)
@pytest.mark.parametrize("kind", ["model", "outputs", "baseline"])
def test_no_name_is_run_by_the_shell(name: str, kind: str, tmp_path: Path) -> None:
    made = {
        **record("x", kind="outputs"),
        "system": name,
        "kind": kind,
        "profile": name,
        "test_set": name,
        "decoding": "{}",
    }
    command = reproduce_command(made)
    ran = run(command, tmp_path)
    if kind != "outputs":
        options = score_parser().parse_args(ran[-1][2:])
        assert options.systems == [name] and options.test_set == name
    assert [p.name for p in tmp_path.iterdir() if p.name != "python"] in ([], [ran[-1][2]])


def run(command: str, folder: Path) -> list[list[str]]:
    """The arguments of each `python` call of a shell command; `python` itself is replaced."""
    fake = folder / "python"
    fake.write_text(f"#!{sys.executable} -I\nimport json, sys\nprint(json.dumps(sys.argv[1:]), file=sys.stderr)\n")
    fake.chmod(0o755)
    env = {"PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stderr.splitlines()]


# -- hostile rows ----------------------------------------------------------------------------------------------------
def test_hostile_rows_are_escaped_everywhere(tmp_path: Path) -> None:
    write(
        tmp_path,
        *(
            system(name, [1, 0], about=About(note=name, base=name, training_data=(name,)), outputs=(name, COPIED))
            for name in HOSTILE
        ),
        published_row(published_name := "CondBERT <b>", 0.5, title=HOSTILE[1]),
    )  # fmt: skip
    for round_ in ("as rows are", "past all checks"):
        board = load(tmp_path)
        group = next(iter(board.groups.values()))
        keys = [r["key"] for r in group.records]
        html = (
            render_ranking(group, Filters(), tuple(COLUMNS), TableState())
            + render_charts(group.records)
            + render_picture(group, group.records)
            + render_fault_table(board, group.records)
            + render_published(board.published)
        )
        html += "".join(
            render_details(board, k)
            + render_slices(board, k)
            + render_outputs(board, k, "", False, 0)
            + render_examples(board, k)
            + render_faults(board, k)
            for k in [*keys, board.published[0]["key"]]
        )
        html += Comparisons(board).render(keys[0], keys[1], "", False, 0)
        # Only elements and attributes of this project's own making.
        found = Elements()
        found.feed(html)
        assert found.names <= {tuple(name.split(".")) for name in OWN}, round_
        assert all(link.startswith(("https://huggingface.co/", "https://aclanthology.org/")) for link in found.links)
        for row in csv.DictReader(io.StringIO(to_csv(board, group.records).decode("utf-8-sig"))):
            assert not any(re.match(r"[=+\-@\t\r]", cell) and not is_number(cell) for cell in row.values())
        # Then with such a text wherever the table holds text.
        texts = [field.name for field in board.table.schema if field.type == pa.string()]
        for name in (*HOSTILE, published_name):
            values = {text: HOSTILE[1] for text in texts if text not in ("comparable", "record", "path")}
            tamper(tmp_path, name, **values)
            tamper(tmp_path, name, FULL, **values)


class Elements(HTMLParser):
    """Collects the (element, attribute) pairs and the link addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[tuple[str, ...]] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {(tag,), *((tag, name) for name, _ in attrs)}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


OWN = (
    "article article.class circle del figcaption figure figure.class ins ol rect.x section.aria-label section.class "
    "p.class svg.class th.colspan tr.class "
    "a a.href a.rel a.target bdi button button.aria-label button.class button.data-event button.data-value "
    "button.title button.type caption circle circle.class circle.cx circle.cy circle.r code code.dir dd div "
    "div.aria-label div.class div.role div.tabindex dl dt g h2 h3 li line line.class line.x1 line.x2 line.y1 "
    "line.y2 p p.role path path.class path.d polyline polyline.class polyline.points pre pre.tabindex rect "
    "rect.class rect.height rect.width rect.x rect.y section span span.aria-hidden span.class span.style span.title "
    "strong svg svg.aria-hidden svg.aria-label svg.height svg.role svg.viewbox svg.width table table.class tbody td "
    "td.class text text.class text.text-anchor text.x text.y th th.aria-sort th.class th.scope thead title tr ul "
    "ul.class "
).split()


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_paths_in_a_table_cannot_leave_the_leaderboard(board: Leaderboard, tmp_path: Path) -> None:
    (tmp_path / "secret.parquet").write_bytes(b"x")
    for path in ("../secret.json", "/etc/passwd", "results/../secret.json", "secret.json", "results/a/../../x.json"):
        tamper(tmp_path, "delete", path=path)
        changed = load(tmp_path)
        assert "no sentences are stored" in render_outputs(changed, key(changed, "delete"), "", True, 0)


def test_too_long_or_missing_sentences_are_refused(board: Leaderboard, tmp_path: Path) -> None:
    path = tmp_path / board.records[key(board, "delete")]["path"].replace(".json", ".parquet")
    table = parquet.read_table(path)
    long = pa.array(["x" * 1_000_000] * 6)
    parquet.write_table(table.set_column(1, "output", long), path)
    assert "no output of at most 10,000 characters" in render_outputs(load(tmp_path), key(board, "delete"), "", True, 0)
    parquet.write_table(table.slice(0, 5), path)
    assert "5 sentences, the row says 6" in render_outputs(load(tmp_path), key(board, "delete"), "", True, 0)
    path.write_bytes(b"PAR1 not really")
    assert "not a Parquet file" in render_outputs(load(tmp_path), key(board, "delete"), "", True, 0)


def test_hostile_values_in_a_table_are_bounded_and_escaped(
    board: Leaderboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "\u202eevil" + "y" * 1_000_000
    tamper(
        tmp_path,
        "delete",
        system=evil,
        note=evil,
        verification="<b>",
        kind=evil,
        decoding="[" * 100_000,
        j=float("nan"),
    )
    changed = load(tmp_path)
    k = key(changed, evil)
    html = (
        render_ranking(changed.group_of(k), Filters(), tuple(COLUMNS), TableState())
        + render_details(changed, k)
        + render_charts(list(changed.records.values()))
    )
    assert len(html) < 80_000 and "\u202e" not in html and "⟨U+202E⟩evil" in html
    tamper(tmp_path, evil, system=None)
    with pytest.raises(InputError, match="no system in a row"):
        load(tmp_path)


@pytest.mark.parametrize(
    "values",
    [{"j_low": -100.0}, {"sim": -1e300}, {"sta_high": 1e300}, {"j": 7.0}, {"sim_high": None}, {"fl_high": 0.9}],
)
def test_no_number_breaks_the_charts(board: Leaderboard, tmp_path: Path, values: dict[str, Any]) -> None:
    tamper(tmp_path, "delete", **values)
    changed = load(tmp_path)
    record = changed.records[key(changed, "delete")]
    name = next(iter(values)).partition("_")[0]
    assert record[f"{name}_low"] is None and record[f"{name}_high"] is None
    assert "e+" not in render_charts(list(changed.records.values())) + render_details(changed, record["key"])


def test_damaged_tables_raise_one_line(board: Leaderboard, tmp_path: Path) -> None:
    latest = tmp_path / LATEST
    table = parquet.read_table(latest)
    for damaged, why in (
        (table.drop_columns(["j"]), "j"),
        (table.set_column(0, "rank", pa.array(["first"] * len(table))), "first"),
    ):
        parquet.write_table(damaged, latest)
        with pytest.raises(InputError, match=rf"{LATEST}: damaged \(.*{why}.*leaderboard.rebuild"):
            load(tmp_path)
    latest.write_bytes(b"")
    with pytest.raises(InputError, match="not a Parquet file"):
        load(tmp_path)
    latest.unlink()
    with pytest.raises(InputError, match=r"missing; run python -m leaderboard.rebuild"):
        load(tmp_path)


def test_empty_leaderboard_has_a_page(tmp_path: Path) -> None:
    empty = load(tmp_path)
    assert "No measured rows yet" in render_ranking(None, Filters(), (), TableState())
    assert Page(empty).build() is not None and empty.groups == {}
    write(tmp_path, published_row("CondBERT", 0.5))
    assert Page(load(tmp_path)).build() is not None


def test_invalid_arguments_end_with_one_line(tmp_path: Path) -> None:
    for folder, message in ((tmp_path / "none", "no such folder"), (tmp_path, "no leaderboard in this folder")):
        with pytest.raises(InputError, match=message):
            open_leaderboard(local=folder)
    with pytest.raises(InputError, match="needs the id of a Hub data set"):
        open_leaderboard(repo="../x")
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(InputError, match="not an empty folder"):
        write_page_space(tmp_path)
    done = run_module("leaderboard.space", "--local", str(tmp_path))
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")


# -- the Space --------------------------------------------------------------------------------------------------------
def test_staged_folder_is_complete_and_starts_without_model_libraries(tmp_path: Path) -> None:
    write_page_space(tmp_path / "space")
    folder = tmp_path / "space"
    _, front, _ = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    head = yaml.safe_load(front)
    assert head["sdk"] == "gradio" and (folder / head["app_file"]).is_file()
    assert {"leaderboard", "test:public", "judge:auto", "modality:text", "language:english"} <= set(head["tags"])
    requirements = (folder / "requirements.txt").read_text().split()
    assert f"gradio=={head['sdk_version']}" in requirements
    pins = (ROOT / "constraints.txt").read_text().split("\n")
    assert set(requirements) <= set(pins)
    # Complete: every module imports where this checkout is not. Light: app.py brings in nothing that scoring needs.
    loaded = {name.partition(".")[0] for name in import_every_module(folder, "app")}
    assert not loaded & {"datasets", "evaluate", "plotly"}
    started = {name.partition(".")[0] for name in import_modules(folder, "app")}
    assert not started & {"torch", "transformers", "sklearn", "peft"}
    assert missing_modules(bundle(PAGE_BUNDLE)) == set()
