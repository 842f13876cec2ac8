"""Which training settings matter: a designed sweep over seven factors, on development sentences only.

A 2^(7−4) fractional factorial (resolution III; Box, Hunter and Hunter, Statistics for Experimenters, ch. 6): in eight
runs each level of each factor meets both levels of every other equally often, so that every run informs all seven main
effects. Interactions of two factors are confounded with them. The predicted winner is therefore run as well, and its
own development J decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from metrics.util.errors import run_command
from repro.studies.arms import Arm, markdown_table, study_parser, write_report

if TYPE_CHECKING:
    from repro.studies.runs import Run


@dataclass(frozen=True)
class _Level:
    """A level of a factor: its name for the table, and the overrides that set it."""

    name: str
    overrides: tuple[str, ...]


# Factor -> its low and its high level.
_FACTORS = {
    # The number of rollouts per step is the same at both levels.
    "rollouts per text": (_Level("3", ("rollouts=3", "batch_size=8")), _Level("6", ("rollouts=6", "batch_size=4"))),
    "temperature": (_Level("0.7", ("temperature=0.7",)), _Level("1", ("temperature=1.0",))),
    "learning rate": (_Level("5e-5", ("learning_rate=5e-5",)), _Level("1.5e-4", ("learning_rate=1.5e-4",))),
    "β": (_Level("0.05", ("beta=0.05",)), _Level("0.2", ("beta=0.2",))),
    "ε": (_Level("0", ("epsilon=0",)), _Level("0.1", ("epsilon=0.1",))),
    "layers trained": (_Level("4", ("train=4",)), _Level("8", ("train=8",))),
    "warm-up": (
        _Level("insertions", ("warmup_substitutions=0",)), _Level("substitutions", ("warmup_substitutions=0.6",)),
    ),
}  # fmt: skip
# A run needs a test set: these are a few of the development sentences, so that no test sentence is used.
_SETTINGS = ("steps=16", "evaluate_every=8", "test_set=paradetox-dev", "test_limit=8", "systems=[sro]")


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
    return [_arm(str(number), row) for number, row in enumerate(design(), start=1)]


def _arm(name: str, row: Sequence[bool]) -> Arm:
    overrides = (text for level in _levels(row) for text in level.overrides)
    return Arm(name, "smollm2-cpu", (*overrides, *_SETTINGS))


def _levels(row: Sequence[bool]) -> list[_Level]:
    return [levels[high] for levels, high in zip(_FACTORS.values(), row, strict=True)]


def effects(values: Sequence[float]) -> dict[str, float]:
    """Return each factor's main effect: the mean of `values` at its high level minus that at its low level.

    Args:
        values: A value per row of the design.
    """
    import numpy as np

    j = np.asarray(values, dtype=np.float64)
    columns = zip(_FACTORS, np.array(design()).T, strict=True)
    return {factor: float(j[high].mean() - j[~high].mean()) for factor, high in columns}


def winner(values: Sequence[float]) -> tuple[bool, ...]:
    """Return the better level of each factor, by its main effect."""
    return tuple(effect > 0 for effect in effects(values).values())


def _scores(runs: Sequence["Run"]) -> tuple[float, float]:
    """The best development J along training, and that minus the warm-up's, means over seeds."""
    import numpy as np

    best = float(np.mean([run.outcome.best.j for run in runs]))
    return best, best - float(np.mean([run.outcome.history[0].j for run in runs]))


def _report(runs: Mapping[str, Sequence["Run"]], predicted: Sequence["Run"]) -> str:
    """The runs, the effects and the predicted winner in Markdown."""
    values = [_scores(own)[0] for own in runs.values()]
    rows: list[Sequence[Any]] = []
    for levels, own in zip([*design(), winner(values)], [*runs.values(), predicted], strict=True):
        best, gain = _scores(own)
        rows.append((own[0].arm, *(level.name for level in _levels(levels)), f"{best:.3f}", f"{gain:+.3f}"))
    header = ("run", *_FACTORS, "J", "gain over the warm-up")
    ranked = sorted(effects(values).items(), key=lambda item: -abs(item[1]))
    effect_rows = [(name, f"{effect:+.3f}") for name, effect in ranked]
    return (
        f"{markdown_table(rows, header)}\n\nBest development J along training. Main effects, high level minus low:\n\n"
        f"{markdown_table(effect_rows, ('factor', 'effect on J'))}\n"
    )


def main(argv: list[str]) -> None:
    """Run the command."""
    options = study_parser("sweep", __doc__, seeds=1).parse_args(argv)
    from repro.studies.runs import do_runs

    runs = do_runs(arms(), options)
    values = [_scores(own)[0] for own in runs.values()]
    (predicted,) = do_runs([_arm("predicted", winner(values))], options).values()
    write_report(_report(runs, predicted), "sweep", options)


if __name__ == "__main__":
    run_command(main)
