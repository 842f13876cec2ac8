"""Stage "report": `report.md`, figures, the lock file, the model card, and copies of what the stages left.

And what a run prints when it ends: a table, which differences are significant, and the next commands.
"""

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from rich.console import Console
from rich.table import Table

from leaderboard.board.board import Board
from leaderboard.board.markdown import table
from leaderboard.board.reading import load_board
from leaderboard.stores import open_store
from metrics.data.text import is_copy, length_ratio, repetition
from metrics.scoring import METRICS
from metrics.scoring.result import Result, git_commit
from metrics.scoring.slices import ScoredSentences, count_line, slice_tables
from metrics.scoring.statistics import Interval, mean_interval, paired_difference
from metrics.util.files import atomic_file, link_folder, sha256_folder, write_text
from metrics.util.markdown import markdown_table
from metrics.util.progress import progress
from repro.config.recipe import Recipe
from repro.methods import METHODS, PARALLEL
from repro.pipeline.engine import MARK, Stage, StageRun
from repro.pipeline.figures import draw_figures
from repro.pipeline.scoring import load_results, packages, provenance
from repro.pipeline.training import TrainingOutcome, load_outcome

_ORIGINS = {"folder": "data folder", "hub": "Hub", "sample": "built-in sample", "file": "user's file"}
# J of shape [sentences], by system.
_Scores = Mapping[str, np.ndarray[Any, Any]]


def _build(run: StageRun[Recipe]) -> None:
    """Write the run's results to its folder `out`, from where users take them."""
    out, recipe, stages = run.out, run.config, run.folders
    facts = provenance(run)
    inputs = facts["inputs"]
    outcome = load_outcome(stages["training"]) if "training" in stages else None
    board = load_board(open_store(local=stages["rows"] / "leaderboard").snapshot())
    folders = {"checkpoint": stages["choice"] / "model"} if "choice" in stages else {}
    folders |= {"screener": stages["screener"], "leaderboard": stages["rows"] / "leaderboard"}
    for name, folder in progress(folders.items(), "report", unit="folders"):
        link_folder(folder, out / name, exclude=(MARK, ".lock"))
    for path in (stages["rewriting"] / "rewrites.parquet", stages["scoring"] / "scores.parquet"):
        with atomic_file(out / path.name) as temporary:
            shutil.copyfile(path, temporary)
    if outcome is not None:
        write_text(out / "checkpoint" / "README.md", _model_card(recipe, inputs, board))
    lock = {
        "recipe": facts["recipe"], "inputs": inputs, "packages": packages(),
        "git_commit": git_commit(), "stages": dict(run.keys),
        "outputs": {name: sha256_folder(out / name) for name in folders},
    }  # fmt: skip
    write_text(out / "recipe.lock.yaml", yaml.safe_dump(lock, sort_keys=False, allow_unicode=True, width=120))
    draw_figures(out / "figures", recipe.method, outcome, [row for row in board.latest if row.record == "measured"])
    # Last, because its presence says that the run is complete.
    write_text(out / "report.md", _report(recipe, inputs, outcome, board, load_results(run)))


def _texts_line(inputs: dict[str, Any]) -> str:
    """The corpora and the test set, and where they came from."""
    corpora = "; ".join(
        f"{name} from the {_ORIGINS[c['origin']]} ({c['rows']:,} rows, {c['sha256'][:12]})"
        for name, c in inputs["corpora"].items()
    )
    test = inputs["test"]
    return (
        f"Texts: {corpora}; test set {test['name']} from the {_ORIGINS[test['origin']]} ({test['rows']:,} sentences, "
        f"{test['sha256'][:12]}, {test['near_duplicates_removed']} near-duplicates of training texts removed)."
    )


