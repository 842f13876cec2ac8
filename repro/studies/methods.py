"""SRO against every other method, under one budget and on one test set, with paired tests.

Each method is a recipe (repro/recipes) over the same leader, texts, number of rollouts and choice of checkpoint. Those
that learn from parallel data are an upper bound that SRO does not get; a column says which.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metrics.data.corpora import load_corpus
from metrics.models.resolve import resolve_model
from metrics.scoring.statistics import randomisation_test, seeds_interval
from metrics.util.errors import InputError, run_command
from metrics.util.files import write_text
from repro.config.recipe import load_recipe
from repro.studies.runs import METRICS, Arm, by_arm, do_runs, stacked, study_parser, table_of

SRO = "smollm2-cpu"
SRO_ROW, BEST_OF_K = "sro", "sro, best of k"
# The same whatever the seed.
ALIKE = ("duplicate", "delete", "mask-infill", "few-shot")
ASKING = ("dpo", "kto", "grpo")
# Each asks the screener alone, and once more the follower that SRO's recipe asks: what is the follower's merit, and
# what the method's?
GUARDED = " (guarded)"
# Where what people wrote, or pairs that they wrote, is used.
PARALLEL = (
    "sft", "few-shot", "reference", "s-nlp/bart-base-detox", "s-nlp/t5-paranmt-detox", "s-nlp/mt0-xl-detox-orpo",
)  # fmt: skip

Scores = Mapping[str, np.ndarray[Any, Any]]


def table(scores: Mapping[str, Scores]) -> str:
    """One row per system, by J, with the paired differences from it of SRO and, where it is there, of SRO asked again.

    scores: metric -> [seeds, sentences], by system. Sentence by sentence. What starts from a warm-up is compared from
    the same warm-ups: seed 1 alone where it has one seed. p: two-sided, of the means over these seeds, by approximate
    randomisation over sentences.
    """
    compared = [name for name in (SRO_ROW, BEST_OF_K) if name in scores]
    rows = []
    for name, values in sorted(scores.items(), key=lambda item: -item[1]["j"].mean()):
        j = values["j"]
        means = (f"{values[metric].mean():.3f}" for metric in METRICS[1:])
        row = [name, len(j), seeds_interval(j), *means, "yes" if name in PARALLEL else "no"]
        for other in compared:
            own = scores[other]["j"]
            if not (name in (*ALIKE, "reference") or "/" in name):
                own = own[: len(j)]
            row.append("" if name == other else str(seeds_interval(own - j)))
            row.append("" if name == other else f"{randomisation_test(own.mean(0), j.mean(0)):.4f}")
        rows.append(row)
    pairs = [cell for name in compared for cell in (f"{name}, minus it", "p")]
    header = ("system", "seeds", "J", "STA", "SIM", "FL", "parallel data", *pairs)
    n = scores[SRO_ROW]["j"].shape[1]
    return (
        f"{table_of(rows, header)}\n\n{n} test sentences; 95 % intervals over sentences and, where there are several, "
        "seeds. Minus it: from the same warm-ups; for a method of one seed that is seed 1, and what another seed "
        "would do is not in the interval. p is over sentences alone.\n"
    )


def hub_systems() -> list[str]:
    """The recipe hub-models' systems that can be had; those that cannot are named, with the reason."""
    found = []
    for name in load_recipe("hub-models").systems:
        try:
            if "/" in name:
                resolve_model(name)
                found.append(name)
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def arms() -> list[Arm]:
    """SRO, and what does not need the Hub."""
    found = [Arm(SRO_ROW, SRO, systems("sro"))]
    found += [Arm(BEST_OF_K, "sro-best-of-k", ("systems=[best-of-k, reference]",))]
    found += [Arm("warm-up", "warm-up", systems("warm-up"))]
    found += [Arm(name, name, systems(name)) for name in ("best-of-k", *ASKING)]
    found += [single(name, name) for name in (*ALIKE, "sft")]
    found += [single(name + GUARDED, name, "follower=guarded") for name in ASKING]
    return found


def single(name: str, recipe: str, *overrides: str) -> Arm:
    """An arm of one seed, whose system is called as its recipe is."""
    return Arm(name, recipe, (*systems(recipe), *overrides), most_seeds=1)


def systems(name: str) -> tuple[str, ...]:
    return (f"systems=[{name}, reference]",)


def main(argv: list[str]) -> None:
    parser = study_parser("methods", __doc__)
    parser.add_argument("--skip", action="append", default=[], metavar="ARM", help="leave this row of the table out")
    options = parser.parse_args(argv)
    wanted = [*arms(), *(Arm(name, "hub-models", systems(name), 1) for name in hub_systems())]
    skipped = set(options.skip)
    unknown = skipped - {arm.name for arm in wanted if arm.name != SRO_ROW}
    if unknown:
        raise InputError(f"--skip {min(unknown)}: no such row; one of {', '.join(arm.name for arm in wanted[1:])}")
    if not load_corpus(load_recipe("sft").parallel_corpus, options.data_dir).pairs:
        print("left out: sft, for want of parallel data (--data-dir or SRO_DATA_DIR)", file=sys.stderr)
        skipped.add("sft")
    wanted = [arm for arm in wanted if arm.name not in skipped]
    runs = by_arm(do_runs(wanted, options))
    scores = {
        name: {metric: stacked(own, own[0].recipe.systems[0], metric) for metric in METRICS}
        for name, own in runs.items()
    }
    scores["reference"] = {metric: stacked(runs[SRO_ROW][:1], "reference", metric) for metric in METRICS}
    text = table(scores)
    write_text(Path(options.out) / "methods.md", text)
    print(text)


if __name__ == "__main__":
    run_command(main)
