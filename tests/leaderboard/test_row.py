"""The row schema: values, validation, and loading of every schema version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import leaderboard
from leaderboard.rows.formats import read_json
from leaderboard.rows.results import row_from_result
from leaderboard.rows.row import (
    SCHEMA_VERSION,
    About,
    Row,
    Usage,
    expected_run_id,
    folder_name,
    json_schema,
    load_row,
)
from leaderboard.rows.sentences import Sentences
from metrics.data.parquet import read_parquet, write_parquet
from metrics.util.errors import InputError
from tests.leaderboard.boards import TODAY, document, entry

GOLDEN = Path(__file__).parent / "golden"


def test_values_of_a_row() -> None:
    row, sentences = entry("x", [1, 0, 1], outputs=("a fool you are", "go", ""))
    scores = row.scores
    assert (row.test_set.n, scores["sta"].mean, scores["sim"].mean, scores["fl"].mean) == (
        3,
        pytest.approx(2 / 3),
        0.5,
        1,
    )
    assert scores["j"].mean == pytest.approx(1 / 3)
    assert scores["j"].low is not None and scores["j"].low <= scores["j"].mean <= (scores["j"].high or 0)
    assert row.copies == pytest.approx(1 / 3) and row.empty == 1
    assert row.length_ratio == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert (row.decoding, row.profile, row.comparable.split("|")[0]) == ({"num_beams": 4}, "s1", "profile:s1")
    assert row.path == f"results/x/{row.run_id}.json"
    assert Sentences.from_parquet(sentences.to_parquet(), "x").sha256 == sentences.sha256 == row.sentences


def test_faults_are_stored_with_the_sentences_and_change_nothing_where_there_are_none() -> None:
    made = document("x", [1, 0, 1])
    plain = Sentences.of(made["sentences"], "x")
    assert plain.faults == () and "fault" not in read_parquet(plain.to_parquet(), "x").column_names
    for sentence, fault in zip(made["sentences"], ("none", "swapped roles", "none"), strict=True):
        sentence["fault"] = fault
    row, sentences = row_from_result(made, "x", submitter="ann", date=TODAY)
    stored = Sentences.from_parquet(sentences.to_parquet(), "x")
    assert stored.faults == ("none", "swapped roles", "none") and stored.sha256 == row.sentences != plain.sha256
    assert row.outputs == plain.outputs_sha256
    for bad in (None, "", "two\nlines", "x" * 41, 3):
        made["sentences"][1]["fault"] = bad
        with pytest.raises(InputError, match="x: sentence 1: no fault of at most 40 characters"):
            Sentences.of(made["sentences"], "x")


@pytest.mark.parametrize("version", [1, 2])
def test_rows_of_older_versions_load_and_stay_english(version: int) -> None:
    """One stored file per version, written by that version's program."""
    if version == 1:
        documents = pd.read_parquet(GOLDEN / "rows-v1.parquet").to_dict("records")
    else:
        documents = [json.loads((GOLDEN / f"row-v{version}.json").read_text())]
    rows = {row.system.name: row for row in (load_row(found, "golden") for found in documents)}
    row = rows["delete"]
    assert row.scores["j"].mean == pytest.approx(0.25608387916358333 if version == 1 else 0.355, abs=5e-4)
    assert (row.test_set.name, row.test_set.n) == ("sample", 12 if version == 1 else 234)
    assert row.comparable.startswith("profile:offline.v2|sta:heads-toxicity(") and expected_run_id(row) == row.run_id
    assert load_row(json.loads(row.to_json()), "again") == row
    assert (row.schema_version, row.test_set.lang) == (2, "en") and "lang" not in row.to_json()
    Draft202012Validator(json_schema()).validate(json.loads(row.to_json()))


def test_rows_in_other_languages_have_version_3() -> None:
    stored = (GOLDEN / "row-v3.json").read_text("utf-8")
    row = load_row(json.loads(stored), "golden")
    assert (row.schema_version, row.test_set.lang, row.test_set.title) == (3, "de", "german.tsv:de")
    assert "|lang:de|n:3|" in row.signature and expected_run_id(row) == row.run_id and row.to_json() == stored
    Draft202012Validator(json_schema()).validate(json.loads(stored))
    for version, lang in ((2, "de"), (4, "de"), (3, "en"), (3, "German")):
        document = json.loads(stored)
        document["schema_version"] = version
        document["test_set"]["lang"] = lang
        with pytest.raises(InputError, match=r"schema version . with the language|test_set\.lang"):
            load_row(document, "x")


