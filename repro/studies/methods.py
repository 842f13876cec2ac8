"""SRO against every other method, under one budget and on one test set, with paired tests.

Each method is a recipe with the same leader, texts, number of rollouts and checkpoint choice. Methods that learn from
parallel data, which SRO does not have, are an upper bound; a column of the table says which they are.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from metrics.util.errors import InputError, run_command
from metrics.util.markdown import markdown_table
from repro.methods import METHODS, PARALLEL
from repro.studies.arms import Arm, study_parser, write_report

if TYPE_CHECKING:
    from repro.studies.runs import Scores

_SRO, _BEST_OF_K = "sro", "sro, best of k"
# Their outputs do not depend on the seed.
_DETERMINISTIC = ("duplicate", "delete", "mask-infill", "few-shot")
# Methods that use the screener alone. Each runs once more with the follower of SRO's recipe, which separates the
# follower's merit from the method's.
_VERDICT_METHODS = tuple(method for method in METHODS if method != _SRO and method not in PARALLEL)
_PARALLEL = (
    "sft", "few-shot", "reference", "s-nlp/bart-base-detox", "s-nlp/t5-paranmt-detox", "s-nlp/mt0-xl-detox-orpo",
)  # fmt: skip


def methods_table(scores: Mapping[str, "Scores"]) -> str:
    """Return one row per system, by J, with the paired differences of SRO, and of SRO with best-of-k, from it.

    Systems that start from a warm-up are compared from the same warm-ups: with one seed, from that of seed 1.
    """
    from metrics.scoring.statistics import randomisation_test, seeds_interval
    from repro.studies.runs import score_cells

    compared = [name for name in (_SRO, _BEST_OF_K) if name in scores]
    rows = []
    for name, values in sorted(scores.items(), key=lambda item: -item[1]["j"].mean()):
        j = values["j"]
        row = [name, len(j), *score_cells(values), "yes" if name in _PARALLEL else "no"]
        for other in compared:
            own = scores[other]["j"]
            if not (name in (*_DETERMINISTIC, "reference") or "/" in name):
                own = own[: len(j)]
            p = randomisation_test(own.mean(0), j.mean(0))
            row += ["", ""] if name == other else [str(seeds_interval(own - j)), f"{p:.4f}"]
        rows.append(row)
    pairs = [cell for name in compared for cell in (f"{name}, minus it", "p")]
    header = ("system", "seeds", "J", "STA", "SIM", "FL", "parallel data", *pairs)
    n = scores[_SRO]["j"].shape[1]
    return (
        f"{markdown_table(rows, header)}\n\n{n} test sentences; 95 % intervals over sentences and, where there are "
        "several, seeds. Minus it: from the same warm-ups; for a method of one seed that is seed 1, and the interval "
        "does not cover other seeds. p: two-sided, of the means over these seeds, by approximate randomisation over "
        "sentences.\n"
    )


def hub_systems() -> list[str]:
    """Return the available systems of the recipe hub-models; print the others with the reason."""
    from metrics.models.resolve import resolve_model
    from repro.config.recipe import load_recipe

    found = []
    for name in (name for name in load_recipe("hub-models").systems if "/" in name):
        try:
            found.append(resolve_model(name).name)
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def arms() -> list[Arm]:
    """Return the arms that need no model from the Hub."""
    return [
        Arm(_SRO, "smollm2-cpu", _systems("sro")),
        Arm(_BEST_OF_K, "sro-best-of-k", _systems("best-of-k")),
        *(Arm(name, name, _systems(name)) for name in ("warm-up", "best-of-k", *_VERDICT_METHODS)),
        *(Arm(name, name, _systems(name), most_seeds=1) for name in (*_DETERMINISTIC, "sft")),
        *(Arm(f"{m} (guarded)", m, (*_systems(m), "follower=guarded"), most_seeds=1) for m in _VERDICT_METHODS),
    ]


def _systems(name: str) -> tuple[str, ...]:
    return (f"systems=[{name}, reference]",)


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = study_parser("methods", __doc__)
    parser.add_argument("--skip", action="append", default=[], metavar="ARM", help="leave this row of the table out")
    options = parser.parse_args(argv)
    from metrics.data.corpora import load_corpus
    from repro.config.recipe import load_recipe
    from repro.studies.runs import do_runs, stack_scores

    wanted = [*arms(), *(Arm(name, "hub-models", _systems(name), 1) for name in hub_systems())]
    skipped = set(options.skip)
    unknown = skipped - {arm.name for arm in wanted if arm.name != _SRO}
    if unknown:
        raise InputError(f"--skip {min(unknown)}: no such row; use one of {', '.join(arm.name for arm in wanted[1:])}")
    if not load_corpus(load_recipe("sft").parallel_corpus, options.data_dir).pairs:
        print("left out: sft, because there is no parallel data (--data-dir or SRO_DATA_DIR)", file=sys.stderr)
        skipped.add("sft")
    runs = do_runs([arm for arm in wanted if arm.name not in skipped], options)
    scores = {name: stack_scores(own, own[0].recipe.systems[0]) for name, own in runs.items()}
    scores["reference"] = stack_scores(runs[_SRO][:1], "reference")
    write_report(methods_table(scores), "methods", options)


if __name__ == "__main__":
    run_command(main)
