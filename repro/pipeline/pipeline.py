"""The pipeline of a run: its stages, from the corpora to the report."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from metrics.util.console import LOGGERS
from metrics.util.errors import InputError
from metrics.util.files import write_json
from metrics.util.progress import progress
from repro.config.inputs import Inputs, resolve_inputs
from repro.config.recipe import Recipe
from repro.distributed import main_process_first, num_processes
from repro.pipeline.engine import Engine, Stage, StageRun
from repro.pipeline.report import REPORT
from repro.pipeline.rewriting import REWRITING
from repro.pipeline.scoring import ROWS, SCORING
from repro.pipeline.screener import SCREENER
from repro.pipeline.softening import SOFTENING
from repro.pipeline.training import CHOICE, TRAINING, select_texts
from repro.pipeline.warm_up import WARM_UP
from repro.training.tracking import require_trackers


def run(recipe: Recipe, data_dir: str | None, out: Path, shared: Path | None = None, *, verbose: bool = False) -> None:
    """Run a recipe to its report.

    Args:
        recipe: What to train and score.
        data_dir: The folder with the corpora; None for SRO_DATA_DIR.
        out: The folder of the run; a run that was interrupted resumes there.
        shared: Where the runs of a study share stages; None for a run on its own.
        verbose: Whether warnings of other libraries appear on the terminal; the log has them anyway.

    Raises:
        InputError: An input or a setting cannot be used.
    """
    if num_processes() > 1 and recipe.method not in ("sro", "none"):
        raise InputError(f"method {recipe.method} trains in one process only; start the run without accelerate")
    require_trackers(recipe.report_to)
    inputs = main_process_first(lambda: resolve_inputs(recipe, data_dir))
    if recipe.method != "none" and inputs.toxic.origin == "file":
        # Before the first stage. The suite's own corpora have such texts.
        select_texts(inputs.toxic, recipe, recipe.seed)
    engine = Engine(recipe, inputs, out, shared)
    with _logged_messages(engine.log, verbose):
        engine.run(stages(recipe))


def _record_inputs(run: StageRun[Recipe]) -> None:
    description = run.inputs.describe()
    for name, corpus in progress(description["corpora"].items(), "corpora", unit="corpora"):
        run.log({"corpus": name, **corpus})
    write_json(run.work / "corpora.json", description)


def stages(recipe: Recipe) -> list[Stage[Any]]:
    """Return the stages of a recipe, in their order."""
    corpora = Stage("corpora", _record_inputs, Recipe, inputs=tuple(field.name for field in fields(Inputs)))
    trains: list[Stage[Any]] = [TRAINING, CHOICE] if recipe.method != "none" else []
    return [corpora, SCREENER, SOFTENING, WARM_UP, *trains, REWRITING, SCORING, ROWS, REPORT]


@contextmanager
def _logged_messages(log: Callable[[dict[str, Any]], None], verbose: bool) -> Iterator[None]:
    """Pass other libraries' messages and warnings to the run's log; `verbose` shows warnings on the terminal too."""
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: log(  # type: ignore[method-assign]
        {"library": record.name, "level": record.levelname.lower(), "message": record.getMessage()}
    )
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger, level in zip(loggers, levels, strict=True):
        for other in logger.handlers:
            other.setLevel(max(other.level, level))
        logger.addHandler(handler)
        logger.setLevel(min(level or logging.WARNING, logging.WARNING))
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_and_log(message: Any, category: Any, filename: str, *details: Any, **more: Any) -> None:
            log({"library": filename, "level": "warning", "message": f"{category.__name__}: {message}"})
            if verbose:
                show(message, category, filename, *details, **more)

        warnings.simplefilter("default")
        warnings.showwarning = show_and_log
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(handler)
                logger.setLevel(level)
