"""Proposes rows of a Hub leaderboard to the repositories of the models that they measured, by pull requests.

Results that the main branch or an open pull request has already, whoever wrote them, are not proposed again.
"""

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub as hub
from huggingface_hub.errors import RevisionNotFoundError
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from leaderboard.board.reading import load_board
from leaderboard.publishing import model_card
from leaderboard.publishing.model_card import CARD, FOLDER, TASKS, BoardCommit, require_hub_model
from leaderboard.rows.row import Row
from leaderboard.stores.hub import HubStore, hub_reason, translate_hub_errors
from metrics.util.errors import InputError
from metrics.util.nesting import load_yaml

# Values that agree within this are equal when rounded to the three decimals that a page shows.
_TOLERANCE = 5e-4
# Pull requests to inspect, newest first: popular models have hundreds.
_MAX_REQUESTS = 20
_MAX_BYTES = 1_000_000
# What a foreign file raises when it is not the YAML that is expected.
_NOT_RESULTS = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def propose_all(rows: Iterable[Row], dataset: str) -> None:
    """Propose rows of the leaderboard `dataset` to their models, and print each pull request; raises as `propose`."""
    api = HubStore(dataset).api
    for row in rows:
        if url := propose(row, dataset, api, model_index=True):
            print(f"{row.system.name}: pull request {url}")


def propose(row: Row, dataset: str, api: hub.HfApi, *, model_index: bool) -> str | None:
    """Open a pull request in the model's repository, with the model card's entry if `model_index`.

    Returns:
        The pull request's address; None, after a printed line, if the results are there already.

    Raises:
        InputError: As `require_hub_model`; or the leaderboard `dataset` lacks the row, or has another result or a
            mismatch for it; the model's repository lacks the revision; there is no token; the Hub refuses.
    """
    name, commit = require_hub_model(row)
    user, board = _published_row(row, dataset, api)
    with translate_hub_errors(name, "model", api):
        try:
            api.model_info(name, revision=commit, timeout=60)
        except RevisionNotFoundError:
            raise InputError(f"{name}: has no commit {commit}, which the row names as the model's revision") from None
        main = _Branch(api, name, "main")
        missing = {FOLDER, CARD} if model_index else {FOLDER}
        places = {"main": missing & main.places(row, dataset)}
        missing -= places["main"]
        for request in _open_requests(api, name, row.run_id) if missing else ():
            branch = _Branch(api, name, str(request.git_reference), main)
            places[request.url] = missing & branch.places(row, dataset)
            missing -= places[request.url]
            if not missing:
                break
        if not missing:
            where = " and ".join(place for place in places if places[place])
            print(f"{name}: nothing to propose, {where} has the results")
            return None
        files = dict([model_card.eval_results_yaml(row, board, user)]) if FOLDER in missing else {}
        if CARD in missing:
            files[CARD] = model_card.with_model_index(main.card(), row, board)
        operations = [hub.CommitOperationAdd(path, content.encode()) for path, content in files.items()]
        scores = ", ".join(f"{title} {row.scores[task].mean:.3f}" for task, title in TASKS.items())
        text = f"{scores} on {row.test_set.title} (n = {row.test_set.n}), measured at commit {row.system.revision}.\n\n"
        text += f"The row with the outputs of each sentence: {board.source(row)['url']}\n\nSignature: `{row.signature}`"
        texts = {"commit_message": f"Add detox-suite results of run {row.run_id}", "commit_description": text}
        try:
            opened = api.create_commit(name, operations, create_pr=True, parent_commit=main.sha, **texts)
        except ValueError as error:
            # The client raises what the Hub's validation says of a card, which may be an older fault of it.
            raise InputError(f"{name}: the Hub refuses the files ({hub_reason(error, api)}); mend the card") from None
    return str(opened.pr_url)


