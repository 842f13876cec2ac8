"""The stage engine: a stage reads only what it declares, and is built again only when that changes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from repro.config.inputs import Inputs
from repro.config.recipe import Recipe, load_recipe
from repro.config.section import RewritingConfig, SeedConfig
from repro.pipeline.engine import Engine, Stage, StageRun
from repro.pipeline.pipeline import stages


def make_inputs(**values: Any) -> Inputs:
    """Inputs whose values are strings, which pin themselves."""
    return Inputs(**{**{field.name: "" for field in fields(Inputs)}, **values})


class Builds:
    """Two stages, the second after the first, and the names of those that were built."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.built: list[str] = []

    def run(self, *overrides: str, **inputs: str) -> list[str]:
        """Run both stages; return the names of those that were built."""
        first = Stage("first", self._build, SeedConfig, inputs=("toxic",))
        second = Stage("second", self._build, RewritingConfig, inputs=("test",), follows=("first", "absent"))
        self.built.clear()
        Engine(load_recipe("smoke", list(overrides)), make_inputs(**inputs), self.out).run([first, second])
        return list(self.built)

    def _build(self, run: StageRun[Any]) -> None:
        self.built.append(run.work.name.split("-")[0].removeprefix("."))
        (run.work / "result").write_text(str(sorted(run.folders)))


def test_a_stage_is_built_again_only_when_something_it_declares_changes(tmp_path: Path) -> None:
    builds = Builds(tmp_path)
    assert builds.run() == ["first", "second"]
    assert builds.run() == []
    assert builds.run("beta=0.3", development="other") == []
    assert builds.run("max_new_tokens=9") == ["second"]
    assert builds.run("max_new_tokens=9", test="other") == ["second"]
    assert builds.run("max_new_tokens=9", "seed=2", test="other") == ["first", "second"]
    assert (tmp_path / "stages" / "second" / "result").read_text() == "['first']"


def test_a_stage_cannot_read_what_it_does_not_declare(tmp_path: Path) -> None:
    seen: list[StageRun[Any]] = []
    recipe = load_recipe("smoke")
    stage = Stage("only", seen.append, SeedConfig, inputs=("toxic",))
    Engine(recipe, make_inputs(toxic="a"), tmp_path).run([stage])
    (run,) = seen
    assert run.config.seed == recipe.seed and run.inputs.toxic == "a"
    with pytest.raises(AttributeError):
        run.config.beta  # noqa: B018
    with pytest.raises(AttributeError):
        run.inputs.test  # noqa: B018
    assert not run.folders


@pytest.mark.parametrize("method", ["sro", "none"])
def test_the_stages_declare_inputs_that_exist_and_follow_earlier_stages(method: str) -> None:
    recipe = load_recipe("smoke", [f"method={method}", "systems=[warm-up]"])
    every = {stage.name for stage in stages(load_recipe("smoke"))}
    before: set[str] = set()
    for stage in stages(recipe):
        assert set(stage.inputs) <= {field.name for field in fields(Inputs)}
        assert set(stage.follows) <= every and set(stage.follows) & every - before <= {"training", "choice"}
        before.add(stage.name)


def test_a_recipe_has_the_fields_of_its_sections_and_narrows_to_each() -> None:
    recipe = load_recipe("smoke")
    # Trackers change no result, so they are no part of what identifies one.
    assert recipe.model_dump().keys() == Recipe.model_fields.keys() - {"report_to"} and len(recipe.model_dump()) == 79
    for section in Recipe.__bases__:
        own = {name: getattr(recipe, name) for name in section.model_fields if name != "report_to"}
        assert recipe.narrow(section).model_dump() == own
