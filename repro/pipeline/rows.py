"""Stage "rows": a local leaderboard with a row per system, beside the published numbers."""

from __future__ import annotations

import datetime
import json
from importlib.metadata import version
from typing import Any

from leaderboard.publishing.commit import publish
from leaderboard.rows.published import published_rows
from leaderboard.rows.results import row_from_result
from leaderboard.stores import open_store
from metrics.scoring.result import git_commit, package_versions
from metrics.util.progress import progress
from repro.config.recipe import Recipe, to_dict
from repro.pipeline.engine import Stage, StageRun
from repro.pipeline.scoring import load_results


def provenance(run: StageRun[Recipe]) -> dict[str, Any]:
    """Return what makes a run again: recipe, inputs and model of content, as a JSON value."""
    return {
        "recipe": to_dict(run.config),
        "inputs": json.loads((run.folders["corpora"] / "corpora.json").read_text("utf-8")),
        "guards": run.inputs.content_model,
    }


def packages() -> dict[str, str]:
    """Return the versions of the packages that a run depends on."""
    return {**package_versions(), **{name: version(name) for name in ("trl", "wordllama")}}


def _build(run: StageRun[Recipe]) -> None:
    results = load_results(run.folders["rewriting"], run.folders["scoring"], run.inputs.test, run.inputs.evaluator)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    entries = [
        row_from_result(
            {**result.to_json(), "versions": packages(), "git_commit": git_commit()},
            result.rewrites.system,
            submitter="local",
            date=now,
            recipe=provenance(run),
        )
        for result in progress(results, "rows", unit="rows")
    ]
    others = [(row, None) for row in published_rows()]
    store = open_store(local=run.work / "leaderboard", create=True)
    publish(store, [*entries, *others], show=lambda change: None)


ROWS = Stage(
    "rows",
    _build,
    Recipe,
    inputs=("test", "evaluator", "content_model"),
    follows=("corpora", "rewriting", "scoring"),
)