def _report(
    recipe: Recipe, inputs: dict[str, Any], outcome: TrainingOutcome | None, board: Board, results: Sequence[Result]
) -> str:
    parts = [_texts_line(inputs), "", f"# Recipe `{recipe.name}`", ""]
    for ranking in (ranking for ranking in board.rankings if ranking[0].record == "measured"):
        parts += [
            table(ranking, board), "",
            f"n = {ranking[0].test_set.n}; 95 % intervals by the bootstrap over sentences.",
            "Systems that share a letter do not differ significantly (paired test at 5 %).",
            f"Signature: `{ranking[0].comparable}`", "",
        ]  # fmt: skip
    parts += _counts(results)
    if outcome is not None:
        parts += [*_comparisons(recipe.method, results), *_choice(recipe, inputs, outcome)]
    parts += _slices(results)
    parts += ["![J per system](figures/systems.png)", "![STA against SIM](figures/tradeoff.png)", ""]
    parts += [*_follower_lines(recipe), "`recipe.lock.yaml` pins everything that these numbers depend on.", ""]
    return "\n".join(parts)


def _ranked(results: Sequence[Result]) -> dict[str, ScoredSentences]:
    """The sentences by system, the highest J first."""
    return {r.rewrites.system: r.scored for r in sorted(results, key=lambda result: -result.scores.j.mean())}


def _counts(results: Sequence[Result]) -> list[str]:
    return [*(f"- {system}, {count_line(scored)}" for system, scored in _ranked(results).items()), ""]


def _slices(results: Sequence[Result]) -> list[str]:
    """A table per slicing: a row per slice and system."""
    parts = ["## Slices", "", "docs/concepts.md defines the slices. The means of few sentences are rough.", ""]
    for head, rows in slice_tables(_ranked(results)):
        parts += [markdown_table(rows, head, text_columns=2), ""]
    return parts


def _follower_lines(recipe: Recipe) -> list[str]:
    """The models whose verdicts the run used; `repro.config.inputs` refuses those that also score."""
    lines = []
    learns = recipe.method not in ("none", *PARALLEL)
    if learns or "best-of-k" in recipe.systems:
        guards = ", words lost and made up (content), an n-gram model of the same corpora (fluency)"
        models = recipe.screener + (guards if learns and recipe.follower == "guarded" else "")
        lines.append(f"Follower: {models}. None of these models scores; those of profile `{recipe.profile}` do.")
    if recipe.method != "none":
        lines.append(
            "The development J that chose the checkpoint comes from the scoring models, on development sentences only."
        )
    return lines


def _paired_differences(method: str, j: _Scores) -> dict[str, Interval]:
    """The method's J minus that of each other system, paired by sentence; empty if the method has no scores."""
    if method not in j:
        return {}
    return {name: paired_difference(j[method], values) for name, values in j.items() if name != method}


def _comparisons(method: str, results: Sequence[Result]) -> list[str]:
    name = method.upper()
    header = f"| {name} minus | difference [95 %] | result |"
    parts = [f"## {name} against the others (J, paired)", "", header, "|---|---|---|"]
    scored = {result.rewrites.system: result for result in results}
    differences = _paired_differences(method, {system: result.scores.j for system, result in scored.items()})
    for other, difference in differences.items():
        side = f"{name} is {'above' if difference.mean > 0 else 'below'}"
        parts.append(f"| {other} | {difference} | {side if difference.excludes_zero else 'not significant'} |")
    if method in scored:
        outputs = scored[method].rewrites.outputs
        pairs = list(zip(scored[method].test_set.sources, outputs, strict=True))
        parts += [
            "",
            f"{name}'s outputs: mean length ratio {np.mean([length_ratio(*pair) for pair in pairs]):.2f}, exact copies "
            f"{np.mean([is_copy(*pair) for pair in pairs]):.1%}, mean bigram repetition "
            f"{np.mean([*map(repetition, outputs)]):.3f}, empty {sum(not output.strip() for output in outputs)}.",
        ]
    return parts


