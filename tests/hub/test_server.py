"""The local Hub, seen through the unmodified client: what it answers and refuses, and what a broken line leaves."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from tests.hub.faults import UPLOAD_STEPS
from tests.hub.server import HubServer

ROOT = Path(__file__).resolve().parent.parent.parent
BOARD = "lab/board"
CARD = b"---\nlicense: mit\ntags: [leaderboard]\n---\n# A board\n"
LARGE = bytes(range(256)) * 20


@pytest.fixture
def alice(hub: HubServer) -> HfApi:
    """Someone who writes in the organisation lab, whose data set lab/board is there."""
    api = hub.api("hf_alice")
    api.create_repo(BOARD, repo_type="dataset")
    return api


@pytest.fixture
def bob(hub: HubServer) -> HfApi:
    """Someone who does not."""
    return hub.api("hf_bob")


@pytest.fixture
def raw(hub: HubServer) -> Iterator[httpx2.Client]:
    """HTTP as alice, for what the client would not send."""
    headers = {"Authorization": "Bearer hf_alice"}
    with httpx2.Client(base_url=hub.url, headers=headers, follow_redirects=True, trust_env=False) as client:
        yield client


def push(api: HfApi, files: dict[str, bytes], *more: Any, **options: Any) -> CommitInfo:
    operations = [*(CommitOperationAdd(path, content) for path, content in files.items()), *more]
    return api.create_commit(BOARD, operations, commit_message="Add rows", repo_type="dataset", **options)


def read(api: HfApi, path: str, **options: Any) -> bytes:
    return Path(api.hf_hub_download(BOARD, path, repo_type="dataset", **options)).read_bytes()


def head(hub: HubServer, ref: str = "refs/heads/main") -> str:
    return hub.hub.repos["dataset", BOARD].refs[ref]


def test_a_client_that_names_no_endpoint_finds_it(
    hub: HubServer, alice: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(alice, {"a": b"1"})
    alice.update_repo_settings(BOARD, repo_type="dataset", private=True)
    with pytest.raises(RepositoryNotFoundError):
        HfApi().dataset_info(BOARD)
    monkeypatch.setenv("HF_TOKEN", "hf_alice")
    assert HfApi().whoami()["name"] == huggingface_hub.whoami()["name"] == "alice"
    assert Path(huggingface_hub.hf_hub_download(BOARD, "a", repo_type="dataset")).read_bytes() == b"1"
    with huggingface_hub.HfFileSystem().open(f"datasets/{BOARD}/a") as file:
        assert file.read() == b"1"


def test_accounts(hub: HubServer) -> None:
    me = hub.api("hf_alice").whoami()
    assert me["name"] == "alice" and [org["name"] for org in me["orgs"]] == ["lab"]
    assert hub.api("hf_alice_read").whoami()["auth"]["accessToken"]["role"] == "read"
    with pytest.raises(HfHubHTTPError, match="Invalid user token") as caught:
        hub.api("hf_nobody").whoami()
    assert caught.value.response.status_code == 401
    # An unknown token is refused even where none is needed, and is not mistaken for a missing repository.
    hub.api("hf_alice").create_repo(BOARD)
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as caught:
        hub.api("hf_nobody").model_info(BOARD)
    assert not isinstance(caught.value, RepositoryNotFoundError)


def test_creating_a_repository_needs_permission_and_a_new_name(hub: HubServer, bob: HfApi) -> None:
    alice = hub.api("hf_alice")
    url = alice.create_repo(BOARD, repo_type="dataset")
    assert (url.repo_id, url.repo_type, url.endpoint) == (BOARD, "dataset", hub.url)
    assert alice.create_repo(BOARD, repo_type="dataset", exist_ok=True) == url
    assert alice.create_repo("mine").repo_id == "alice/mine"
    # A model of the same name is another repository.
    assert not alice.repo_exists(BOARD)
    for api, status in ((alice, 409), (bob, 403), (hub.api("hf_alice_read"), 403), (hub.api(None), 401)):
        with pytest.raises(HfHubHTTPError) as caught:
            api.create_repo(BOARD, repo_type="dataset")
        assert caught.value.response.status_code == status
    # Those who may not write still learn that it is there.
    assert bob.create_repo(BOARD, repo_type="dataset", exist_ok=True).repo_id == BOARD
    with pytest.raises(HfHubHTTPError, match="403"):
        bob.delete_repo(BOARD, repo_type="dataset")
    alice.delete_repo(BOARD, repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        alice.delete_repo(BOARD, repo_type="dataset")


def test_a_commit_adds_replaces_copies_and_deletes(hub: HubServer, alice: HfApi) -> None:
    files = {"README.md": CARD, "rows/a.json": b"{}", "rows/b.json": b"[]", "old.txt": b"x", "t.bin": LARGE}
    first = push(alice, files)
    second = push(
        alice,
        {"rows/c.json": b"1", "outputs/c.parquet": LARGE + b"c"},
        CommitOperationDelete("old.txt"),
        CommitOperationCopy("t.bin", "copy.bin"),
        parent_commit=first.oid,
    )
    alice.delete_folder("rows", BOARD, repo_type="dataset")
    anyone = hub.api(None)
    assert set(anyone.list_repo_files(BOARD, repo_type="dataset")) == {
        ".gitattributes", "README.md", "copy.bin", "outputs/c.parquet", "t.bin"
    }  # fmt: skip
    assert read(anyone, "outputs/c.parquet") == LARGE + b"c" and read(anyone, "copy.bin") == LARGE
    assert anyone.file_exists(BOARD, "README.md", repo_type="dataset")
    assert not anyone.file_exists(BOARD, "rows/c.json", repo_type="dataset")
    assert anyone.file_exists(BOARD, "rows/c.json", repo_type="dataset", revision=second.oid)
    log = anyone.list_repo_commits(BOARD, repo_type="dataset")
    assert [c.title for c in log][1:] == ["Add rows", "Add rows", "initial commit"] and log[1].commit_id == second.oid
    assert log[0].authors == ["alice"] and log[0].commit_id == head(hub) != second.oid
    for operation in (CommitOperationDelete("old.txt"), CommitOperationDelete("rows/")):
        with pytest.raises(RemoteEntryNotFoundError, match="with this name doesn't exist"):
            push(alice, {"new.txt": b"new"}, operation)
    assert head(hub) == log[0].commit_id


def test_ids_are_those_of_git(hub: HubServer, alice: HfApi, tmp_path: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git here")
    # Names whose order differs between files and folders.
    files = {"a.b/x": b"1", "a/x/y": b"2", "a-b": b"3", "a0": b"4", "b": "schön\n".encode(), "big.bin": LARGE}
    push(alice, files, commit_description="Two lines\nof text")
    repo = hub.hub.repos["dataset", BOARD]
    made = ""
    for commit in reversed(list(repo.history(repo.commit("main")))):
        work = tmp_path / commit.oid
        for path, file in commit.tree.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes(repo.blobs[file.oid])
        env = {**os.environ, "GIT_DIR": str(tmp_path / "git"), "GIT_WORK_TREE": str(work)}
        for role in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{role}_NAME": "alice", f"GIT_{role}_EMAIL": "alice@users.noreply.example"}
            env[f"GIT_{role}_DATE"] = f"{int(commit.date.timestamp())} +0000"

        def run(*command: str, env: dict[str, str] = env) -> str:
            # The filter that .gitattributes asks for would make pointers of the pointers.
            plain = [git, "-c", "filter.lfs.clean=cat", "-c", "filter.lfs.process=", *command]
            return subprocess.run(plain, env=env, capture_output=True, text=True, check=True).stdout.strip()

        run("init", "--quiet")
        run("add", "--all", "--force")
        tree = run("write-tree")
        texts = [commit.title, *([commit.description] if commit.description else [])]
        parents = ["-p", made] if made else []
        made = run("commit-tree", tree, *parents, *(part for text in texts for part in ("-m", text)))
        assert made == commit.oid
    ids = {line.split()[3]: line.split()[2] for line in run("ls-tree", "-r", "-t", "--full-tree", tree).splitlines()}
    listed = alice.list_repo_tree(BOARD, repo_type="dataset", recursive=True)
    assert {i.path: i.blob_id if isinstance(i, RepoFile) else i.tree_id for i in listed} == ids
    pointer = (tmp_path / made / "big.bin").read_text()
    assert pointer.split("\n")[1:] == [f"oid sha256:{hashlib.sha256(LARGE).hexdigest()}", f"size {len(LARGE)}", ""]


def test_trees_are_paginated(hub: HubServer, alice: HfApi) -> None:
    first = push(alice, {f"rows/{i}.json": b"%d" % i for i in range(5)} | {"b.bin": LARGE})
    second = push(alice, {"rows/1.json": b"changed"})
    hub.page_size = 2
    top = list(alice.list_repo_tree(BOARD, repo_type="dataset"))
    assert [item.path for item in top] == [".gitattributes", "b.bin", "rows"] and isinstance(top[2], RepoFolder)
    before = hub.count("GET", "/tree/")
    rows = list(alice.list_repo_tree(BOARD, "rows", repo_type="dataset", expand=True, recursive=True))
    assert [item.path for item in rows] == [f"rows/{i}.json" for i in range(5)]
    assert [item.last_commit.oid == second.oid for item in rows] == [False, True, False, False, False]
    assert hub.count("GET", "/tree/") == before + 3
    assert len(alice.list_repo_commits(BOARD, repo_type="dataset")) == 3
    old = list(alice.list_repo_tree(BOARD, repo_type="dataset", revision=first.oid, recursive=True))
    assert len(old) == 8 and old[-1].size == 1
    with pytest.raises(RemoteEntryNotFoundError):
        list(alice.list_repo_tree(BOARD, "nothing", repo_type="dataset"))


def test_paths_info_describes_existing_paths(alice: HfApi) -> None:
    oid = push(alice, {"a/b.txt": b"text", "c.parquet": LARGE}).oid
    found = alice.get_paths_info(BOARD, ["a", "a/b.txt", "c.parquet", "gone"], repo_type="dataset", expand=True)
    assert [item.path for item in found] == ["a", "a/b.txt", "c.parquet"]
    folder, text, large = found
    assert isinstance(folder, RepoFolder) and text.lfs is None and text.size == 4
    assert text.blob_id == hashlib.sha1(b"blob 4\0text").hexdigest()
    assert (large.lfs.sha256, large.lfs.size, large.size) == (hashlib.sha256(LARGE).hexdigest(), 5120, 5120)
    assert {item.last_commit.oid for item in found} == {oid}


def test_refs_tags_and_branches(alice: HfApi, bob: HfApi) -> None:
    first = push(alice, {"a": b"1"})
    alice.create_tag(BOARD, tag="v1", repo_type="dataset")
    push(alice, {"a": b"2"})
    alice.create_branch(BOARD, branch="next", revision=first.oid, repo_type="dataset")
    third = push(alice, {"b": b"3"}, revision="next")
    refs = alice.list_repo_refs(BOARD, repo_type="dataset", include_pull_requests=True)
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"v1": first.oid}
    assert {ref.name for ref in refs.branches} == {"main", "next"} and refs.pull_requests == []
    assert [read(alice, "a", revision=revision) for revision in ("v1", "main", "next")] == [b"1", b"2", b"1"]
    assert alice.dataset_info(BOARD, revision="next").sha == third.oid
    with pytest.raises(HfHubHTTPError, match="409"):
        alice.create_tag(BOARD, tag="v1", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="403"):
        bob.create_tag(BOARD, tag="v2", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        push(alice, {"a": b"no"}, revision="v1")
    alice.delete_tag(BOARD, tag="v1", repo_type="dataset")
    assert not alice.revision_exists(BOARD, "v1", repo_type="dataset")


def test_info_reads_the_card_and_the_results(alice: HfApi) -> None:
    alice.create_repo("lab/model")
    results = b"- {dataset: {id: lab/board, task_id: j}, value: 0.5}\n"
    card = b"---\nlicense: mit\ntags: [detox]\nlanguage: en\nbase_model: org/base\n---\n# A model\n"
    files = {"README.md": card, ".eval_results/j.yaml": results, "model.safetensors": LARGE}
    alice.create_commit("lab/model", [CommitOperationAdd(*file) for file in files.items()], commit_message="Add")
    info = alice.model_info("lab/model", files_metadata=True)
    assert (info.author, info.private, info.card_data.license) == ("lab", False, "mit")
    assert {"detox", "en", "license:mit", "base_model:org/base"} <= set(info.tags)
    sizes = {sibling.rfilename: (sibling.size, bool(sibling.lfs)) for sibling in info.siblings}
    assert sizes["README.md"] == (len(card), False) and sizes["model.safetensors"] == (5120, True)
    expanded = alice.model_info("lab/model", expand=["evalResults", "sha"])
    assert [(e.dataset_id, e.task_id, e.value) for e in expanded.eval_results] == [(BOARD, "j", 0.5)]
    assert expanded.sha == info.sha and expanded.tags is None


def test_a_pinned_commit_does_not_change(hub: HubServer, alice: HfApi) -> None:
    oid = push(alice, {"rows/a.json": b"old", "c.parquet": LARGE}).oid
    push(alice, {"rows/a.json": b"new", "c.parquet": LARGE[::-1], "d": b""}, CommitOperationDelete(".gitattributes"))
    for revision, row, large, count in ((oid, b"old", LARGE, 3), ("main", b"new", LARGE[::-1], 3)):
        folder = Path(hub.api(None).snapshot_download(BOARD, repo_type="dataset", revision=revision))
        assert folder.name == (oid if revision == oid else head(hub))
        assert (folder / "rows/a.json").read_bytes() == row and (folder / "c.parquet").read_bytes() == large
        assert sum(path.is_file() for path in folder.rglob("*")) == count
    assert read(alice, "rows/a.json", revision=oid) == b"old"


def test_a_cached_file_is_not_fetched_again(hub: HubServer, alice: HfApi) -> None:
    push(alice, {"a.txt": b"text", "c.parquet": LARGE})
    for path, body in (("a.txt", "/resolve/main/a.txt"), ("c.parquet", "/storage/")):
        read(alice, path)
        assert hub.count("GET", body) == 1
        push(alice, {f"other-{path}.json": b"{}"})
        read(alice, path)
        # The commit is another, so it asked; the ETag is the same, so it fetched nothing.
        assert hub.count("GET", body) == 1 and hub.count("HEAD", f"/resolve/main/{path}") == 2
    push(alice, {"a.txt": b"more", "c.parquet": LARGE[1:]})
    assert read(alice, "a.txt") == b"more" and read(alice, "c.parquet") == LARGE[1:]
    # A file that is not there is remembered under the commit that does not have it.
    with pytest.raises(RemoteEntryNotFoundError) as caught:
        read(alice, "nothing")
    assert caught.value.response.headers["X-Repo-Commit"] == head(hub)


def test_range_requests(alice: HfApi, raw: httpx2.Client) -> None:
    push(alice, {"a.txt": b"0123456789", "c.parquet": LARGE})
    for path, whole in (("a.txt", b"0123456789"), ("c.parquet", LARGE)):
        url = f"/datasets/{BOARD}/resolve/main/{path}"
        for wanted, part in (("2-4", whole[2:5]), ("7-", whole[7:]), ("-3", whole[-3:]), ("5-99999", whole[5:])):
            reply = raw.get(url, headers={"Range": f"bytes={wanted}"})
            assert (reply.status_code, reply.content) == (206, part)
            assert reply.headers["Content-Range"].endswith(f"/{len(whole)}")
        assert raw.get(url, headers={"Range": "bytes=99999-"}).status_code == 416
        assert raw.head(url).headers["Content-Length"] == str(len(whole))


def test_tokens_do_not_leave_the_hub(hub: HubServer, alice: HfApi, raw: httpx2.Client) -> None:
    push(alice, {"c.parquet": LARGE})
    read(alice, "c.parquet")
    stored = hub.log("PUT", "/storage/") + hub.log("GET", "/storage/")
    assert len(stored) == 2
    for request in stored:
        assert "authorization" not in request.headers and request.headers["host"].startswith("localhost:")
    # An address without its signature is worth nothing.
    put, get = (f"{hub.storage}{request.url}" for request in stored)
    assert raw.get(get).content == LARGE
    assert raw.get(get.partition("?")[0]).status_code == 403
    assert raw.put(get, content=b"other").status_code == raw.get(put).status_code == 403


def test_preupload_chooses_regular_lfs_or_ignore(hub: HubServer, alice: HfApi) -> None:
    push(alice, {".gitignore": b"*.tmp\nruns/\n!keep.tmp\n"})
    files = {"a.json": b"{}", "b.parquet": b"PAR1", "c.dat": b"\0\1", "x.tmp": b"x", "runs/y": b"y", "keep.tmp": b"k"}
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    operations.append(CommitOperationAdd("large.txt", io.BytesIO(b"a" * (10 * 1024 * 1024 + 1))))
    alice.preupload_lfs_files(BOARD, operations, repo_type="dataset")
    modes = {o.path_in_repo: "ignore" if o._should_ignore else o._upload_mode for o in operations}
    assert modes == {
        "a.json": "regular", "b.parquet": "lfs", "c.dat": "lfs", "large.txt": "lfs", "x.tmp": "ignore",
        "runs/y": "ignore", "keep.tmp": "regular",
    }  # fmt: skip
    # What is uploaded and not committed is nowhere to be seen.
    assert set(alice.list_repo_files(BOARD, repo_type="dataset")) == {".gitattributes", ".gitignore"}


def test_a_pull_request_by_someone_without_rights(hub: HubServer, alice: HfApi, bob: HfApi, raw: httpx2.Client) -> None:
    push(alice, {"rows/a.json": b"a", "table.txt": b"1\n"})
    base = head(hub)
    with pytest.raises(HfHubHTTPError, match="create_pr=1") as caught:
        push(bob, {"rows/b.json": b"b"})
    assert caught.value.response.status_code == 403
    batch = {"operation": "upload", "objects": [], "ref": {"name": "main"}}
    as_bob = {"Authorization": "Bearer hf_bob"}
    assert raw.post(f"/datasets/{BOARD}.git/info/lfs/objects/batch", json=batch, headers=as_bob).status_code == 403
    commit = push(bob, {"rows/b.json": b"b", "outputs/b.parquet": LARGE}, create_pr=True, commit_description="Mine")
    assert (commit.pr_num, commit.pr_revision) == (1, "refs/pr/1") and head(hub) == base
    assert commit.pr_url == f"{hub.url}/datasets/{BOARD}/discussions/1"
    push(bob, {"table.txt": b"1\n2\n"}, revision="refs/pr/1")
    assert read(alice, "outputs/b.parquet", revision="refs/pr/1") == LARGE
    assert not alice.file_exists(BOARD, "rows/b.json", repo_type="dataset")
    # Meanwhile main goes on, so that only what the request changed may be taken.
    push(alice, {"rows/a.json": b"newer", "rows/c.json": b"c"})
    [found] = bob.get_repo_discussions(BOARD, repo_type="dataset", discussion_type="pull_request")
    assert (found.num, found.author, found.status, found.title) == (1, "bob", "open", "Add rows")
    details = bob.get_discussion_details(BOARD, 1, repo_type="dataset")
    assert details.events[0].content == "Mine" and [e.type for e in details.events[1:]] == ["commit", "commit"]
    assert details.conflicting_files == [] and details.target_branch == "refs/heads/main"
    assert "+2" in details.diff and "rows/c.json" not in details.diff and "size 5120" in details.diff
    with pytest.raises(HfHubHTTPError, match="403"):
        bob.merge_pull_request(BOARD, 1, repo_type="dataset")
    alice.merge_pull_request(BOARD, 1, repo_type="dataset", comment="Thank you")
    assert {path: read(bob, path) for path in ("rows/a.json", "rows/b.json", "rows/c.json", "table.txt")} == {
        "rows/a.json": b"newer", "rows/b.json": b"b", "rows/c.json": b"c", "table.txt": b"1\n2\n"
    }  # fmt: skip
    details = bob.get_discussion_details(BOARD, 1, repo_type="dataset")
    assert details.status == "merged" and details.merge_commit_oid == head(hub)
    assert list(bob.get_repo_discussions(BOARD, repo_type="dataset", discussion_status="open")) == []
    with pytest.raises(HfHubHTTPError, match="409"):
        alice.merge_pull_request(BOARD, 1, repo_type="dataset")


def test_a_pull_request_in_conflict_is_not_merged(hub: HubServer, alice: HfApi, bob: HfApi) -> None:
    old = push(alice, {"a": b"1", "b": b"1", "c": b"1"})
    main = push(alice, {"a": b"alice", "b": b"same"}).oid
    # It starts from the named parent, not from the head.
    push(bob, {"a": b"bob", "b": b"same"}, CommitOperationDelete("c"), create_pr=True, parent_commit=old.oid)
    assert alice.get_discussion_details(BOARD, 1, repo_type="dataset").conflicting_files == ["a"]
    with pytest.raises(HfHubHTTPError, match="conflicts: a"):
        alice.merge_pull_request(BOARD, 1, repo_type="dataset")
    assert head(hub) == main
    push(bob, {"a": b"alice"}, revision="refs/pr/1")
    alice.merge_pull_request(BOARD, 1, repo_type="dataset")
    assert hub.files("dataset", BOARD)["a"] == b"alice" and "c" not in hub.files("dataset", BOARD)


def test_discussions(hub: HubServer, alice: HfApi, bob: HfApi) -> None:
    hub.page_size = 1
    place: dict[str, Any] = {"repo_id": BOARD, "repo_type": "dataset"}
    talk = bob.create_discussion(title="A question", **place)
    draft = bob.create_pull_request(title="Later", **place)
    assert (talk.num, talk.is_pull_request, draft.num, draft.status) == (1, False, 2, "draft")
    assert alice.comment_discussion(discussion_num=1, comment="An answer", **place).content == "An answer"
    assert bob.rename_discussion(discussion_num=1, new_title="Answered", **place).new_title == "Answered"
    assert alice.change_discussion_status(discussion_num=1, new_status="closed", **place).new_status == "closed"
    push(bob, {"late.json": b"{}"}, revision="refs/pr/2")
    bob.change_discussion_status(discussion_num=2, new_status="open", **place)
    assert [(d.num, d.title, d.status) for d in alice.get_repo_discussions(**place)] == [
        (2, "Later", "open"), (1, "Answered", "closed")
    ]  # fmt: skip
    assert [d.num for d in alice.get_repo_discussions(discussion_status="closed", **place)] == [1]
    hub.add_user("carol", write="hf_carol")
    with pytest.raises(HfHubHTTPError, match="403"):
        hub.api("hf_carol").change_discussion_status(discussion_num=2, new_status="closed", **place)
    with pytest.raises(HfHubHTTPError, match="403"):
        push(hub.api("hf_carol"), {"late.json": b"mine"}, revision="refs/pr/2")


def test_the_head_must_be_the_parent(hub: HubServer, alice: HfApi) -> None:
    first = push(alice, {"a": b"1"})
    second = push(alice, {"a": b"2"}, parent_commit=first.oid)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as caught:
        push(alice, {"b": b"1"}, parent_commit=first.oid)
    assert caught.value.response.status_code == 412 and head(hub) == second.oid
    assert push(alice, {"b": b"1"}, parent_commit=second.oid[:8]).oid == head(hub)


def test_another_publisher_wins_the_race(hub: HubServer, alice: HfApi) -> None:
    parent = head(hub)
    hub.faults.call_before("POST", "/commit/", lambda: push(hub.api("hf_alice"), {"rows/other.json": b"{}"}))
    with pytest.raises(HfHubHTTPError, match="412"):
        push(alice, {"rows/mine.json": b"{}"}, parent_commit=parent)
    assert set(hub.files("dataset", BOARD)) == {".gitattributes", "rows/other.json"}
    push(alice, {"rows/mine.json": b"{}"}, parent_commit=head(hub))
    assert set(hub.files("dataset", BOARD)) == {".gitattributes", "rows/other.json", "rows/mine.json"}


def test_missing_repositories_revisions_and_files(hub: HubServer, alice: HfApi) -> None:
    push(alice, {"a": b"1"})
    anyone = hub.api(None)
    for api, status in ((alice, 404), (anyone, 401)):
        with pytest.raises(RepositoryNotFoundError) as caught:
            api.dataset_info("lab/nothing")
        assert caught.value.response.status_code == status
        assert not api.repo_exists("lab/nothing", repo_type="dataset")
        with pytest.raises(RepositoryNotFoundError):
            api.hf_hub_download("no-namespace", "a")
    with pytest.raises(RepositoryNotFoundError):
        alice.create_commit("lab/nothing", [CommitOperationAdd("a", b"1")], commit_message="Add", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        anyone.dataset_info(BOARD, revision="nowhere")
    with pytest.raises(RevisionNotFoundError):
        read(anyone, "a", revision="0" * 40)
    with pytest.raises(RemoteEntryNotFoundError):
        read(anyone, "b")


def test_a_private_repository_does_not_exist_for_others(
    hub: HubServer, alice: HfApi, bob: HfApi, tmp_path: Path
) -> None:
    push(alice, {"a": b"1"})
    push(bob, {"b": b"1"}, create_pr=True)
    alice.update_repo_settings(BOARD, repo_type="dataset", private=True)
    assert alice.dataset_info(BOARD).private and read(alice, "a") == b"1"
    assert hub.api("hf_alice_read").file_exists(BOARD, "a", repo_type="dataset")
    for api, status in ((bob, 404), (hub.api(None), 401)):
        for ask in (
            lambda api: api.dataset_info(BOARD),
            lambda api: list(api.list_repo_tree(BOARD, repo_type="dataset")),
            lambda api: api.get_paths_info(BOARD, "a", repo_type="dataset"),
            lambda api: read(api, "a", cache_dir=tmp_path / "empty"),
            lambda api: push(api, {"c": b"1"}, create_pr=True),
            lambda api: api.get_discussion_details(BOARD, 1, repo_type="dataset"),
            lambda api: api.snapshot_download(BOARD, repo_type="dataset", cache_dir=tmp_path / "empty"),
        ):
            with pytest.raises(RepositoryNotFoundError) as caught:
                ask(api)
            assert caught.value.response.status_code == status
    with pytest.raises(RepositoryNotFoundError):
        bob.auth_check(BOARD, repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="403"):
        hub.api("hf_alice_read").auth_check(BOARD, repo_type="dataset", write=True)


def test_a_repository_made_private_during_a_commit(hub: HubServer, alice: HfApi, bob: HfApi) -> None:
    def hide() -> None:
        hub.api("hf_alice").update_repo_settings(BOARD, repo_type="dataset", private=True)

    hub.faults.call_after("POST", "/preupload/", hide)
    with pytest.raises(RepositoryNotFoundError):
        push(bob, {"a": b"1"}, create_pr=True)
    refs = alice.list_repo_refs(BOARD, repo_type="dataset", include_pull_requests=True)
    assert hub.count("POST", "/commit/") == 1 and refs.pull_requests == []


def test_a_gated_repository_shows_itself_but_not_its_files(hub: HubServer, alice: HfApi, bob: HfApi) -> None:
    push(alice, {"a": b"1"})
    alice.update_repo_settings(BOARD, repo_type="dataset", gated="manual")
    assert bob.dataset_info(BOARD).gated == "manual"
    for api, status in ((bob, 403), (hub.api(None), 401)):
        with pytest.raises(GatedRepoError) as caught:
            api.auth_check(BOARD, repo_type="dataset")
        assert caught.value.response.status_code == status
        with pytest.raises(GatedRepoError):
            read(api, "a")
    assert read(alice, "a") == b"1"
    hub.hub.repos["dataset", BOARD].granted.add("bob")
    assert read(bob, "a") == b"1"


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500])
def test_a_commit_is_refused(hub: HubServer, alice: HfApi, status: int) -> None:
    before = head(hub)
    fault = hub.faults.answer("POST", "/commit/", status, {"Retry-After": "7"}, message="Not now")
    with pytest.raises(HfHubHTTPError, match="Not now") as caught:
        push(alice, {"a": b"1"})
    # The client does not send a commit twice by itself.
    assert fault.hits == 1 and hub.count("POST", "/commit/") == 1 and head(hub) == before
    assert caught.value.response.status_code == status and caught.value.response.headers["Retry-After"] == "7"
    assert caught.value.request_id
    assert push(alice, {"a": b"1"}).oid == head(hub)


def test_the_client_honours_retry_after(hub: HubServer, alice: HfApi, waits: list[float]) -> None:
    hub.faults.answer("POST", "/preupload/", 429, {"Retry-After": "7", "RateLimit": '"api";r=9;t=99'})
    hub.faults.answer("POST", "/preupload/", 429, {"RateLimit": '"api";r=0;t=55'})
    hub.faults.answer("POST", "/preupload/", 500)
    push(alice, {"a": b"1"})
    # A second more than told; the third is the client's own, and doubled twice.
    assert waits == [8, 56, 4] and hub.count("POST", "/preupload/") == 4


def test_broken_yaml_is_refused_before_anything_is_sent(hub: HubServer, alice: HfApi) -> None:
    with pytest.raises(ValueError, match="Invalid metadata in README"):
        push(alice, {"README.md": b"---\nlicense: [\n---\n", "c.parquet": LARGE})
    assert hub.count("PUT") == hub.count("POST", "/commit/") == 0
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        push(alice, {"README.md": b"# No metadata\n"})


def commit_lines(*operations: tuple[str, dict[str, Any]]) -> bytes:
    lines = [("header", {"summary": "By hand", "description": ""}), *operations]
    return b"".join(json.dumps({"key": key, "value": value}).encode() + b"\n" for key, value in lines)


def test_a_commit_cannot_name_a_large_file_that_was_not_sent(hub: HubServer, alice: HfApi, raw: httpx2.Client) -> None:
    before, oid = head(hub), hashlib.sha256(LARGE).hexdigest()
    large = ("lfsFile", {"path": "c.parquet", "algo": "sha256", "oid": oid, "size": len(LARGE)})
    row = ("file", {"path": "row.json", "content": "e30=", "encoding": "base64"})

    def commit() -> httpx2.Response:
        return raw.post(f"/api/datasets/{BOARD}/commit/main", content=commit_lines(row, large))

    assert commit().status_code == 400 and "Offending file: - c.parquet" in commit().json()["error"]
    batch = {"operation": "upload", "objects": [{"oid": oid, "size": len(LARGE)}], "hash_algo": "sha256"}
    for wrong in (LARGE[:-1], LARGE[:-1] + b"x", b""):
        reply = raw.post(f"/datasets/{BOARD}.git/info/lfs/objects/batch", json=batch)
        actions = reply.json()["objects"][0]["actions"]
        assert raw.put(actions["upload"]["href"], content=wrong).status_code == 200
        # Sent, but not what was announced: it does not count, neither before nor after it is verified.
        assert commit().status_code == 400
        verified = raw.post(actions["verify"]["href"], json={"oid": oid, "size": len(LARGE)})
        assert verified.status_code == 422 and commit().status_code == 400
    assert head(hub) == before and set(hub.files("dataset", BOARD)) == {".gitattributes"}
    push(alice, {"c.parquet": LARGE})
    # What is there need not be sent again, and belongs to this repository alone.
    sent = hub.count("PUT")
    push(alice, {"same.parquet": LARGE})
    assert hub.count("PUT") == sent and commit().status_code == 200
    alice.create_repo("lab/other")
    alice.upload_file(path_or_fileobj=LARGE, path_in_repo="c.bin", repo_id="lab/other")
    assert hub.count("PUT") == sent + 1


@pytest.mark.parametrize(
    "line",
    [
        ("file", {"path": "../a", "content": ""}),
        ("file", {"path": ".git/config", "content": ""}),
        ("file", {"path": "a/.gitattributes/b", "content": "", "encoding": "base64"}),
        ("file", {"path": ".gitattributes/b", "content": ""}),
        ("file", {"path": "a", "content": "%", "encoding": "base64"}),
        ("rename", {"path": "a"}),
        ("header", {"summary": "Twice"}),
    ],
)
@pytest.mark.usefixtures("alice")
def test_malformed_commits_are_refused(hub: HubServer, raw: httpx2.Client, line: tuple[str, dict[str, Any]]) -> None:
    before = head(hub)
    good = ("file", {"path": "good.json", "content": "e30=", "encoding": "base64"})
    reply = raw.post(f"/api/datasets/{BOARD}/commit/main", content=commit_lines(good, line))
    if line[1].get("path") == "a/.gitattributes/b":
        # A folder may be called like a file elsewhere.
        assert reply.status_code == 200
    else:
        assert reply.status_code == 400 and head(hub) == before


@pytest.mark.parametrize("step", UPLOAD_STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_connections_broken_at_each_step(
    hub: HubServer, alice: HfApi, waits: list[float], step: str, when: str
) -> None:
    push(alice, {"README.md": b"---\nlicense: mit\n---\n", "old.parquet": LARGE[1:]})
    before, seen = head(hub), hub.files("dataset", BOARD)
    new = {"README.md": CARD, "new.parquet": LARGE, "rows/new.json": b"{}"}
    fault = getattr(hub.faults, f"drop_{when}")(*UPLOAD_STEPS[step], times=None)
    with pytest.raises((httpx2.HTTPError, RuntimeError)):
        push(alice, new)
    assert fault.hits == (1 if step in ("validate-yaml", "commit") else 6) and len(waits) == fault.hits - 1
    happened = (step, when) == ("commit", "after")
    # All of it or none of it.
    assert hub.files("dataset", BOARD) == (seen | new if happened else seen) and (head(hub) != before) == happened
    assert {p: read(hub.api(None), p) for p in hub.files("dataset", BOARD)} == hub.files("dataset", BOARD)
    hub.faults.clear()
    again = push(alice, new)
    assert hub.files("dataset", BOARD) == seen | new and again.oid == head(hub)
    # Where the first had happened, the second found nothing left to do.
    assert len(alice.list_repo_commits(BOARD, repo_type="dataset")) == 3


def test_truncated_requests_are_not_handled(hub: HubServer, alice: HfApi) -> None:
    before = head(hub)
    row = ("file", {"path": "a.json", "content": "e30=", "encoding": "base64"})
    whole = commit_lines(row, ("file", {"path": "b.json", "content": "e30=", "encoding": "base64"}))
    part = commit_lines(row)
    assert whole.startswith(part)
    with socket.create_connection(("127.0.0.1", int(hub.url.rpartition(":")[2]))) as connection:
        lines = [f"POST /api/datasets/{BOARD}/commit/main HTTP/1.1", "Host: hub", "Authorization: Bearer hf_alice"]
        connection.sendall("\r\n".join([*lines, f"Content-Length: {len(whole)}", "", ""]).encode() + part)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert head(hub) == before and hub.count("POST", "/commit/") == 0


@pytest.mark.parametrize("path", ["a.txt", "c.parquet"])
def test_broken_and_slow_downloads_complete(hub: HubServer, alice: HfApi, waits: list[float], path: str) -> None:
    content = LARGE if path == "c.parquet" else b"x" * 5000
    push(alice, {path: content})
    address = "/storage/" if path == "c.parquet" else "/resolve/main/a.txt"
    cut = hub.faults.cut_body("GET", address, keep=1000)
    slow = hub.faults.slow_body("GET", address, pieces=3)
    gone = hub.faults.drop_before("HEAD", "/resolve/")
    with pytest.raises(httpx2.HTTPError):
        read(alice, path)
    assert read(alice, path) == content
    assert (gone.hits, cut.hits, slow.hits, hub.count("GET", address)) == (1, 1, 1, 2)


def test_a_stopped_hub_cannot_be_reached(hub: HubServer, alice: HfApi) -> None:
    push(alice, {"a": b"1"})
    cached = alice.hf_hub_download(BOARD, "a", repo_type="dataset")
    hub.stop()
    with pytest.raises(httpx2.HTTPError):
        alice.dataset_info(BOARD)
    # The client then takes what it has.
    assert alice.hf_hub_download(BOARD, "a", repo_type="dataset") == cached


def test_the_server_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "tests.hub.server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        reply = httpx2.get(f"{url}/api/whoami-v2", headers={"Authorization": "Bearer hf_bob"}, trust_env=False)
        process.terminate()
    assert reply.json()["name"] == "bob"


# Another process knows nothing but the environment: a data set by its configs, and a metric from its Space.
READER = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "metrics" or name.startswith("metrics."):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import datasets, evaluate
from huggingface_hub.errors import RepositoryNotFoundError

pin = sys.argv[1]
rows = {
    (config, revision): datasets.load_dataset("lab/board", config, split="rows", revision=revision)["j"][:]
    for config, revision in (("latest", None), ("latest", pin), ("full", None))
}
try:
    datasets.load_dataset("lab/secret", split="train")
    found = True
except (datasets.exceptions.DatasetNotFoundError, RepositoryNotFoundError):
    found = False
sta = evaluate.load("lab/sta").compute(sources=["shut up, idiot"] * 2, predictions=["please be quiet", "you fool"])
print(json.dumps([list(rows.values()), found, sta]))
"""


