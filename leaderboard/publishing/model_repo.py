"""Writes a row of a Hub leaderboard into the repository of the model that was measured, as one pull request.

Two places there: `.eval_results/detox-suite-<run_id>.yaml`, which the Hub shows on the model's page (one number per
task, so that J, STA, SIM and FL are four), and `model-index` in the model card, which shows the four together. Nothing
is sent that the model's main branch or an open pull request says already, whoever wrote it. A `verifyToken` is never
written: it is the Hub's to give.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from leaderboard.stores.store import reason
from metrics.util.errors import InputError

if TYPE_CHECKING:
    import huggingface_hub as hub

    from leaderboard.rows.row import Row

FOLDER = ".eval_results"
CARD = "README.md"
ENDPOINT = "https://huggingface.co"
TASKS = {"j": "J", "sta": "STA", "sim": "SIM", "fl": "FL"}
# Two values are the same when readers, who see three decimals, would say so.
_SAME = 5e-4
# How many open pull requests are looked into, the newest first; popular models have hundreds of others.
_LOOK_INTO = 20
_MAX_BYTES = 1_000_000


def eval_results_yaml(
    row: Row, *, dataset: str, dataset_revision: str, user: str | None = None, endpoint: str = ENDPOINT
) -> tuple[str, str]:
    """(path, text) of the row's file in `.eval_results`.

    dataset, dataset_revision: the leaderboard and the commit of it that holds the row. user: who vouches for it.
    Errors: rows that say nothing of a model on the Hub, see `require_hub_model`.
    """
    import huggingface_hub as hub

    require_hub_model(row)
    entries = [
        hub.EvalResultEntry(
            dataset_id=dataset,
            task_id=task,
            dataset_revision=dataset_revision,
            value=_rounded(row.scores[task].mean),  # type: ignore[index]
            date=row.date.date().isoformat(),
            source_url=_address(row, dataset, dataset_revision, endpoint),
            source_name=f"Row {row.run_id}",
            source_user=user,
            notes=_notes(row, task),
        )
        for task in TASKS
    ]
    text = yaml.safe_dump(hub.eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True, width=1_000)
    return f"{FOLDER}/detox-suite-{row.run_id}.yaml", text


def with_model_index(card: str, row: Row, *, dataset: str, dataset_revision: str, endpoint: str = ENDPOINT) -> str:
    """The text of a model card with the row as a result of its `model-index`; all else stays, to the letter.

    The client's own ModelCard would write the whole YAML anew: without its comments, with `language: no` as false, and
    with one source for all results on a data set. An entry of the same run is replaced.
    Errors: rows as above; a card whose YAML, or whose model-index, is not as the Hub wants it.
    """
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    require_hub_model(row)
    mark = "\ufeff" if card.startswith("\ufeff") else ""
    card = card.removeprefix(mark)
    match = REGEX_YAML_BLOCK.search(card)
    block = match.group(2) if match else ""
    where = f"{row.system.name}/{CARD}"
    metadata = _metadata(block, where)
    index = metadata.get("model-index") or [{"name": row.system.name.split("/")[-1], "results": []}]
    entry = _index_entry(row, dataset, dataset_revision, endpoint)
    model, number = _place(index, row.run_id, where)
    merged = copy.deepcopy(index)
    merged[model]["results"][number:] = [entry, *index[model]["results"][number + 1 :]]
    # repr: unlike ==, it takes one NaN for another.
    if repr(merged) == repr(metadata.get("model-index")):
        return mark + card
    end = "\r\n" if "\r\n" in card else "\n"
    changed = _spliced(block, index, entry, (model, number), end)
    if repr(_metadata(changed, where)) != repr({**metadata, "model-index": merged}):
        raise InputError(f"{where}: its YAML cannot be changed without loss; add model-index by hand")
    if match is None:
        return f"{mark}---{end}{changed}{end}---{end}{end if card else ''}{card}"
    return mark + card[: match.start(2)] + changed + card[match.end(2) :]


def propose(row: Row, dataset: str, api: hub.HfApi, *, model_index: bool) -> str | None:
    """Opens a pull request in the model's repository and returns its address; None, and a line, if it is said already.

    dataset: the leaderboard on the Hub, which has the row. model_index: the model card's entry as well.
    Errors (InputError): rows as above, or not on the leaderboard, or found wrong there; a revision that the model's
    repository does not have; no token; a Hub that refuses or does not answer.
    """
    import huggingface_hub as hub
    from huggingface_hub.errors import RevisionNotFoundError

    name, commit = require_hub_model(row)
    user, revision = _vouched(row, dataset, api)
    where = {"dataset": dataset, "dataset_revision": revision, "endpoint": api.endpoint}
    path, text = eval_results_yaml(row, user=user, **where)
    with _asking(name, api):
        try:
            api.model_info(name, revision=commit, timeout=60)
        except RevisionNotFoundError:
            raise InputError(f"{name}: has no commit {commit}, which the row names as the model's revision") from None
        main = _Branch(api, name, "main")
        missing = {FOLDER, CARD} if model_index else {FOLDER}
        said = {"main": missing & main.says(row, dataset)}
        missing -= said["main"]
        for request in _open_requests(api, name, row.run_id) if missing else ():
            said[request.url] = missing & _Branch(api, name, str(request.git_reference), main).says(row, dataset)
            missing -= said[request.url]
            if not missing:
                break
        if not missing:
            print(f"{name}: nothing to propose, said by {' and '.join(place for place in said if said[place])}")
            return None
        files = {path: text} if FOLDER in missing else {}
        if CARD in missing:
            files[CARD] = with_model_index(main.card(), row, **where)
        operations = [hub.CommitOperationAdd(path, content.encode()) for path, content in files.items()]
        try:
            opened = api.create_commit(
                name,
                operations,
                commit_message=f"Add detox-suite results of run {row.run_id}",
                commit_description=_description(row, dataset, revision, api.endpoint),
                create_pr=True,
                parent_commit=main.sha,
            )
        except ValueError as error:
            # So the client reports what the Hub finds wrong with a card, which may have stood there before.
            raise InputError(f"{name}: the Hub refuses the files ({reason(error, api)}); mend the card") from None
    return str(opened.pr_url)


def require_hub_model(row: Row) -> tuple[str, str]:
    """(Hub id, commit) of the model that the row measured, completely. Errors (InputError): any other row."""
    from metrics.scoring import METRICS
    from metrics.util.hub import HUB_ID

    name, revision = row.system.name, row.system.revision
    if row.record != "measured":
        raise InputError(f"{name}: a published figure; only what was measured here goes to a model's repository")
    if not row.complete:
        lacking = ", ".join(metric.upper() for metric in METRICS if metric not in row.scores)
        raise InputError(f"{name}: the row lacks {lacking}; score the model again, all four metrics belong together")
    commit = re.match(r"[0-9a-f]{40}(?=\+base:|$)", revision)
    if row.system.kind != "model" or not HUB_ID.match(name) or commit is None:
        raise InputError(
            f"{name} ({row.system.kind}, revision {revision[:60]}): no model on the Hub at a commit; push the model, "
            "then score it by its Hub id"
        )
    return name, commit.group()


# -- what is written ------------------------------------------------------------------------------------------------
def _rounded(value: float | None) -> float | None:
    from metrics.scoring import DECIMALS

    return None if value is None else round(value, DECIMALS)


def _notes(row: Row, task: str) -> str:
    score = row.scores[task]  # type: ignore[index]
    notes = [f"n = {row.test_set.n}"]
    if score.low is not None and score.high is not None:
        notes.append(f"95 % interval [{score.low:.3f}, {score.high:.3f}]")
    return ", ".join([*notes, f"{row.profile} on {row.test_set.name}", _short_signature(row)])


def _short_signature(row: Row) -> str:
    from metrics.scoring.signature import Signature
    from metrics.util.files import content_hash

    try:
        return Signature.parse(row.signature).short
    except InputError:
        # Of a version that spelled signatures differently.
        return f"signature #{content_hash(row.signature)[:8]}"


def _address(row: Row, dataset: str, revision: str, endpoint: str) -> str:
    return f"{endpoint}/datasets/{dataset}/blob/{revision}/{row.path}"


def _description(row: Row, dataset: str, revision: str, endpoint: str) -> str:
    scores = ", ".join(f"{title} {row.scores[task].mean:.3f}" for task, title in TASKS.items())  # type: ignore[index]
    return (
        f"{scores} on {row.test_set.name} (n = {row.test_set.n}), measured at commit {row.system.revision}.\n\n"
        f"The row with its outputs, sentence by sentence: {_address(row, dataset, revision, endpoint)}\n\n"
        f"Signature: `{row.signature}`"
    )


def _index_entry(row: Row, dataset: str, revision: str, endpoint: str) -> dict[str, Any]:
    """The row as one result of a model-index."""
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    results = [
        EvalResult(
            task_type="text-generation",
            task_name="Text detoxification",
            dataset_type=dataset,
            dataset_name=row.test_set.name,
            dataset_revision=revision,
            metric_type=task,
            metric_name=TASKS[task],
            metric_value=_rounded(row.scores[task].mean),  # type: ignore[index]
            metric_args={
                "run_id": row.run_id,
                "n": row.test_set.n,
                "low": _rounded(row.scores[task].low),  # type: ignore[index]
                "high": _rounded(row.scores[task].high),  # type: ignore[index]
                "signature": _short_signature(row),
            },
            source_name=f"Row {row.run_id}",
            source_url=_address(row, dataset, revision, endpoint),
        )
        for task in TASKS
    ]
    entry: dict[str, Any] = eval_results_to_model_index(row.system.name, results)[0]["results"][0]
    return entry


def _place(index: Any, run_id: str, where: str) -> tuple[int, int]:
    """(model, result) in a model-index: where the run's result is, or else the end of the first model's.

    Errors: not a model-index.
    """
    try:
        for model, results in enumerate([model["results"] for model in index]):
            for number, result in enumerate(results):
                if any((metric.get("args") or {}).get("run_id") == run_id for metric in result["metrics"]):
                    return model, number
        return 0, len(index[0]["results"])
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{where}: its model-index is not a list of models with results; mend it first") from None


def _spliced(block: str, index: list[Any], entry: dict[str, Any], place: tuple[int, int], end: str) -> str:
    """The YAML `block` with `entry` at `place` of its model-index, or with `index` and `entry` where it has none.

    YAML is changed as nodes, not as values, so that what others wrote keeps its spelling (`config: no`, `1e-3`).
    """
    root = yaml.compose(block, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    own = next((number for number, (key, _) in enumerate(pairs) if key.value == "model-index"), len(pairs))
    there = own < len(pairs) and isinstance(pairs[own][1], yaml.SequenceNode) and pairs[own][1].value
    node = pairs[own][1] if there else _node(index)
    results = next((value for key, value in node.value[place[0]].value if key.value == "results"), None)
    if isinstance(results, yaml.SequenceNode):
        results.flow_style = results.flow_style and bool(results.value)
        results.value[place[1] : place[1] + 1] = [_node(entry)]
    section = yaml.MappingNode("tag:yaml.org,2002:map", [(_node("model-index"), node)], flow_style=False)
    text = yaml.serialize(section, Dumper=yaml.SafeDumper, allow_unicode=True, width=10_000, line_break=end).rstrip()
    if own == len(pairs):
        return f"{block}{end}{text}" if block.strip() else text
    start = pairs[own][0].start_mark.index
    stop = pairs[own + 1][0].start_mark.index if own + 1 < len(pairs) else len(block)
    # Comments before the next key are that key's.
    lines, rest = block[start:stop].splitlines(keepends=True), block[stop:]
    while lines and (not lines[-1].strip() or lines[-1].startswith("#")):
        rest = lines.pop() + rest
    return f"{block[:start]}{text}{end if rest.strip() else ''}{rest}"


def _node(value: Any) -> Any:
    return yaml.compose(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), Loader=yaml.SafeLoader)


def _metadata(block: str, where: str) -> dict[Any, Any]:
    """A card's YAML. Errors: what is not YAML, or not a list of fields."""
    try:
        metadata = yaml.safe_load(block)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: its YAML cannot be read ({' '.join(str(error).split())[:150]})") from None
    if metadata is not None and not isinstance(metadata, dict):
        raise InputError(f"{where}: its YAML is not a list of fields")
    return metadata or {}


