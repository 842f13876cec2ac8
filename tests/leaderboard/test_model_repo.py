"""Proposals to the repositories of measured models: their content, and that each is made once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, parse_eval_result_entries

from leaderboard.publishing.model_card import BoardCommit, eval_results_yaml, require_hub_model, with_model_index
from leaderboard.publishing.model_repo import propose
from leaderboard.rows.row import Row
from leaderboard.stores.hub import translate_hub_errors
from metrics.util.errors import InputError
from tests.hub.server import HubServer
from tests.leaderboard.boards import entry

MODEL, BOARD, COMMIT = "lab/detox", "lab/board", "a" * 40
AT = BoardCommit(BOARD, "b" * 40)
CARD = """\
---
# Written by hand.
language: no
license: "mit"  # ours
model-index:
- name: detox
  results:
  - task: {type: text-generation}
    dataset: {name: 'Another', type: other/board, config: no}
    metrics:
    - {type: wer, value: .nan, surprise: 1e-3}
    source: {url: "https://example.org", name: Somebody}

# Tags last.
tags: [a, b]
---
# Detox

--- not the end
"""


def row(name: str = MODEL, revision: str = COMMIT, **more: Any) -> Row:
    """STA 3/4, SIM 1/2, FL 1, J 3/8 on four sentences."""
    return entry(name, [1, 1, 0, 1], kind=more.pop("kind", "model"), revision=revision, **more)[0]


def metadata(card: str) -> dict[str, Any]:
    return dict(yaml.safe_load(card.split("---")[1]))


# -- .eval_results --------------------------------------------------------------------------------------------------
def test_eval_results_file() -> None:
    made = row()
    path, text = eval_results_yaml(made, AT, user="bob")
    assert path == f".eval_results/detox-suite-{made.run_id}.yaml"
    assert "verifyToken" not in text
    entries = {e.task_id: e for e in parse_eval_result_entries(yaml.safe_load(text))}
    assert {task: e.value for task, e in entries.items()} == {"j": 0.375, "sta": 0.75, "sim": 0.5, "fl": 1.0}
    joint = entries["j"]
    assert (joint.dataset_id, joint.dataset_revision, joint.date) == (BOARD, "b" * 40, "2026-11-24")
    assert joint.source_url == f"https://huggingface.co/datasets/lab/board/blob/{'b' * 40}/{made.path}"
    assert (joint.source_user, joint.source_org) == ("bob", None)
    # .5 .5 0 .5: four draws are all 0 in 1 of 256 cases, all but one in 12; 2.5 % end at one, 97.5 % at four.
    assert joint.notes is not None and joint.notes.startswith("n = 4, 95 % interval [0.125, 0.500], s1 on t, p:s1|")
    assert entries["fl"].notes is not None and "[1.000, 1.000]" in entries["fl"].notes


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"kind": "baseline", "revision": "1"}, r"lab/detox \(baseline, revision 1\): no model on the Hub"),
        ({"revision": "sha256:" + "a" * 64}, "push the model"),
        ({"revision": f"x-1.0-{'a' * 12}"}, "no model on the Hub at a commit"),
        ({"revision": f"sha256:{'a' * 64}+base:{'b' * 40}"}, "no model on the Hub at a commit"),
    ],
)
def test_rows_without_a_hub_model_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        eval_results_yaml(row(**changes), AT)


def test_the_revision_of_an_adapter_is_its_own_commit() -> None:
    assert require_hub_model(row(revision=f"{COMMIT}+base:{'c' * 40}")) == (MODEL, COMMIT)


def test_incomplete_and_published_rows_are_refused() -> None:
    made = row()
    incomplete = made.model_copy(update={"scores": {k: v for k, v in made.scores.items() if k != "fl"}})
    with pytest.raises(InputError, match="lab/detox: the row lacks FL"):
        with_model_index("", incomplete, AT)
    with pytest.raises(InputError, match="a published figure"):
        require_hub_model(made.model_copy(update={"record": "published"}))


# -- model-index ----------------------------------------------------------------------------------------------------
def test_the_rest_of_a_card_stays_byte_for_byte() -> None:
    merged = with_model_index(CARD, row(), AT)
    before, after = CARD.split("\n\n# Tags last.")
    assert merged.startswith(before) and merged.endswith(f"\n\n# Tags last.{after}")
    ours = metadata(merged)["model-index"][0]["results"][1]
    assert {m["type"]: m["value"] for m in ours["metrics"]} == {"j": 0.375, "sta": 0.75, "sim": 0.5, "fl": 1.0}
    assert (ours["metrics"][0]["args"]["low"], ours["metrics"][0]["args"]["n"]) == (0.125, 4)
    assert ours["dataset"] == {"name": "t", "type": BOARD, "revision": "b" * 40}
    # The client reads it, and merging again changes nothing.
    assert [r.metric_type for r in ModelCard(merged).data.eval_results] == ["wer", "j", "sta", "sim", "fl"]
    assert with_model_index(merged, row(), AT) == merged


def test_the_entry_of_a_run_is_replaced_and_other_runs_stay() -> None:
    once = with_model_index(CARD, row(), AT)
    again = with_model_index(once, row(), BoardCommit(BOARD, "d" * 40))
    results = metadata(again)["model-index"][0]["results"]
    assert [r["dataset"].get("revision") for r in results] == [None, "d" * 40]
    other = with_model_index(again, row(profile="s2"), AT)
    assert len(metadata(other)["model-index"][0]["results"]) == 3


@pytest.mark.parametrize(
    ("card", "kept"),
    [
        ("", ""),
        ("# Detox\n\ntext\n", "\n# Detox\n\ntext\n"),
        ("\r\n---\r\nlicense: mit\r\n---\r\ntext\r\n", "---\r\ntext\r\n"),
        ("\ufeff---\nlicense: mit\nmodel-index:\n---\ntext", "---\ntext"),
        ("---\n# nothing but a comment\n---\ntext", "---\ntext"),
        ("---\nmodel-index: []\nlicense: mit\n---\n", "\nlicense: mit\n---\n"),
        ("---\nmodel-index: null\nlicense: mit\n---\n", "\nlicense: mit\n---\n"),
        ("---\nmodel-index: [{name: detox, results: []}]\n---\n", "\n---\n"),
        ("---\nmodel-index:\n- name: detox\n  results: []\n---\n", "\n---\n"),
    ],
)
def test_cards_with_unusual_front_matter(card: str, kept: str) -> None:
    merged = with_model_index(card, row(), AT)
    assert merged.endswith(kept)
    found = metadata(merged)
    assert found["model-index"][0]["name"] == "detox" and len(found["model-index"][0]["results"]) == 1
    assert found.get("license") == ("mit" if "mit" in card else None)
    assert with_model_index(merged, row(), AT) == merged
    assert merged.count("\n") == merged.count("\r\n") or "\r" not in merged


@pytest.mark.parametrize(
    ("card", "complaint"),
    [
        ("---\nlicense: [mit\n---\n", r"lab/detox/README\.md: its YAML cannot be read"),
        ("---\n- mit\n---\n", "not a mapping of fields"),
        ("---\nmodel-index: [{name: x}]\n---\n", "mend it first"),
        ("---\nmodel-index: 3\n---\n", "mend it first"),
        ("---\n{license: mit}\n---\n", "cannot be"),
        ("---\nx: &x {results: []}\nmodel-index: [{name: y, <<: *x}]\n---\n", "cannot be"),
        # An anchor in what is replaced, used in what stays.
        ("---\nmodel-index:\n- name: &x y\n  results: []\ntags: [*x]\n---\n", "cannot be"),
    ],
)
def test_cards_that_cannot_be_changed(card: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        with_model_index(card, row(), AT)


# -- proposing ------------------------------------------------------------------------------------------------------
@dataclass
class World:
    """A local Hub with alice's model lab/detox and the leaderboard lab/board, which has a row for it."""

    hub: HubServer
    row: Row
    alice: HfApi
    bob: HfApi

    def files(self, revision: str = "main") -> dict[str, bytes]:
        return self.hub.files("model", MODEL, revision)

    def pull_request(self, files: dict[str, str], title: str = "Some numbers") -> None:
        """Opens a pull request of another user."""
        self.hub.add_user("carol", write="hf_carol")
        operations = [CommitOperationAdd(path, text.encode()) for path, text in files.items()]
        self.hub.api("hf_carol").create_commit(MODEL, operations, commit_message=title, create_pr=True)

    def sent(self) -> int:
        return self.hub.count("POST", "/api/models/.*/commit/")