def test_rows_with_the_tokens_of_an_endpoint_have_the_newest_version() -> None:
    stored = (GOLDEN / "row-v4.json").read_text("utf-8")
    row = load_row(json.loads(stored), "golden")
    assert (row.schema_version, row.test_set.lang, row.system.name) == (SCHEMA_VERSION, "en", "openai:m")
    # (40 · 0.5 + 4 · 2) / 1,000,000
    assert row.usage == Usage(prompt_tokens=40, completion_tokens=4, price=(0.5, 2.0), cost=0.000028)
    assert expected_run_id(row) == row.run_id and row.to_json() == stored
    Draft202012Validator(json_schema()).validate(json.loads(stored))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"usage": None}, "schema version 4 with the language en and no usage; it must be 2"),
        ({"schema_version": 2}, "schema version 2 with the language en and a usage; it must be 4"),
        ({"decoding": {}}, "only a row whose decoding names an endpoint"),
        ({"usage": {"prompt_tokens": -1, "completion_tokens": 4}}, "usage.prompt_tokens: .* or equal to 0"),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 10**13}}, "usage.completion_tokens"),
        ({"usage": {"prompt_tokens": 1}}, "usage.completion_tokens: Field required"),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 1.0}}, "price and cost: give both"),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 1, "price": [1.0, 1.0]}}, "price and cost: give both"),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 1, "price": [1.0], "cost": 0.0}}, "usage.price"),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 1, "price": [-1.0, 1.0], "cost": 0.0}}, "usage.price"),
        ({"usage": {"prompt_tokens": 0, "completion_tokens": 0, "price": [1.0, 1.0], "cost": -1.0}}, "usage.cost"),
        # A million tokens at 0.5 cost 0.5.
        (
            {"usage": {"prompt_tokens": 10**6, "completion_tokens": 0, "price": [0.5, 1.0], "cost": 0.4}},
            "cost 0.4: its tokens cost 0.500000",
        ),
    ],
)
def test_usage_is_of_an_endpoint_within_bounds_and_costs_what_its_tokens_cost(
    change: dict[str, Any], message: str
) -> None:
    document = json.loads((GOLDEN / "row-v4.json").read_text("utf-8"))
    with pytest.raises(InputError, match=message):
        load_row(document | change, "x")


def test_a_server_that_counts_no_tokens_leaves_the_row_without_usage() -> None:
    made = document("x", [1, 0, 1])
    made["system"]["usage"] = {"prompt_tokens": 0, "completion_tokens": 0, "price": [1.0, 1.0], "cost": 0.0}
    row, _ = row_from_result(made, "x", submitter="ann", date=TODAY)
    assert (row.schema_version, row.usage) == (2, None) and "usage" not in row.to_json()


def test_stored_rows_of_the_example_keep_their_bytes() -> None:
    """Verifications name a row by the hash of its content."""
    paths = sorted((Path(leaderboard.__file__).parent / "example" / "results").rglob("*.json"))
    assert len(paths) > 30
    for path in paths:
        text = path.read_text("utf-8")
        assert load_row(json.loads(text), path.name).to_json() == text


def test_the_published_schema_describes_the_rows_of_this_program() -> None:
    def structure(value: Any) -> Any:
        if isinstance(value, list):
            return [structure(item) for item in value]
        return {k: structure(v) for k, v in value.items() if k != "description"} if isinstance(value, dict) else value

    assert structure(json_schema()) == structure(Row.model_json_schema())


def test_the_revision_of_outputs_is_a_hash() -> None:
    with pytest.raises(InputError, match="names no commit or content"):
        entry("s-nlp/bart-base-detox", [1, 0, 1], revision="main")


