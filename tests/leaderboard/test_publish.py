"""Publishing is atomic and never overwrites a row; the unmodified client talks to a local server."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from leaderboard.board.reading import load_board, read_sentences
from leaderboard.board.tables import TABLES, derive
from leaderboard.publish import main
from leaderboard.publishing.commit import publish
from leaderboard.publishing.plan import plan
from leaderboard.rows.row import load_row
from leaderboard.stores.base import BusyError, retry
from leaderboard.stores.hub import HubStore
from leaderboard.stores.local import LocalStore
from leaderboard.verification.leaderboard import check_files, check_tables
from metrics.util.errors import InputError
from tests.conftest import ROOT
from tests.hub.faults import UPLOAD_STEPS
from tests.hub.server import HubServer
from tests.leaderboard.boards import document, entry, pin
from tests.warm_python import run_module, run_script

REPO = "lab/board"


def quiet(*_: object) -> None:
    """Discard what `publish` shows."""


@pytest.fixture
def store(hub: HubServer) -> HubStore:
    """An empty leaderboard of the organisation lab; alice may write."""
    api = hub.api("hf_alice")
    api.create_repo(REPO, repo_type="dataset")
    return HubStore(REPO, api)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries pause only briefly."""
    monkeypatch.setattr("leaderboard.stores.base._LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("leaderboard.stores.base._FIRST_PAUSE_SECONDS", 0.01)


def result_file(folder: Path, name: str, sta: list[float], **more: Any) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document(name, sta, **more)))
    return path


def run(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run_module("leaderboard.publish", *arguments, env=env)


# -- a folder ---------------------------------------------------------------------------------------------------------
def test_publishing_to_a_folder_is_idempotent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = tmp_path / "board"
    first, second = result_file(tmp_path, "x", [1, 0, 1]), result_file(tmp_path, "y", [1, 1, 1])
    main([str(first), "--local", str(board)])
    assert "+| 1 | a | x | 0.333" in capsys.readouterr().out
    before = {path: path.read_bytes() for path in board.rglob("*.*") if path.is_file()}
    main([str(first), "--local", str(board)])
    assert "nothing to do, all 1 rows are published already" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in board.rglob("*.*") if path.is_file()} == before
    main([str(second), "--local", str(board), "--dry-run"])
    shown = capsys.readouterr().out
    assert "+| 1 | a | y" in shown and "-| 1 | a | x" in shown and "nothing was written" in shown
    assert {path: path.read_bytes() for path in board.rglob("*.*") if path.is_file()} == before
    main([str(second), "--local", str(board)])
    latest = pd.read_parquet(board / TABLES["latest"])
    assert latest[["system", "rank"]].values.tolist() == [["y", 1], ["x", 2]]
    # From one folder to another, sentences and all.
    main([str(board), "--local", str(tmp_path / "copy"), "--submitter", "bob"])
    copied = load_board(LocalStore(tmp_path / "copy").snapshot())
    assert {row.submitter for row in copied.rows.values()} == {"bob"} and len(copied.rows) == 2