@pytest.fixture
def world(hub: HubServer) -> World:
    alice = hub.api("hf_alice")
    alice.create_repo(MODEL)
    commit = alice.create_commit(MODEL, [CommitOperationAdd("README.md", CARD.encode())], commit_message="Card")
    made, sentences = entry(MODEL, [1, 1, 0, 1], kind="model", revision=commit.oid)
    alice.create_repo(BOARD, repo_type="dataset")
    files = {made.path: made.to_json().encode(), made.sentences_path: sentences.to_parquet()}
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    alice.create_commit(BOARD, operations, commit_message="Row", repo_type="dataset")
    hub.requests.clear()
    return World(hub, made, alice, hub.api("hf_bob"))


def test_results_are_proposed_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    url = propose(world.row, BOARD, world.bob, model_index=True)
    assert url == f"{world.hub.url}/{MODEL}/discussions/1"
    changed = {path for path, data in world.files("refs/pr/1").items() if world.files().get(path) != data}
    path = f".eval_results/detox-suite-{world.row.run_id}.yaml"
    assert changed == {"README.md", path}
    entries = parse_eval_result_entries(yaml.safe_load(world.files("refs/pr/1")[path]))
    assert {e.source_user for e in entries} == {"bob"}
    board = world.alice.dataset_info(BOARD).sha
    assert {e.dataset_revision for e in entries} == {board}
    assert entries[0].source_url == f"{world.hub.url}/datasets/{BOARD}/blob/{board}/{world.row.path}"

    # Found in the open request, also by others and after the leaderboard changed.
    world.alice.create_commit(BOARD, [CommitOperationAdd("x.md", b"x")], commit_message="More", repo_type="dataset")
    capsys.readouterr()
    assert propose(world.row, BOARD, world.alice, model_index=True) is None
    assert capsys.readouterr().out == f"{MODEL}: nothing to propose, {url} has the results\n"
    world.alice.merge_pull_request(MODEL, 1)
    assert propose(world.row, BOARD, world.bob, model_index=True) is None
    assert capsys.readouterr().out == f"{MODEL}: nothing to propose, main has the results\n"
    assert world.sent() == 1