def test_rows_agree_within_rounding() -> None:
    row, _ = entry("x", [1, 0, 1])
    score = row.scores["sim"]
    near, far = (score.model_copy(update={"mean": score.mean + delta}) for delta in (5e-5, 5e-4))
    assert row.agrees(row.model_copy(update={"scores": {**row.scores, "sim": near}, "submitter": "bob"}))
    assert not row.agrees(row.model_copy(update={"scores": {**row.scores, "sim": far}}))
    assert not row.agrees(row.model_copy(update={"outputs": "0" * 64}))


def test_a_newer_version_is_refused() -> None:
    with pytest.raises(InputError, match="somewhere: schema version 99, this program reads 1 to 4"):
        load_row({"schema_version": 99}, "somewhere")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("system.name", "", "system.name"),
        ("system.name", "x" * 1_000_000, "at most 200 characters"),
        ("system.name", "abc\u202eexe", "U\\+202E is not allowed"),
        ("system.name", f"Z{chr(0x30B) * 3}", "system.name: more than 2 combining marks in a row"),
        ("submitter", f"a{chr(0x489) * 3}", "submitter: more than 2 combining marks in a row"),
        ("system.name", "two\nlines", "U\\+000A is not allowed"),
        ("system.revision", "main", "names no commit or content"),
        ("system.kind", "robot", "system.kind"),
        ("scores.j.mean", float("nan"), "scores.j.mean"),
        ("scores.sta.mean", 1.2, "not between 0 and 1"),
        ("scores.j.low", 0.9, "interval"),
        ("test_set.n", 0, "test_set.n"),
        ("test_set.n", "3", "test_set.n"),
        ("date", "yesterday", "date"),
        ("date", "2026-11-24", "date"),
        ("system.name", "polite\u3164", "U\\+3164 is not allowed"),
        ("decoding", {"prompt": "x\u202ey"}, "U\\+202E is not allowed"),
        ("decoding", {"prompt": "x" * 300_000}, "more than 200,000 characters"),
        ("provenance.packages", {"torch": "\x1b[2J"}, "U\\+001B is not allowed"),
        ("run_id", "../../../etc/passwd", "run_id"),
        ("surprise", 1, "surprise"),
        ("source", {"title": "t", "url": "javascript:alert(1)"}, "source.url"),
        ("signature", "", "a measured row has a signature"),
        ("system.about.size", -1, "system.about.size"),
        ("system.about.size", 10**30, "system.about.size"),
        ("system.about.training_data", ["c"] * 101, "at most 100 items"),
        ("test_set.of", 2**63, "test_set.of"),
        ("empty", 2**63, "empty"),
        ("cost.seconds", 1e300, "cost.seconds"),
        ("length_ratio", float("inf"), "length_ratio"),
        ("date", "0001-01-01T00:00:00+23:59", "not between the years 2000 and 2100"),
        ("date", "9999-12-31T23:59:59-23:59", "not between the years 2000 and 2100"),
        ("scores.j.low", -100.0, "-100.0 is not between -1 and 1"),
        ("scores.sta.high", 1e300, "not between 0 and 1"),
        ("scores.j.high", None, "an interval with one end"),
        ("scores.fl.mean", 0.5, "does not hold the mean 0.5"),
        ("decoding", {"x": 10**30}, "more than 64 bits"),
        ("decoding", {"do_sample": "False"}, "do_sample='False': must be true or false"),
        ("decoding", {"num_beams": True}, "num_beams=True: must be a whole number"),
        ("decoding", {"early_stopping": 1}, 'early_stopping=1: must be true, false or "never"'),
        ("decoding", {"batch_size": 64.0}, "batch_size=64.0: must be a whole number"),
        ("decoding", {"do_sample": None}, "do_sample='null': must be true or false"),
        ("decoding", {"length_penalty": -0.0}, "-0.0, which is 0.0"),
        ("date", "1700000000", "date: not a date such as"),
        ("date", 1700000000, "date: not a date such as"),
        ("schema_version", True, "schema version True"),
        ("schema_version", 2.0, "schema version 2.0"),
        ("test_set.n", True, "test_set.n"),
        ("copies", False, "copies"),
        ("scores.fl.mean", True, "scores.fl.mean"),
        ("system.about.parallel_data", 1, "system.about.parallel_data"),
        ("decoding", {"x": json.loads("[" * 60 + "]" * 60)}, "levels"),
    ],
)
def test_invalid_rows_are_refused(path: str, value: Any, message: str) -> None:
    row, _ = entry("x", [1, 0, 1], kind="model", revision="0" * 40)
    changed = json.loads(row.to_json())
    place = changed
    *parents, last = path.split(".")
    for parent in parents:
        place = place[parent]
    place[last] = value
    with pytest.raises(InputError, match=message):
        load_row(changed, "x")


