"""A plot of the differences between systems."""

from collections.abc import Sequence
from pathlib import Path

from metrics.scoring.statistics import Interval
from metrics.util.errors import InputError
from metrics.util.files import atomic_file

_FORMATS = (".png", ".pdf", ".svg")


def require_plot_format(path: Path) -> None:
    """Raise an `InputError` if the name does not end in a format that can be drawn."""
    if path.suffix.lower() not in _FORMATS:
        raise InputError(f"--plot {path}: name a file that ends in {', '.join(_FORMATS)}")


def plot_differences(path: Path, title: str, rows: Sequence[tuple[str, Interval, float]]) -> None:
    """Draw each difference with its interval, one row each, and write the figure.

    Args:
        path: The file; its ending says the format.
        title: What was compared.
        rows: Name, difference and adjusted p-value of each pair; a filled mark has p < .05.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for y, (_, interval, p) in enumerate(rows):
        axes.plot([interval.low, interval.high], [y, y], color="tab:blue", linewidth=1.5)
        axes.plot(interval.mean, y, "o", color="tab:blue", markerfacecolor="tab:blue" if p < 0.05 else "white")
    axes.axvline(0, color="gray", linewidth=0.8)
    # Names may hold dollar signs, which would begin a formula.
    axes.set_yticks(range(len(rows)), [name.replace("$", r"\$") for name, _, _ in rows])
    axes.invert_yaxis()
    axes.set_xlabel("difference, 95 % interval; filled: p < .05 after Holm's correction")
    axes.set_title(title.replace("$", r"\$"))
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=150)