# -- what is there --------------------------------------------------------------------------------------------------
class _Branch:
    """The main branch of a model's repository, or the branch of a pull request.

    main: what was looked at before; files that are the same there are not read again.
    """

    def __init__(self, api: hub.HfApi, name: str, revision: str, main: _Branch | None = None) -> None:
        info = api.model_info(name, revision=revision, files_metadata=True, timeout=60)
        self._api, self._name, self.sha = api, name, str(info.sha)
        self._files = {file.rfilename: (file.blob_id, file.size or 0) for file in info.siblings or []}
        self._new = {path for path, file in self._files.items() if main is None or main._files.get(path) != file}

    def says(self, row: Row, dataset: str) -> set[str]:
        """Which of FOLDER and CARD give the row's four values for this data set, in files that are new here."""
        results = [path for path in sorted(self._new) if re.fullmatch(rf"{re.escape(FOLDER)}/[^/]+\.ya?ml", path)]
        values = {
            FOLDER: [pair for path in results for pair in _result_values(self._text(path), dataset)],
            CARD: list(_index_values(self._text(CARD), dataset)) if CARD in self._new else [],
        }
        return {
            place
            for place, pairs in values.items()
            if all(any(t == task and abs(v - row.scores[task].mean) < _SAME for t, v in pairs) for task in TASKS)  # type: ignore[index]
        }

    def card(self) -> str:
        """The model card, empty where there is none. Errors: one that cannot be changed."""
        if CARD not in self._files:
            return ""
        try:
            return self._bytes(CARD).decode()
        except UnicodeDecodeError:
            raise InputError(f"{self._name}/{CARD}: not UTF-8; save it as UTF-8 first") from None

    def _text(self, path: str) -> str:
        """A foreign file, of which nothing is expected."""
        return self._bytes(path).decode("utf-8", "replace") if self._files[path][1] <= _MAX_BYTES else ""

    def _bytes(self, path: str) -> bytes:
        return Path(self._api.hf_hub_download(self._name, path, revision=self.sha)).read_bytes()


