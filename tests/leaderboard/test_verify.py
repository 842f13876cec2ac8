"""Verification with the real scorers: honest rows pass, and every manipulation is found."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaderboard.board.reading import load_board, read_sentences
from leaderboard.board.recomputed import RECOMPUTED
from leaderboard.board.tables import TABLES
from leaderboard.export import main as export
from leaderboard.publishing.commit import publish, rebuild
from leaderboard.rows.published import published_rows
from leaderboard.rows.results import row_from_result
from leaderboard.rows.row import Row, TestSetInfo, expected_run_id, load_row
from leaderboard.rows.sentences import Sentences, summarise
from leaderboard.show import main as show
from leaderboard.space.data import open_leaderboard
from leaderboard.space.views.charts import render_charts
from leaderboard.space.views.history import render_history
from leaderboard.stores.local import LocalStore
from leaderboard.verification.leaderboard import check_files, check_tables, verify_rows
from leaderboard.verification.rows import Outcome, VerificationContext, _check_origin
from leaderboard.verify import main
from metrics.data.test_sets import load_test_set
from metrics.profiles import load_profile
from metrics.scoring.evaluator import Evaluator
from metrics.systems.resolve import Rewrites, resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.errors import InputError
from tests.conftest import ROOT
from tests.leaderboard.boards import pin

N = 24
DATE = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboard with delete, reference and a file of outputs, scored on the sample's first sentences."""
    folder = tmp_path_factory.mktemp("honest")
    test_set = load_test_set("sample").limit(N)
    evaluator = Evaluator(load_profile("offline-v2"))
    polite = tuple(f"please {source.lower()}" for source in test_set.sources[:-1])
    systems = [rewrite(resolve_system(name), test_set) for name in ("delete", "reference")]
    systems.append(Rewrites("polite", "outputs", pin("1"), {}, (*polite, "")))
    results = [evaluator.evaluate(written, test_set).to_json() for written in systems]
    entries = [row_from_result(result, "x", submitter="ann", date=DATE) for result in results]
    publish(LocalStore(folder), entries, show=lambda change: None)
    return folder


@pytest.fixture
def board(honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `honest` to change."""
    shutil.copytree(honest, tmp_path / "board")
    # All tests share the cache of verified scores.
    home = honest.parent / "home"
    if not home.exists():
        from metrics.util.files import cache_dir

        home.mkdir()
        (home / "models").symlink_to(cache_dir() / "models")
    monkeypatch.setenv("SRO_HOME", str(home))
    return tmp_path / "board"


def check(board: Path) -> dict[str, tuple[str, str]]:
    """Verify the rows; return (status, note) by system folder."""
    outcomes = verify_rows(LocalStore(board).snapshot(), VerificationContext())
    return {Path(o.path).parent.name: (o.status, o.note) for o in outcomes}


def files(board: Path, system: str) -> tuple[Path, Path]:
    (document,) = (board / "results" / system).glob("*.json")
    return document, document.with_suffix(".parquet")


def alter(board: Path, edit: Callable[[dict[str, Any]], object], system: str = "polite") -> None:
    """Change only the row's JSON."""
    path, _ = files(board, system)
    row = json.loads(path.read_text())
    edit(row)
    path.write_text(json.dumps(row))


def forge(board: Path, edit: Callable[[pd.DataFrame], object], **update: Any) -> None:
    """Change the sentences and adapt the row to them: hashes, means, intervals, run id and path."""
    path, parquet = files(board, "polite")
    frame = pd.read_parquet(parquet)
    edit(frame)
    row = load_row({**json.loads(path.read_text()), **update}, "x")
    path.unlink()
    parquet.unlink()
    store_sentences(board, row, Sentences.of(frame.to_dict("records"), "x"))


def store_sentences(board: Path, row: Row, sentences: Sentences) -> Row:
    """Store `row`, adapted to `sentences`, at its path."""
    row = load_row({**json.loads(row.to_json()), **summarise(sentences)}, "x")
    row = row.model_copy(update={"run_id": expected_run_id(row)})
    (board / row.path).parent.mkdir(exist_ok=True, parents=True)
    (board / row.path).write_text(row.to_json())
    (board / row.sentences_path).write_bytes(sentences.to_parquet())
    return row


def own(board: Path, system: str) -> tuple[Row, Sentences]:
    path, parquet = files(board, system)
    return load_row(json.loads(path.read_text()), "x"), Sentences.from_parquet(parquet.read_bytes(), "x")


def renamed(row: Row, name: str, **system: Any) -> Row:
    return row.model_copy(update={"system": row.system.model_copy(update={"name": name, **system})})


def test_honest_rows_are_verified_and_the_tables_show_it(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--local", str(board), "--write"])
    assert "3 verified, 0 mismatch, 0 unverifiable" in capsys.readouterr().out
    latest = pd.read_parquet(board / TABLES["latest"])
    assert set(latest["verification"]) == {"verified"} and latest["verification_date"].str.len().eq(10).all()
    assert len(list((board / "verification").glob("*.json"))) == 3
    # Verifying and publishing again keep the verifications.
    main(["--local", str(board)])
    publish(LocalStore(board), [], show=lambda change: None)
    assert set(pd.read_parquet(board / TABLES["latest"])["verification"]) == {"verified"}


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda r: r["scores"]["j"].update(mean=0.05), "scores.j.mean: stored 0.05, recomputed 0."),
        (lambda r: r["scores"]["j"].update(mean=0.9), "does not hold the mean 0.9"),
        (lambda r: r["scores"]["sta"].update(high=1.0), "scores.sta.high: stored 1, recomputed 0."),
        (lambda r: r.update(soft_sta=0.999), "soft_sta: stored 0.999"),
        (lambda r: r.update(empty=0), "empty: stored 0, recomputed 1"),
        (lambda r: r.update(copies=0.5), "copies: stored 0.5, recomputed 0"),
        (lambda r: r["test_set"].update(n=2000), f"test_set.n: stored 2000, recomputed {N}"),
        (lambda r: r["test_set"].update(of=N), f"test_set.of: stored {N}, recomputed 234"),
        (lambda r: r["test_set"].update(sha256="0" * 64), "test_set.sha256"),
        (lambda r: r.update(sentences="0" * 64), "sentences: stored 0000000000000000"),
        (lambda r: r.update(profile="paradetox.v1"), "profile: stored paradetox.v1, recomputed offline"),
        (lambda r: r.update(signature=r["signature"].replace("threshold=0.5", "threshold=0.9")), "run_id is"),
        (lambda r: r["system"].update(revision=pin("2")), "run_id is"),
        (lambda r: r["system"].update(name="great"), "run_id is"),
        (lambda r: r["decoding"].update(num_beams=5), "run_id is"),
        (lambda r: r.pop("scores"), "scores: Field required"),
    ],
)
def test_an_altered_row_is_a_mismatch(board: Path, edit: Callable[[dict[str, Any]], object], found: str) -> None:
    alter(board, edit)
    outcomes = check(board)
    status, note = outcomes["polite"]
    assert status == "mismatch" and found in note
    assert outcomes["delete"][0] == outcomes["reference"][0] == "verified"


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda f: f.__setitem__("sim", f["sim"] + 0.2 * (f.index == 3)), "sentence 3: "),
        (lambda f: f.loc.__setitem__((5, "output"), "have a nice day"), "sentence 5: "),
        (lambda f: f.loc.__setitem__((2, "source"), "a nice sentence"), "sentence 2: source: stored a nice sentence"),
        (lambda f: f.loc.__setitem__((slice(None), "sta"), 1.0), ": j: stored"),
    ],
)
def test_forged_sentences_under_consistent_means(
    board: Path, edit: Callable[[pd.DataFrame], object], found: str
) -> None:
    """The row is consistent in itself; only scoring its texts again, or the test set, shows the change."""
    forge(board, edit)
    status, note = check(board)["polite"]
    assert status == "mismatch" and found in note


