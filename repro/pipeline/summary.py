"""What a run prints when it ends: a table, which differences are significant, and the next commands."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from metrics.scoring import METRICS
from metrics.scoring.statistics import Interval, mean_interval, paired_difference
from repro.config.recipe import Recipe

# J of shape [sentences], by system.
Scores = Mapping[str, np.ndarray[Any, Any]]


def print_summary(recipe: Recipe, out: Path) -> None:
    """Print the summary of the finished run in `out`."""
    frame = pd.read_parquet(out / "scores.parquet")
    scores = {str(name): own for name, own in frame.groupby("system", sort=False)}
    j = {name: own["j"].to_numpy() for name, own in scores.items()}
    table = Table("system", "J [95 %]", *(metric.upper() for metric in METRICS if metric != "j"))
    for name in sorted(scores, key=lambda name: -j[name].mean()):
        means = (f"{scores[name][metric].mean():.3f}" for metric in METRICS if metric != "j")
        table.add_row(name, str(mean_interval(j[name])), *means, style="bold" if name == recipe.method else None)
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    sentences = len(next(iter(j.values())))
    console.print(f"\nRecipe {recipe.name}: {sentences} sentences, profile {recipe.profile}", markup=False)
    console.print(table)
    for line in significance_lines(recipe.method, j):
        console.print(line, markup=False)
    board = shlex.quote(str(out / "leaderboard"))
    commands = {
        f"less {shlex.quote(str(out / 'report.md'))}": "read the report",
        f"python -m leaderboard.space --local {board}": "open the page",
        f"python -m leaderboard.verify --local {board}": "verify the rows",
    }
    width = max(map(len, commands))
    console.print("\nNext:", *(f"  {command:<{width}}  # {what}" for command, what in commands.items()), sep="\n",
                  markup=False, soft_wrap=True)  # fmt: skip


def paired_differences(method: str, j: Scores) -> dict[str, Interval]:
    """Return the method's J minus that of each other system, paired by sentence; empty if the method has no scores."""
    if method not in j:
        return {}
    return {name: paired_difference(j[method], values) for name, values in j.items() if name != method}


def significance_lines(method: str, j: Scores) -> list[str]:
    """Return which systems the method's J is significantly above or below, and from which it does not differ."""
    groups: dict[str, list[str]] = {"significantly above": [], "significantly below": [], "not different from": []}
    for name, difference in paired_differences(method, j).items():
        above = "significantly above" if difference.mean > 0 else "significantly below"
        group = above if difference.excludes_zero else "not different from"
        groups[group].append(f"{name} ({difference.mean:+.3f})")
    lines = [f"  {group}: {', '.join(names)}" for group, names in groups.items() if names]
    return [f"J of {method} (95 % bootstrap intervals of the paired differences)", *lines] if lines else []
