"""The report of a run: `report.md`, figures, the lock file, the model card, and the files a run leaves."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard.board.board import Board
from leaderboard.board.markdown import table
from metrics.scoring.result import Result
from metrics.scoring.statistics import Interval, paired_difference
from metrics.util.files import atomic_file, atomic_folder, link_files, sha256_folder, write_text
from metrics.util.progress import progress
from repro.config.recipe import Recipe
from repro.methods import METHODS, PARALLEL
from repro.pipeline.figures import draw_figures


def write_report(
    out: Path,
    *,
    recipe: Recipe,
    inputs: dict[str, Any],
    outcome: dict[str, Any] | None,
    board: Board,
    results: Sequence[Result],
    lock: dict[str, Any],
    folders: dict[str, Path],
    files: Sequence[Path],
) -> None:
    """Leaves in `out` the checkpoint with its card, the screener, rows, rewrites, scores, lock, figures, report.md.

    outcome: how the training went (`repro.training.trainer.LeaderTrainer.outcome`); None where nothing was trained.
    """
    import yaml

    text = report_text(recipe, inputs, outcome, board, results)
    for name, folder in progress(folders.items(), "report"):
        with atomic_folder(out / name) as target:
            link_files(folder, target, exclude=("stage.json", ".lock"))
    for path in files:
        with atomic_file(out / path.name) as temporary:
            shutil.copyfile(path, temporary)
    if outcome is not None:
        write_text(out / "checkpoint" / "README.md", model_card(recipe, inputs, board))
    lock = {**lock, "outputs": {name: sha256_folder(folder) for name, folder in folders.items()}}
    write_text(out / "recipe.lock.yaml", yaml.safe_dump(lock, sort_keys=False, allow_unicode=True, width=120))
    draw_figures(out / "figures", recipe.method, outcome, [row for row in board.latest if row.record == "measured"])
    write_text(out / "report.md", text)


def first_line(inputs: dict[str, Any]) -> str:
    """Which corpora and which test set were used, and where they came from."""
    corpora = "; ".join(
        f"{name} from the {_ORIGINS[c['origin']]} ({c['rows']:,} rows, {c['sha256'][:12]})"
        for name, c in inputs["corpora"].items()
    )
    test = inputs["test"]
    return (
        f"Texts: {corpora}; test set {test['name']} from the {_ORIGINS[test['origin']]} ({test['rows']:,} sentences, "
        f"{test['sha256'][:12]}, {test['near_duplicates_removed']} near-duplicates of training texts removed)."
    )


_ORIGINS = {"folder": "data folder", "hub": "Hub", "sample": "built-in sample"}


def compare(method: str, results: Sequence[Result]) -> list[tuple[str, Interval]]:
    """The method's J minus each other system's, sentence by sentence, with the paired 95 % interval."""
    by_name = {result.rewrites.system: result.scores.j for result in results}
    if method not in by_name:
        return []
    return [(name, paired_difference(by_name[method], j)) for name, j in by_name.items() if name != method]


def report_text(
    recipe: Recipe, inputs: dict[str, Any], outcome: dict[str, Any] | None, board: Board, results: Sequence[Result]
) -> str:
    parts = [first_line(inputs), "", f"# Recipe `{recipe.name}`", ""]
    for ranking in (ranking for ranking in board.rankings if ranking[0].record == "measured"):
        parts += [
            table(ranking, board),
            "",
            f"n = {ranking[0].test_set.n}; 95 % intervals by the bootstrap over sentences.",
        ]
        parts += ["Systems that share a letter are not told apart by a paired test at 5 %."]
        parts += [f"Signature: `{ranking[0].comparable}`", ""]
    if outcome is not None:
        parts += [*_comparisons(recipe.method, results), *_choice(recipe, inputs, outcome)]
    parts += [
        "![J per system](figures/systems.png)",
        "![STA against SIM](figures/tradeoff.png)",
        "",
        *_judges(recipe),
        "Everything that decided these numbers is in `recipe.lock.yaml`.",
        "",
    ]
    return "\n".join(parts)


def _judges(recipe: Recipe) -> list[str]:
    """Which models answered the leader, if any did; `repro.config.inputs` refuses those that score."""
    lines = []
    asked = recipe.method not in ("none", *PARALLEL)
    if asked or "best-of-k" in recipe.systems:
        guards = ", WordLlama for content, an n-gram model of the same corpora for fluency"
        who = recipe.screener + (guards if asked and recipe.follower == "guarded" else "")
        lines.append(
            f"Who answered the leader: {who}. None of these scores: profile `{recipe.profile}` has models of its own."
        )
    if recipe.method != "none":
        lines.append(
            "The development J that chose the checkpoint uses the scoring models, on development sentences only."
        )
    return lines


def _comparisons(method: str, results: Sequence[Result]) -> list[str]:
    from metrics.data.text import is_copy, length_ratio, repetition

    name = method.upper()
    parts = [f"## {name} against the others (J, paired)", "", f"| {name} minus | difference [95 %] | reading |"]
    parts += ["|---|---|---|"]
    for other, difference in compare(method, results):
        verdict = "no difference shown" if not difference.excludes_zero else "above" if difference.mean > 0 else "below"
        parts.append(f"| {other} | {difference} | {f'{name} is ' if difference.excludes_zero else ''}{verdict} |")
    for result in results:
        if result.rewrites.system == method:
            pairs = list(zip(result.test_set.sources, result.rewrites.outputs, strict=True))
            parts += [
                "",
                f"{name}'s outputs: mean length ratio {np.mean([length_ratio(*p) for p in pairs]):.2f}, exact copies "
                f"{np.mean([is_copy(*p) for p in pairs]):.1%}, mean bigram repetition "
                f"{np.mean([repetition(p[1]) for p in pairs]):.3f}, empty {sum(not p[1].strip() for p in pairs)}.",
            ]
    return parts


def _choice(recipe: Recipe, inputs: dict[str, Any], outcome: dict[str, Any]) -> list[str]:
    history = outcome["history"]
    best = max(history, key=lambda d: (d["j"], -d["step"]))
    return [
        "",
        "## Choice of checkpoint",
        "",
        f"Development set: {inputs['development']['name']}, {inputs['development']['rows']} sentences. "
        f"Best step: {best['step']}. Training ended because: {outcome['stopped']}.",
        "",
        "| step | J | STA | SIM | FL | copies | length ratio | repetition |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(
            f"| {d['step']} | {d['j']:.3f} | {d['sta']:.3f} | {d['sim']:.3f} | {d['fl']:.3f} | {d['copies']:.1%} "
            f"| {d['length_ratio']:.2f} | {d['repetition']:.3f} |"
            for d in history
        ),
        "",
        *_passes(recipe, outcome),
        "![J along training](figures/training.png)",
    ]


def passes_per_epoch(recipe: Recipe, outcome: dict[str, Any]) -> list[float]:
    """The share of rollouts that passed the follower in each pass over the texts, the last one perhaps unfinished."""
    steps = recipe.epoch_updates(outcome["texts"])
    shares = [entry["passed"] for entry in outcome["passed"]]
    return [float(np.mean(shares[i : i + steps])) for i in range(0, len(shares), steps)]


def _passes(recipe: Recipe, outcome: dict[str, Any]) -> list[str]:
    shares = passes_per_epoch(recipe, outcome)
    if not shares:
        return []
    line = ", ".join(f"{share:.2f}" for share in shares)
    return [
        f"Rollouts that passed the {recipe.follower} follower, per epoch of {outcome['texts']:,} texts: {line}.",
        "",
    ]


def model_card(recipe: Recipe, inputs: dict[str, Any], board: Board) -> str:
    own = [row for row in board.latest if row.system.name == recipe.method]
    tags = f"[text-detoxification, {recipe.method}]"
    header = f"---\nlibrary_name: transformers\ntags: {tags}\nlanguage: en\n---\n"
    body = [
        f"{header}# {recipe.leader}, {METHODS[recipe.method]} (recipe `{recipe.name}`)",
        "",
        "A leader that rewrites toxic text."
        + (" SRO is Stackelberg response optimisation (arXiv 2410.20298)." if recipe.method == "sro" else ""),
        "",
        first_line(inputs),
        "",
        table(own, board),
        "",
        f"Signature: `{own[0].comparable}`" if own else "",
        "",
        "Use: `python -m metrics.score FOLDER`. Prompt and decoding are stored in the folder. It makes mistakes: it "
        "may drop content or leave a text toxic.",
        "",
    ]
    return "\n".join(body)
