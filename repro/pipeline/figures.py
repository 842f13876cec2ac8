"""Figures of runs and studies, as PNG."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from leaderboard.rows.row import Row
from metrics.util.files import atomic_file
from repro.pipeline.training import TrainingOutcome

matplotlib.use("Agg")
import matplotlib.pyplot as plt

subplots = plt.subplots


def draw_figures(folder: Path, method: str, outcome: TrainingOutcome | None, rows: Sequence[Row]) -> None:
    """Draw systems.png and tradeoff.png, in which `method` has its own colour, and training.png if it trained."""
    if outcome is not None:
        _draw_training(folder / "training.png", outcome)
    ordered = sorted(rows, key=lambda row: row.scores["j"].mean)
    colours = ["tab:orange" if row.system.name == method else "tab:blue" for row in ordered]
    _draw_systems(folder / "systems.png", ordered, colours)
    _draw_tradeoff(folder / "tradeoff.png", ordered, colours)


def _draw_training(path: Path, outcome: TrainingOutcome) -> None:
    steps = [scores.step for scores in outcome.history]
    figure, axis = subplots(figsize=(7, 4), layout="constrained")
    for name, style in (("j", "o-"), ("sta", "--"), ("sim", "--"), ("fl", ":")):
        values = [getattr(scores, name) for scores in outcome.history]
        axis.plot(steps, values, style, label=name.upper(), linewidth=2.5 if name == "j" else 1.2)
    axis.axvline(outcome.best.step, color="grey", linewidth=0.8)
    axis.annotate(f" kept: step {outcome.best.step}", (outcome.best.step, 0.02), color="grey")
    axis.set(xlabel="training step", ylabel="mean on the development sentences", ylim=(0, 1.02))
    axis.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.12), frameon=False)
    save_figure(figure, path)


def _draw_systems(path: Path, rows: Sequence[Row], colours: Sequence[str]) -> None:
    figure, axis = subplots(figsize=(7, 0.6 * len(rows) + 1.2), layout="constrained")
    means = np.array([row.scores["j"].mean for row in rows])
    spread = np.array([_spread(row, "j") for row in rows]).T
    axis.barh([row.system.name for row in rows], means, xerr=spread, color=colours, alpha=0.75, capsize=4)
    right = max(0.1, float((means + spread[1]).max()) * 1.1)
    axis.set(xlabel=f"J with 95 % interval (n = {rows[0].test_set.n})", xlim=(0, right))
    save_figure(figure, path)


def _draw_tradeoff(path: Path, rows: Sequence[Row], colours: Sequence[str]) -> None:
    figure, axis = subplots(figsize=(6.5, 4.5), layout="constrained")
    # A legend, because names beside the points of similar systems would overlap.
    for row, colour, marker in zip(reversed(rows), reversed(colours), itertools.cycle("osD^vPX*<>"), strict=False):
        across, along = np.array([_spread(row, "sta")]).T, np.array([_spread(row, "sim")]).T
        axis.errorbar(
            row.scores["sta"].mean, row.scores["sim"].mean, xerr=across, yerr=along, color=colour, marker=marker,
            linestyle="", capsize=3, label=row.system.name,
        )  # fmt: skip
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axis.set(xlabel="STA (share not toxic)", ylabel="SIM (similarity to the input)", xlim=(-0.03, 1.06), ylim=(0, 1.08))
    save_figure(figure, path)


def _spread(row: Row, metric: str) -> tuple[float, float]:
    """How far the interval reaches below and above the mean."""
    score = row.scores[metric]
    low, high = (score.mean if end is None else end for end in (score.low, score.high))
    return max(0.0, score.mean - low), max(0.0, high - score.mean)


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG, and close it."""
    with atomic_file(path) as temporary:
        # Without the software's name and version the bytes depend on the numbers alone.
        figure.savefig(temporary, dpi=120, metadata={"Software": None})
    plt.close(figure)
