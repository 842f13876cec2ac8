"""Which training settings matter: a designed sweep over seven factors, on development sentences only.

A 2^(7−4) fractional factorial (resolution III; Box, Hunter and Hunter, Statistics for Experimenters, ch. 6): in eight
runs each level of each factor meets both levels of every other equally often, so that every run informs all seven main
effects. Interactions of two factors are confounded with them. The predicted winner is therefore run as well, and its
own development J decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.util.errors import run_command
from metrics.util.files import write_text
from repro.studies.arms import Arm, markdown_table, study_parser

if TYPE_CHECKING:
    from repro.studies.runs import Run


@dataclass(frozen=True)
class Factor:
    """A factor with two levels, each a name for the table and the overrides that set it."""

    name: str
    low: tuple[str, tuple[str, ...]]
    high: tuple[str, tuple[str, ...]]

    def level(self, high: bool) -> tuple[str, tuple[str, ...]]:
        """Return the high or the low level."""
        return self.high if high else self.low


FACTORS = (
    # The number of rollouts per step is the same at both levels.
    Factor("rollouts per text", ("3", ("rollouts=3", "batch_size=8")), ("6", ("rollouts=6", "batch_size=4"))),
    Factor("temperature", ("0.7", ("temperature=0.7",)), ("1", ("temperature=1.0",))),
    Factor("learning rate", ("5e-5", ("learning_rate=5e-5",)), ("1.5e-4", ("learning_rate=1.5e-4",))),
    Factor("β", ("0.05", ("beta=0.05",)), ("0.2", ("beta=0.2",))),
    Factor("ε", ("0", ("epsilon=0",)), ("0.1", ("epsilon=0.1",))),
    Factor("layers trained", ("4", ("train=4",)), ("8", ("train=8",))),
    Factor("warm-up", ("insertions", ("warmup_substitutions=0",)), ("substitutions", ("warmup_substitutions=0.6",))),
)
RECIPE = "smollm2-cpu"
BUDGET = ("steps=16", "evaluate_every=8")
# A run needs a test set: these are a few of the development sentences, so that no test sentence is used.
DEVELOPMENT_ONLY = ("test_set=paradetox-dev", "test_limit=8", "systems=[sro]")


def design() -> list[tuple[bool, ...]]:
    """Return the eight rows of the 2^(7−4) design: whether each factor is at its high level.

    Three factors take all combinations; the others' columns are their products (D = AB, E = AC, F = BC, G = ABC).
    """
    rows = []
    for a, b, c in product((-1, 1), repeat=3):
        rows.append(tuple(value > 0 for value in (a, b, c, a * b, a * c, b * c, a * b * c)))
    return rows


def arms() -> list[Arm]:
    """Return an arm for each row of the design."""
    return [Arm(str(number), RECIPE, _overrides(row)) for number, row in enumerate(design(), start=1)]


def _overrides(row: Sequence[bool]) -> tuple[str, ...]:
    own = tuple(text for factor, high in zip(FACTORS, row, strict=True) for text in factor.level(high)[1])
    return (*own, *BUDGET, *DEVELOPMENT_ONLY)


def effects(values: Sequence[float]) -> dict[str, float]:
    """Return each factor's main effect: the mean of `values` at its high level minus that at its low level.

    Args:
        values: A value per row of the design.
    """
    import numpy as np

    signs = np.array(design())
    j = np.asarray(values, dtype=np.float64)
    return {f.name: float(j[signs[:, i]].mean() - j[~signs[:, i]].mean()) for i, f in enumerate(FACTORS)}


def winner(values: Sequence[float]) -> tuple[bool, ...]:
    """Return the better level of each factor, by its main effect."""
    return tuple(effect > 0 for effect in effects(values).values())


def _best_j(runs: Sequence[Run]) -> float:
    """The best development J along training, a mean over seeds."""
    import numpy as np

    return float(np.mean([run.outcome().best.j for run in runs]))


def _gain(runs: Sequence[Run]) -> float:
    """The best development J minus that of the warm-up, a mean over seeds."""
    import numpy as np

    return _best_j(runs) - float(np.mean([run.outcome().history[0].j for run in runs]))


def report(values: Mapping[str, float], predicted: float, gains: Mapping[str, float]) -> str:
    """Return the runs, the effects and the predicted winner in Markdown.

    Args:
        values: Best development J by run.
        predicted: That of the predicted winner.
        gains: Gain over the warm-up by run.
    """
    rows: list[Sequence[Any]] = []
    for number, row in enumerate(design(), start=1):
        levels = [factor.level(high)[0] for factor, high in zip(FACTORS, row, strict=True)]
        rows.append((number, *levels, f"{values[str(number)]:.3f}", f"{gains[str(number)]:+.3f}"))
    chosen = winner(list(values.values()))
    rows.append(
        (
            "predicted",
            *(factor.level(high)[0] for factor, high in zip(FACTORS, chosen, strict=True)),
            f"{predicted:.3f}",
            f"{gains['predicted']:+.3f}",
        )
    )
    header = ("run", *(factor.name for factor in FACTORS), "J", "gain over the warm-up")
    ranked = sorted(effects(list(values.values())).items(), key=lambda item: -abs(item[1]))
    effect_rows = [(name, f"{effect:+.3f}") for name, effect in ranked]
    return (
        f"{markdown_table(rows, header)}\n\nBest development J along training. Main effects, high level minus low:\n\n"
        f"{markdown_table(effect_rows, ('factor', 'effect on J'))}\n"
    )


def main(argv: list[str]) -> None:
    """Run the command."""
    options = study_parser("sweep", __doc__, seeds=1).parse_args(argv)
    from repro.studies.runs import by_arm, do_runs

    runs = by_arm(do_runs(arms(), options))
    values = {name: _best_j(own) for name, own in runs.items()}
    predicted = do_runs([Arm("predicted", RECIPE, _overrides(winner(list(values.values()))))], options)
    gains = {name: _gain(own) for name, own in {**runs, "predicted": predicted}.items()}
    text = report(values, _best_j(predicted), gains)
    write_text(Path(options.out) / "sweep.md", text)
    print(text)


if __name__ == "__main__":
    run_command(main)
