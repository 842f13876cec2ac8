"""Stage "report": `report.md`, figures, the lock file, the model card, and copies of what the stages left."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml

from leaderboard.board.board import Board
from leaderboard.board.markdown import table
from leaderboard.board.reading import load_board
from leaderboard.stores import open_store
from metrics.data.text import is_copy, length_ratio, repetition
from metrics.scoring.result import Result, git_commit
from metrics.util.files import atomic_file, atomic_folder, link_files, sha256_folder, write_text
from metrics.util.progress import progress
from repro.config.recipe import Recipe
from repro.methods import METHODS, PARALLEL
from repro.pipeline.engine import MARK, Stage, StageRun
from repro.pipeline.figures import draw_figures
from repro.pipeline.outcome import TrainingOutcome, load_outcome
from repro.pipeline.rows import packages, provenance
from repro.pipeline.scoring import load_results
from repro.pipeline.summary import paired_differences

_ORIGINS = {"folder": "data folder", "hub": "Hub", "sample": "built-in sample"}


def _build(run: StageRun[Recipe]) -> None:
    """Write the run's results to its folder `out`, from where users take them."""
    out, recipe, stages = run.out, run.config, run.folders
    facts = provenance(run)
    inputs = facts["inputs"]
    outcome = load_outcome(stages["training"]) if "training" in stages else None
    board = load_board(open_store(local=stages["rows"] / "leaderboard").snapshot())
    results = load_results(stages["rewriting"], stages["scoring"], run.inputs.test, run.inputs.evaluator)
    folders = {"screener": stages["screener"], "leaderboard": stages["rows"] / "leaderboard"}
    if "choice" in stages:
        folders = {"checkpoint": stages["choice"] / "model", **folders}
    for name, folder in progress(folders.items(), "report", unit="folders"):
        with atomic_folder(out / name) as target:
            link_files(folder, target, exclude=(MARK, ".lock"))
    for path in (stages["rewriting"] / "rewrites.parquet", stages["scoring"] / "scores.parquet"):
        with atomic_file(out / path.name) as temporary:
            shutil.copyfile(path, temporary)
    if outcome is not None:
        write_text(out / "checkpoint" / "README.md", model_card(recipe, inputs, board))
    lock = {
        "recipe": facts["recipe"],
        "inputs": inputs,
        "packages": packages(),
        "guards": facts["guards"],
        "git_commit": git_commit(),
        "stages": dict(run.keys),
        "outputs": {name: sha256_folder(out / name) for name in folders},
    }
    write_text(out / "recipe.lock.yaml", yaml.safe_dump(lock, sort_keys=False, allow_unicode=True, width=120))
    draw_figures(out / "figures", recipe.method, outcome, [row for row in board.latest if row.record == "measured"])
    # Last, because its presence says that the run is complete.
    write_text(out / "report.md", report_text(recipe, inputs, outcome, board, results))


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


def report_text(
    recipe: Recipe, inputs: dict[str, Any], outcome: TrainingOutcome | None, board: Board, results: Sequence[Result]
) -> str:
    """Return the report in Markdown.

    Args:
        recipe: The recipe.
        inputs: The inputs, as `Inputs.describe` returns them.
        outcome: How the training went; None if nothing was trained.
        board: The run's leaderboard.
        results: One result per system.
    """
    parts = [_texts_line(inputs), "", f"# Recipe `{recipe.name}`", ""]
    for ranking in (ranking for ranking in board.rankings if ranking[0].record == "measured"):
        parts += [
            table(ranking, board),
            "",
            f"n = {ranking[0].test_set.n}; 95 % intervals by the bootstrap over sentences.",
            "Systems that share a letter do not differ significantly (paired test at 5 %).",
            f"Signature: `{ranking[0].comparable}`",
            "",
        ]
    if outcome is not None:
        parts += [*_comparisons(recipe.method, results), *_choice(recipe, inputs, outcome)]
    parts += [
        "![J per system](figures/systems.png)",
        "![STA against SIM](figures/tradeoff.png)",
        "",
        *_follower_lines(recipe),
        "`recipe.lock.yaml` pins everything that these numbers depend on.",
        "",
    ]
    return "\n".join(parts)


