"""Files of outputs and test sets of the user's own: every format, aligned by id or source; what cannot be is named."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metrics.data.columns import Columns
from metrics.data.corpora import load_corpus, without_held_out
from metrics.data.tables import TABLE_SUFFIXES, read_table, read_texts
from metrics.data.test_sets import TestSet, load_test_set
from metrics.profiles import load_profile
from metrics.score import main
from metrics.scoring.evaluator import require_served
from metrics.scoring.jobs import Job, content_of_test_set
from metrics.systems.outputs import outputs_for
from metrics.util.errors import InputError
from metrics.util.files import sha256_file

# A doubled quote, a line break, a tab and a lone quote: what breaks readers of lines.
SOURCES = ('he said "damn"', "you fool\nand idiot", 'a "quote', "crap;\tit, rains")
OUTPUTS = ('he said "no"', "you\nthere", 'a "word', "")
TEST = TestSet("own", "file", "", SOURCES, ((),) * 4, langs=("en", "en", "de", "en"), ids=("a", "b", "7", "d"))
UNNAMED = TestSet("own", "file", "", SOURCES, ((),) * 4)


def rows(**extra: list[Any]) -> list[dict[str, Any]]:
    """The outputs in reverse order, with more columns."""
    columns = {"toxic_sentence": list(SOURCES), "neutral_sentence": list(OUTPUTS), **extra}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)][::-1]


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    """Write records as the csv module, json and pyarrow do."""
    if path.suffix in (".tsv", ".csv"):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, records[0], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(records)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(records, indent=1))
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("suffix", [suffix for suffix in TABLE_SUFFIXES if suffix != ".zip"])
def test_outputs_are_aligned_by_source_and_by_id(tmp_path: Path, suffix: str) -> None:
    by_source = write(tmp_path / f"a{suffix}", rows(lang=["en", "en", "de", "en"]))
    assert outputs_for(by_source, UNNAMED) == outputs_for(by_source, TEST) == list(OUTPUTS)
    by_id = write(tmp_path / f"b{suffix}", [{"id": i, "text": t} for i, t in zip("abd", "xyz", strict=True)])
    assert outputs_for(by_id, TestSet("o", "", "", SOURCES[:3], ((),) * 3, ids=("d", "a", "b"))) == ["z", "x", "y"]
    with pytest.raises(InputError, match="own has no ids, so nothing tells which output belongs to which sentence"):
        outputs_for(by_id, UNNAMED)
    # A limited test set: outputs for its other sentences are known, and not needed.
    assert outputs_for(by_source, TEST.limit(2)) == list(OUTPUTS[:2])
    assert outputs_for(by_source, TEST.by_language("de")[0]) == [OUTPUTS[2]]


def test_the_usual_names_of_columns_may_have_capitals_and_blanks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeffToxic_Sentence, Reference,REFERENCE2,Lang\r\na,b,c,en\r\nd,e,,de\r\n")
    test = load_test_set(str(tmp_path / "a.csv"))
    assert (test.sources, test.references, test.langs) == (("a", "d"), (("b", "c"), ("e",)), ("en", "de"))


def test_other_columns(tmp_path: Path) -> None:
    records = [{"rude": r["toxic_sentence"], "polite, v2": "no", "polite": r["neutral_sentence"]} for r in rows()]
    path = write(tmp_path / "a.csv", records)
    for settings in (["source=rude,output=polite"], ["rude,polite"], ["toxic_sentence=rude", "output=polite"]):
        assert outputs_for(path, UNNAMED, Columns.parse(settings)) == list(OUTPUTS)
    with pytest.raises(InputError, match=r"no column neutral_sentence or text; it has rude, polite, v2, polite; give"):
        outputs_for(path, UNNAMED, Columns.parse(["source=rude"]))
    with pytest.raises(InputError, match="no column vile; it has rude"):
        outputs_for(path, UNNAMED, Columns.parse(["vile,polite"]))
    for bad in ("a,b,c,d", "source=a,b", "colour=a", "source=", "", "id=a,id=b"):
        with pytest.raises(InputError, match="--columns"):
            Columns.parse([bad])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r[1:], 'no output for 1 of 4 sentences, the first is "crap; it, rains"'),
        (
            lambda r: [*r, r[1] | {"neutral_sentence": "x"}],
            '"a "quote" \\(de\\) has an output in row 2 and in row 5',
        ),
        (lambda r: [*r, r[1]], "has an output in row 2 and in row 5"),
        (lambda r: [*r, r[0] | {"toxic_sentence": "new"}], 'row 5: "new" \\(en\\) is not in own'),
        (lambda r: [r[0] | {"lang": "ru"}, *r[1:]], 'row 1: "crap; it, rains" \\(ru\\) is not in own'),
        (lambda r: [r[0] | {"neutral_sentence": None}, *r[1:]], 'row 1: no neutral_sentence; write ""'),
    ],
)
def test_missing_doubled_and_unknown_sentences_are_named(tmp_path: Path, change: Any, message: str) -> None:
    path = write(tmp_path / "a.parquet", change(rows(lang=["en", "en", "de", "en"])))
    with pytest.raises(InputError, match=message) as error:
        outputs_for(path, TEST)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_ids_must_have_their_sources(tmp_path: Path) -> None:
    """Whole numbers in one file are text in another; an id with another sentence's source is refused."""
    records = rows(id=["a", "b", 7, "d"])
    assert outputs_for(write(tmp_path / "a.jsonl", records), TEST) == list(OUTPUTS)
    records[1]["id"], records[2]["id"] = records[2]["id"], records[1]["id"]
    with pytest.raises(InputError, match=r'line 2: the source of id b is "a "quote", in own "you fool and idiot"'):
        outputs_for(write(tmp_path / "b.jsonl", records), TEST)
    for bad in (1.5, True, None, " "):
        with pytest.raises(InputError, match="line 1: id is"):
            outputs_for(write(tmp_path / "c.jsonl", [records[0] | {"id": bad}]), TEST)


