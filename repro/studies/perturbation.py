"""The paper's claim that SRO is sensitive to the screener: J against the share of flipped verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.util.errors import run_command
from metrics.util.files import write_text
from repro.studies.arms import METRICS, Arm, markdown_table, study_parser

if TYPE_CHECKING:
    import numpy as np

    from repro.studies.runs import Run

    Scores = Mapping[float, np.ndarray[Any, Any]]

RATES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
SLIGHT = (0.05, 0.1)
# A cost is "much" here from a tenth of the J that the unperturbed screener leads to.
_MUCH = 0.1
ARMS = tuple(Arm(f"{rate:g}", "smollm2-as-published", (f"flip_rate={rate}",)) for rate in RATES)


def reading(scores: Scores) -> str:
    """Say whether a slight perturbation costs much, with the test behind it.

    The test is the interval of the paired difference over seeds and sentences. The slope over all rates is tested by
    permuting the rates within each seed.

    Args:
        scores: J of shape [seeds, sentences], by flip rate.
    """
    from metrics.scoring.statistics import Interval, seeds_interval

    parts = []
    base = scores[0.0].mean()
    for rate in SLIGHT:
        cost = seeds_interval(scores[0.0] - scores[rate])
        share = Interval(*(value / base for value in (cost.mean, cost.low, cost.high)))
        if share.low > _MUCH:
            verdict = "costs much"
        elif share.high < _MUCH:
            verdict = "does not cost much" if cost.excludes_zero else "costs nothing that shows, and certainly not much"
        else:
            verdict = (
                "costs something, whether much is open" if cost.excludes_zero else "shows no cost, but may have one"
            )
        parts.append(f"a flip rate of {rate:g} {verdict} (J falls by {cost}, {share.mean:.0%} of {base:.3f})")
    slope, p = slope_test(scores)
    return (
        f"With much meaning {_MUCH:.0%} of J, {'; '.join(parts)}. Over all rates J changes by {slope:+.3f} per unit of "
        f"the rate (permutation test within seeds, p = {p:.3f})."
    )


def slope_test(scores: Scores, permutations: int = 9_999) -> tuple[float, float]:
    """Test the slope of J on the flip rate.

    Seeds are blocks, because all rates of one seed start from the same warm-up.

    Args:
        scores: J of shape [seeds, sentences], by flip rate.
        permutations: Number of random permutations of the rates within each seed.

    Returns:
        The least-squares slope, and its two-sided p-value.
    """
    import numpy as np

    rates = np.array(list(scores))
    means = np.array([values.mean(1) for values in scores.values()]).T
    centred = rates - rates.mean()

    def slope(order: np.ndarray[Any, Any]) -> float:
        return float((order * means).sum() / (len(means) * centred @ centred))

    own = slope(np.tile(centred, (len(means), 1)))
    rng = np.random.default_rng(0)
    others = np.array([slope(rng.permuted(np.tile(centred, (len(means), 1)), axis=1)) for _ in range(permutations)])
    return own, float((1 + np.sum(np.abs(others) >= abs(own) - 1e-12)) / (1 + permutations))


def draw_curve(scores: Scores, path: Path) -> None:
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


def perturbation_table(runs: Sequence[Run]) -> str:
    """Return scores and share of passes for each flip rate."""
    import numpy as np

    from metrics.scoring.statistics import seeds_interval
    from repro.studies.runs import by_arm, stacked

    rows = []
    for name, own in by_arm(runs).items():
        values = {metric: stacked(own, "sro", metric) for metric in METRICS}
        passed = np.mean([share for run in own for share in run.outcome().passed])
        rows.append(
            (
                name,
                seeds_interval(values["j"]),
                *(f"{values[metric].mean():.3f}" for metric in METRICS[1:]),
                f"{passed:.2f}",
                ", ".join(f"{value:.3f}" for value in values["j"].mean(1)),
            )
        )
    return markdown_table(rows, ("flip rate", "J", "STA", "SIM", "FL", "verdicts that say pass", "J of each seed"))


def main(argv: list[str]) -> None:
    """Run the command."""
    options = study_parser("perturbation", __doc__).parse_args(argv)
    from repro.studies.runs import by_arm, do_runs, stacked

    runs = do_runs(ARMS, options)
    scores = {float(name): stacked(own, "sro") for name, own in by_arm(runs).items()}
    seeds, sentences = scores[0.0].shape
    text = f"{perturbation_table(runs)}\n\n{seeds} seeds, {sentences} test sentences.\n\n{reading(scores)}\n"
    out = Path(options.out)
    draw_curve(scores, out / "perturbation.png")
    write_text(out / "perturbation.md", text)
    print(text)


if __name__ == "__main__":
    run_command(main)