def test_names_of_scripts_with_marks_are_taken() -> None:
    """Two accents on a letter (Vietnamese, decomposed), a Thai vowel and tone, a Hindi vowel and its nasal sign."""
    for name in ("vie\u0302\u0323t-bart", "\u0e17\u0e35\u0e48-t5", "\u0939\u0948\u0902-mt5"):
        assert load_row(json.loads(entry(name, [1, 0, 1])[0].to_json()), "x").system.name == name


def test_a_damaged_row_of_version_1_is_named() -> None:
    """Its settings are JSON in a text, read as strictly as a file."""
    record = pd.read_parquet(GOLDEN / "rows-v1.parquet").to_dict("records")[0]
    for spoiled in ({"provenance": None}, {"decoding": '{"a": 1, "a": 2}'}, {"decoding": '{"a": NaN}'}):
        with pytest.raises(InputError, match=r"^rows\.parquet, row 0: a row of schema version 1"):
            load_row(record | spoiled, "rows.parquet, row 0")


def test_a_key_that_stands_twice_is_refused() -> None:
    """Another program may read the other value."""
    for text in (b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 1}}', b'{"a": NaN}', b'{"a": -Infinity}'):
        with pytest.raises(InputError, match="x: not JSON"):
            read_json(text, "x")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.append_column("award", pa.array(["gold"] * 3)), "each once"),
        (lambda t: t.append_column("j", t["j"]), "each once"),
        (lambda t: t.drop_columns(["soft_fl"]), "each once"),
        (lambda t: t.set_column(2, "sta", pa.array([1, 1, 1])), "column sta has the type int64"),
        (lambda t: t.set_column(2, "sta", pa.array([1.0, 1.0, 1e300])), "sta is not between 0 and 1"),
    ],
)
def test_sentences_have_exactly_their_columns(edit: Any, message: str) -> None:
    _, sentences = entry("x", [1, 0, 1])
    table = edit(read_parquet(sentences.to_parquet(), "x"))
    with pytest.raises(InputError, match=message):
        Sentences.from_parquet(write_parquet(table), "x")


def test_published_figures_have_a_source_and_no_interval() -> None:
    row, _ = entry("x", [1, 0, 1])
    changed = json.loads(row.to_json()) | {"record": "published", "source": {"title": "t", "url": "https://x.org"}}
    with pytest.raises(InputError, match="no signature and no interval"):
        load_row(changed, "x")
    scores = {metric: {"mean": 0.5} for metric in ("sta", "sim", "fl", "j")}
    assert load_row(changed | {"signature": "", "scores": scores}, "x").comparable == "https://x.org t s1"


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("s-nlp/bart-base-detox", "s-nlp__bart-base-detox"),
        ("../../etc/passwd", "etc__passwd"),
        ("..", "unnamed"),
        ("<script>alert(1)</script>", "script-alert-1__script"),
        ("=cmd()", "cmd"),
        ("Mask&Infill", "Mask-Infill"),
        ("/", "unnamed"),
    ],
)
def test_folder_names(name: str, folder: str) -> None:
    assert folder_name(name) == folder


@given(st.text(max_size=300))
def test_no_name_leaves_the_results_folder(name: str) -> None:
    folder = folder_name(name)
    assert (
        folder and "/" not in folder and "\\" not in folder and not folder.startswith((".", "-")) and len(folder) < 200
    )


