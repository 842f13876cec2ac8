"""Rows as entries of a model's repository: a file of `.eval_results`, and the `model-index` of the model card.

The Hub shows the file on the model's page with one number per task, and the four metrics of the card's entry together.
"""

import copy
import re
from dataclasses import dataclass
from typing import Any

import yaml
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from leaderboard.rows.row import Row
from metrics.scoring import DECIMALS, METRICS
from metrics.util.errors import InputError
from metrics.util.files import content_hash
from metrics.util.hub import HUB_ID
from metrics.util.nesting import load_yaml

FOLDER = ".eval_results"
CARD = "README.md"
TASKS = {"j": "J", "sta": "STA", "sim": "SIM", "fl": "FL"}


@dataclass(frozen=True)
class BoardCommit:
    """The commit `revision` of a leaderboard on the Hub at `endpoint`."""

    dataset: str
    revision: str
    endpoint: str = "https://huggingface.co"

    def source(self, row: Row) -> dict[str, str]:
        """Return the address and name of a row at this commit."""
        url = f"{self.endpoint}/datasets/{self.dataset}/blob/{self.revision}/{row.path}"
        return {"url": url, "name": f"Row {row.run_id}"}


def require_hub_model(row: Row) -> tuple[str, str]:
    """Return the Hub id and commit of the model that a complete row measured; raise InputError for any other row."""
    name, revision = row.system.name, row.system.revision
    if row.record != "measured":
        raise InputError(f"{name}: a published figure; only measured rows go to a model's repository")
    if not row.complete:
        missing = ", ".join(metric.upper() for metric in METRICS if metric not in row.scores)
        raise InputError(f"{name}: the row lacks {missing}; score the model again with all four metrics")
    commit = re.match(r"[0-9a-f]{40}(?=\+base:|$)", revision)
    if row.system.kind != "model" or not HUB_ID.match(name) or commit is None:
        where = f"{name} ({row.system.kind}, revision {revision[:60]})"
        raise InputError(f"{where}: no model on the Hub at a commit; push the model, then score it by its Hub id")
    return name, commit.group()


def eval_results_yaml(row: Row, board: BoardCommit, user: str | None = None) -> tuple[str, str]:
    """Return the path and text of the row's file in `.eval_results`, which names `user` as its author.

    It has no `verifyToken`, which only the Hub sets. A row that `require_hub_model` refuses raises its InputError.
    """
    require_hub_model(row)
    entries = []
    for task in TASKS:
        score = row.scores[task]
        notes = [f"n = {row.test_set.n}"]
        if score.low is not None and score.high is not None:
            notes.append(f"95 % interval [{score.low:.3f}, {score.high:.3f}]")
        notes += [f"{row.profile} on {row.test_set.title}", _short_signature(row)]
        dataset = {"id": board.dataset, "task_id": task, "revision": board.revision}
        entry = {"dataset": dataset, "value": round(score.mean, DECIMALS), "date": row.date.date().isoformat()}
        source = {**board.source(row), **({"user": user} if user else {})}
        entries.append({**entry, "source": source, "notes": ", ".join(notes)})
    text = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=1_000)
    return f"{FOLDER}/detox-suite-{row.run_id}.yaml", text


def with_model_index(card: str, row: Row, board: BoardCommit) -> str:
    """Return a model card with the row in its `model-index`, in place of an earlier entry of the run.

    The rest of the card stays byte for byte. The client's ModelCard would rewrite all YAML: without comments, with
    `language: no` as false, and with one source for all results on a data set.

    Raises:
        InputError: As `require_hub_model`; or the card's YAML or model-index is not valid, or cannot be changed alone.
    """
    require_hub_model(row)
    mark = "\ufeff" if card.startswith("\ufeff") else ""
    card = card.removeprefix(mark)
    match = REGEX_YAML_BLOCK.search(card)
    block = match.group(2) if match else ""
    where = f"{row.system.name}/{CARD}"
    metadata = _metadata(block, where)
    index = metadata.get("model-index") or [{"name": row.system.name.split("/")[-1], "results": []}]
    entry = _index_entry(row, board)
    model, number = _position(index, row.run_id, where)
    merged = copy.deepcopy(index)
    merged[model]["results"][number : number + 1] = [entry]
    # repr, since NaN != NaN.
    if repr(merged) == repr(metadata.get("model-index")):
        return mark + card
    end = "\r\n" if "\r\n" in card else "\n"
    changed = _replace_entry(block, index, entry, (model, number), end)
    if repr(_metadata(changed, where)) != repr({**metadata, "model-index": merged}):
        raise InputError(f"{where}: its YAML cannot be changed without loss; add model-index by hand")
    if match is None:
        return f"{mark}---{end}{changed}{end}---{end}{end if card else ''}{card}"
    return mark + card[: match.start(2)] + changed + card[match.end(2) :]