def test_a_sentence_that_the_test_set_repeats_needs_one_output(tmp_path: Path) -> None:
    twice = TestSet("own", "file", "", ("a b", "c", "a b"), ((),) * 3)
    same = [{"toxic_sentence": s, "neutral_sentence": t} for s, t in (("c", "y"), ("a  b", "x"), ("a b", "x"))]
    assert outputs_for(write(tmp_path / "a.tsv", same[:2]), twice) == ["x", "y", "x"]
    assert outputs_for(write(tmp_path / "b.tsv", same), twice) == ["x", "y", "x"]
    with pytest.raises(InputError, match='"a b" has an output in row 3 and in row 4'):
        outputs_for(write(tmp_path / "c.tsv", [*same[:2], same[2] | {"neutral_sentence": "z"}]), twice)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": "1", "text": "a"}\n{"id": "2", "text": "b"}\n', r"its lines are JSON.*rename it to o.jsonl"),
        ('[\n{"id": "1", "text": "a"}\n]\n', "lines are JSON"),
        ("toxic_sentence\tneutral_sentence\na\tb\n", r"its lines are TSV.*rename it to o.tsv"),
        ("a\tb\nc\td\n", "lines are TSV"),
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n",
            "a pointer of Git LFS in place of the f",
        ),
        ("<!DOCTYPE html>\n<html>\n</html>\n", "a page of HTML, not plain texts"),
        ('toxic_sentence,neutral_sentence,lang\n"a","b",en\n', r"its lines are CSV.*rename it to o.csv"),
    ],
)
def test_tables_that_are_called_text_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "o.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_texts(path)