def test_forged_scores_with_their_product(board: Path) -> None:
    def edit(frame: pd.DataFrame) -> None:
        frame["sta"] = 1.0
        frame["j"] = frame["sta"] * frame["sim"] * frame["fl"]

    forge(board, edit)
    status, note = check(board)["polite"]
    assert status == "mismatch" and "sta: stored 1, recomputed 0" in note and "and " in note


def test_a_shortened_row_and_a_forged_signature(board: Path) -> None:
    path, _ = files(board, "polite")
    signature = json.loads(path.read_text())["signature"]
    forge(board, lambda f: None, signature=signature.replace("threshold=0.5", "threshold=0.01"))
    status, note = check(board)["polite"]
    assert status == "mismatch" and note.startswith("signature.sta: stored heads-toxicity(")
    forge(board, lambda f: f.drop(index=f.index[-4:], inplace=True), signature=signature)
    status, note = check(board)["polite"]
    assert status == "mismatch" and f"test_set.n: stored {N}, recomputed {N - 4}" in note


def test_rows_copied_under_another_name(board: Path) -> None:
    path, parquet = files(board, "polite")
    (board / "results/great").mkdir()
    # Copied as a file: its content names another system.
    shutil.copy(path, board / "results/great" / path.name)
    assert check(board)["great"][1].startswith("row: results/great/")
    (board / "results/great" / path.name).unlink()
    # With a consistent name, run id and an older date than the original, which was verified earlier.
    main(["--local", str(board), "--write"])
    row = load_row(json.loads(path.read_text()), "x")
    copied: Row = row.model_copy(
        update={"system": row.system.model_copy(update={"name": "great"}), "date": DATE - datetime.timedelta(days=900)}
    )
    copied = copied.model_copy(update={"run_id": expected_run_id(copied)})
    (board / copied.path).write_text(copied.to_json())
    shutil.copy(parquet, board / copied.sentences_path)
    outcomes = check(board)
    assert outcomes["great"] == ("mismatch", "system.name: great has the outputs of polite")
    assert outcomes["polite"][0] == "verified"


def test_modified_copies_are_found(board: Path) -> None:
    """Another sixth decimal, kind or white space does not hide a copy, nor make the original look like one."""
    row, sentences = own(board, "polite")
    nudged = {**sentences.values, "soft_sta": sentences.values["soft_sta"] + 2e-6}
    spaced = Sentences(sentences.source, tuple(f" {text}" for text in sentences.output), sentences.values)
    old = {"date": DATE - datetime.timedelta(days=900)}
    main(["--local", str(board), "--write"])
    store_sentences(board, renamed(row, "nudged").model_copy(update=old), replace(sentences, values=nudged))
    store_sentences(board, renamed(row, "spaced").model_copy(update=old), spaced)
    store_sentences(board, renamed(row, "kindly", kind="baseline").model_copy(update=old), sentences)
    bare = store_sentences(board, renamed(row, "bare").model_copy(update=old), sentences)
    (board / bare.sentences_path).unlink()
    outcomes = check(board)
    assert outcomes["polite"][0] == "verified"
    assert outcomes["nudged"][1] == "system.name: nudged has the outputs of polite"
    assert outcomes["spaced"][0] == "mismatch" and outcomes["bare"][0] == "unverifiable"
    assert outcomes["kindly"] == ("mismatch", "system.kind: stored baseline, recomputed model or outputs")


def look_alikes(text: str) -> str:
    """The text with Cyrillic letters."""
    return text.translate(str.maketrans("aeopcx", "аеорсх"))


@pytest.mark.parametrize(
    ("change", "n"),
    [
        (lambda text: f"{text} _", N),
        (lambda text: f"{text} 🙂 ×", N),
        (lambda text: unicodedata.normalize("NFD", text.replace("e", "é")), N),
        (look_alikes, N),
        # Letters without ink, and with what no decomposition takes away.
        (lambda text: f"{text}\u3164\u115f\u1160\uffa0", N),
        (lambda text: text.translate(str.maketrans("odeatlhi", "øđᴇᴀŧłħɨ")), N),
        (lambda text: text.upper().replace(" ", "\u00ad "), N),
        (lambda text: text, N - 1),
    ],
)
def test_stolen_outputs_are_found_in_other_letters(board: Path, change: Callable[[str], str], n: int) -> None:
    """Under another name, and under the victim's with another revision; `n`: of the first sentences only."""
    main(["--local", str(board), "--write"])
    (row, sentences), evaluator = own(board, "polite"), Evaluator(load_profile("offline-v2"))
    test_set = load_test_set("sample").limit(n)
    outputs = tuple(map(change, sentences.output[:n]))
    for name in ("thief", "polite"):
        stolen = Rewrites(name, "outputs", pin("2"), {}, outputs)
        result = evaluator.evaluate(stolen, test_set).to_json()
        store_sentences(board, *row_from_result(result, "x", submitter="eve", date=DATE))
    notes = [o.note for o in verify_rows(LocalStore(board).snapshot(), VerificationContext()) if o.findings]
    victim = row.system.revision[:19]
    assert sorted(notes) == [
        f"system.name: polite has the outputs of polite at revision {victim}",
        "system.name: thief has the outputs of polite",
    ]


