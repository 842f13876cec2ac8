"""The paper's claim that SRO is sensitive to the screener: J against the share of flipped verdicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.util.errors import run_command
from metrics.util.markdown import markdown_table
from repro.studies.arms import Arm, study_parser, write_report

if TYPE_CHECKING:
    import numpy as np

    from repro.studies.runs import Run

    # Flip rate -> J of shape [seeds, sentences].
    Scores = Mapping[float, np.ndarray[Any, Any]]

RATES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
_SLIGHT = (0.05, 0.1)
# A cost is "much" here from a tenth of the J that the unperturbed screener leads to.
_MUCH = 0.1
_PERMUTATIONS = 9_999
ARMS = tuple(Arm(f"{rate:g}", "smollm2-as-published", (f"flip_rate={rate}",)) for rate in RATES)


def reading(scores: "Scores") -> str:
    """Say whether a slight perturbation costs much, with the test behind it.

    The test is the interval of the paired difference over seeds and sentences. The slope over all rates is tested by
    permuting the rates within each seed.
    """
    from metrics.scoring.statistics import Interval, seeds_interval

    parts = []
    base = scores[0.0].mean()
    for rate in _SLIGHT:
        cost = seeds_interval(scores[0.0] - scores[rate])
        share = Interval(*(value / base for value in (cost.mean, cost.low, cost.high)))
        if share.low > _MUCH:
            verdict = "costs much"
        elif share.high < _MUCH:
            verdict = "does not cost much" if cost.excludes_zero else "costs nothing that shows, and certainly not much"
        else:
            open_cost = ("shows no cost, but may have one", "costs something, whether much is open")
            verdict = open_cost[cost.excludes_zero]
        parts.append(f"a flip rate of {rate:g} {verdict} (J falls by {cost}, {share.mean:.0%} of {base:.3f})")
    slope, p = slope_test(scores)
    return (
        f"With much meaning {_MUCH:.0%} of J, {'; '.join(parts)}. Over all rates J changes by {slope:+.3f} per unit of "
        f"the rate (permutation test within seeds, p = {p:.3f})."
    )


def slope_test(scores: "Scores") -> tuple[float, float]:
    """Return the least-squares slope of J on the flip rate, and its two-sided p-value by 9,999 permutations.

    Seeds are blocks, because all rates of one seed start from the same warm-up.
    """
    import numpy as np

    rates = np.array(list(scores))
    means = np.array([values.mean(1) for values in scores.values()]).T
    centred = rates - rates.mean()

    def slope(order: Any) -> float:
        return float((order * means).sum() / (len(means) * centred @ centred))

    own = slope(np.tile(centred, (len(means), 1)))
    rng = np.random.default_rng(0)
    others = np.array([slope(rng.permuted(np.tile(centred, (len(means), 1)), axis=1)) for _ in range(_PERMUTATIONS)])
    return own, float((1 + np.sum(np.abs(others) >= abs(own) - 1e-12)) / (1 + _PERMUTATIONS))


def _draw_curve(scores: "Scores", path: Path) -> None:
    """Draw J against the flip rate: the mean with its interval, and each seed."""
    from metrics.scoring.statistics import seeds_interval
    from repro.pipeline.figures import save_figure, subplots

    figure, axis = subplots(figsize=(6.5, 4), layout="constrained")
    rates = list(scores)
    intervals = [seeds_interval(scores[rate]) for rate in rates]
    means = [interval.mean for interval in intervals]
    axis.fill_between(rates, [i.low for i in intervals], [i.high for i in intervals], alpha=0.2, linewidth=0)
    axis.plot(rates, means, "o-", linewidth=2, label="mean over seeds, 95 % over seeds and sentences")
    for values in zip(*(scores[rate].mean(1) for rate in rates), strict=True):
        axis.plot(rates, values, ".", color="grey", markersize=5)
    axis.plot([], [], ".", color="grey", label="one seed")
    axis.set(xlabel="share of verdicts flipped", ylabel="J", ylim=(0, None))
    axis.legend(frameon=False, loc="lower left")
    save_figure(figure, path)


def _report(arms: Mapping[str, Sequence["Run"]], out: Path) -> str:
    """Scores and share of passes for each flip rate, and what they mean."""
    import numpy as np

    from repro.studies.runs import score_cells, stack_scores

    scores, rows = {}, []
    for name, runs in arms.items():
        values = stack_scores(runs, "sro")
        scores[float(name)] = values["j"]
        passed = np.mean([share for run in runs for share in run.outcome.passed])
        seeds = ", ".join(f"{value:.3f}" for value in values["j"].mean(1))
        rows.append((name, *score_cells(values), f"{passed:.2f}", seeds))
    _draw_curve(scores, out / "perturbation.png")
    table = markdown_table(rows, ("flip rate", "J", "STA", "SIM", "FL", "verdicts that say pass", "J of each seed"))
    n_seeds, sentences = scores[0.0].shape
    return f"{table}\n\n{n_seeds} seeds, {sentences} test sentences.\n\n{reading(scores)}\n"


def main(argv: list[str]) -> None:
    """Run the command."""
    options = study_parser("perturbation", __doc__).parse_args(argv)
    from repro.studies.runs import do_runs

    write_report(_report(do_runs(ARMS, options), Path(options.out)), "perturbation", options)


if __name__ == "__main__":
    run_command(main)
