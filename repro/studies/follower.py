"""The paper's follower, the guarded one, and that without one guard each: curves past the collapse, the price of STA.

All start from one warm-up per seed and see equally many rollouts. Nothing stops them early, because the study is about
the end of training. All scores are those of development sentences.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.util.errors import run_command
from metrics.util.markdown import markdown_table
from repro.studies.arms import Arm, study_parser, write_report

if TYPE_CHECKING:
    from repro.studies.runs import Run

# Long enough for a collapse; nothing stops the training.
_TO_THE_END = (
    "steps=48", "schedule=constant", "learning_rate=1.5e-4", "evaluate_every=8", "patience=0", "stop_repetition=1",
    "stop_length_ratio=0",
)  # fmt: skip
_DEVELOPMENT_ONLY = ("test_set=paradetox-dev", "test_limit=8", "systems=[sro]")
_PLAIN = ("follower=screener", "siblings=false", "lone_fail_weight=1", "credit=all", "imitation=0")
# Guard -> the override that switches it off.
_GUARDS = {
    "rude words": "guard_rude=false",
    "kept": "guard_kept=0",
    "invented": "guard_invented=100",
    "claims": "guard_claims=false",
    "gaps": "guard_gaps=false",
    "length": "guard_length_ratio=100",
    "likelihood": "guard_likelihood=0",
    "naturalness": "guard_naturalness=0",
}
ARMS = (
    Arm("screener", "smollm2-cpu", (*_PLAIN, *_TO_THE_END, *_DEVELOPMENT_ONLY)),
    Arm("guarded", "smollm2-cpu", ("follower=guarded", *_TO_THE_END, *_DEVELOPMENT_ONLY)),
    *(Arm(f"without {name}", "smollm2-cpu", (off, *_TO_THE_END, *_DEVELOPMENT_ONLY)) for name, off in _GUARDS.items()),
)
# Only these arms are drawn.
_COLOURS = {"screener": "tab:red", "guarded": "tab:blue"}
_PANELS = {"j": "J", "sta": "STA", "sim": "SIM", "fl": "FL", "length_ratio": "length ratio", "copies": "copies"}
_HEADER = (
    "follower", "seed", "J at the start", "best J", "J at the end", "STA", "SIM", "FL", "length ratio", "repetition",
)  # fmt: skip


def _curves(runs: Sequence["Run"], metric: str) -> Any:
    """A development score, an array of shape [seeds, steps]."""
    import numpy as np

    return np.array([[getattr(scores, metric) for scores in run.outcome.history] for run in runs])


def _draw_curves(arms: Mapping[str, Sequence["Run"]], path: Path) -> None:
    """Draw each score along training: thin lines for seeds, a thick one for their mean."""
    from repro.pipeline.figures import save_figure, subplots

    figure, axes = subplots(2, 3, figsize=(11, 6), layout="constrained", sharex=True)
    for axis, (metric, label) in zip(axes.flat, _PANELS.items(), strict=True):
        for name, runs in arms.items():
            steps, values = [scores.step for scores in runs[0].outcome.history], _curves(runs, metric)
            for own in values:
                axis.plot(steps, own, color=_COLOURS[name], linewidth=0.7, alpha=0.5)
            axis.plot(steps, values.mean(0), color=_COLOURS[name], linewidth=2.5, label=name)
        axis.set(title=label, ylim=(0, None))
    for axis in axes[1]:
        axis.set_xlabel("training step")
    axes[0, 0].legend(frameon=False, title="follower")
    save_figure(figure, path)


def _draw_pareto(arms: Mapping[str, Sequence["Run"]], path: Path) -> None:
    """Draw STA against SIM x FL along training, with lines of equal product."""
    import numpy as np

    from repro.pipeline.figures import save_figure, subplots

    figure, axis = subplots(figsize=(6.5, 5), layout="constrained")
    points = {}
    for name, runs in arms.items():
        sta, sim, fl = (_curves(runs, metric) for metric in ("sta", "sim", "fl"))
        points[name] = sta, sim * fl
    low = [min(float(values[i].min()) for values in points.values()) - 0.03 for i in (0, 1)]
    high = max(float(values[1].max()) for values in points.values()) + 0.03
    across = np.linspace(low[0], 1.0, 100)
    for product in np.arange(0.05, 1.0, 0.05):
        axis.plot(across, product / across, color="lightgrey", linewidth=0.8, zorder=0)
        if low[1] < product / low[0] < high:
            axis.annotate(f" {product:.2f}", (low[0], product / low[0]), color="grey", fontsize=7, va="bottom")
    for name, (sta, kept) in points.items():
        axis.scatter(sta, kept, color=_COLOURS[name], s=12, alpha=0.35)
        axis.plot(sta.mean(0), kept.mean(0), "o-", color=_COLOURS[name], linewidth=2, label=name)
        axis.annotate("end", (sta.mean(0)[-1], kept.mean(0)[-1]), textcoords="offset points", xytext=(4, -12))
    axis.set(xlabel="STA", ylabel="SIM x FL", xlim=(low[0], 1.005), ylim=(low[1], high))
    axis.legend(frameon=False, title="follower", loc="upper right")
    save_figure(figure, path)


def _report(arms: Mapping[str, Sequence["Run"]], out: Path) -> str:
    """Each run's development J at the start, best and end, and the other scores at the end."""
    drawn = {name: runs for name, runs in arms.items() if name in _COLOURS}
    _draw_curves(drawn, out / "follower-curves.png")
    _draw_pareto(drawn, out / "follower-pareto.png")
    rows = []
    for name, run in ((name, run) for name, runs in arms.items() for run in runs):
        best, first, last = run.outcome.best, run.outcome.history[0], run.outcome.history[-1]
        scores = (f"{value:.3f}" for value in (last.j, last.sta, last.sim, last.fl))
        ends = (f"{first.j:.3f}", f"{best.j:.3f} (step {best.step})", *scores)
        rows.append((name, run.recipe.seed, *ends, f"{last.length_ratio:.2f}", f"{last.repetition:.3f}"))
    return f"{markdown_table(rows, _HEADER)}\n"


def main(argv: list[str]) -> None:
    """Run the command."""
    options = study_parser("follower", __doc__).parse_args(argv)
    from repro.studies.runs import do_runs

    write_report(_report(do_runs(ARMS, options), Path(options.out)), "follower", options)


if __name__ == "__main__":
    run_command(main)