def _choice(recipe: Recipe, inputs: dict[str, Any], outcome: TrainingOutcome) -> list[str]:
    shares = ", ".join(f"{share:.2f}" for share in outcome.passes_per_epoch(recipe))
    passes = f"Rollouts that passed the {recipe.follower} follower, per epoch of {outcome.texts:,} texts: {shares}."
    rows = (
        f"| {d.step} | {d.j:.3f} | {d.sta:.3f} | {d.sim:.3f} | {d.fl:.3f} | {d.copies:.1%} | {d.length_ratio:.2f} "
        f"| {d.repetition:.3f} |"
        for d in outcome.history
    )
    return [
        "", "## Choice of checkpoint", "",
        f"Development set: {inputs['development']['name']}, {inputs['development']['rows']} sentences. "
        f"Best step: {outcome.best.step}. Training ended because: {outcome.stopped}.", "",
        "| step | J | STA | SIM | FL | copies | length ratio | repetition |", "|--:|--:|--:|--:|--:|--:|--:|--:|",
        *rows, "", *([passes, ""] if shares else []), "![J along training](figures/training.png)",
    ]  # fmt: skip


_CARD = """\
---
library_name: transformers
tags: [text-detoxification, {recipe.method}]
language: en
---
# {recipe.leader}, {method} (recipe `{recipe.name}`)

A leader that rewrites toxic text.{sro}

{texts}

{table}

{signature}

Use: `python -m metrics.score FOLDER`. Prompt and decoding settings are stored in the folder. The model makes \
mistakes: it may drop content or leave a text toxic.
"""


def _model_card(recipe: Recipe, inputs: dict[str, Any], board: Board) -> str:
    """The README of the checkpoint."""
    own = [row for row in board.latest if row.system.name == recipe.method]
    return _CARD.format(
        recipe=recipe,
        method=METHODS[recipe.method],
        sro=" SRO is Stackelberg response optimisation (arXiv 2410.20298)." if recipe.method == "sro" else "",
        texts=_texts_line(inputs),
        table=table(own, board),
        signature=f"Signature: `{own[0].comparable}`" if own else "",
    )


_INPUTS = ("test", "evaluator")
_FOLLOWS = ("corpora", "screener", "warm-up", "training", "choice", "rewriting", "scoring", "rows")
REPORT = Stage("report", _build, Recipe, _INPUTS, _FOLLOWS)


def print_summary(recipe: Recipe, out: Path) -> None:
    """Print the summary of the finished run in `out`."""
    frame = pd.read_parquet(out / "scores.parquet")
    scores = {str(name): own for name, own in frame.groupby("system", sort=False)}
    j = {name: own["j"].to_numpy() for name, own in scores.items()}
    summary = Table("system", "J [95 %]", *(metric.upper() for metric in METRICS if metric != "j"))
    for name in sorted(scores, key=lambda name: -j[name].mean()):
        means = (f"{scores[name][metric].mean():.3f}" for metric in METRICS if metric != "j")
        summary.add_row(name, str(mean_interval(j[name])), *means, style="bold" if name == recipe.method else None)
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    sentences = len(next(iter(j.values())))
    console.print(f"\nRecipe {recipe.name}: {sentences} sentences, profile {recipe.profile}", markup=False)
    console.print(summary)
    for line in _significance_lines(recipe.method, j):
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


def _significance_lines(method: str, j: _Scores) -> list[str]:
    """Which systems the method's J is significantly above or below, and from which it does not differ."""
    groups: dict[str, list[str]] = {"significantly above": [], "significantly below": [], "not different from": []}
    for name, difference in _paired_differences(method, j).items():
        above = "significantly above" if difference.mean > 0 else "significantly below"
        group = above if difference.excludes_zero else "not different from"
        groups[group].append(f"{name} ({difference.mean:+.3f})")
    lines = [f"  {group}: {', '.join(names)}" for group, names in groups.items() if names]
    return [f"J of {method} (95 % bootstrap intervals of the paired differences)", *lines] if lines else []