def _short_signature(row: Row) -> str:
    return parsed.short if (parsed := row.parsed_signature) else f"signature #{content_hash(row.signature)[:8]}"


def _index_entry(row: Row, board: BoardCommit) -> dict[str, Any]:
    """Return the row as one result of a model-index."""
    metrics = []
    for metric, name in TASKS.items():
        score = row.scores[metric]
        interval = {"low": score.low, "high": score.high}
        bounds = {name: round(bound, DECIMALS) for name, bound in interval.items() if bound is not None}
        args = {"run_id": row.run_id, "n": row.test_set.n, **bounds, "signature": _short_signature(row)}
        metrics.append({"type": metric, "value": round(score.mean, DECIMALS), "name": name, "args": args})
    task = {"type": "text-generation", "name": "Text detoxification"}
    dataset = {"name": row.test_set.title, "type": board.dataset, "revision": board.revision}
    return {"task": task, "dataset": dataset, "metrics": metrics, "source": board.source(row)}


def _metadata(block: str, where: str) -> dict[Any, Any]:
    """Return the fields of a card's YAML, or raise InputError if it has none."""
    try:
        metadata = load_yaml(block)
    except ValueError as error:
        raise InputError(f"{where}: its YAML cannot be read ({' '.join(str(error).split())[:150]})") from None
    if metadata is not None and not isinstance(metadata, dict):
        raise InputError(f"{where}: its YAML is not a mapping of fields")
    return metadata or {}


def _position(index: Any, run_id: str, where: str) -> tuple[int, int]:
    """Return (model, result) of the run in a model-index, or of a new result at the end of the first model's."""
    try:
        for model, results in enumerate([model["results"] for model in index]):
            for number, result in enumerate(results):
                if any((metric.get("args") or {}).get("run_id") == run_id for metric in result["metrics"]):
                    return model, number
        return 0, len(index[0]["results"])
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{where}: its model-index is not a list of models with results; mend it first") from None


def _replace_entry(block: str, index: list[Any], entry: dict[str, Any], position: tuple[int, int], end: str) -> str:
    """Return the YAML `block` with `entry` at `position` of its model-index, or with a new model-index `index`.

    Nodes instead of values: they keep the spelling of other entries (`config: no`, `1e-3`).
    """
    root = yaml.compose(block, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    at = next((number for number, (key, _) in enumerate(pairs) if key.value == "model-index"), len(pairs))
    exists = at < len(pairs) and isinstance(pairs[at][1], yaml.SequenceNode) and pairs[at][1].value
    node = pairs[at][1] if exists else _node(index)
    results = next((value for key, value in node.value[position[0]].value if key.value == "results"), None)
    if isinstance(results, yaml.SequenceNode):
        results.flow_style = results.flow_style and bool(results.value)
        results.value[position[1] : position[1] + 1] = [_node(entry)]
    section = yaml.MappingNode("tag:yaml.org,2002:map", [(_node("model-index"), node)], flow_style=False)
    text = yaml.serialize(section, Dumper=yaml.SafeDumper, allow_unicode=True, width=10_000, line_break=end).rstrip()
    if at == len(pairs):
        return f"{block}{end}{text}" if block.strip() else text
    start = pairs[at][0].start_mark.index
    stop = pairs[at + 1][0].start_mark.index if at + 1 < len(pairs) else len(block)
    # Comments before the next key belong to that key.
    lines, rest = block[start:stop].splitlines(keepends=True), block[stop:]
    while lines and (not lines[-1].strip() or lines[-1].startswith("#")):
        rest = lines.pop() + rest
    return f"{block[:start]}{text}{end if rest.strip() else ''}{rest}"


def _node(value: Any) -> Any:
    return yaml.compose(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), Loader=yaml.SafeLoader)
