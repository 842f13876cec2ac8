"""Which training settings matter: a designed sweep over seven factors, on development sentences only.

A 2^(7−4) fractional factorial (resolution III; Box, Hunter and Hunter, Statistics for Experimenters, ch. 6): in eight
runs each level of each factor meets both levels of every other equally often, so that every run informs all seven main
effects. Interactions of two factors are confounded with them. The predicted winner is therefore run as well, and its
own development J decides.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from metrics.util.errors import run_command
from metrics.util.markdown import markdown_table
from repro.studies.arms import Arm, study_parser, write_report

if TYPE_CHECKING:
    from repro.studies.runs import Run


# Factor -> its low and its high level, each a name for the table and the overrides that set it.
_FACTORS = {
    # The number of rollouts per step is the same at both levels.
    "rollouts per text": (("3", "rollouts=3 batch_size=8"), ("6", "rollouts=6 batch_size=4")),
    "temperature": (("0.7", "temperature=0.7"), ("1", "temperature=1.0")),
    "learning rate": (("5e-5", "learning_rate=5e-5"), ("1.5e-4", "learning_rate=1.5e-4")),
    "β": (("0.05", "beta=0.05"), ("0.2", "beta=0.2")),
    "ε": (("0", "epsilon=0"), ("0.1", "epsilon=0.1")),
    "layers trained": (("4", "train=4"), ("8", "train=8")),
    "changes in the warm-up": (("2", "warmup_changes=2"), ("4", "warmup_changes=4")),
}
# A run needs a test set: these are a few of the development sentences, so that no test sentence is used.
_SETTINGS = ("steps=16", "evaluate_every=8", "test_set=paradetox-dev", "test_limit=8", "systems=[sro]")


def design() -> list[tuple[bool, ...]]:
    """Return the eight rows of the 2^(7−4) design: whether each factor is at its high level.

    Three factors take all combinations; the others' columns are their products (D = AB, E = AC, F = BC, G = ABC).
    """
    signs = ((a, b, c, a * b, a * c, b * c, a * b * c) for a, b, c in product((-1, 1), repeat=3))
    return [tuple(sign > 0 for sign in row) for row in signs]


def arms() -> list[Arm]:
    """Return an arm for each row of the design."""
    return [_arm(str(number), row) for number, row in enumerate(design(), start=1)]


def _arm(name: str, row: Sequence[bool]) -> Arm:
    overrides = (text for _, settings in _levels(row) for text in settings.split())
    return Arm(name, "smollm2-cpu", (*overrides, *_SETTINGS))


def _levels(row: Sequence[bool]) -> list[tuple[str, str]]:
    return [levels[high] for levels, high in zip(_FACTORS.values(), row, strict=True)]


def effects(values: Sequence[float]) -> dict[str, float]:
    """Return each factor's main effect on `values`, one per row of the design: the mean at its high level minus low."""
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
    for row, own in zip([*design(), winner(values)], [*runs.values(), predicted], strict=True):
        best, gain = _scores(own)
        rows.append((own[0].arm, *(name for name, _ in _levels(row)), f"{best:.3f}", f"{gain:+.3f}"))
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
