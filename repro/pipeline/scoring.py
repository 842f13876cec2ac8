"""Stage "scoring": scores all rewrites by the recipe's profile."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from metrics.data.test_sets import TestSet
from metrics.scoring import COLUMNS
from metrics.scoring.evaluator import Evaluator
from metrics.scoring.items import SentenceScores
from metrics.scoring.result import Result
from metrics.util.files import atomic_file
from metrics.util.progress import progress
from repro.config.section import Section
from repro.pipeline.engine import Stage, StageRun
from repro.pipeline.rewriting import load_rewrites


def _build(run: StageRun[Section]) -> None:
    test, evaluator = run.inputs.test, run.inputs.evaluator
    frames = []
    for system in progress(load_rewrites(run.folders["rewriting"]), "scoring", unit="systems"):
        scores = evaluator.score(test.sources, system.outputs, test.references)
        columns = {name: scores.metric(name) for name in (*COLUMNS, "j")}
        texts = {"system": system.system, "source": test.sources, "output": system.outputs}
        frames.append(pd.DataFrame({**texts, **columns}))
    with atomic_file(run.work / "scores.parquet") as temporary:
        pd.concat(frames).to_parquet(temporary, index=False)


def load_results(rewriting: Path, scoring: Path, test: TestSet, evaluator: Evaluator) -> list[Result]:
    """Load rewrites and scores of all systems from the folders of the two stages."""
    frame = pd.read_parquet(scoring / "scores.parquet")
    results = []
    for system in load_rewrites(rewriting):
        own = frame[frame["system"] == system.system]
        scores = SentenceScores(**{name: own[name].to_numpy() for name in COLUMNS})
        results.append(Result(system, test, scores, evaluator.signature(test, system.decoding)))
    return results


SCORING = Stage("scoring", _build, Section, inputs=("test", "evaluator"), follows=("rewriting",))