def test_texts_that_only_look_like_tables_are_read(tmp_path: Path, data_dir: Path) -> None:
    path = tmp_path / "o.txt"
    path.write_text('[deleted]\n{well}\none, two, three\na\ttab\n"x"\n')
    assert read_texts(path) == ["[deleted]", "{well}", "one, two, three", "a\ttab", '"x"']
    for file in ("paragedi", "condbert", "paragedi_mined"):
        assert len(read_texts(data_dir / "published_outputs" / f"{file}.txt")) == 10_000


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", 'toxic_sentence\tlang\n"cut off\ten\n', None),
        ("a.csv", 'toxic_sentence,lang\n"cut off,en\n', "unexpected end of data"),
        ("a.csv", 'toxic_sentence,lang\n"a" b,en\n', "after row 1: ',' expected after '\"'"),
        ("a.csv", "toxic_sentence,lang\na,b,en\n", "row 2 has too many columns"),
        ("a.tsv", "toxic_sentence\tlang\na\n", "row 2 has too few columns"),
        ("a.csv", "lang,lang\na,b\n", "more than one column lang"),
        # Two files that were joined, the second with its byte order mark.
        ("a.tsv", "text\tlang\na\ten\n\ufefftext\tlang\nb\ten\n", "row 3 repeats the names of the columns"),
        ("a.csv", "text,lang\na,en\ntext,lang\nb,en\n", "row 3 repeats the names of the columns"),
        # UTF-16 without its mark, of Latin and of Cyrillic letters.
        ("a.csv", "".join(f"{letter}\0" for letter in "text,lang\na,en\n"), "UTF-16, not UTF-8"),
        ("a.csv", "\0t\0e\0x\0t\0\n\x04>\x04=\x04>\0 \x04>\x04=\0\n", "UTF-16, not UTF-8"),
        ("a.csv", "", "empty; the first line must name the columns"),
        ("a.jsonl", '{"id": 1, "text": "a", "text": "b"}\n', "line 1 is not JSON .a key stands twice"),
        ("a.jsonl", '{"id": 1, "text": "a"}\n{"id": 2,', "line 2 is not JSON"),
        ("a.jsonl", '["a"]\n', "element 1 is not a JSON object"),
        ("a.jsonl", '{"id": 1}\n"a"\n', "line 2 is not a JSON object"),
        ("a.parquet", "PAR1", "not a Parquet file"),
        ("a.csv", None, "no such file"),
        ("a.parquet", None, "no such file"),
    ],
)
def test_damaged_tables_are_refused(tmp_path: Path, name: str, text: str | None, message: str | None) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    if message is None:
        # By its tabs each line is complete: the quote is one of the text.
        assert read_table(path).rows == [{"toxic_sentence": '"cut off', "lang": "en"}]
        return
    with pytest.raises(InputError, match=message):
        read_table(path)


def test_doubled_parquet_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), path)
    with pytest.raises(InputError, match="more than one column text; rename one"):
        read_table(path)


# -- test sets --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".parquet"])
def test_a_test_set_of_ones_own(tmp_path: Path, suffix: str) -> None:
    records = [
        {"id": f"s{i}", "toxic_sentence": source, "reference": f"r{i}", "reference2": "x" if i else "", "lang": lang}
        for i, (source, lang) in enumerate(zip(SOURCES, ("en", "de", "en", "EN"), strict=True))
    ]
    path = write(tmp_path / f"mine{suffix}", records)
    test_set = load_test_set(str(path))
    assert (test_set.name, test_set.origin) == (f"mine{suffix}", "file")
    assert test_set.revision == f"sha256:{sha256_file(path)}"
    assert (test_set.sources, test_set.ids) == (SOURCES, ("s0", "s1", "s2", "s3"))
    assert test_set.references == (("r0",), ("r1", "x"), ("r2", "x"), ("r3", "x"))
    english = load_test_set(f"{path}:en")
    assert (english.name, english.lang) == (f"mine{suffix}", "en") and english.sources == SOURCES[:1] + SOURCES[2:]
    assert english.limit(1).references == (("r0",),)
    with pytest.raises(InputError, match="no sentence in the language fr; it has de, en"):
        load_test_set(f"{path}:fr")
    with pytest.raises(InputError, match=r"offline is for English; mine\.\w+ has sentences in de: choose another pro"):
        require_served(load_profile("offline"), test_set)
    require_served(load_profile("offline"), english)
    require_served(load_profile("clef2024"), load_test_set("sample"))
    toxic = load_corpus(f"{path}:de")
    assert (toxic.toxic, toxic.pairs, toxic.origin) == ((SOURCES[1],), ((SOURCES[1], "r1"),), "file")


