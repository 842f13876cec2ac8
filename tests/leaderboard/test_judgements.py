"""Human evaluation in a leaderboard: studies, files of answers, what is refused, and publishing to the local Hub."""

from __future__ import annotations

import csv
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from leaderboard.judgements import main
from leaderboard.judging.storage import read_judgements
from leaderboard.judging.study import BLOCK, Runs, read_study, study_items
from leaderboard.stores import open_store
from leaderboard.stores.hub import HubStore
from leaderboard.verification.files import check_files
from metrics.agreement import main as agreement
from metrics.data.judgement_files import Judgement, from_parquet, latest, to_parquet
from metrics.util.errors import InputError
from metrics.util.files import write_json
from tests.hub.server import HubServer
from tests.leaderboard.judging import ANN, BOB, add_study, answers_file
from tests.leaderboard.space_boards import system, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A leaderboard of three systems and seven sentences; two systems have the same output for the first."""
    write(
        tmp_path / "board",
        system("one", [1] * 7, outputs=("same", *(f"one {i}" for i in range(1, 7)))),
        system("two", [0] * 7, outputs=("same", *(f"two {i}" for i in range(1, 7)))),
        system("three", [1, 0, 1, 0, 1, 0, 1]),
    )
    return tmp_path / "board"


def stored(folder: Path) -> list[Judgement]:
    return latest(read_judgements(open_store(local=folder).snapshot()))


def test_a_study_draws_sentences_and_hides_systems(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["study", "pilot", "--local", str(folder), "--systems", "one", "three", "--sentences", "6", "--form", "pairs"])
    assert "study pilot, 6 pairs; revision" in capsys.readouterr().out
    snapshot = open_store(local=folder).snapshot()
    study = read_study(snapshot, "pilot")
    items = study_items(study, Runs(snapshot))
    # The study's seed orders the sentences; blocks are read one after the other.
    assert sorted(study.sentences) != list(study.sentences) and len(set(study.sentences)) == 6
    assert [item.block for item in items] == [i // BLOCK for i in range(6)]
    runs = set(study.runs)
    assert not any(run in item.token for item in items for run in runs)
    assert {item.outputs[0].split()[0] for item in items} <= {"one", "same"}
    main(["study", "pilot", "--local", str(folder), "--systems", "one", "three", "--sentences", "6", "--form", "pairs"])
    assert "nothing to do" in capsys.readouterr().out
    with pytest.raises(InputError, match="holds another study; studies are never changed"):
        main(["study", "pilot", "--local", str(folder), "--systems", "one", "three"])


def test_equal_outputs_are_no_pair(folder: Path) -> None:
    study = add_study(folder, systems=("one", "two"), form="pairs")
    items = study_items(study, Runs(open_store(local=folder).snapshot()))
    # Six of seven sentences: the first has "same" twice.
    assert len(items) == 6 and not any(item.token.startswith("0.") for item in items)


def test_answers_are_stored_once_and_a_later_one_counts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = add_study(folder, systems=("one", "two"))
    first = answers_file(folder, study, [(0, "polite", "yes"), (0, "meaning", "partly")])
    main(["import", str(first), "--local", str(folder)])
    assert "2 answers of 1 annotators in pilot" in capsys.readouterr().out
    before = {path.name for path in (folder / "judgements" / "pilot").glob("*.parquet")}
    main(["import", str(first), "--local", str(folder)])
    assert "nothing to do, all 2 answers are there already" in capsys.readouterr().out
    # The page's next file has the earlier answers, one of them changed, and a new one.
    second = answers_file(folder, study, [(0, "polite", "yes"), (0, "meaning", "partly"), (0, "polite", "no")])
    main(["import", str(second), str(first), "--local", str(folder)])
    files = {path.name for path in (folder / "judgements" / "pilot").glob("*.parquet")}
    assert before < files and len(files) == 2 and all(name.startswith(f"{ANN}-") for name in files)
    assert {(one.question, one.answer) for one in stored(folder)} == {("polite", "no"), ("meaning", "partly")}
    (polite,) = [one for one in stored(folder) if one.question == "polite"]
    row, sentences = Runs(open_store(local=folder).snapshot())[polite.run_id]
    assert (polite.system, polite.test_set) == (row.system.name, "t") and polite.guidelines == "1"
    assert polite.source == sentences.source[polite.sentence] and polite.output == sentences.output[polite.sentence]


def test_pairs_remember_which_rewrite_was_shown_first(folder: Path) -> None:
    study = add_study(folder, systems=("one", "two"), form="pairs")
    file = answers_file(folder, study, [(0, "better", "first")])
    document = json.loads(file.read_text())
    sentence, first, second = document["answers"][0]["item"].split(".")
    document["answers"][0]["item"] = f"{sentence}.{second}.{first}"
    document["annotator"] = BOB
    turned = file.with_name("turned.json")
    write_json(turned, document)
    main(["import", str(file), str(turned), "--local", str(folder)])
    by = {one.annotator: one for one in stored(folder)}
    assert (by[ANN].system, by[ANN].other_system) == ("one", "two") == (by[BOB].other_system, by[BOB].system)
    # Each prefers the rewrite that stood first: they disagree.
    assert by[ANN].item == by[BOB].item and by[ANN].value == 1 - by[BOB].value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"study": "other"}, "study other: not in this leaderboard"),
        ({"study": "../x"}, "not a file of answers .study"),
        ({"guidelines": "9"}, "version 9 of the guidelines, and the study has 1"),
        ({"annotator": "Ann Example"}, "annotator"),
        ({"annotator": "<script>alert(1)</script>"}, "annotator"),
        ({"name": "Ann"}, "name: Extra inputs"),
        ({"item": "0.000000000000"}, "answer 1 is about 0.000000000000, which the study pilot lacks"),
        ({"item": "0"}, "answers.0.item"),
        ({"question": "better", "answer": "first"}, "which the study pilot lacks"),
        ({"answer": "first"}, "which the study pilot lacks"),
        ({"time": "1850-11-24T12:00:00Z"}, "answers.0.time: not between the years"),
        ({"time": "1700000000"}, "answers.0.time: not a date such as"),
        ({"time": "2099-11-24T12:00:00Z"}, "in the future"),
        ({"schema_version": True}, "schema_version"),
        ({"schema_version": 1.0}, "schema_version"),
        ({"answers": [[[[]]]]}, "answers"),
    ],
)  # fmt: skip
def test_hostile_files_of_answers_are_refused_whole(folder: Path, change: dict[str, Any], message: str) -> None:
    study = add_study(folder, systems=("one", "two"))
    file = answers_file(folder, study, [(0, "polite", "yes")])
    document = json.loads(file.read_text())
    if change.keys() <= {"item", "question", "answer", "time"}:
        change = {"answers": [document["answers"][0] | change]}
    write_json(file, document | change)
    with pytest.raises(InputError, match=message):
        main(["import", str(file), "--local", str(folder)])
    assert stored(folder) == []


def test_a_study_is_in_the_language_of_its_rows(folder: Path) -> None:
    study = add_study(folder, systems=("one", "two"))
    assert study.lang == "en"
    path = folder / study.path
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"schema_version": True}))
    with pytest.raises(InputError, match="schema_version"):
        read_study(open_store(local=folder).snapshot(), study.name)
    path.write_text(json.dumps(document | {"lang": "xx"}))
    snapshot = open_store(local=folder).snapshot()
    with pytest.raises(InputError, match="study pilot: is in xx, its runs in en"):
        study_items(read_study(snapshot, study.name), Runs(snapshot))
    with pytest.raises(InputError, match="--lang xx: no row with stored outputs in this language"):
        main(["study", "other", "--local", str(folder), "--lang", "xx"])


def test_answers_dated_in_the_future_do_not_stay_the_last_word(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two answers to one question the later one counts."""
    study = add_study(folder, systems=("one", "two"))
    main(["import", str(answers_file(folder, study, [(0, "polite", "yes")])), "--local", str(folder)])
    (answer,) = stored(folder)
    late = answer.model_copy(update={"answer": "no", "time": answer.time.replace(year=2099)})
    (folder / "judgements" / "pilot" / f"{ANN}-{'0' * 16}.parquet").write_bytes(to_parquet([late]))
    assert stored(folder) == [answer]
    assert (
        f"{ANN}-{'0' * 16}.parquet: judgement 1: time: in the future; set the clock; skipped" in capsys.readouterr().err
    )


