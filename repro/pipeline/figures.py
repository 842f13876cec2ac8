"""Figures of runs and studies, as PNG."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metrics.util.files import atomic_file

if TYPE_CHECKING:
    from leaderboard.rows.row import Row


def draw_figures(folder: Path, method: str, outcome: dict[str, Any] | None, rows: Sequence[Row]) -> None:
    """systems.png, tradeoff.png and, where something was trained, training.png in `folder`."""
    if outcome is not None:
        _draw_training(folder, outcome["history"])
    _draw_systems(folder, method, rows)


def pyplot() -> Any:
    """matplotlib's pyplot, drawing to files."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _draw_training(folder: Path, history: Sequence[dict[str, Any]]) -> None:
    plt = pyplot()
    steps = [d["step"] for d in history]
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, style in (("j", "o-"), ("sta", "--"), ("sim", "--"), ("fl", ":")):
        axis.plot(steps, [d[name] for d in history], style, label=name.upper(), linewidth=2.5 if name == "j" else 1.2)
    best = max(history, key=lambda d: (d["j"], -d["step"]))
    axis.axvline(best["step"], color="grey", linewidth=0.8)
    axis.annotate(f" kept: step {best['step']}", (best["step"], 0.02), color="grey")
    axis.set(xlabel="training step", ylabel="mean on the development sentences", ylim=(0, 1.02))
    axis.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.12), frameon=False)
    save_figure(figure, folder / "training.png")


def _draw_systems(folder: Path, method: str, rows: Sequence[Row]) -> None:
    plt = pyplot()
    ordered = sorted(rows, key=lambda row: row.scores["j"].mean)
    figure, axis = plt.subplots(figsize=(7, 0.6 * len(ordered) + 1.2), layout="constrained")
    names = [row.system.name for row in ordered]
    means = np.array([row.scores["j"].mean for row in ordered])
    spread = np.array([_spread(row, "j") for row in ordered]).T
    colours = ["tab:orange" if name == method else "tab:blue" for name in names]
    axis.barh(names, means, xerr=spread, color=colours, alpha=0.75, capsize=4)
    axis.set(
        xlabel=f"J with 95 % interval (n = {ordered[0].test_set.n})",
        xlim=(0, max(0.1, float((means + spread[1]).max()) * 1.1)),
    )
    save_figure(figure, folder / "systems.png")

    figure, axis = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
    # Names beside the points would cover each other where systems are alike.
    for row, marker in zip(reversed(ordered), itertools.cycle("osD^vPX*<>"), strict=False):
        across, along = np.array([_spread(row, "sta")]).T, np.array([_spread(row, "sim")]).T
        colour = "tab:orange" if row.system.name == method else "tab:blue"
        axis.errorbar(
            row.scores["sta"].mean, row.scores["sim"].mean, xerr=across, yerr=along, color=colour, marker=marker,
            linestyle="", capsize=3, label=row.system.name,
        )  # fmt: skip
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axis.set(xlabel="STA (share not toxic)", ylabel="SIM (similarity to the input)", xlim=(-0.03, 1.06), ylim=(0, 1.08))
    save_figure(figure, folder / "tradeoff.png")


def _spread(row: Row, metric: str) -> tuple[float, float]:
    """How far the interval reaches below and above the mean; a measured row has one."""
    score = row.scores[metric]
    low, high = (score.mean if end is None else end for end in (score.low, score.high))
    return max(0.0, score.mean - low), max(0.0, high - score.mean)


def save_figure(figure: Any, path: Path) -> None:
    """Writes `figure` as PNG and lets go of it."""
    with atomic_file(path) as temporary:
        # Without the software's name and version the bytes depend on the numbers alone.
        figure.savefig(temporary, dpi=120, metadata={"Software": None})
    pyplot().close(figure)
