"""The pipeline of a run: its stages, from the corpora to the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metrics.util.errors import InputError
from repro.config.inputs import resolve_inputs
from repro.config.recipe import Recipe
from repro.distributed import main_process_first, num_processes
from repro.pipeline.choice import CHOICE
from repro.pipeline.corpora import CORPORA
from repro.pipeline.engine import Engine, Stage
from repro.pipeline.messages import logged_messages
from repro.pipeline.report import REPORT
from repro.pipeline.rewriting import REWRITING
from repro.pipeline.rows import ROWS
from repro.pipeline.scoring import SCORING
from repro.pipeline.screener import SCREENER
from repro.pipeline.training import TRAINING
from repro.pipeline.warm_up import WARM_UP


def run(recipe: Recipe, data_dir: str | None, out: Path, shared: Path | None = None, *, verbose: bool = False) -> None:
    """Run a recipe to its report.

    Args:
        recipe: The recipe.
        data_dir: The folder with the corpora; None for SRO_DATA_DIR.
        out: The folder of the run; a run that was interrupted resumes there.
        shared: Where the runs of a study share stages; None for a run on its own.
        verbose: Whether warnings of other libraries appear on the terminal; the log has them anyway.

    Raises:
        InputError: An input or a setting cannot be used.
    """
    if num_processes() > 1 and recipe.method not in ("sro", "none"):
        raise InputError(f"method {recipe.method} trains in one process only; start the run without accelerate")
    inputs = main_process_first(lambda: resolve_inputs(recipe, data_dir))
    engine = Engine(recipe, inputs, out, shared)
    with logged_messages(engine.log, verbose=verbose):
        engine.run(stages(recipe))


def stages(recipe: Recipe) -> list[Stage[Any]]:
    """Return the stages of a recipe, in their order."""
    trains: list[Stage[Any]] = [TRAINING, CHOICE] if recipe.method != "none" else []
    return [CORPORA, SCREENER, WARM_UP, *trains, REWRITING, SCORING, ROWS, REPORT]
