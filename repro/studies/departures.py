"""As published against as released: each departure of the released code on its own, and all together.

Equal seeds and budgets. The test scores are those of the checkpoint with the best development J. The six recipes are
repro/recipes/smollm2-*.yaml; docs/results/departures.md holds a table of this command.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metrics.util.errors import run_command
from metrics.util.markdown import markdown_table
from repro.studies.arms import Arm, study_parser, write_report

if TYPE_CHECKING:
    from repro.studies.runs import Run

ARMS = (
    Arm("as published", "smollm2-as-published"),
    Arm("1: no right shift", "smollm2-no-shift"),
    Arm("2: rejected text carries the prompt", "smollm2-prompt-rejected"),
    Arm("3: a tenth of the verdicts flipped", "smollm2-flips"),
    Arm("4: dropout while rolling out", "smollm2-rollout-dropout"),
    Arm("as released: all four", "smollm2-as-released"),
)
_HEADER = ("", "J", "minus as published", "STA", "SIM", "FL", "passes per epoch", "development J, start", "end")


def _report(arms: Mapping[str, Sequence["Run"]], _: Path) -> str:
    """Means over seeds, and J with its paired difference; intervals over seeds and sentences."""
    import numpy as np

    from metrics.scoring.statistics import seeds_interval
    from repro.studies.runs import score_cells, stack_scores

    scores = {name: stack_scores(runs, "sro") for name, runs in arms.items()}
    published = scores[ARMS[0].name]["j"]
    rows = []
    for name, runs in arms.items():
        j, *factors = score_cells(scores[name])
        difference = "" if name == ARMS[0].name else str(seeds_interval(scores[name]["j"] - published))
        epochs = np.mean([run.outcome.passes_per_epoch(run.recipe) for run in runs], 0)
        ends = [np.mean([run.outcome.history[place].j for run in runs]) for place in (0, -1)]
        passes = ", ".join(f"{share:.2f}" for share in epochs)
        rows.append((name, j, difference, *factors, passes, *(f"{end:.3f}" for end in ends)))
    seeds, sentences = published.shape
    return f"{markdown_table(rows, _HEADER)}\n\n{seeds} seeds, {sentences} test sentences; 95 % intervals over both.\n"


def main(argv: list[str]) -> None:
    """Run the command."""
    options = study_parser("departures", __doc__).parse_args(argv)
    from repro.studies.runs import do_runs

    write_report(_report(do_runs(ARMS, options), Path(options.out)), "departures", options)


if __name__ == "__main__":
    run_command(main)