def _published_row(row: Row, dataset: str, api: hub.HfApi) -> tuple[str, BoardCommit]:
    """Return the token's user and the leaderboard's commit, after a check that the leaderboard has the row."""
    store = HubStore(dataset, api)
    user, snapshot = store.user(), store.snapshot()
    board = load_board(snapshot)
    stored = board.rows.get(row.run_id)
    if stored is None or row.path not in snapshot.files:
        raise InputError(f"{dataset}: has no row {row.path} yet; publish it, or have its pull request merged, first")
    if not stored.agrees(row):
        raise InputError(f"{dataset}: has another result for run {row.run_id}; nothing was proposed")
    if board.status(stored).status == "mismatch":
        raise InputError(f"{dataset}: the scores of {row.run_id} do not follow from its outputs; nothing was proposed")
    return user, BoardCommit(dataset, snapshot.revision, api.endpoint)


class _Branch:
    """A branch of a model's repository; files that are equal in `main` are not read again."""

    def __init__(self, api: hub.HfApi, name: str, revision: str, main: "_Branch | None" = None) -> None:
        info = api.model_info(name, revision=revision, files_metadata=True, timeout=60)
        self._api, self._name, self.sha = api, name, str(info.sha)
        self._files = {file.rfilename: (file.blob_id, file.size or 0) for file in info.siblings or []}
        self._new = {path for path, file in self._files.items() if main is None or main._files.get(path) != file}

    def places(self, row: Row, dataset: str) -> set[str]:
        """Return which of FOLDER and CARD have the row's four values for `dataset`, in files that `main` lacks."""
        results = [path for path in sorted(self._new) if re.fullmatch(rf"{re.escape(FOLDER)}/[^/]+\.ya?ml", path)]
        values = {
            FOLDER: [pair for path in results for pair in _result_values(self._text(path), dataset)],
            CARD: list(_index_values(self._text(CARD), dataset)) if CARD in self._new else [],
        }

        def has(pairs: list[tuple[str, float]], task: str) -> bool:
            return any(name == task and abs(value - row.scores[task].mean) < _TOLERANCE for name, value in pairs)

        return {place for place, pairs in values.items() if all(has(pairs, task) for task in TASKS)}

    def card(self) -> str:
        """Return the model card, "" if there is none."""
        try:
            return self._bytes(CARD).decode() if CARD in self._files else ""
        except UnicodeDecodeError:
            raise InputError(f"{self._name}/{CARD}: not UTF-8; save it as UTF-8 first") from None

    def _text(self, path: str) -> str:
        return self._bytes(path).decode("utf-8", "replace") if self._files[path][1] <= _MAX_BYTES else ""

    def _bytes(self, path: str) -> bytes:
        return Path(self._api.hf_hub_download(self._name, path, revision=self.sha)).read_bytes()


def _result_values(text: str, dataset: str) -> Iterator[tuple[str, float]]:
    """Yield (task, value) of the entries for `dataset` in a file of `.eval_results`; none from other files."""
    try:
        for entry in hub.parse_eval_result_entries(load_yaml(text) or []):
            if entry.dataset_id == dataset:
                yield str(entry.task_id), _number(entry.value)
    except _NOT_RESULTS:
        return


def _index_values(card: str, dataset: str) -> Iterator[tuple[str, float]]:
    """Yield (metric, value) of the results for `dataset` in a card's model-index; none from other cards."""
    match = REGEX_YAML_BLOCK.search(card.removeprefix("\ufeff"))
    try:
        index = (load_yaml(match.group(2)) or {}).get("model-index") or [] if match else []
        for result in (result for model in index for result in model["results"]):
            if result["dataset"]["type"] == dataset:
                for metric in result["metrics"]:
                    yield str(metric["type"]), _number(metric["value"])
    except _NOT_RESULTS:
        return


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _open_requests(api: hub.HfApi, name: str, run_id: str) -> list[hub.Discussion]:
    """Return the open pull requests to inspect: those with the run in their title, then the newest."""
    requests = api.get_repo_discussions(name, discussion_type="pull_request", discussion_status="open")
    return sorted(requests, key=lambda request: (run_id not in request.title, -request.num))[:_MAX_REQUESTS]