def test_closed_pull_requests_do_not_count(world: World) -> None:
    assert propose(world.row, BOARD, world.bob, model_index=False) is not None
    assert set(world.files("refs/pr/1")) - set(world.files()) == {f".eval_results/detox-suite-{world.row.run_id}.yaml"}
    world.bob.change_discussion_status(MODEL, 1, "closed")
    assert propose(world.row, BOARD, world.bob, model_index=False) == f"{world.hub.url}/{MODEL}/discussions/2"


def results(**values: float) -> str:
    return yaml.safe_dump([{"dataset": {"id": BOARD, "task_id": task}, "value": v} for task, v in values.items()])


def test_equal_results_of_another_user_count(world: World) -> None:
    world.pull_request({".eval_results/a.yaml": results(j=0.3754, sta=0.75, sim=0.5, fl=1)})
    assert propose(world.row, BOARD, world.bob, model_index=False) is None
    # Only the card lacks the results: the proposal has the card alone.
    assert propose(world.row, BOARD, world.bob, model_index=True) is not None
    assert set(world.files("refs/pr/2")) == set(world.files())


@pytest.mark.parametrize(
    "files",
    [
        {".eval_results/a.yaml": results(j=0.376, sta=0.75, sim=0.5, fl=1)},
        {".eval_results/a.yaml": results(j=0.375, sta=0.75, sim=0.5)},
        {".eval_results/a.yaml": results(j=0.375, sta=0.75, sim=0.5, fl=1).replace(BOARD, "other/board")},
        {".eval_results/a.yaml": "{"},
        {".eval_results/a.yaml": "- 3\n- {dataset: x}"},
        {".eval_results/a.yaml": "[" * 50_000},
        {".eval_results/a.yaml": "# " + "x" * 1_000_000 + "\n" + results(j=0.375, sta=0.75, sim=0.5, fl=1)},
        {".eval_results/a.yaml": results(j="x", sta=0.75, sim=0.5, fl=1)},
        {"results.yaml": results(j=0.375, sta=0.75, sim=0.5, fl=1)},
        {"README.md": "---\nmodel-index: 3\n---\n"},
    ],
)
def test_pull_requests_without_the_results_do_not_count(world: World, files: dict[str, str]) -> None:
    world.pull_request(files, title=f"Results of {world.row.run_id}")
    assert propose(world.row, BOARD, world.bob, model_index=True) == f"{world.hub.url}/{MODEL}/discussions/2"


def test_at_most_twenty_pull_requests_are_inspected(world: World) -> None:
    assert propose(world.row, BOARD, world.bob, model_index=True) is not None
    for number in range(25):
        world.pull_request({f"{number}.txt": "x"})
    world.hub.requests.clear()
    # Ours is the oldest; its title has the run id.
    assert propose(world.row, BOARD, world.alice, model_index=True) is None
    assert world.hub.count("GET", "/revision/refs") == 1
    world.bob.change_discussion_status(MODEL, 1, "closed")
    assert propose(world.row, BOARD, world.bob, model_index=True) is not None
    assert world.hub.count("GET", "/revision/refs") == 1 + 20


