"""As published against as released: each departure of the released code alone, and all together.

Equal seeds and budget; the test scores are the checkpoint's that a development J chose. The six recipes are
repro/recipes/smollm2-*.yaml; ../../docs/results/departures.md holds a table made by this command.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metrics.scoring.statistics import seeds_interval
from metrics.util.errors import run_command
from metrics.util.files import write_text
from repro.studies.runs import METRICS, Arm, Run, by_arm, do_runs, stacked, study_parser, table_of

ARMS = (
    Arm("as published", "smollm2-as-published"),
    Arm("1: no right shift", "smollm2-no-shift"),
    Arm("2: rejected text carries the prompt", "smollm2-prompt-rejected"),
    Arm("3: a tenth of the verdicts flipped", "smollm2-flips"),
    Arm("4: dropout while rolling out", "smollm2-rollout-dropout"),
    Arm("as released: all four", "smollm2-as-released"),
)
HEADER = ("", "J", "minus as published", "STA", "SIM", "FL", "passes per epoch", "development J, start", "end")


def table(runs: list[Run]) -> str:
    """The study's table: means over seeds; J and its paired difference with intervals over seeds and sentences."""
    from repro.pipeline.report import passes_per_epoch

    arms = by_arm(runs)
    published = stacked(arms[ARMS[0].name], "sro")
    rows = []
    for name, own in arms.items():
        values = {metric: stacked(own, "sro", metric) for metric in METRICS}
        difference = "" if name == ARMS[0].name else str(seeds_interval(values["j"] - published))
        epochs = zip(*(passes_per_epoch(run.recipe, run.outcome()) for run in own), strict=True)
        histories = [run.history() for run in own]
        rows.append(
            (
                name,
                seeds_interval(values["j"]),
                difference,
                *(f"{values[metric].mean():.3f}" for metric in METRICS[1:]),
                ", ".join(f"{np.mean(epoch):.2f}" for epoch in epochs),
                *(f"{np.mean([history[place].j for history in histories]):.3f}" for place in (0, -1)),
            )
        )
    seeds, sentences = published.shape
    return f"{table_of(rows, HEADER)}\n\n{seeds} seeds, {sentences} test sentences; 95 % intervals over both.\n"


def main(argv: list[str]) -> None:
    options = study_parser("departures", __doc__).parse_args(argv)
    text = table(do_runs(ARMS, options))
    write_text(Path(options.out) / "departures.md", text)
    print(text)


if __name__ == "__main__":
    run_command(main)