def _follower_lines(recipe: Recipe) -> list[str]:
    """The models whose verdicts the run used; `repro.config.inputs` refuses those that also score."""
    lines = []
    learns = recipe.method not in ("none", *PARALLEL)
    if learns or "best-of-k" in recipe.systems:
        guards = ", WordLlama (content), an n-gram model of the same corpora (fluency)"
        models = recipe.screener + (guards if learns and recipe.follower == "guarded" else "")
        lines.append(f"Follower: {models}. None of these models scores; those of profile `{recipe.profile}` do.")
    if recipe.method != "none":
        lines.append(
            "The development J that chose the checkpoint comes from the scoring models, on development sentences only."
        )
    return lines


def _comparisons(method: str, results: Sequence[Result]) -> list[str]:
    name = method.upper()
    parts = [f"## {name} against the others (J, paired)", "", f"| {name} minus | difference [95 %] | result |"]
    parts += ["|---|---|---|"]
    j = {result.rewrites.system: result.scores.j for result in results}
    for other, difference in paired_differences(method, j).items():
        side = "above" if difference.mean > 0 else "below"
        result = f"{name} is {side}" if difference.excludes_zero else "not significant"
        parts.append(f"| {other} | {difference} | {result} |")
    for scored in results:
        if scored.rewrites.system == method:
            pairs = list(zip(scored.test_set.sources, scored.rewrites.outputs, strict=True))
            parts += [
                "",
                f"{name}'s outputs: mean length ratio {np.mean([length_ratio(*p) for p in pairs]):.2f}, exact copies "
                f"{np.mean([is_copy(*p) for p in pairs]):.1%}, mean bigram repetition "
                f"{np.mean([repetition(p[1]) for p in pairs]):.3f}, empty {sum(not p[1].strip() for p in pairs)}.",
            ]
    return parts


def _choice(recipe: Recipe, inputs: dict[str, Any], outcome: TrainingOutcome) -> list[str]:
    return [
        "",
        "## Choice of checkpoint",
        "",
        f"Development set: {inputs['development']['name']}, {inputs['development']['rows']} sentences. "
        f"Best step: {outcome.best.step}. Training ended because: {outcome.stopped}.",
        "",
        "| step | J | STA | SIM | FL | copies | length ratio | repetition |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(
            f"| {d.step} | {d.j:.3f} | {d.sta:.3f} | {d.sim:.3f} | {d.fl:.3f} | {d.copies:.1%} "
            f"| {d.length_ratio:.2f} | {d.repetition:.3f} |"
            for d in outcome.history
        ),
        "",
        *_passes(recipe, outcome),
        "![J along training](figures/training.png)",
    ]


def _passes(recipe: Recipe, outcome: TrainingOutcome) -> list[str]:
    shares = outcome.passes_per_epoch(recipe)
    if not shares:
        return []
    line = ", ".join(f"{share:.2f}" for share in shares)
    return [
        f"Rollouts that passed the {recipe.follower} follower, per epoch of {outcome.texts:,} texts: {line}.",
        "",
    ]


def model_card(recipe: Recipe, inputs: dict[str, Any], board: Board) -> str:
    """Return the README of the checkpoint; the arguments are those of `report_text`."""
    own = [row for row in board.latest if row.system.name == recipe.method]
    tags = f"[text-detoxification, {recipe.method}]"
    header = f"---\nlibrary_name: transformers\ntags: {tags}\nlanguage: en\n---\n"
    body = [
        f"{header}# {recipe.leader}, {METHODS[recipe.method]} (recipe `{recipe.name}`)",
        "",
        "A leader that rewrites toxic text."
        + (" SRO is Stackelberg response optimisation (arXiv 2410.20298)." if recipe.method == "sro" else ""),
        "",
        _texts_line(inputs),
        "",
        table(own, board),
        "",
        f"Signature: `{own[0].comparable}`" if own else "",
        "",
        "Use: `python -m metrics.score FOLDER`. Prompt and decoding settings are stored in the folder. The "
        "model makes mistakes: it may drop content or leave a text toxic.",
        "",
    ]
    return "\n".join(body)


REPORT = Stage(
    "report",
    _build,
    Recipe,
    inputs=("test", "evaluator", "content_model"),
    follows=("corpora", "screener", "warm-up", "training", "choice", "rewriting", "scoring", "rows"),
)