def _result_values(text: str, dataset: str) -> Iterator[tuple[str, float]]:
    """(task, value) of the entries for `dataset` in a file of `.eval_results`; none where it is not such a file."""
    from huggingface_hub import parse_eval_result_entries

    try:
        entries = parse_eval_result_entries(yaml.safe_load(text) or [])
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    for entry in entries:
        if entry.dataset_id == dataset:
            yield str(entry.task_id), _number(entry.value)


def _index_values(card: str, dataset: str) -> Iterator[tuple[str, float]]:
    """(metric, value) of the results on `dataset` in a card's model-index; none where it has no such thing."""
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    match = REGEX_YAML_BLOCK.search(card.removeprefix("\ufeff"))
    try:
        index = (yaml.safe_load(match.group(2)) or {}).get("model-index") or [] if match else []
        for result in (result for model in index for result in model["results"]):
            if result["dataset"]["type"] == dataset:
                for metric in result["metrics"]:
                    yield str(metric["type"]), _number(metric["value"])
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _open_requests(api: hub.HfApi, name: str, run_id: str) -> Iterable[hub.Discussion]:
    """The open pull requests that are worth a look: those that name the run, then the newest."""
    listed = list(api.get_repo_discussions(name, discussion_type="pull_request", discussion_status="open"))
    return sorted(listed, key=lambda request: (run_id not in request.title, -request.num))[:_LOOK_INTO]