def test_tables_follow_from_the_rows(tmp_path: Path) -> None:
    """Incremental and full builds give the same bytes; the next publisher completes an interrupted one."""
    store = LocalStore(tmp_path)
    for number in range(4):
        publish(store, [entry(f"s{number}", [1, number % 2, 0])], show=quiet)
    snapshot = store.snapshot()
    anew = derive(load_board(replace(snapshot, oids={})))
    assert {path: snapshot.read(path) for path in TABLES.values()} == anew
    changes = plan(snapshot, [entry("late", [1, 1, 1])]).changes
    for path, data in changes.items():
        # Interrupted before the tables, which are written last.
        if path.startswith("results/"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(data)
    publish(store, [entry("s0", [1, 0, 0])], show=quiet)
    assert pd.read_parquet(tmp_path / TABLES["latest"])["system"].tolist()[0] == "late"


def test_removed_rows_leave_the_tables(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    old, new = entry("x", [1, 0, 0]), entry("x", [1, 1, 0], revision=pin("2"))
    publish(store, [old], show=quiet)
    publish(store, [new], show=quiet)
    (tmp_path / new[0].path).unlink()
    publish(store, [old], show=quiet)
    latest = pd.read_parquet(tmp_path / TABLES["latest"])
    assert latest["run_id"].tolist() == [old[0].run_id] and latest["ties"].tolist() == ["a"]


def test_another_result_for_the_same_run_is_refused(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    publish(store, [entry("x", [1, 0, 1], submitter="ann")], show=quiet)
    with pytest.raises(InputError, match=r"ann published another result for this run \(J 0.333, yours 0.500\)"):
        publish(store, [entry("x", [1, 1, 1], submitter="bob")], show=quiet)
    publish(store, [entry("x", [1, 0, 1], submitter="bob")], show=quiet)
    assert [row.submitter for row in load_board(store.snapshot()).rows.values()] == ["ann"]


def test_a_row_without_sentences_keeps_nobody_from_publishing_its_run(tmp_path: Path) -> None:
    """Its scores cannot be recomputed: it may be a claim, by which a rival's run would be taken."""
    store, shown = LocalStore(tmp_path), list[str]()
    publish(store, [(entry("x", [0, 0, 0], submitter="eve")[0], None)], show=quiet)
    row, sentences = entry("x", [1, 0, 1], submitter="ann")
    with pytest.raises(InputError, match=r"eve published another result .* it has no sentences: publish yours with"):
        publish(store, [(row, None)], show=quiet)
    publish(store, [(row, sentences)], show=shown.append)
    assert f"x: takes the place of eve's row {row.run_id}, which has no sentences" in "\n".join(shown)
    board = load_board(store.snapshot())
    assert [stored.submitter for stored in board.rows.values()] == ["ann"] and board.placing(row).rank == 1
    # Now nobody takes it.
    with pytest.raises(InputError, match=r"ann published another result .* rows with sentences are never overwritten"):
        publish(store, [entry("x", [1, 1, 1], submitter="eve")], show=quiet)


def test_a_copy_under_another_name_is_refused(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    same = tuple(f"out {i}" for i in range(30))
    publish(store, [entry("x", [1] * 30, outputs=same)], show=quiet)
    with pytest.raises(InputError, match="great: its outputs are those of x"):
        publish(store, [entry("great", [1] * 30, outputs=same, revision=pin("2"))], show=quiet)
    # Another score, white space, profile or kind does not hide a copy.
    for other in (
        entry("great", [0] * 30, outputs=same, revision=pin("2")),
        entry("great", [1] * 30, outputs=tuple(f" {text}" for text in same), revision=pin("2")),
        entry("great", [1] * 30, outputs=tuple(f"{text.upper()}\u200b !" for text in same), revision=pin("2")),
        entry("great", [1] * 30, outputs=same, profile="s2"),
        entry("great", [1] * 30, outputs=same, kind="baseline", revision="1"),
        entry("great", [1] * 30, outputs=tuple(f"{text} _" for text in same), revision=pin("2")),
        entry("great", [1] * 29, outputs=same[:29], revision=pin("2")),
    ):
        with pytest.raises(InputError, match="great: "):
            publish(store, [other], show=quiet)
    with pytest.raises(InputError, match="x: its outputs are those of x at revision sha256:"):
        publish(store, [entry("x", [1] * 30, outputs=same, revision=pin("2"))], show=quiet)
    # One system under another profile is no copy.
    publish(store, [entry("x", [1] * 30, outputs=same, profile="s2")], show=quiet)
    # The outputs of three sentences may be equal by chance.
    publish(store, [entry("a", [1, 1, 1], outputs=same[:3])], show=quiet)
    publish(store, [entry("b", [1, 1, 1], outputs=same[:3], revision=pin("2"))], show=quiet)


def test_the_outputs_of_a_baseline_are_refused_though_it_is_not_on_the_board(tmp_path: Path) -> None:
    sources = [sentence["source"] for sentence in document("x", [1] * 30)["sentences"]]
    with pytest.raises(InputError, match="mine: its outputs are those of this program's baseline duplicate"):
        publish(LocalStore(tmp_path), [entry("mine", [1] * 30, outputs=tuple(f"{s}!" for s in sources))], show=quiet)


def test_a_row_without_its_sentences_is_completed(tmp_path: Path) -> None:
    """An interrupted publisher or --without-texts leaves such a row, which has no rank."""
    store, (row, sentences) = LocalStore(tmp_path), entry("x", [1, 0, 1])
    publish(store, [(row, None)], show=quiet)
    assert load_board(store.snapshot()).placing(row).rank is None
    publish(store, [(row, sentences)], show=quiet)
    board = load_board(store.snapshot())
    assert board.placing(row).rank == 1 and read_sentences(store.snapshot(), row).source == sentences.source
    assert "nothing to do" in publish(store, [(row, None)], show=quiet)


def test_sentences_that_differ_by_rounding_do_not_complete_a_row(tmp_path: Path) -> None:
    store, (row, _) = LocalStore(tmp_path), entry("x", [1, 0, 1])
    publish(store, [(row, None)], show=quiet)
    with pytest.raises(InputError, match="lacks its sentences, and yours differ by rounding"):
        publish(store, [entry("x", [1, 0, 1], sim=0.50001)], show=quiet)


def test_results_that_contradict_their_signature_are_refused(tmp_path: Path) -> None:
    for edit, message in (
        (lambda d: d["test_set"].update(name="other"), "test is other@x, its signature says t@x"),
        (lambda d: d["test_set"].update(n=5000), "n is 5000, its signature says 3"),
        (lambda d: d["system"].update(decoding={"num_beams": 9}), "decoding is num_beams=9, its signature says"),
        (lambda d: d["system"].update(decoding={"num_beams": float("nan")}), "decoding is|NaN is no number"),
        (
            lambda d: d["system"].update(name="delete", kind="baseline", revision="lexicon-ffffffffffff"),
            "reserved for this program's baseline",
        ),
    ):
        made = document("x", [1, 0, 1])
        edit(made)
        (tmp_path / "r.json").write_text(json.dumps(made))
        with pytest.raises(InputError, match=message):
            main([str(tmp_path / "r.json"), "--local", str(tmp_path / "b")])
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="not JSON"):
        main([str(tmp_path / "deep.json"), "--local", str(tmp_path / "b")])


def test_links_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("dear")
    board = tmp_path / "board"
    board.mkdir()
    (board / ".lock").symlink_to(precious)
    with pytest.raises(InputError, match="cannot be written"):
        publish(LocalStore(board), [entry("x", [1, 0, 1])], show=quiet)
    (board / ".lock").unlink()
    os.mkfifo(board / ".lock")
    # A reader, without which the writer would wait instead of failing this test.
    reader = os.open(board / ".lock", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(InputError, match=r"cannot be written \(a FIFO, not a file at .*\.lock\)"):
        publish(LocalStore(board), [entry("x", [1, 0, 1])], show=quiet)
    os.close(reader)
    (board / ".lock").unlink()
    (tmp_path / "elsewhere").mkdir()
    (board / "results").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="a link"):
        publish(LocalStore(board), [entry("x", [1, 0, 1])], show=quiet)
    assert precious.read_text() == "dear" and not list((tmp_path / "elsewhere").iterdir())


def test_a_file_that_became_something_else_is_not_read(tmp_path: Path) -> None:
    """After the snapshot has listed it."""
    publish(LocalStore(tmp_path / "board"), [entry("x", [1, 0, 1])], show=quiet)
    snapshot, card = LocalStore(tmp_path / "board").snapshot(), tmp_path / "board" / "README.md"
    (tmp_path / "secret").write_text("secret")
    card.unlink()
    card.symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match=r"README\.md: cannot be read"):
        snapshot.read("README.md")
    card.unlink()
    with card.open("wb") as sparse:
        sparse.truncate(10**12)
    with pytest.raises(InputError, match=r"README\.md: 1,000,000,000,000 bytes; the limit is 512,000,000"):
        LocalStore(tmp_path / "board").snapshot().read("README.md")


def test_a_leaderboard_that_is_a_link_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(InputError, match=rf"link: a symbolic link, .* give {tmp_path}/real$"):
        publish(LocalStore(tmp_path / "link"), [entry("x", [1, 0, 1])], show=quiet)
    assert not list((tmp_path / "real").iterdir())


def test_a_row_leaves_the_ranking_only_if_its_publisher_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board, results = str(tmp_path / "b"), [tmp_path / f"{n}.json" for n in range(3)]
    for n, path in enumerate(results):
        path.write_text(json.dumps(document("y" if n == 2 else "x", [1, n % 2, 1], revision=pin(str(n)))))
    main([str(results[0]), "--local", board])
    (old,) = load_board(LocalStore(tmp_path / "b").snapshot()).latest
    capsys.readouterr()
    main([str(results[1]), "--local", board])
    assert f"x: row {old.run_id} of " in (shown := capsys.readouterr().out) and f"--replaces {old.run_id}" in shown
    assert len(load_board(LocalStore(tmp_path / "b").snapshot()).latest) == 2
    for wrong, message in (
        (old.run_id, "0 of the results are of x under its signature"),
        ("f" * 16, "no row with this"),
    ):
        with pytest.raises(InputError, match=f"--replaces {wrong}: {message}"):
            main([str(results[2]), "--local", board, "--replaces", wrong])
    # The newer row is published already.
    main([str(results[1]), "--local", board, "--replaces", old.run_id])
    after = load_board(LocalStore(tmp_path / "b").snapshot())
    (new,) = after.latest
    assert old.run_id in after.rows and json.loads((tmp_path / "b/replaced.json").read_text()) == {
        old.run_id: new.run_id
    }
    assert pd.read_parquet(tmp_path / "b" / TABLES["latest"])["run_id"].tolist() == [new.run_id]
    (tmp_path / "b/replaced.json").write_text('{"x": 1}')
    assert len(load_board(LocalStore(tmp_path / "b").snapshot()).latest) == 2
    assert "replaced.json: x: not two run ids" in capsys.readouterr().err


def test_only_its_submitter_replaces_a_row(tmp_path: Path) -> None:
    """Not by a result of one's own, and not by publishing again what its submitter has published."""
    store, (old, _) = LocalStore(tmp_path), entry("x", [1, 1, 1])
    publish(store, [(old, None), entry("x", [1, 0, 1], revision=pin("2"))], show=quiet)
    for revision in ("2", "3"):
        given = entry("x", [1, 0, 1], revision=pin(revision), submitter="eve")
        with pytest.raises(InputError, match=f"--replaces {old.run_id}: ann submitted it, not eve; only its own"):
            publish(store, [given], replaces=[old.run_id], show=quiet)
    (new, sentences) = entry("x", [1, 0, 1], revision=pin("3"), submitter="eve")
    publish(store, [(new, sentences)], show=quiet)
    (tmp_path / "replaced.json").write_text(json.dumps({old.run_id: new.run_id}))
    board = load_board(store.snapshot())
    assert old in board.latest and derive(board) == derive(replace(board, replaced={}))


def test_a_killed_publisher_leaves_a_board_that_the_next_one_completes(tmp_path: Path) -> None:
    """Killed before each of its writes. Sentences come right before their row, and both before replaced.json."""
    old, new, other = entry("x", [1, 0, 1]), entry("x", [1, 1, 1], revision=pin("2")), entry("y", [0, 1, 0])
    publish(LocalStore(tmp_path / "board"), [old], show=quiet)
    killed = f"""
import os, shutil, signal, sys
from pathlib import Path
from leaderboard.publishing.commit import publish
from leaderboard.stores.local import LocalStore
from tests.leaderboard.boards import entry, pin
real = LocalStore._write
for n in range(20):
    folder = Path({str(tmp_path)!r}, str(n))
    shutil.copytree({str(tmp_path / "board")!r}, folder)
    left = [n]
    def write(store, path, data):
        left[0] -= 1
        real(store, path, data) if left[0] >= 0 else os.kill(os.getpid(), signal.SIGKILL)
    LocalStore._write = write
    if not os.fork():
        new, other = entry("x", [1, 1, 1], revision=pin("2")), entry("y", [0, 1, 0])
        publish(LocalStore(folder), [new, other], replaces=[{old[0].run_id!r}], show=lambda change: None)
        os._exit(0)
    if os.wait()[1] == 0:
        break
"""
    subprocess.run([sys.executable, "-c", killed], cwd=ROOT, check=True)
    folders = sorted(tmp_path.glob("[0-9]*"), key=lambda path: int(path.name))
    # Two rows with their sentences, replaced.json, three tables; then one that ends.
    assert len(folders) == 9
    for folder in folders:
        snapshot = LocalStore(folder).snapshot()
        notes = [outcome.note for outcome in check_files(snapshot)]
        assert len(notes) <= 1 and all(note.startswith("file: belongs to no row") for note in notes), (folder, notes)
        assert len(load_board(snapshot).latest) in (1, 2, 3)
        publish(LocalStore(folder), [new, other], replaces=[old[0].run_id], show=quiet)
        snapshot = LocalStore(folder).snapshot()
        assert {row.run_id for row in load_board(snapshot).latest} == {new[0].run_id, other[0].run_id}
        assert check_files(snapshot) == [] == check_tables(snapshot)


def test_what_a_killed_publisher_left_is_removed(tmp_path: Path) -> None:
    store, (row, sentences) = LocalStore(tmp_path), entry("x", [1, 0, 1])
    killed = f"""
import os, sys
from pathlib import Path
from metrics.util.files import atomic_file
for name in {[row.path, row.sentences_path, TABLES["latest"], "README.md"]!r}:
    kept = atomic_file(Path({str(tmp_path)!r}, name))
    kept.__enter__().write_bytes(b"half")
    globals()[name] = kept  # else the generator ends, and tidies up
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", killed], cwd=ROOT, check=False)
    left = [path for path in tmp_path.rglob(".*") if path.is_file()]
    assert len(left) == 4
    mine = [tmp_path / ".gitlab.disabled.yml", tmp_path / "results" / ".x.json.ab12cd34.txt"]
    for path in mine:
        path.write_text("keep me")
    publish(store, [(row, sentences)], show=quiet)
    assert not any(path.exists() for path in left) and all(path.exists() for path in mine)


def test_the_next_publication_replaces_forged_tables(hub: HubServer, store: HubStore, tmp_path: Path) -> None:
    """A table's record is used only if it has the hash of the row's file."""
    for where in (store, LocalStore(tmp_path / "board")):
        made = entry("x", [1, 0, 1])
        publish(where, [made], show=quiet)
        snapshot = where.snapshot()
        full = pd.read_parquet(io.BytesIO(snapshot.read(TABLES["full"])))
        full.loc[0, "document"] = full.loc[0, "document"].replace("0.3333333333333333", "0.99")
        forged = io.BytesIO()
        full.to_parquet(forged)
        where.commit({TABLES["full"]: forged.getvalue()}, snapshot.revision, "forged")
        assert load_board(where.snapshot()).rows[made[0].run_id].scores["j"].mean == pytest.approx(1 / 3)
        publish(where, [entry("y", [1, 1, 1])], show=quiet)
        assert "0.99" not in pd.read_parquet(io.BytesIO(where.snapshot().read(TABLES["full"])))["document"].str.cat()


def test_rows_are_not_read_one_by_one(hub: HubServer, store: HubStore) -> None:
    publish(store, [entry(f"s{n}", [1, 0, n % 2]) for n in range(6)], show=quiet)
    before = hub.count("GET", "/resolve/")
    load_board(store.snapshot())
    assert hub.count("GET", "/resolve/") - before <= 2


def test_invalid_rows_in_the_store_are_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = LocalStore(tmp_path)
    for name, text in {"a": "{", "b": '{"schema_version": 2}', "c": "[" * 100_000}.items():
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / f"{name * 16}.json").write_text(text)
    (tmp_path / "results" / "notes.json").write_text("other people's files are not rows")
    (tmp_path / "verification").mkdir()
    (tmp_path / "verification" / f"{entry('x', [1, 0, 1])[0].run_id}.json").write_text('{"status": 5}')
    moved, _ = entry("z", [1, 1, 1])
    (tmp_path / "results/z").mkdir()
    (tmp_path / "results/z" / "0123456789abcdef.json").write_text(moved.to_json())
    publish(store, [entry("x", [1, 0, 1])], show=quiet)
    assert [row.system.name for row in load_board(store.snapshot()).rows.values()] == ["x"]
    warned = capsys.readouterr().err
    assert "aaaa.json: not JSON" in warned and "bbbb.json: run_id" in warned and "holds the row of results/z/" in warned
    assert "cccc.json: not JSON" in warned and "notes.json" not in warned
    publish(store, [entry("y", [1, 1, 1])], show=quiet)
    assert ".json: not a verification" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the leaderboard"),
        (["--local", "{tmp}/file.json"], "no such folder"),
        (["--repo", "../x"], "needs the id of a Hub data set"),
        (["--local", "{tmp}/b", "--about", "{tmp}/about.yaml"], "sise: Extra inputs are not permitted .fields: size"),
        (
            ["--local", "{tmp}/b", "--about", "{tmp}/dates.yaml"],
            "dates.yaml: 2026-01-02: Extra inputs are not permitted",
        ),
        (["--local", "{tmp}/b", "--name", "bad\u202ename"], "U\\+202E is not allowed"),
        (["--local", "{tmp}/b", "--to-model"], "give --repo"),
        (["--local", "{tmp}/b", "--pr"], "--pr: pull requests are for the Hub"),
        (["--local", "{tmp}/b", "--submitter", "a\u202eb"], "--submitter: submitter: character U\\+202E"),
        (["--local", "{tmp}/b", "--name", "delete"], "delete: reserved for this program's baseline"),
        (["--local", "{tmp}/b", "--name", ""], "system.name"),
        (["--local", "x" * 300], "not a valid path"),
        (["--local", "{tmp}/file.json/b"], "cannot be written|no such folder|not a valid path"),
    ],
)
def test_invalid_arguments_are_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    path = result_file(tmp_path, "file", [1, 0, 1])
    (tmp_path / "about.yaml").write_text("sise: 5\n")
    (tmp_path / "dates.yaml").write_text("2026-01-02: 5\n")
    with pytest.raises(InputError, match=message):
        main([str(path), *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments)])
    assert not (tmp_path / "b").exists() or not any((tmp_path / "b").rglob("*.json"))


def test_about_and_name_options(tmp_path: Path) -> None:
    path = result_file(tmp_path, "file", [1, 0, 1])
    (tmp_path / "about.yaml").write_text("size: 5\nlicence: mit\ntraining_data: [a, b]\nparallel_data: true\n")
    main([str(path), "--local", str(tmp_path / "b"), "--name", "org/model", "--about", str(tmp_path / "about.yaml")])
    (row,) = load_board(LocalStore(tmp_path / "b").snapshot()).rows.values()
    assert row.system.name == "org/model" and row.path.startswith("results/org__model/")
    assert (row.system.about.size, row.system.about.training_data) == (5, ("a", "b"))


# -- the Hub ----------------------------------------------------------------------------------------------------------
def test_one_commit_holds_everything(hub: HubServer, store: HubStore) -> None:
    head = store.snapshot().revision
    said = publish(store, [entry("x", [1, 0, 1]), entry("y", [1, 1, 1])], show=quiet)
    assert said.startswith(f"{REPO}: published, revision ")
    commits = store.api.list_repo_commits(REPO, repo_type="dataset")
    assert commits[0].commit_id != head and commits[1].commit_id == head
    snapshot = store.snapshot()
    assert {*TABLES.values(), "README.md", "eval.yaml", "row-v4.schema.json", "tests/sample.parquet"} <= snapshot.files
    board = load_board(snapshot)
    assert derive(board) == {path: snapshot.read(path) for path in TABLES.values()}
    for row in board.rows.values():
        assert len(read_sentences(snapshot, row).source) == 3
    assert "nothing to do" in publish(store, [entry("x", [1, 0, 1])], show=quiet)
    assert store.snapshot().revision == snapshot.revision


def test_fifty_publishers_at_once(hub: HubServer, store: HubStore) -> None:
    """Fifty rows are committed against one head: none is lost, and the tables list them all."""
    errors: list[BaseException] = []

    def act(number: int) -> None:
        try:
            own = HubStore(REPO, hub.api("hf_alice"))
            publish(own, [entry(f"s{number:02}", [1, number % 2, 0], revision=pin(str(number)))], show=quiet)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    snapshot = store.snapshot()
    board = load_board(snapshot)
    assert sorted(row.system.name for row in board.rows.values()) == [f"s{n:02}" for n in range(50)]
    assert derive(load_board(replace(snapshot, oids={}))) == {path: snapshot.read(path) for path in TABLES.values()}


@pytest.mark.parametrize("step", UPLOAD_STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_connections_broken_at_each_step(
    hub: HubServer, store: HubStore, waits: list[float], hasty: None, step: str, when: str
) -> None:
    """The connection breaks before the request is handled, or before the response: no commit is partial, and the same
    command then publishes the row once."""
    before = hub.files("dataset", REPO)
    fault = getattr(hub.faults, f"drop_{when}")(*UPLOAD_STEPS[step], times=None)
    with pytest.raises(InputError, match="gave up"):
        publish_with_patience(store, patience=0)
    there = hub.files("dataset", REPO)
    assert there == before or (step, when) == ("commit", "after")
    assert fault.hits > 0
    hub.faults.clear()
    publish(store, [entry("x", [1, 0, 1])], show=quiet)
    assert [row.system.name for row in load_board(store.snapshot()).rows.values()] == ["x"]


def publish_with_patience(store: HubStore, patience: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("leaderboard.stores.base.PATIENCE_SECONDS", patience)
        publish(store, [entry("x", [1, 0, 1])], show=quiet)


def test_a_commit_with_a_lost_response_is_not_repeated(hub: HubServer, store: HubStore, hasty: None) -> None:
    hub.faults.drop_after(*UPLOAD_STEPS["commit"])
    assert "nothing to do" in publish(store, [entry("x", [1, 0, 1])], show=quiet)
    # The repository's first commit and ours.
    assert len(store.api.list_repo_commits(REPO, repo_type="dataset")) == 2


@pytest.mark.parametrize(("status", "headers"), [(429, {"Retry-After": "1"}), (429, {"RateLimit": '"api";r=0;t=1'}),
                                                 (500, {}), (503, {})])  # fmt: skip
def test_a_busy_hub_is_retried(
    hub: HubServer,
    store: HubStore,
    hasty: None,
    capsys: pytest.CaptureFixture[str],
    status: int,
    headers: dict[str, str],
) -> None:
    hub.faults.answer(*UPLOAD_STEPS["commit"], status, headers)
    publish(store, [entry("x", [1, 0, 1])], show=quiet)
    assert len(load_board(store.snapshot()).rows) == 1
    assert "retrying in" in capsys.readouterr().err
    assert hub.count("POST", "/commit/") == 2


def test_a_commit_in_progress_is_a_lost_race(hub: HubServer, store: HubStore, hasty: None) -> None:
    """409 means that another commit is in progress; the publisher reads the board again."""
    hub.faults.answer(*UPLOAD_STEPS["commit"], 409)
    publish(store, [entry("x", [1, 0, 1])], show=quiet)
    assert len(load_board(store.snapshot()).rows) == 1
    assert [request.status for request in hub.log("POST", "/commit/")] == [409, 200]


def test_a_lost_race_is_retried(hub: HubServer, store: HubStore, hasty: None) -> None:
    rival = HubStore(REPO, hub.api("hf_alice"))
    hub.faults.call_before(*UPLOAD_STEPS["commit"], lambda: publish(rival, [entry("y", [1, 1, 1])], show=quiet))
    publish(store, [entry("x", [1, 0, 1])], show=quiet)
    assert {row.system.name for row in load_board(store.snapshot()).rows.values()} == {"x", "y"}
    assert [request.status for request in hub.log("POST", "/commit/")].count(412) == 1


def test_a_head_that_never_moves_ends_in_a_pull_request(
    hub: HubServer, store: HubStore, hasty: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each commit to main is refused as outdated, with nobody else about: no race, so a pull request is opened."""
    head = store.snapshot().revision
    hub.faults.answer("POST", r"/commit/main$", 412, times=None)
    said = publish(store, [entry("x", [1, 0, 1])], show=quiet)
    assert said == f"{REPO}: pull request {hub.url}/datasets/{REPO}/discussions/1"
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(REPO)]
    assert len(lines) == 13 and lines[0].startswith(f"{REPO}: a change came between reading and this commit; reading")
    assert lines[5].startswith(f"{REPO}: refused 6 commits as outdated, and still shows revision {head[:12]}; reading")
    assert lines[12].endswith("opening a pull request instead")
    assert publish(store, [entry("x", [1, 0, 1])], show=quiet) == said
    hub.faults.answer("POST", r"/commit/main\?create_pr", 412, times=None)
    with pytest.raises(InputError, match=r"refused 2 commits as outdated.*; nothing was published: look at its page"):
        publish(store, [entry("y", [1, 0, 1])], show=quiet)


def test_a_head_that_is_read_stale_is_waited_for(
    hub: HubServer, store: HubStore, hasty: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The data set's information comes five times from a replica that lags: the row joins the one it did not show."""
    stale, read = store.snapshot(), store.api.dataset_info
    readings: list[int] = []
    publish(HubStore(REPO, hub.api("hf_alice")), [entry("y", [1, 1, 1])], show=quiet)

    def lagging(*arguments: Any, **options: Any) -> Any:
        readings.append(1)
        return read(*arguments, **options, **({"revision": stale.revision} if len(readings) <= 5 else {}))

    monkeypatch.setattr(store.api, "dataset_info", lagging)
    assert ": published, revision " in publish(store, [entry("x", [1, 0, 1])], show=quiet)
    assert {row.system.name for row in load_board(store.snapshot()).rows.values()} == {"x", "y"}
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(REPO)]
    assert len(lines) == 5
    assert f"refused 5 commits as outdated, and still shows revision {stale.revision[:12]}; reading" in lines[4]


def test_the_same_run_raced_by_another_submitter_is_not_overwritten(
    hub: HubServer, store: HubStore, hasty: None
) -> None:
    rival = HubStore(REPO, hub.api("hf_alice"))
    theirs = entry("x", [1, 1, 1], submitter="bob")
    hub.faults.call_before(*UPLOAD_STEPS["commit"], lambda: publish(rival, [theirs], show=quiet))
    with pytest.raises(InputError, match="bob published another result"):
        publish(store, [entry("x", [1, 0, 1])], show=quiet)
    (row,) = load_board(store.snapshot()).rows.values()
    assert (row.submitter, row.scores["j"].mean) == ("bob", 0.5)


def test_without_write_access_a_pull_request_is_opened_once(hub: HubServer, store: HubStore) -> None:
    publish(store, [entry("x", [1, 0, 1])], show=quiet)
    before = hub.files("dataset", REPO)
    guest = HubStore(REPO, hub.api("hf_bob"))
    said = publish(guest, [entry("y", [1, 1, 1])], show=quiet)
    assert f"{hub.url}/datasets/{REPO}/discussions/1" in said
    assert publish(guest, [entry("y", [1, 1, 1])], show=quiet) == said
    assert hub.files("dataset", REPO) == before
    # Only rows: the tables of two pull requests conflict. After the merge, the next publisher rebuilds them.
    changed = hub.files("dataset", REPO, "refs/pr/1").keys() - before.keys()
    assert {path.partition("/")[0] for path in changed} == {"results"} and len(changed) == 2
    store.api.merge_pull_request(REPO, 1, repo_type="dataset")
    # The same command again, without write access: the row is published, which is no failure.
    assert "rows are published already" in publish(guest, [entry("y", [1, 1, 1])], show=quiet)
    assert "nothing to do" in publish(guest, [entry("y", [1, 1, 1])], pull_request=True, show=quiet)
    publish(store, [entry("z", [0, 0, 0])], show=quiet)
    latest = pd.read_parquet(Path(store.api.hf_hub_download(REPO, TABLES["latest"], repo_type="dataset")))
    assert latest["system"].tolist() == ["y", "x", "z"]


def test_a_pull_request_with_the_same_title_does_not_count(hub: HubServer, store: HubStore) -> None:
    """Another user's pull request has the same title and other files."""
    from huggingface_hub import CommitOperationAdd

    guest = HubStore(REPO, hub.api("hf_bob"))
    row, sentences = entry("y", [1, 1, 1])
    title = f"Add y ({row.run_id})"
    squat = [CommitOperationAdd("evil.txt", b"x"), CommitOperationAdd(row.path, row.to_json().encode())]
    store.api.create_commit(REPO, squat, repo_type="dataset", commit_message=title, create_pr=True)
    said = publish(guest, [(row, sentences)], show=quiet)
    assert "/discussions/2" in said and row.path in hub.files("dataset", REPO, "refs/pr/2")
    assert publish(guest, [(row, sentences)], show=quiet) == said


def test_refusals_give_one_line_without_the_token(hub: HubServer, store: HubStore, tmp_path: Path) -> None:
    path = str(result_file(tmp_path, "x", [1, 0, 1]))

    def refused(token: str | None, repo: str = REPO) -> str:
        env = hub.environment(token, tmp_path / "home") | {"OMP_NUM_THREADS": "1"}
        done = run(path, "--repo", repo, env=env)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert not token or token not in done.stdout + done.stderr
        return done.stderr.strip().split("\n")[-1]

    assert refused(None) == "error: no Hub token; set HF_TOKEN or run `hf auth login`"
    assert "the Hub does not take this token" in refused("hf_nobody")
    for token in ("hf_\u00e4", "hf_a\x01b", "hf_a\tb", "hf_a\x7f"):
        assert "has a character that no HTTP header can hold; copy it again" in refused(token)
    assert f"error: {REPO[:4]}nothing: no such data set" in refused("hf_alice", "lab/nothing")
    store.api.update_repo_settings(REPO, repo_type="dataset", private=True)
    assert "no such data set on the Hub, or your token may not read it" in refused("hf_bob")


def test_a_repository_made_private_during_a_commit(hub: HubServer, store: HubStore) -> None:
    guest = HubStore(REPO, hub.api("hf_bob"))
    settings = store.api.update_repo_settings
    hub.faults.call_before("POST", "/preupload/", lambda: settings(REPO, repo_type="dataset", private=True))
    before = hub.files("dataset", REPO)
    with pytest.raises(InputError, match="may not read it"):
        publish(guest, [entry("x", [1, 0, 1])], show=quiet)
    assert hub.files("dataset", REPO) == before


def test_slow_and_truncated_downloads_are_retried(
    hub: HubServer, store: HubStore, hasty: None, waits: list[float]
) -> None:
    publish(store, [entry("x", [1, 0, 1])], show=quiet)
    hub.faults.slow_body("GET", "/(storage|resolve)/", pieces=5, pause=0.01)
    hub.faults.cut_body("GET", "/(storage|resolve)/", keep=10, skip=1)
    publish(store, [entry("y", [1, 1, 1])], show=quiet)
    assert len(load_board(store.snapshot()).rows) == 2


def test_a_created_data_set_loads_with_datasets(hub: HubServer, tmp_path: Path) -> None:
    """Other processes publish to a new data set, then call load_dataset as the card shows."""
    path = str(result_file(tmp_path, "x", [1, 0, 1]))
    env = hub.environment("hf_alice", tmp_path / "home") | {"OMP_NUM_THREADS": "1"}
    done = run(path, "--repo", "lab/new", "--create", env=env)
    assert done.returncode == 0, done.stderr
    assert "lab/new: published, revision" in done.stdout
    code = (
        "from datasets import load_dataset\n"
        "print(load_dataset('lab/new', split='rows')['system'][:])\n"
        "print(load_dataset('lab/new', 'full', split='rows')['n'][:])\n"
        "print(load_dataset('lab/new', 'sentences', split='rows')['output'][:])\n"
        "print(load_dataset('lab/new', 'sample', split='test').num_rows)\n"
    )
    (tmp_path / "load.py").write_text(code)
    loaded = run_script(tmp_path / "load.py", env=env, cwd=tmp_path)
    assert loaded.returncode == 0, loaded.stderr[-3000:]
    assert loaded.stdout.split("\n")[:4] == ["['x']", "[3]", "['x 0', 'x 1', 'x 2']", "234"]


def test_retries_end(hub: HubServer, store: HubStore) -> None:
    def busy() -> None:
        raise BusyError("no time")

    with pytest.raises(InputError, match=r"gave up \(no time\); run the same command again"):
        retry(busy, store.name, patience=0)


def test_offline_mode_is_an_error(tmp_path: Path) -> None:
    path = str(result_file(tmp_path, "x", [1, 0, 1]))
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_secret", "HF_HOME": str(tmp_path)}
    done = run(path, "--repo", REPO, env=env)
    assert done.returncode == 2 and "HF_HUB_OFFLINE is set" in done.stderr and "hf_secret" not in done.stderr


def test_score_and_push_in_one_command(hub: HubServer, store: HubStore, tmp_path: Path) -> None:
    """metrics.score --push shows the change; with --yes it opens a pull request."""
    home = tmp_path / "home"
    env = hub.environment("hf_alice", home) | {"OMP_NUM_THREADS": "1"}
    command = ["metrics.score", "delete", "--test-set", "sample", "--limit", "2", "--push", REPO]
    shown = run_module(*command, env=env)
    assert shown.returncode == 0 and "nothing was sent; add --yes" in shown.stdout, shown.stderr[-2000:]
    assert hub.count("POST", "/commit/") == 0
    sent = run_module(*command, "--yes", env=env)
    assert sent.returncode == 0 and f"{REPO}: pull request {hub.url}" in sent.stdout, sent.stderr[-2000:]
    (path,) = (p for p in hub.files("dataset", REPO, "refs/pr/1") if p.endswith(".json"))
    row = load_row(json.loads(hub.files("dataset", REPO, "refs/pr/1")[path]), path)
    assert (row.system.name, row.submitter, row.test_set.n, row.test_set.of) == ("delete", "alice", 2, 234)


def test_to_model_opens_a_pull_request(
    hub: HubServer, store: HubStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store.api.create_repo("lab/detox")
    card = b"---\nlicense: mit\n---\n# A rewriter\n"
    commit = store.api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id="lab/detox").oid
    result = result_file(tmp_path, "detox", [1, 0, 1], kind="model", revision=commit)
    made = json.loads(result.read_text())
    made["system"]["name"] = "lab/detox"
    result.write_text(json.dumps(made))
    monkeypatch.setenv("HF_TOKEN", "hf_alice")
    main([str(result), "--repo", REPO, "--to-model"])
    assert f"lab/detox: pull request {hub.url}/lab/detox/discussions/1" in capsys.readouterr().out
    files = hub.files("model", "lab/detox", "refs/pr/1")
    (name,) = (path for path in files if path.startswith(".eval_results/"))
    told = yaml.safe_load(files[name])
    assert [(entry["dataset"]["id"], entry["dataset"]["task_id"]) for entry in told] == [
        (REPO, task) for task in ("j", "sta", "sim", "fl")
    ]
    assert told[0]["value"] == pytest.approx(1 / 3, abs=1e-3) and b"verifyToken" not in files[name]
    assert b"model-index" in files["README.md"] and b"license: mit" in files["README.md"]
    main([str(result), "--repo", REPO, "--to-model"])
    assert "nothing to propose" in capsys.readouterr().out