def test_files_that_are_no_json_or_too_large_are_refused(folder: Path) -> None:
    file = folder.parent / "x.json"
    for text, message in (
        ("{", "not JSON"),
        ("[" * 90_000, "not JSON"),
        ("[" + "1," * 2_100_000 + "1]", "4,200,003 bytes; the limit is 4,000,000"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=message):
            main(["import", str(file), "--local", str(folder)])
    # The size of a device is 0, whatever it holds.
    file.unlink()
    file.symlink_to("/dev/null")
    with pytest.raises(InputError, match=r"x\.json: a device, not a file"):
        main(["import", str(file), "--local", str(folder)])


def test_answers_about_other_texts_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = add_study(folder, systems=("one", "two"))
    main(["import", str(answers_file(folder, study, [(0, "polite", "yes")])), "--local", str(folder)])
    (one,) = stored(folder)
    forged = folder.parent / "forged.parquet"
    for change, message in (
        ({"output": "another text"}, "has another text or system here"),
        ({"system": "two" if one.system == "one" else "one"}, "has another text or system here"),
        ({"sentence": 10_000}, "has another text or system here"),
        ({"run_id": "0" * 16}, "no row with stored sentences"),
        ({"test_set": "other"}, "is of another test set here"),
    ):
        forged.write_bytes(to_parquet([one.model_copy(update={"annotator": BOB, **change})]))
        with pytest.raises(InputError, match=message):
            main(["import", str(forged), "--local", str(folder)])
    # A file that somebody put there under another annotator's name is not read.
    path = folder / "judgements" / "pilot" / f"{BOB}-{'0' * 16}.parquet"
    path.write_bytes(to_parquet([one]))
    assert stored(folder) == [one]
    assert "holds answers of another study or annotator; skipped" in capsys.readouterr().err
    path.write_bytes(b"PAR1 no PAR1")
    assert stored(folder) == [one]


def test_doubled_answers_and_other_guidelines_are_named(folder: Path) -> None:
    study = add_study(folder, systems=("one", "two"))
    main(["import", str(answers_file(folder, study, [(0, "polite", "yes")])), "--local", str(folder)])
    (one,) = stored(folder)
    own, path = folder / "judgements/pilot", f"judgements/pilot/{ANN}-{'0' * 16}.parquet"

    def found(*judgements: Judgement) -> list[tuple[str, str]]:
        (folder / path).write_bytes(to_parquet(judgements))
        return [
            (o.status, o.note) for o in check_files(open_store(local=folder).snapshot()) if o.path.startswith("judge")
        ]

    assert found() == []
    later = one.model_copy(update={"answer": "no", "time": one.time.replace(hour=13)})
    again = "1 answers to what another file of this annotator answers; the later ones count"
    # The files are looked at in the order of their names.
    assert found(later) == [("unverifiable", again)]
    meaning = one.model_copy(update={"question": "meaning"})
    twice = f"file: {path}: 1 answers to a question about an item that it answers twice"
    assert found(meaning, meaning.model_copy(update={"answer": "no"})) == [("mismatch", twice)]
    other = meaning.model_copy(update={"guidelines": "9"})
    note = "study pilot: 1 answers were given under guidelines 9, and the study has 1"
    assert found(other) == [("mismatch", f"file: {note}")]
    # Nor are they imported.
    (own.parent / "forged.parquet").write_bytes(to_parquet([other.model_copy(update={"annotator": BOB})]))
    with pytest.raises(InputError, match=note):
        main(["import", str(own.parent / "forged.parquet"), "--local", str(folder)])


def test_names_in_tables_become_salted_hashes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    add_study(folder, systems=("one", "two"))
    add_study(folder, "duel", systems=("one", "two"), form="pairs")
    head = "study,annotator,sentence,system,other_system,question,answer,time"
    rows = [
        "pilot,Ann Example,0,one,,polite,yes,2026-11-24 12:00",
        "pilot,  ann   EXAMPLE ,0,one,,meaning,no,2026-11-24T13:00:00+01:00",
        "pilot,Bob,6,two,,fluent,partly,2026-11-24T12:00:00Z",
        "duel,Bob,1,two,one,better,first,2026-11-24T12:00:00Z",
    ]
    table = tmp_path / "forms.csv"
    table.write_text("\n".join([head, *rows]) + "\n")
    main(["import", str(table), "--local", str(folder)])
    answers = {(one.study, one.question): one for one in stored(folder)}
    ann, again = answers["pilot", "polite"], answers["pilot", "meaning"]
    assert ann.annotator == again.annotator and ann.time == again.time and (ann.output, again.answer) == ("same", "no")
    fluent, duel = answers["pilot", "fluent"], answers["duel", "better"]
    assert (fluent.output, fluent.annotator) == ("two 6", duel.annotator) and fluent.annotator != ann.annotator
    assert (duel.output, duel.other_output, duel.answer) == ("two 1", "one 1", "first")
    # The id is no hash of the name alone, and no file of the leaderboard has a name or the salt.
    salt = tmp_path / "home" / "annotators.salt"
    assert salt.stat().st_mode & 0o777 == 0o600
    assert ann.annotator not in {sha256(name.encode()).hexdigest()[:16] for name in ("Ann Example", "ann example")}
    for file in (path for path in folder.rglob("*") if path.is_file()):
        assert not any(text in file.read_bytes() for text in (b"Example", b"Bob", salt.read_bytes()))
    # What was exported is known when it comes back; the same names have other ids under another salt.
    main(["export", str(tmp_path / "out.jsonl"), "--local", str(folder)])
    capsys.readouterr()
    main(["import", str(table), str(tmp_path / "out.jsonl"), "--local", str(folder)])
    assert "nothing to do, all 8 answers are there already" in capsys.readouterr().out
    salt.unlink()
    main(["import", str(table), "--local", str(folder)])
    assert len({one.annotator for one in stored(folder)}) == 4
    for row, message in (
        ("pilot,Ann,0,three,,polite,yes,2026-11-24 12:00", "row 2: the study pilot has no system three"),
        ("pilot,Ann,90,one,,polite,yes,2026-11-24 12:00", "row 2: answer 1 is about 90"),
        ("pilot,Ann,0,one,,polite,yes,yesterday", "row 2: time is 'yesterday'"),
        ("pilot, ,0,one,,polite,yes,2026-11-24 12:00", "a name has 1 to 200 characters"),
        (f"pilot,Z{chr(0x30B) * 3},0,one,,polite,yes,2026-11-24 12:00", "annotator: more than 2 combining marks"),
        ("duel,Ann,1,two,one,polite,yes,2026-11-24 12:00", "which the study duel lacks"),
        ("none,Ann,0,one,,polite,yes,2026-11-24 12:00", "study none: not in this leaderboard"),
    ):
        table.write_text(f"{head}\n{row}\n")
        with pytest.raises(InputError, match=message):
            main(["import", str(table), "--local", str(folder)])
    table.write_text(f"{head.replace('time', 'output')}\npilot,Ann,0,one,,polite,yes,another text\n")
    with pytest.raises(InputError, match="row 2: output is not that of the study pilot"):
        main(["import", str(table), "--local", str(folder)])


def test_export_and_agreement(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = add_study(folder, systems=("one", "two"), title="=1+1")
    given = [(place, question, "yes") for place in (0, 1) for question in study.questions]
    main(["import", str(answers_file(folder, study, given)), "--local", str(folder)])
    main(["import", str(answers_file(folder, study, [(0, "polite", "no")], BOB)), "--local", str(folder)])
    for suffix in ("parquet", "csv", "jsonl"):
        main(["export", str(tmp_path / f"out.{suffix}"), "--local", str(folder), "--study", "pilot"])
    assert from_parquet((tmp_path / "out.parquet").read_bytes(), "x") == stored(folder)
    records = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert len(records) == 7 == len((tmp_path / "out.jsonl").read_text().splitlines())
    assert {record["annotator"] for record in records} == {ANN, BOB} and records[0]["answer"] in ("yes", "no")
    with pytest.raises(InputError, match="give a name that ends in"):
        main(["export", str(tmp_path / "out.xlsx"), "--local", str(folder)])
    with pytest.raises(InputError, match="no answers in this leaderboard in the study none"):
        main(["export", str(tmp_path / "o.csv"), "--local", str(folder), "--study", "none"])
    capsys.readouterr()
    agreement([str(folder), "--profile", "offline-v2"])
    shown = capsys.readouterr().out
    # Two answers about one rewrite, yes and no: as far apart as chance has it.
    assert "polite\t3\t2\t1\t0.000\t0.000 [0.000, 0.000]" in shown and "2 rewrites of" in shown


def test_answers_reach_the_hub_by_a_pull_request_once(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api = hub.api("hf_alice")
    api.create_repo("lab/board", repo_type="dataset")
    api.upload_folder(repo_id="lab/board", repo_type="dataset", folder_path=folder)
    monkeypatch.setenv("HF_TOKEN", "hf_alice")
    main(["study", "pilot", "--repo", "lab/board", "--systems", "one", "two", "--sentences", "3"])
    study = add_study(folder, systems=("one", "two"), sentences=3)
    assert read_study(HubStore("lab/board").snapshot(), "pilot") == study
    file = answers_file(folder, study, [(0, "polite", "yes")])
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    for _ in range(2):
        main(["publish", str(file), "--repo", "lab/board"])
    shown = capsys.readouterr().out
    assert shown.count("1 answers of 1 annotators in pilot; pull request") == 2
    assert len(list(api.get_repo_discussions("lab/board", repo_type="dataset"))) == 1
    assert read_judgements(HubStore("lab/board").snapshot()) == []
    api.merge_pull_request("lab/board", 1, repo_type="dataset")
    main(["import", str(file), "--local", str(folder)])
    assert read_judgements(HubStore("lab/board").snapshot()) == stored(folder)
    # A leaderboard folder holds answers too.
    main(["publish", str(folder), "--repo", "lab/board"])
    assert "nothing to do, all 1 answers are there already" in capsys.readouterr().out