def _vouched(row: Row, dataset: str, api: hub.HfApi) -> tuple[str, str]:
    """(the token's user, the leaderboard's commit), once the leaderboard is found to say the same as the row."""
    from leaderboard.board.board import load_board
    from leaderboard.stores.store import HubStore

    store = HubStore(dataset, api)
    user, snapshot = store.user(), store.snapshot()
    board = load_board(snapshot)
    there = board.rows.get(row.run_id)
    if there is None or row.path not in snapshot.files:
        raise InputError(f"{dataset}: has no row {row.path} yet; publish it, or have its pull request merged, first")
    if not there.agrees(row):
        raise InputError(f"{dataset}: has another result for run {row.run_id}; nothing was proposed")
    if board.status(there).status == "mismatch":
        raise InputError(f"{dataset}: the scores of {row.run_id} did not follow from its outputs; nothing was proposed")
    return user, snapshot.revision


@contextmanager
def _asking(name: str, api: hub.HfApi) -> Iterator[None]:
    """The Hub's refusals in the block as one line, with the token in none of them."""
    from huggingface_hub import errors

    from metrics.util.hub import is_hub_failure

    try:
        yield
    except InputError:
        raise
    except errors.GatedRepoError:
        raise InputError(f"{name}: gated; ask for access on its page") from None
    except errors.RepositoryNotFoundError:
        raise InputError(f"{name}: no such model on the Hub, or your token may not read it") from None
    except errors.HFValidationError:
        raise InputError(f"{name}: not the id of a model on the Hub") from None
    except Exception as error:
        if not is_hub_failure(error):
            raise
        raise InputError(f"{name}: the Hub refused or gave no answer ({reason(error, api)}); run it again") from None
