"""Stages "scoring" and "rows": score all rewrites by the recipe's profile, and make a local leaderboard of them."""

import datetime
import json
from importlib.metadata import version
from typing import Any

import pandas as pd

from leaderboard.publishing.commit import publish
from leaderboard.rows.published import published_rows
from leaderboard.rows.results import public_name, row_from_result
from leaderboard.rows.sentences import Sentences
from leaderboard.stores import open_store
from metrics.scoring import COLUMNS
from metrics.scoring.items import SentenceScores
from metrics.scoring.result import Result, git_commit, package_versions
from metrics.util.files import atomic_file
from metrics.util.progress import progress
from repro.config.recipe import Recipe
from repro.config.section import Section
from repro.pipeline.engine import Stage, StageRun
from repro.pipeline.rewriting import load_rewrites


def _score(run: StageRun[Section]) -> None:
    test, evaluator = run.inputs.test, run.inputs.evaluator
    frames = []
    for system in progress(load_rewrites(run.folders["rewriting"]), "scoring", unit="systems"):
        scores = evaluator.score(test.sources, system.outputs, test.references)
        columns = {name: scores.metric(name) for name in (*COLUMNS, "j")}
        texts = {"system": system.system, "source": test.sources, "output": system.outputs}
        faults = evaluator.faults(test.sources, system.outputs)
        frames.append(pd.DataFrame({**texts, **columns, **({"fault": faults} if faults else {})}))
    with atomic_file(run.work / "scores.parquet") as temporary:
        pd.concat(frames).to_parquet(temporary, index=False)


def load_results(run: StageRun[Any]) -> list[Result]:
    """Load rewrites and scores of all systems, in a stage that follows "rewriting" and "scoring"."""
    frame = pd.read_parquet(run.folders["scoring"] / "scores.parquet")
    test, results = run.inputs.test, []
    for system in load_rewrites(run.folders["rewriting"]):
        own = frame[frame["system"] == system.system]
        scores = SentenceScores(**{name: own[name].to_numpy() for name in COLUMNS})
        faults = tuple(own["fault"]) if "fault" in own else ()
        results.append(Result(system, test, scores, run.inputs.evaluator.signature(test, system.decoding), faults))
    return results


def provenance(run: StageRun[Recipe]) -> dict[str, Any]:
    """Return what repeats a run: recipe and inputs, as a JSON value."""
    return {
        "recipe": run.config.model_dump(),
        "inputs": json.loads((run.folders["corpora"] / "corpora.json").read_text("utf-8")),
    }


def packages() -> dict[str, str]:
    """Return the versions of the packages that a run depends on."""
    return {**package_versions(), **{name: version(name) for name in ("trl", "lemminflect")}}


def _stated(document: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """A system's name in its row, its revision and its outputs' hash, as `leaderboard.board.copies` reads them."""
    system = document["system"]
    outputs = Sentences.of(document["sentences"], system["name"]).outputs_sha256
    name = public_name(system["name"], system["revision"], system["kind"])
    return name, {"revision": system["revision"], "outputs": outputs}


def _rank(run: StageRun[Recipe]) -> None:
    results = load_results(run)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    documents = [{**result.to_json(), "versions": packages(), "git_commit": git_commit()} for result in results]
    # What all systems of the run wrote stands in each row: it proves that equal outputs are of one run, and no copy.
    lock = {**provenance(run), "systems": dict(map(_stated, documents))}
    shared: dict[str, Any] = {"submitter": "local", "date": now, "recipe": lock}
    entries = []
    for document in progress(documents, "rows", unit="rows"):
        entries.append(row_from_result(document, document["system"]["name"], **shared))
    published = [(row, None) for row in published_rows()]
    store = open_store(local=run.work / "leaderboard", create=True)
    publish(store, [*entries, *published], show=lambda change: None)


SCORING = Stage("scoring", _score, Section, inputs=("test", "evaluator"), follows=("rewriting",))
_INPUTS = ("test", "evaluator")
ROWS = Stage("rows", _rank, Recipe, _INPUTS, follows=("corpora", "rewriting", "scoring"))
