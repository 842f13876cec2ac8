"""As published against as released: each departure of the released code on its own, and all together.

Equal seeds and budgets. The test scores are those of the checkpoint with the best development J. The six recipes are
repro/recipes/smollm2-*.yaml; docs/results/departures.md holds a table of this command.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metrics.util.errors import run_command
from metrics.util.files import write_text
from repro.studies.arms import METRICS, Arm, markdown_table, study_parser

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


def departures_table(runs: Sequence[Run]) -> str:
    """Return means over seeds, and J with its paired difference; intervals over seeds and sentences."""
    import numpy as np

    from metrics.scoring.statistics import seeds_interval
    from repro.studies.runs import by_arm, stacked

    arms = by_arm(runs)
    published = stacked(arms[ARMS[0].name], "sro")
    rows = []
    for name, own in arms.items():
        values = {metric: stacked(own, "sro", metric) for metric in METRICS}
        difference = "" if name == ARMS[0].name else str(seeds_interval(values["j"] - published))
        outcomes = [run.outcome() for run in own]
        epochs = zip(
            *(outcome.passes_per_epoch(run.recipe) for outcome, run in zip(outcomes, own, strict=True)), strict=True
        )
        rows.append(
            (
                name,
                seeds_interval(values["j"]),
                difference,
                *(f"{values[metric].mean():.3f}" for metric in METRICS[1:]),
                ", ".join(f"{np.mean(epoch):.2f}" for epoch in epochs),
                *(f"{np.mean([outcome.history[place].j for outcome in outcomes]):.3f}" for place in (0, -1)),
            )
        )
    seeds, sentences = published.shape
    return f"{markdown_table(rows, _HEADER)}\n\n{seeds} seeds, {sentences} test sentences; 95 % intervals over both.\n"


def main(argv: list[str]) -> None:
    """Run the command."""
    options = study_parser("departures", __doc__).parse_args(argv)
    from repro.studies.runs import do_runs

    text = departures_table(do_runs(ARMS, options))
    write_text(Path(options.out) / "departures.md", text)
    print(text)


if __name__ == "__main__":
    run_command(main)