def test_a_model_without_a_card_gets_one(world: World) -> None:
    world.alice.delete_file("README.md", MODEL)
    assert propose(world.row, BOARD, world.bob, model_index=True) is not None
    assert metadata(world.files("refs/pr/1")["README.md"].decode())["model-index"][0]["name"] == "detox"


def test_the_leaderboard_must_have_the_same_row(world: World) -> None:
    other = entry(MODEL, [1, 0, 0, 1], kind="model", revision=world.row.system.revision)[0]
    with pytest.raises(InputError, match="lab/board: has another result for run"):
        propose(other, BOARD, world.bob, model_index=True)
    with pytest.raises(InputError, match="lab/board: has no row"):
        propose(row(profile="s2"), BOARD, world.bob, model_index=True)
    finding = {"status": "mismatch", "note": "j", "date": "2026-11-24", "version": "0.2.0", "row": world.row.sha256}
    world.alice.upload_file(
        path_or_fileobj=json.dumps(finding).encode(),
        path_in_repo=f"verification/{world.row.run_id}.json",
        repo_id=BOARD,
        repo_type="dataset",
    )
    with pytest.raises(InputError, match="do not follow from its outputs"):
        propose(world.row, BOARD, world.bob, model_index=True)
    assert world.sent() == 0


def test_the_revision_must_be_a_commit_of_the_model(world: World) -> None:
    foreign, sentences = entry(MODEL, [1, 1, 0, 1], kind="model", revision="f" * 40)
    files = {foreign.path: foreign.to_json().encode(), foreign.sentences_path: sentences.to_parquet()}
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    world.alice.create_commit(BOARD, operations, commit_message="Row", repo_type="dataset")
    with pytest.raises(InputError, match=f"{MODEL}: has no commit {'f' * 40}"):
        propose(foreign, BOARD, world.bob, model_index=True)


def test_private_gated_and_missing_models(world: World) -> None:
    world.alice.update_repo_settings(MODEL, private=True)
    with pytest.raises(InputError, match="lab/detox: no such model on the Hub, or your token may not read it"):
        propose(world.row, BOARD, world.bob, model_index=True)
    world.alice.update_repo_settings(MODEL, private=False, gated="manual")
    with pytest.raises(InputError, match="lab/detox: gated"):
        propose(world.row, BOARD, world.bob, model_index=True)
    world.alice.delete_repo(MODEL)
    with pytest.raises(InputError, match="lab/detox: no such model on the Hub"):
        propose(world.row, BOARD, world.bob, model_index=True)


def test_missing_and_invalid_tokens_are_refused(world: World) -> None:
    with pytest.raises(InputError, match="no Hub token"):
        propose(world.row, BOARD, world.hub.api(None), model_index=True)
    with pytest.raises(InputError, match="the Hub does not take this token") as caught:
        propose(world.row, BOARD, world.hub.api("hf_nobody"), model_index=True)
    assert "hf_nobody" not in str(caught.value)
    with pytest.raises(InputError, match=r"lab/detox: the Hub refused .*write token") as caught:
        propose(world.row, BOARD, world.hub.api("hf_alice_read"), model_index=True)
    assert "hf_alice_read" not in str(caught.value)


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("fault", ["refused", "echoed", "cut", "bad card"])
def test_hub_failures_give_one_line_without_the_token(world: World, fault: str) -> None:
    if fault == "cut":
        world.hub.faults.drop_before("POST", "/api/models/.*/commit/", times=None)
    elif fault == "bad card":
        world.hub.faults.answer("POST", "/api/validate-yaml", 400)
    else:
        message = "token hf_bob is not welcome" if fault == "echoed" else ""
        world.hub.faults.answer("POST", "/api/models/.*/commit/", 500, message=message, times=None)
    with pytest.raises(InputError, match="lab/detox: the Hub ref") as caught:
        propose(world.row, BOARD, world.bob, model_index=True)
    assert "hf_bob" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_pull_request_with_a_lost_response_is_not_repeated(world: World) -> None:
    world.hub.faults.drop_after("POST", "/api/models/.*/commit/")
    with pytest.raises(InputError, match="gave no answer"):
        propose(world.row, BOARD, world.bob, model_index=True)
    assert propose(world.row, BOARD, world.bob, model_index=True) is None
    assert world.alice.get_discussion_details(MODEL, 1).status == "open"


def test_a_token_with_a_newline_is_not_quoted(world: World) -> None:
    """The transport would quote the header that it will not send, so nothing is asked."""
    api = world.hub.api("hf_bob\n")
    with (
        pytest.raises(InputError, match="a character that no HTTP header can hold") as caught,
        translate_hub_errors(MODEL, "model", api),
    ):
        api.model_info(MODEL)
    assert "hf_bob" not in str(caught.value)
