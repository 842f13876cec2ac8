"""Stage "corpora": records where all inputs come from."""

from __future__ import annotations

from dataclasses import fields

from metrics.util.files import write_json
from metrics.util.progress import progress
from repro.config.inputs import Inputs
from repro.config.recipe import Recipe
from repro.pipeline.engine import Stage, StageRun


def _build(run: StageRun[Recipe]) -> None:
    description = run.inputs.describe()
    for name, corpus in progress(description["corpora"].items(), "corpora", unit="corpora"):
        run.log({"corpus": name, **corpus})
    write_json(run.work / "corpora.json", description)


CORPORA = Stage("corpora", _build, Recipe, inputs=tuple(field.name for field in fields(Inputs)))