def test_lists_of_references_and_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": "a b", "references": ["c", "d"]}, {"text": "e", "references": None}])
    assert load_test_set(str(path)).references == (("c", "d"), ())
    (tmp_path / "b.txt").write_text("a b\nc d\n")
    assert load_test_set(str(tmp_path / "b.txt")).sources == ("a b", "c d")
    other = write(tmp_path / "c.tsv", [{"text": "a b", "target": "c", "\x1b[2J": "1"}])
    assert load_test_set(str(other)).references == ((),)
    assert "c.tsv: columns that are not read: target, ⟨U+001B⟩[2J\n" in capsys.readouterr().err
    named = load_test_set(str(path), columns=Columns.parse(["source=text", "reference=references"]))
    assert named.references == (("c", "d"), ())


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".json", ".parquet"])
def test_rows_of_one_source_are_one_sentence_with_several_references(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row per reference. The same text in another language is another sentence; a repeated reference is one."""
    cells = [("damn", "en", "no"), ("mist", "de", "nein"), ("damn", "en", "oh"), ("damn", "de", "ach"),
             ("damn", "en", "no")]  # fmt: skip
    keys = ("toxic_sentence", "lang", "neutral_sentence")
    path = write(tmp_path / f"a{suffix}", [dict(zip(keys, row, strict=True)) for row in cells])
    test = load_test_set(str(path))
    assert test.sources == ("damn", "mist", "damn") and test.langs == ("en", "de", "de")
    assert test.references == (("no", "oh"), ("nein",), ("ach",))
    assert "5 rows are 3 sentences" in capsys.readouterr().err
    outputs = [{"toxic_sentence": s, "lang": x, "output": s + x} for s, x in (("damn", "de"), ("damn", "en"))]
    both = write(tmp_path / f"b{suffix}", [*outputs, {"toxic_sentence": "mist", "lang": "de", "output": "m"}])
    assert outputs_for(both, test) == ["damnen", "m", "damnde"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "toxic_sentence\treference\na\tb\na\t\n", '"a" stands in row 2 and row 3; remove one'),
        ("a.tsv", "id\ttext\treference\n1\ta\tb\n1\ta\tc\n", "id 1 stands in row 2 and row 3"),
        ("a.txt", "a\n\nb\n", "line 2 is empty"),
        ("a.txt", "a\nb\na\n", '"a" stands in line 1 and line 3; remove one'),
        ("a.txt", "", "contains no sentence"),
        ("a.tsv", "toxic_sentence\tlang\n \ten\n", "row 2: its toxic_sentence is empty"),
        ("a.tsv", "toxic_sentence\tlang\na\ten\nb\ten\na\ten\n", '"a" stands in row 2 and row 4'),
        ("a.tsv", "id\ttext\n1\ta\n1\tb\n", "id 1 stands in row 2 and row 3"),
        ("a.tsv", "toxic_sentence\tlang\na\t\n", "row 2: lang is ''"),
        ("a.tsv", "source\ttoxic\na\tb\n", "source and toxic could each be its source; choose with --columns source="),
        # Labels in a column that is called like ParaDetox's sources.
        ("a.csv", "text,toxic\nbad dog,1\ngood dog,0\n", "its sources are numbers, such as 1, and no sentences"),
        ("a.tsv", "text\ttoxic\nbad dog\t0,75\n", "its sources are numbers, such as 0,75"),
        # As pandas writes a column of lists.
        ("a.csv", "text,references\na,\"['b', 'c']\"\n", "row 2: references is a list that was written as text"),
        ("a.csv", 'text,reference\na,"[""b"", ""c""]"\n', "row 2: reference is a list that was written as text"),
        ("a|b.txt", "a\n", "rename the file"),
        ("sample", "a\n", "has the name of a test set of the suite"),
    ],
)
def test_bad_test_sets_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load_test_set(str(tmp_path / name))


def test_the_inputs_of_the_shared_tasks(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts of the tasks' own pages: 600 or 100 sentences a language; quoted cells hold line breaks."""
    folder = data_dir / "clef_inputs"
    first = load_test_set(str(folder / "clef2024_test.tsv"))
    assert len(first.sources) == 5_400 and len(set(first.langs)) == 9 and not any(first.references)
    assert "each reference repeats its source" in capsys.readouterr().err
    assert sum("\n" in source for source in first.sources) == 1 and sum('"' in s for s in first.sources) == 91
    assert len(load_test_set(f"{folder / 'clef2025_dev.tsv'}:tt").sources) == 100
    # As outputs, each sentence is its own copy.
    path = folder / "clef2024_test.tsv"
    english = load_test_set(f"{path}:en")
    assert len(english.sources) == 600 and outputs_for(path, english) == list(english.sources)
    sample = load_test_set(str(data_dir / "clef_sample" / "input.jsonl"))
    polite = outputs_for(data_dir / "clef_sample" / "references.jsonl", sample)
    assert sample.ids[8] == "english-sample8" and polite[8] == "Are you insane?"
    with pytest.raises(InputError, match="id russian-sample0 is not in input"):
        outputs_for(data_dir / "clef_sample" / "references_ru.jsonl", sample)


def test_texts_of_the_test_set_leave_the_corpus(tmp_path: Path) -> None:
    """Those of a corpus may repeat each other."""
    (tmp_path / "a.txt").write_text("you are such a damn fool\n" * 2 + "go away you idiot now please\n")
    kept, dropped = without_held_out(load_corpus(str(tmp_path / "a.txt")), ["You are such a damn fool!"])
    assert (kept.toxic, dropped) == (("go away you idiot now please",), 2)


def test_scores_name_the_file_and_its_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A system that writes one sentence's output first, and the same texts line by line: one signature, one score."""
    test = write(tmp_path / "mine.csv", [{"id": i, "text": s} for i, s in enumerate(("you fool", "shut up idiot"))])
    table = write(tmp_path / "sys.jsonl", [{"id": "1", "text": "please be quiet"}, {"id": "0", "text": "you there"}])
    lines = tmp_path / "lines.txt"
    lines.write_text("you there\nplease be quiet\n")
    out = tmp_path / "r.json"
    options = ["--test-set", str(test), "--profile", "offline-v2", "--json", str(out)]
    main([str(table), str(lines), *options])
    first, second = json.loads(out.read_text())["results"]
    assert first["test_set"]["name"] == "mine.csv" and first["test_set"]["revision"] == f"sha256:{sha256_file(test)}"
    assert "|test:mine.csv@" in first["signature"] and first["signature"] == second["signature"]
    assert first["sentences"] == second["sentences"]
    assert [s["output"] for s in first["sentences"]] == ["you there", "please be quiet"]
    with pytest.raises(InputError, match="--columns: names columns, and no file here is a table"):
        main(["delete", "--test-set", "sample", "--columns", "a,b"])
    capsys.readouterr()


def test_a_changed_test_set_is_another_job(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    names = set()
    for text in ("a\n", "b\n"):
        path.write_text(text)
        settings = (None, ("offline",), None, None, "float32")
        names.add(Job("delete", "", str(path), *settings, test_content=content_of_test_set(str(path))).file_name)
    assert len(names) == 2 and content_of_test_set("sample") == ""
    # The name that the version before gave the same job, so that runs still resume.
    assert (
        Job("delete", "", "sample", None, ("offline",), None, None, "float32").file_name
        == "delete--sample-491699ea5b8c.json"
    )