def test_a_family_of_one_run_states_its_outputs(board: Path) -> None:
    """A recipe in common is a claim; a lock that states both systems' outputs stands in the older row as well."""
    row, sentences = own(board, "polite")
    recipe = {"systems": ["polite", "sister"]}

    def family(lock: dict[str, Any]) -> tuple[str, str]:
        shutil.rmtree(board / "results/sister", ignore_errors=True)
        later = row.model_copy(update={"date": DATE + datetime.timedelta(hours=1)})
        for one in (row, renamed(later, "sister", revision=pin("2"))):
            provenance = one.provenance.model_copy(update={"recipe": lock})
            store_sentences(board, one.model_copy(update={"provenance": provenance}), sentences)
        return check(board)["sister"]

    assert family({"recipe": recipe})[1] == "system.name: sister has the outputs of polite"
    stated = {"polite": row.system.revision, "sister": pin("2")}
    systems = {name: {"revision": revision, "outputs": row.outputs} for name, revision in stated.items()}
    assert family({"recipe": recipe, "systems": systems})[0] == "verified"
    systems["sister"]["revision"] = pin("3")
    assert family({"recipe": recipe, "systems": systems})[0] == "mismatch"


@pytest.mark.parametrize("name", ["delete", "reference", "duplicate"])
def test_the_outputs_of_a_baseline_belong_to_it(board: Path, name: str) -> None:
    """Under one's own name, while no baseline is on the board."""
    shutil.rmtree(board / "results")
    test_set = load_test_set("sample").limit(N)
    outputs = tuple(f"{text.upper()} _" for text in rewrite(resolve_system(name), test_set).outputs)
    mine = Rewrites("mine", "outputs", pin("1"), {}, outputs)
    result = Evaluator(load_profile("offline-v2")).evaluate(mine, test_set).to_json()
    store_sentences(board, *row_from_result(result, "x", submitter="eve", date=DATE))
    assert check(board)["mine"] == ("mismatch", f"system.name: mine has the outputs of {name}")


def test_values_raised_within_the_tolerance_win_nothing(board: Path) -> None:
    """The thief has polite's outputs but for one word in a sentence without STA, and raises what is stored by 9e-5."""
    row, sentences = own(board, "polite")
    (place, *_) = np.flatnonzero((sentences.values["sta"] == 0) & (np.char.str_len(sentences.output) > 0)).tolist()
    outputs = [f"{text} fool" if i == place else text for i, text in enumerate(sentences.output)]
    test_set = load_test_set("sample").limit(N)
    stolen = Rewrites("a-thief", "outputs", pin("9"), {}, tuple(outputs))
    made = Evaluator(load_profile("offline-v2")).evaluate(stolen, test_set).to_json()
    thief, own_values = row_from_result(made, "x", submitter="eve", date=DATE)
    raised = {**own_values.values, "sim": own_values.values["sim"] + 9e-5 * (sentences.values["sta"] > 0)}
    raised["j"] = raised["sta"] * raised["sim"] * raised["fl"]
    assert own_values.values["sta"][place] == 0 and raised["j"].mean() > sentences.values["j"].mean() + 1e-6
    thief = store_sentences(board, thief, replace(own_values, values=raised))
    main(["--local", str(board), "--write"])
    latest = pd.read_parquet(board / TABLES["latest"]).set_index("system")
    paired = pd.read_parquet(board / TABLES["paired"]).set_index("run_id")["j"]
    assert latest.loc["a-thief", "verification"] == "verified"
    assert latest.loc["a-thief", "j"] == pytest.approx(latest.loc["polite", "j"], abs=1e-9)
    assert latest.loc["a-thief", "sim"] < thief.scores["sim"].mean - 1e-6
    assert (latest.loc["a-thief", ["rank", "ties"]] == latest.loc["polite", ["rank", "ties"]]).all()
    assert paired[thief.run_id] == pytest.approx(paired[row.run_id], abs=1e-9)
    # The export has the recomputed values too.
    export(["--local", str(board), str(board.parent / "out")])
    documents = [json.loads(path.read_text("utf-8")) for path in (board.parent / "out").rglob("*.json")]
    scores = {doc["model_info"]["name"]: doc["evaluation_results"] for doc in documents}
    exported = {name: {one["evaluation_result_id"]: one["score_details"] for one in scores[name]} for name in scores}
    for metric in ("sta", "sim", "fl", "j"):
        assert exported["a-thief"][metric]["score"] == latest.loc["a-thief", metric]
    companion = next(doc for doc in documents if doc["model_info"]["name"] == "a-thief")["detailed_evaluation_results"]
    samples = map(json.loads, (board.parent / "out" / companion["file_path"]).read_text("utf-8").splitlines())
    own_j = [one["evaluation"]["score"] for one in samples if one["evaluation_result_id"] == "j"]
    assert own_j == pytest.approx(list(paired[thief.run_id]), abs=1e-12)
    # The tables are those that a rebuild makes; a forged file of recomputed values is not used.
    assert check_tables(LocalStore(board).snapshot()) == []
    forged = pd.read_parquet(board / RECOMPUTED)
    forged.assign(j_mean=0.99, j_high=1.0).to_parquet(board / RECOMPUTED, index=False)
    assert load_board(LocalStore(board).snapshot()).recomputed == {}


def _of_first(**columns: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """An edit of the first row's values."""

    def edit(frame: pd.DataFrame) -> pd.DataFrame:
        for name, value in columns.items():
            frame[name] = pd.Series([value, *frame[name][1:]], dtype=object)
        return frame

    return edit


def _swapped(frame: pd.DataFrame) -> pd.DataFrame:
    """J of two sentences raised and lowered, so that the mean stays."""
    for i, j in enumerate(frame["j"]):
        frame.at[i, "j"] = j + np.array([0.1, -0.1, *[0.0] * (N - 2)])
    return frame


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (_of_first(j=None), "row 0 has no value"),
        (_of_first(j=[float("nan")] * N), "row 0 has no value"),
        (lambda f: f.assign(j=0.5), "other columns"),
        (lambda f: f.assign(j=[[[0.5]] * N] * len(f)), "other columns"),
        (lambda f: f.assign(run_id=range(len(f))), "other columns"),
        (lambda f: f.assign(award="gold"), "other columns"),
        (_of_first(run_id=None), "row 0 has no value"),
        (lambda f: pd.concat([f, f]), "row 3 has a run id twice"),
        (_swapped, "j of sentence 0: stored"),
        (lambda f: f.assign(j=[j[:-1] for j in f["j"]]), f": n: stored {N - 1}, recomputed {N}"),
        (lambda f: f.assign(sta_low=f["sta_low"] + 0.001), ": sta_low: stored"),
        (lambda f: f.iloc[1:], "lacks the values of its verification"),
        (None, "not a Parquet file"),
    ],
)
def test_a_forged_file_of_recomputed_values_is_named_and_changes_nothing(
    board: Path, edit: Callable[[pd.DataFrame], pd.DataFrame] | None, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--local", str(board), "--write"])
    honest = pd.read_parquet(board / TABLES["latest"])[["system", "rank", "ties"]]
    if edit is None:
        (board / RECOMPUTED).write_bytes(b"junk")
    else:
        edit(pd.read_parquet(board / RECOMPUTED)).to_parquet(board / RECOMPUTED, index=False)
    rebuild(LocalStore(board))
    show([str(board)])
    assert pd.read_parquet(board / TABLES["latest"])[["system", "rank", "ties"]].equals(honest)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["--local", str(board)])
    (line,) = [line for line in capsys.readouterr().out.split("\n") if line.startswith("mismatch")]
    assert line.startswith(f"mismatch\t{RECOMPUTED}\t") and found in line