def test_contradictory_results_are_refused() -> None:
    altered = document("x", [1, 0, 1])
    altered["summary"]["j"]["mean"] = 0.9
    with pytest.raises(InputError, match=r"summary\.j is 0\.9, its sentences give 0\.333333"):
        row_from_result(altered, "x.json", submitter="ann", date=TODAY)
    long = document("x", [1, 0, 1])
    long["sentences"][1]["output"] = "x" * 1_000_000
    with pytest.raises(InputError, match="sentence 1: no output of at most 10,000 characters"):
        row_from_result(long, "x.json", submitter="ann", date=TODAY)


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, float("nan"), "\ud800", [[[[]]]], "x" * 300_000])
@pytest.mark.parametrize(
    "path",
    [
        "system", "system.name", "system.kind", "system.revision", "system.decoding", "system.card", "system.cost",
        "system.card.training_data", "system.usage", "test_set", "test_set.name", "test_set.sha256", "test_set.n",
        "signature", "summary", "summary.sta", "summary.sta.mean", "sentences", "versions",
    ],
)  # fmt: skip
def test_invalid_results_give_one_short_line(path: str, value: Any) -> None:
    """Any value in any field gives a valid row or an InputError."""
    broken = document("x", [1, 0, 1])
    broken["system"]["usage"] = {}
    *parents, last = path.split(".")
    place = broken
    for parent in parents:
        place = place[parent]
    place[last] = value
    try:
        row, _ = row_from_result(broken, "x.json", submitter="ann", date=TODAY)
    except InputError as error:
        assert len(str(error)) < 600
    else:
        assert load_row(json.loads(row.to_json()), "again") == row
    del place[last]
    try:
        row_from_result(broken, "x.json", submitter="ann", date=TODAY)
    except InputError as error:
        assert len(str(error)) < 600


@pytest.mark.parametrize("read", [read_json, read_parquet])
def test_damaged_files_give_one_line(read: Any) -> None:
    empty = b"PAR1" + bytes(60) + b"PAR1"
    for data in (b"", b"[" * 100_000, b"[" * 60 + b"]" * 60, b"PAR1 not really", b"\xff\xfe", empty):
        with pytest.raises(InputError, match="x: not "):
            read(data, "x")


def test_flipped_bytes_of_sentences_are_detected() -> None:
    """Each of 60 flips damages the file, changes its content, or (in padding) has no effect."""
    _, sentences = entry("x", [1.0, 0.0] * 20)
    data = sentences.to_parquet()
    for place in range(0, len(data), len(data) // 60):
        flipped = bytearray(data)
        flipped[place] ^= 0x55
        try:
            again = Sentences.from_parquet(bytes(flipped), "x")
        except InputError:
            continue
        same = (again.source, again.output) == (sentences.source, sentences.output)
        assert (again.sha256 == sentences.sha256) <= same


def test_system_facts() -> None:
    from leaderboard.rows.systems import system_facts

    detox = system_facts("s-nlp/bart-base-detox", "paradetox-test", {})
    assert (detox.parallel_data, detox.contamination) == (True, "contaminated")
    assert system_facts("s-nlp/bart-base-detox", "sample", {}).contamination == "unknown"
    # The submitter's facts override the list; the other facts stay.
    told = system_facts("s-nlp/bart-base-detox", "paradetox-test", {}, About(note="mine"))
    assert (told.note, told.licence, told.contamination) == ("mine", "openrail++", "contaminated")
    stranger = system_facts("a/b", "sample", {"size": 5, "licence": "mit", "training_data": ["c"]})
    assert (stranger.size, stranger.licence, stranger.training_data) == (5, "mit", ("c",))


def test_public_names_have_no_local_folders() -> None:
    from leaderboard.rows.results import public_name

    assert public_name("/home/ann/secret/condbert.txt", "sha256:0", "outputs") == "condbert"
    assert public_name("/home/ann/runs/checkpoint/", "sha256:0", "model") == "checkpoint"
    assert public_name("s-nlp/bart-base-detox", "0" * 40, "model") == "s-nlp/bart-base-detox"
    assert public_name("delete", "lexicon-0", "baseline") == "delete"


def test_row_is_immutable() -> None:
    row, _ = entry("x", [1, 0, 1])
    with pytest.raises(ValueError, match="frozen"):
        row.submitter = "eve"  # type: ignore[misc]
    assert isinstance(row, Row)