def test_load_dataset_and_evaluate_load(hub: HubServer, alice: HfApi, tmp_path: Path) -> None:
    import pandas as pd

    from metrics.spaces.bundle import write_metric_space

    def table(*values: float) -> bytes:
        buffer = io.BytesIO()
        pd.DataFrame({"system": [f"s{i}" for i in range(len(values))], "j": values}).to_parquet(buffer)
        return buffer.getvalue()

    card = "---\nconfigs:\n"
    for config in ("latest", "full"):
        card += f"- config_name: {config}\n  data_files:\n  - split: rows\n    path: data/{config}-*.parquet\n"
    files = {"README.md": f"{card}---\n# A board\n".encode(), "data/full-0.parquet": table(0.1, 0.2)}
    pin = push(alice, {**files, "data/latest-0.parquet": table(0.1)}).oid
    push(alice, {"data/latest-0.parquet": table(0.3)})
    alice.create_repo("lab/secret", repo_type="dataset", private=True)
    write_metric_space("sta", tmp_path / "sta")
    alice.create_repo("lab/sta", repo_type="space", space_sdk="gradio")
    alice.upload_folder(repo_id="lab/sta", repo_type="space", folder_path=tmp_path / "sta")
    assert hub.count("POST", "/commit/") == 3
    uploaded = len(hub.requests)
    done = subprocess.run(
        [sys.executable, "-c", READER, pin], cwd=tmp_path, env=hub.environment("hf_bob", tmp_path / "home"),
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows, found, sta = json.loads(done.stdout.strip().split("\n")[-1])
    assert rows == [[0.3], [0.1], [0.1, 0.2]] and not found and sta == {"sta": pytest.approx(0.5, abs=0.01)}
    asked = hub.requests[uploaded:]
    assert {request.method for request in asked} <= {"GET", "HEAD", "POST"}
    # Neither the viewer's service nor anything else that this server does not know was needed.
    unknown = [r.url for r in asked if r.status == 404 and "/resolve/" not in r.url and "/secret" not in r.url]
    assert set(unknown) <= {"/api/agent-harnesses"}