def test_recomputed_values_begin_with_those_of_all_verified_rows(board: Path) -> None:
    """A leaderboard that an older version verified has no such file; one row alone does not begin it."""
    main(["--local", str(board), "--write"])
    (board / RECOMPUTED).unlink()
    row, _ = own(board, "polite")
    main(["--local", str(board), "--only", row.run_id, "--write"])
    assert not (board / RECOMPUTED).exists()
    main(["--local", str(board)])
    main(["--local", str(board), "--write"])
    assert len(pd.read_parquet(board / RECOMPUTED)) == 3
    main(["--local", str(board), "--only", row.run_id, "--write"])
    main(["--local", str(board)])


def test_a_hostile_row_ends_nothing(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows and verifications that no table can hold are named and passed over by every command, and by the page."""
    main(["--local", str(board), "--write"])
    path, parquet = files(board, "polite")
    honest = json.loads(path.read_text())
    hostile = [
        lambda r: r["system"]["about"].update(size=10**30),
        lambda r: r.update(date="0001-01-01T00:00:00+23:59"),
        lambda r: r["scores"]["j"].update(low=-100.0),
        lambda r: r["test_set"].update(of=2**64),
        lambda r: r.update(empty=2**64),
        lambda r: r["decoding"].update(x=10**30),
    ]
    for number, edit in enumerate(hostile):
        row = json.loads(json.dumps(honest))
        row["system"]["name"] = f"evil{number}"
        good = load_row(row, "x")
        row["run_id"] = expected_run_id(good)
        edit(row)
        place = board / good.model_copy(update={"run_id": row["run_id"]}).path
        place.parent.mkdir()
        place.write_text(json.dumps(row))
        shutil.copy(parquet, place.with_suffix(".parquet"))
    verification = board / "verification" / f"{honest['run_id']}.json"
    verification.write_text(json.dumps({**json.loads(verification.read_text()), "note": "\ud800"}))
    store = LocalStore(board)
    assert "3 rows" in rebuild(store)
    named = capsys.readouterr().err
    assert all(f"results/evil{number}/" in named for number in range(len(hostile))) and "not a verification" in named
    with pytest.raises(SystemExit):
        main(["--local", str(board), "--write"])
    assert "3 verified, 6 mismatch" in capsys.readouterr().out
    publish(store, [(row, None) for row in published_rows()[:1]], show=lambda change: None)
    show([str(board)])
    assert "evil" not in capsys.readouterr().out
    page = open_leaderboard(local=board)
    assert "polite" in render_charts(list(page.records.values()))


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda t: t.update(origin="the moon"), "test_set.origin: stored the moon, recomputed sample"),
        (lambda t: t.update(origin="hub", revision="trust me"), "test_set.origin: stored hub, recomputed sample"),
        (lambda t: t.update(revision="trust me"), "test_set.revision: stored trust me, recomputed "),
        (lambda t: t.update(revision=f"trust+me+{t['revision'][7:]}"), "test_set.revision: stored trust+me+"),
    ],
)
def test_where_a_test_set_comes_from_is_checked(
    board: Path, edit: Callable[[dict[str, Any]], object], found: str
) -> None:
    alter(board, lambda r: edit(r["test_set"]))
    status, note = check(board)["polite"]
    assert status == "mismatch" and found in note


def test_a_test_set_of_the_other_origin_has_a_revision_of_it() -> None:
    """The Hub's revision cannot be compared with a folder's, but has its own form."""
    here = replace(load_test_set("sample"), origin="folder", revision="sha256:0123456789abcdef")
    stored = TestSetInfo(name="sample", origin="hub", revision=f"s-nlp/paradetox@{'0' * 40}", sha256="")
    for revision, right in ((stored.revision, True), ("sha256:0123456789abcdef", False), ("eve/set@main", False)):
        outcome = Outcome("x")
        _check_origin(stored.model_copy(update={"revision": revision}), here, outcome)
        assert (outcome.findings == []) == right


def test_outputs_of_baselines_are_recomputed(board: Path) -> None:
    """Under the baseline's revision, and under another."""
    (row, _), (_, foreign) = own(board, "reference"), own(board, "polite")
    store_sentences(board, row, foreign)
    status, note = check(board)["reference"]
    assert status == "mismatch" and "sentence 0: output" in note
    shutil.rmtree(board / "results/reference")
    store_sentences(board, renamed(row, "reference", revision="2"), foreign)
    status, note = check(board)["reference"]
    assert status == "mismatch" and note.startswith("system.revision: stored 2, recomputed 1")


def test_more_sentences_than_the_test_set_has(board: Path) -> None:
    row, sentences = own(board, "polite")
    many = Sentences(
        sentences.source * 11, sentences.output * 11, {k: np.tile(v, 11) for k, v in sentences.values.items()}
    )
    test_set = row.test_set.model_copy(update={"n": 11 * N})
    signature = row.signature.replace(f"|n:{N}|", f"|n:{11 * N}|")
    shutil.rmtree(board / "results/polite")
    store_sentences(board, row.model_copy(update={"test_set": test_set, "signature": signature}), many)
    status, note = check(board)["polite"]
    assert status == "mismatch" and "sentence 24: source" in note


def test_a_verification_belongs_to_one_version_of_a_row(board: Path) -> None:
    """A replaced row loses its verification; a file of the same name elsewhere does not affect it."""
    main(["--local", str(board), "--write"])
    row, sentences = own(board, "polite")
    better = {**sentences.values, "sta": np.ones(N)}
    better["j"] = better["sta"] * better["sim"] * better["fl"]
    store_sentences(board, row, replace(sentences, values=better))
    publish(LocalStore(board), [], show=lambda change: None)
    latest = pd.read_parquet(board / TABLES["latest"]).set_index("system")
    assert latest.loc["polite", "verification"] == "unchecked" and latest.loc["delete", "verification"] == "verified"
    store_sentences(board, row, sentences)
    (board / "results/zzz").mkdir()
    (board / "results/zzz" / f"{row.run_id}.json").write_text("{}")
    with pytest.raises(SystemExit):
        main(["--local", str(board), "--write"])
    latest = pd.read_parquet(board / TABLES["latest"]).set_index("system")
    assert latest.loc["polite", "verification"] == "verified"


def test_a_forged_verification_takes_no_row_out_of_the_ranking(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of an honest row: "mismatch" is one; "unverifiable" is what a verifier without the test set stores."""
    main(["--local", str(board), "--write"])
    row, _ = own(board, "polite")
    path = board / "verification" / f"{row.run_id}.json"
    honest = json.loads(path.read_text())
    path.write_text(json.dumps({**honest, "status": "unverifiable", "note": "no test set"}))
    rebuild(LocalStore(board))
    main(["--local", str(board)])
    path.write_text(json.dumps({**honest, "status": "mismatch", "note": "sta: stored 1, recomputed 0"}))
    rebuild(LocalStore(board))
    for only in ([], ["--only", row.run_id]):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--local", str(board), *only])
        assert ended.value.code == 1
        found = f"mismatch\tverification/{row.run_id}.json\tstatus: stored mismatch, recomputed verified\n"
        assert found in capsys.readouterr().out
    # Storing what was found heals it.
    with pytest.raises(SystemExit):
        main(["--local", str(board), "--write"])
    main(["--local", str(board)])
    assert set(pd.read_parquet(board / TABLES["latest"])["rank"]) == {1, 2, 3}


def test_altered_tables_are_a_mismatch(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.read_parquet(board / TABLES["latest"])
    frame.loc[0, "j"] = 0.99
    frame.to_parquet(board / TABLES["latest"], index=False)
    with pytest.raises(SystemExit) as ended:
        main(["--local", str(board)])
    assert ended.value.code == 1
    shown = capsys.readouterr().out
    assert f"mismatch\t{TABLES['latest']}\trun " in shown and ": j: stored 0.99, recomputed" in shown
    counts = "rows: 3 verified, 0 mismatch, 0 unverifiable; tables and other files: 1 mismatch, 0 unverifiable"
    assert shown.endswith(f": {counts}\n")


def test_rows_that_only_a_table_has_are_a_mismatch(board: Path) -> None:
    for path in TABLES.values():
        frame = pd.read_parquet(board / path)
        extra = frame.iloc[[0]].assign(run_id="0" * 16)
        pd.concat([extra, frame]).to_parquet(board / path, index=False)
    outcomes = {o.path: o.note for o in check_tables(LocalStore(board).snapshot())}
    assert set(outcomes) == set(TABLES.values())
    assert all("run 0000000000000000: stored" in note and "no such row" in note for note in outcomes.values())


@pytest.mark.parametrize(
    ("table", "edit", "found"),
    [
        # One run id twice with a forged row first; a missing row; an added column.
        (
            "latest",
            lambda f: pd.concat([f.iloc[[0]].assign(system="GREAT", j=0.99), f]),
            "rows: stored 4, recomputed 3",
        ),
        ("latest", lambda f: f.iloc[1:].assign(rank=1), "rows: stored 2, recomputed 3"),
        ("full", lambda f: f.assign(award="gold"), "columns: stored"),
        ("paired", lambda f: f.assign(j=[[1.0] * N] * 3), ": j: stored"),
        ("latest", lambda f: f.iloc[::-1], "table: its order or types differ"),
    ],
)
def test_no_forged_table_passes(
    board: Path, table: str, edit: Callable[[pd.DataFrame], pd.DataFrame], found: str
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = board / TABLES[table]
    schema = parquet.read_schema(path)
    frame = edit(pd.read_parquet(path))
    typed = schema if list(frame.columns) == schema.names else None
    parquet.write_table(pa.Table.from_pandas(frame, schema=typed, preserve_index=False), path)
    (outcome,) = check_tables(LocalStore(board).snapshot())
    assert outcome.path == TABLES[table] and found in outcome.note


def test_a_superseded_row_does_not_come_back(board: Path) -> None:
    row, sentences = own(board, "polite")
    newer = row.model_copy(update={"date": DATE + datetime.timedelta(hours=1)})
    newer = renamed(newer, "polite", revision=pin("2"))
    other = replace(sentences, output=tuple(f"{text} indeed" for text in sentences.output))
    newer = store_sentences(board, newer, other)
    (board / "replaced.json").write_text(json.dumps({row.run_id: newer.run_id}))
    assert check_files(LocalStore(board).snapshot()) == []
    publish(LocalStore(board), [], show=lambda change: None)
    latest, full = (pd.read_parquet(board / TABLES[name]) for name in ("latest", "full"))
    old = full[full["run_id"] == row.run_id].drop(columns="document")
    pd.concat([old, latest]).to_parquet(board / TABLES["latest"], index=False)
    assert any("no such row" in o.note for o in check_tables(LocalStore(board).snapshot()))


def test_a_row_without_outputs_takes_no_rank_from_another(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Published with --without-texts in place of a row that has a rank. A line without run ids voids no other line."""
    (row, sentences), (delete, _) = own(board, "polite"), own(board, "delete")
    newer = renamed(row, "polite", revision=pin("2"))
    newer = newer.model_copy(update={"run_id": expected_run_id(newer), "outputs": "0" * 64})
    publish(LocalStore(board), [(newer, None)], replaces=[row.run_id], show=lambda change: None)
    ranks = pd.read_parquet(board / TABLES["latest"]).set_index("run_id")["rank"]
    assert ranks.loc[row.run_id] > 0 and pd.isna(ranks.loc[newer.run_id])
    (outcome,) = check_files(LocalStore(board).snapshot())
    assert (outcome.path, outcome.status) == ("replaced.json", "unverifiable")
    assert outcome.note.startswith(f"{row.run_id}: stays in the ranking, because {newer.run_id} has no stored outputs")
    assert check_tables(LocalStore(board).snapshot()) == []
    # With its texts it takes the place.
    other = replace(sentences, output=tuple(f"{text} indeed" for text in sentences.output))
    store_sentences(board, newer, other)
    (board / "replaced.json").write_text(json.dumps({"x": 1, delete.run_id: "y", row.run_id: newer.run_id}))
    rebuild(LocalStore(board))
    assert row.run_id not in set(pd.read_parquet(board / TABLES["latest"])["run_id"])
    assert "replaced.json: x: not two run ids; skipped" in capsys.readouterr().err
    (outcome,) = check_files(LocalStore(board).snapshot())
    assert sorted(outcome.findings) == sorted(f"{o}: not two run ids; remove this line" for o in ("x", delete.run_id))


def test_a_mismatch_displaces_no_row(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The old row is ranked again as soon as verification finds that the new one has invented scores, page included."""
    main(["--local", str(board), "--write"])
    row, sentences = own(board, "polite")
    other = replace(sentences, output=tuple(f"{text} indeed" for text in sentences.output))
    newer = store_sentences(board, renamed(row, "polite", revision=pin("2")), other)
    publish(LocalStore(board), [(newer, other)], replaces=[row.run_id], show=lambda change: None)
    assert row.run_id not in set(pd.read_parquet(board / TABLES["latest"])["run_id"])
    with pytest.raises(SystemExit):
        main(["--local", str(board), "--write"])
    latest = pd.read_parquet(board / TABLES["latest"]).set_index("run_id")
    assert latest.loc[row.run_id, "rank"] > 0 and pd.isna(latest.loc[newer.run_id, "rank"])
    assert latest.loc[row.run_id, "verification"] == "verified"
    assert check_tables(LocalStore(board).snapshot()) == []
    (outcome,) = check_files(LocalStore(board).snapshot())
    note = f"{row.run_id}: stays in the ranking, because {newer.run_id} is a mismatch"
    assert (outcome.path, outcome.status, outcome.note) == ("replaced.json", "unverifiable", note)
    page = open_leaderboard(local=board)
    history = render_history(page, row.run_id)
    assert page.records[row.run_id]["rank"] > 0 and "replaced by <bdi>" not in history


def test_rows_that_tables_do_not_list_yet_are_no_mismatch(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A merged pull request, in a leaderboard with tables and in one that had no row before; then its rebuild."""
    row, sentences = own(board, "polite")
    other = replace(sentences, output=tuple(f"{text} indeed" for text in sentences.output))
    merged = store_sentences(board, renamed(row, "merged"), other)
    (outcome,) = check_tables(LocalStore(board).snapshot())
    note = f"lacks the stored rows {merged.run_id}; run python -m leaderboard.rebuild"
    assert (outcome.path, outcome.status, outcome.note) == (TABLES["full"], "unverifiable", note)
    shutil.rmtree(board / "data")
    (outcome,) = check_tables(LocalStore(board).snapshot())
    assert (outcome.path, outcome.status) == (TABLES["full"], "unverifiable")
    rebuild(LocalStore(board))
    assert check_tables(LocalStore(board).snapshot()) == []


@pytest.mark.parametrize("table", TABLES)
def test_a_missing_table_is_a_mismatch_and_hides_no_altered_one(board: Path, table: str) -> None:
    """`full` lists the rows; without it the others are compared all the same."""
    altered = "paired" if table == "latest" else "latest"
    frame = pd.read_parquet(board / TABLES[altered])
    frame.iloc[::-1].to_parquet(board / TABLES[altered], index=False)
    (board / TABLES[table]).unlink()
    notes = {o.path: (o.status, o.note) for o in check_tables(LocalStore(board).snapshot())}
    assert set(notes) == {TABLES[table], TABLES[altered]} and {status for status, _ in notes.values()} == {"mismatch"}
    assert "not in this leaderboard" in notes[TABLES[table]][1] and "its order or types" in notes[TABLES[altered]][1]


def test_tables_cannot_leave_a_verified_row_out(board: Path, tmp_path: Path) -> None:
    """Tables that follow from the other rows; tables of no row; and no table at all."""
    main(["--local", str(board), "--write"])
    row, _ = own(board, "polite")

    def findings(removed: str) -> list[str]:
        """Of the board with the tables of one without the files that `removed` matches."""
        shutil.rmtree(tmp_path / "other", ignore_errors=True)
        shutil.copytree(board, tmp_path / "other")
        for path in (tmp_path / "other/results").glob(removed):
            path.unlink()
        rebuild(LocalStore(tmp_path / "other"))
        shutil.copytree(tmp_path / "other/data", board / "data", dirs_exist_ok=True)
        return [line for o in check_tables(LocalStore(board).snapshot()) for line in o.findings]

    (found,) = findings("polite/*")
    assert found.startswith(f"run {row.run_id}: not listed, and yet its verification is of ")
    assert len(findings("*/*")) == 3 and findings("nothing") == []
    shutil.rmtree(board / "data")
    assert [o.note for o in check_tables(LocalStore(board).snapshot())] == [
        "table: not here; run python -m leaderboard.rebuild"
    ]


def test_a_deleted_verification_leaves_one_line(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone, with the row, and with the row's lines in the tables: the recomputed values tell that there was one."""
    main(["--local", str(board), "--write"])
    row, _ = own(board, "polite")
    copy = tmp_path / "other"
    shutil.copytree(board, copy)

    def lines(code: int) -> list[str]:
        capsys.readouterr()
        with nullcontext() if code == 0 else pytest.raises(SystemExit):
            main(["--local", str(board)])
        return [line for line in capsys.readouterr().out.splitlines()[:-1] if not line.startswith("verified")]

    action = "deleted; restore what is missing, or run leaderboard.verify --write if it was deleted on purpose"
    (board / "verification" / f"{row.run_id}.json").unlink()
    rebuild(LocalStore(board))
    assert lines(0) == [
        f"unverifiable\t{RECOMPUTED}\trun {row.run_id}: the file has its values, but its verification was {action}"
    ]
    shutil.rmtree(copy / "results/polite")
    rebuild(LocalStore(copy))
    shutil.copytree(copy / "data", board / "data", dirs_exist_ok=True)
    assert any(
        line.startswith(f"mismatch\t{TABLES['full']}\trun {row.run_id}: not listed, and yet") for line in lines(1)
    )
    shutil.rmtree(board / "results/polite")
    assert lines(0) == [
        f"unverifiable\t{RECOMPUTED}\trun {row.run_id}: the file has its values, "
        f"but its row and verification were {action}"
    ]
    main(["--local", str(board), "--write"])
    assert lines(0) == []


def test_files_that_readers_would_load_belong_to_a_row(board: Path) -> None:
    assert check_files(LocalStore(board).snapshot()) == []
    for path in ("data/latest-00001-of-00001.parquet", "results/polite/evil.parquet"):
        shutil.copy(board / TABLES["latest"], board / path)
    shutil.copy(board / TABLES["latest"], board / "tests/sample.parquet")
    notes = {o.path: o.note for o in check_files(LocalStore(board).snapshot())}
    assert set(notes) == {"data/latest-00001-of-00001.parquet", "results/polite/evil.parquet", "tests/sample.parquet"}
    assert notes["tests/sample.parquet"] == "file: not that of this program; delete it and run leaderboard.rebuild"


def test_what_is_no_file_is_named(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link, a FIFO or a folder in place of a row, its sentences, a verification or the sample."""
    main(["--local", str(board), "--write"])
    rows = {name: files(board, name) for name in ("polite", "delete", "reference")}
    rows["polite"][0].rename(board.parent / "row.json")
    rows["polite"][0].symlink_to(board.parent / "row.json")
    rows["delete"][1].unlink()
    os.mkfifo(rows["delete"][1])
    verification = board / "verification" / rows["reference"][0].name
    verification.unlink()
    verification.mkdir()
    (board / "tests/sample.parquet").unlink()
    (board / "tests/sample.parquet").symlink_to("/dev/zero")
    (board / "results/more").symlink_to(board.parent)
    expected = {
        **{rows["polite"][0]: "a symbolic link", rows["delete"][1]: "a FIFO", verification: "a folder"},
        **{board / "tests/sample.parquet": "a symbolic link", board / "results/more": "a symbolic link"},
    }
    notes = {o.path: o.note for o in check_files(LocalStore(board).snapshot())}
    capsys.readouterr()
    load_board(LocalStore(board).snapshot())
    warned = capsys.readouterr().err
    for path, kind in expected.items():
        name = path.relative_to(board).as_posix()
        assert notes[name] == f"file: {kind}, not a file" and f"warning: {name}: {kind}, not a file; skipped" in warned


def test_every_other_file_is_checked_or_named(board: Path) -> None:
    main(["--local", str(board), "--write"])
    assert check_files(LocalStore(board).snapshot()) == []
    row, _ = own(board, "polite")
    verification = board / "verification" / f"{row.run_id}.json"
    good = json.loads(verification.read_text())
    (board / "verification" / f"{'a' * 16}.json").write_text(json.dumps(good))
    (board / "replaced.json").write_text(json.dumps({row.run_id: "0" * 16}))
    (board / "evil.py").write_text("import os")
    (board / "README.md").write_text("---\nconfigs: [{config_name: latest, data_files: evil.parquet}]\n---\n")
    (board / "eval.yaml").write_text("tasks: []\n")
    (board / "row-v4.schema.json").write_text("{}")
    found = {o.path: (o.status, o.note) for o in check_files(LocalStore(board).snapshot())}
    assert {path: status for path, (status, _) in found.items()} == {
        **{"README.md": "unverifiable", "eval.yaml": "unverifiable", "evil.py": "unverifiable"},
        **{
            "replaced.json": "mismatch",
            "row-v4.schema.json": "mismatch",
            f"verification/{'a' * 16}.json": "unverifiable",
        },
    }
    assert found["replaced.json"][1].startswith(f"{row.run_id}: {'0' * 16} cannot replace it")
    assert "no command reads it" in found["evil.py"][1] and "its configs are not as" in found["README.md"][1]
    for changed, problem in (
        ({"date": "9999-99-99"}, "date: "),
        ({"date": "2026-02-30"}, "date: "),
        ({"award": "gold"}, "award: Extra inputs"),
        ({"version": "0.2\n"}, "version: "),
        ({"row": 1}, "row: "),
    ):
        verification.write_text(json.dumps({**good, **changed}))
        notes = {o.path: o.note for o in check_files(LocalStore(board).snapshot())}
        assert f"not a verification ({problem}" in notes[f"verification/{row.run_id}.json"]
        assert load_board(LocalStore(board).snapshot()).status(row).status == "unchecked"
    verification.write_text(json.dumps({**good, "date": "2099-01-01"}))
    notes = {o.path: o.note for o in check_files(LocalStore(board).snapshot())}
    assert notes[f"verification/{row.run_id}.json"] == "date: 2099-01-01 is in the future"


def test_the_test_set_must_match_the_signature(board: Path) -> None:
    """Invented scores on an unknown test set, under the signature of a known one."""
    row, sentences = own(board, "polite")
    ones = {name: np.ones(N) for name in sentences.values}
    test_set = row.test_set.model_copy(update={"name": "nonexistent-set"})
    store_sentences(board, row.model_copy(update={"test_set": test_set}), replace(sentences, values=ones))
    status, note = check(board)["polite"]
    assert status == "mismatch" and note.startswith("test: stored nonexistent-set@")


def test_another_lexicon_does_not_hide_a_copy(board: Path) -> None:
    (row, _), (_, foreign) = own(board, "delete"), own(board, "reference")
    shutil.rmtree(board / "results/delete")
    store_sentences(board, renamed(row, "delete", revision="lexicon-ffffffffffff"), foreign)
    status, note = check(board)["delete"]
    assert status == "mismatch" and note == "outputs: they have letters that deletion does not give"


def test_removed_outputs_remove_the_verification(board: Path) -> None:
    main(["--local", str(board), "--write"])
    _, parquet = files(board, "polite")
    parquet.unlink()
    publish(LocalStore(board), [], show=lambda change: None)
    latest = pd.read_parquet(board / TABLES["latest"]).set_index("system")
    assert latest.loc["polite", "verification"] == "unchecked" and pd.isna(latest.loc["polite", "rank"])


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda r: r["scores"]["j"].update(mean=0.9), "scores: stored"),
        (lambda r: r["system"].update(kind="human"), "system: stored"),
        (lambda r: r["system"]["about"].update(note="the best of all"), "system: stored"),
        (lambda r: r.update(date="2024-01-01T00:00:00Z"), "date: stored"),
        (lambda r: r.update(submitter="eve"), "submitter: stored"),
        (lambda r: r["test_set"].update(origin="hub"), "test_set: stored"),
        (lambda r: r.update(length_ratio=1.0), "length_ratio: stored 1, recomputed None"),
    ],
)
def test_published_figures_are_compared_with_their_list(
    board: Path, edit: Callable[[dict[str, Any]], object], found: str
) -> None:
    publish(LocalStore(board), [(row, None) for row in published_rows()], show=lambda change: None)
    alter(board, edit, "MetaDetox")
    outcomes = verify_rows(LocalStore(board).snapshot(), VerificationContext())
    notes = [o.note for o in outcomes if o.row and o.row.record == "published" and o.status == "mismatch"]
    assert len(notes) == 1 and notes[0].startswith(found)


def test_junk_files_do_not_stop_verification(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (board / "rows.parquet").write_bytes(b"junk")
    (board / "results/x").mkdir()
    (board / "results/x" / f"{'a' * 16}.json").write_text('{"schema_version": "\x1b[2J\u202eboo"}')
    with pytest.raises(SystemExit):
        main(["--local", str(board), "--write"])
    out, err = capsys.readouterr()
    assert "3 verified, 1 mismatch, 1 unverifiable" in out
    assert "\x1b" not in out + err and "\u202e" not in out + err


def test_rows_of_version_one_are_unverifiable_and_unranked(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(Path(__file__).parent / "golden/rows-v1.parquet", board / "rows.parquet")
    publish(LocalStore(board), [], show=lambda change: None)
    latest = pd.read_parquet(board / TABLES["latest"])
    assert len(latest) == 6 and latest.loc[latest["submitter"] == "unknown", "rank"].isna().all()
    main(["--local", str(board)])
    assert "unverifiable\trows.parquet\trows of schema version 1" in capsys.readouterr().out


def test_a_row_cannot_pass_as_one_of_another_schema(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Version 1 has no outputs to recompute, and a newer version cannot be read; version 2 without outputs has none."""
    main(["--local", str(board), "--write"])
    path, parquet = files(board, "polite")
    row = load_row(json.loads(path.read_text()), "x")
    flat = {f"{m}{end}": 0.99 for m in ("sta", "sim", "fl", "j") for end in ("", "_low", "_high")}
    test_set = {"test_set": "sample", "test_set_origin": "sample", "test_set_sha256": row.test_set.sha256, "n": N}
    system = {"system": "polite", "kind": "outputs", "revision": pin("1"), "decoding": "{}", "provenance": "{}"}
    first = {"schema_version": 1, "row_id": row.run_id, "signature": row.comparable, "length_ratio": 1.0, "copies": 0.0}
    first = {**first, **flat, **test_set, **system}
    assert expected_run_id(load_row(first, "x")) == row.run_id
    path.write_text(json.dumps(first))
    status, note = check(board)["polite"]
    assert status == "mismatch" and note.endswith("schema version 1, whose rows stand in rows.parquet")
    show([str(board)])
    assert "0.990" not in capsys.readouterr().out
    path.write_text(row.model_copy(update={"sentences": "", "outputs": ""}).to_json())
    relative = parquet.relative_to(board).as_posix()
    assert check(board)["polite"] == ("mismatch", f"sentences: stored none, but {relative} is here")
    path.write_text(json.dumps({**json.loads(row.to_json()), "schema_version": 5}))
    rebuild(LocalStore(board))
    status, note = check(board)["polite"]
    assert status == "mismatch" and note.startswith(
        "row: schema version 5, this program reads 1 to 4, and yet version "
    )
    # A newer version of this program may have written and verified such a row.
    verification = board / "verification" / path.name
    verification.write_text(json.dumps({**json.loads(verification.read_text()), "version": "99.0.0"}))
    assert check(board)["polite"][0] == "unverifiable"


def test_control_characters_are_escaped(board: Path) -> None:
    forge(board, lambda f: f.loc.__setitem__((2, "source"), "a \x1b[2Jnice\u202e sentence"))
    assert "a ⟨U+001B⟩[2Jnice⟨U+202E⟩ sentence" in check(board)["polite"][1]


def test_a_row_cannot_name_a_file_to_read(board: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secrets.yaml"
    secret.write_text("password: hunter2\n")
    row, sentences = own(board, "polite")
    signature = row.signature.replace("profile:offline.v2", f"profile:{secret}.v1")
    shutil.rmtree(board / "results/polite")
    row = row.model_copy(update={"signature": signature, "profile": f"{secret}.v1"})
    store_sentences(board, row, sentences)
    status, note = check(board)["polite"]
    assert status == "unverifiable" and "not built in" in note and "password" not in note


def test_missing_inputs_make_a_row_unverifiable(board: Path) -> None:
    _, parquet = files(board, "polite")
    parquet.unlink()
    status, note = check(board)["polite"]
    assert status == "unverifiable" and note == "its sentences are not stored here"
    path, _ = files(board, "reference")
    row = json.loads(path.read_text())

    def replaced(old: str, new: str) -> tuple[str, str]:
        changed = load_row({**row, "signature": row["signature"].replace(old, new)}, "x")
        changed = changed.model_copy(
            update={
                "run_id": expected_run_id(changed),
                "profile": changed.signature.split("|")[0].removeprefix("profile:"),
            }
        )
        for file in (board / "results/reference").iterdir():
            if file.suffix == ".json":
                file.unlink()
        (board / changed.path).write_text(changed.to_json())
        (board / "results/reference").joinpath(f"{path.stem}.parquet").rename(board / "kept")
        shutil.copy(board / "kept", board / changed.sentences_path)
        shutil.copy(board / "kept", board / "results/reference" / f"{path.stem}.parquet")
        return check(board)["reference"]

    assert replaced("|version:", "|version:9")[1].startswith("measured by version 9")
    status, note = replaced("profile:offline", "profile:ours")
    assert status == "unverifiable" and "ours" in note
    alter(board, lambda r: r.update(schema_version=5), "delete")
    assert check(board)["delete"] == (
        "unverifiable",
        "schema version 5, this program reads 1 to 4; install a newer one",
    )
    with pytest.raises(InputError, match="no row with run id 0123"):
        verify_rows(LocalStore(board).snapshot(), VerificationContext(), ["0123"])


def test_values_are_compared_within_a_tolerance_and_flips_are_not(honest: Path, board: Path) -> None:
    """Differences by rounding pass; a flipped label of one sentence does not."""

    def nudge(frame: pd.DataFrame) -> None:
        frame["sim"] = frame["sim"] + np.where(frame["sim"] > 0, -5e-6, 0)
        frame["j"] = frame["sta"] * frame["sim"] * frame["fl"]

    forge(board, nudge)
    assert check(board)["polite"][0] == "verified"

    def flip(frame: pd.DataFrame) -> None:
        frame.loc[0, "sta"] = 1 - frame.loc[0, "sta"]
        frame["j"] = frame["sta"] * frame["sim"] * frame["fl"]

    forge(board, flip)
    status, note = check(board)["polite"]
    assert status == "mismatch" and "sentence 0: sta" in note


def test_the_shipped_example_is_consistent() -> None:
    """Tables, hashes and verifications; `python -m leaderboard.verify` recomputes the scores."""
    snapshot = LocalStore(ROOT / "leaderboard" / "example").snapshot()
    assert check_tables(snapshot) == []
    board = load_board(snapshot)
    sample = [row for row in board.latest if row.test_set.name == "sample" and row.record == "measured"]
    assert {row.system.name for row in sample} >= {"duplicate", "delete", "reference", "warm-up", "sro"}
    for row in sample:
        assert board.status(row).status == "verified" and board.placing(row).rank
        assert read_sentences(snapshot, row).source == load_test_set("sample").sources
    assert sum(row.record == "published" for row in board.latest) == 27
    # Without texts of other corpora.
    assert {row.test_set.name for row in board.latest if row.sentences_path in snapshot.files} == {"sample"}


def test_a_row_of_the_shipped_example_verifies() -> None:
    """Its revision also names training files of the sample, which have grown since; the test sentences have not."""
    example = LocalStore(ROOT / "leaderboard" / "example").snapshot()
    (outcome,) = verify_rows(example, VerificationContext(), ["b074aeb0cfed26bc"])
    assert outcome.status == "verified", outcome.note
