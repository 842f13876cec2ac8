"""Marks on a scale that is as wide as the page lets it be: their horizontal positions are percentages."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from leaderboard.space.data import Record
from leaderboard.space.views.tables import number
from metrics.scoring import FACTORS


def percent(value: float, low: float = 0.0, high: float = 1.0) -> str:
    """Return the position of a value on the scale from low to high, as a percentage; values outside at its ends."""
    share = (min(max(value, low), high) - low) / (high - low)
    return f"{100 * share:.1f}%"


def bar(value: float, low: float | None = None, high: float | None = None) -> str:
    """Return a value between 0 and 1 as a bar, with a whisker from low to high if they are known, as HTML.

    One element per bar: a page has hundreds of them. The styles draw it.
    """
    whisker = f";--low:{percent(low)};--high:{percent(high)}" if low is not None and high is not None else ""
    return f'<span class="bar" style="--value:{percent(value)}{whisker}"></span>'


def score_cell(record: Record, metric: str) -> str:
    """Return a mean with its bar; its interval takes the bar's place while its row has the pointer or the focus."""
    mean, low, high = (record[name] for name in (metric, f"{metric}_low", f"{metric}_high"))
    if mean is None:
        return number(None)
    interval = f'<span class="interval">[{low:.3f}, {high:.3f}]</span>' if None not in (low, high) else ""
    return f"{mean:.3f}{bar(mean, low, high)}{interval}"


def meters(values: Mapping[str, np.ndarray[Any, Any]], i: int, lowest: str) -> str:
    """Return the scores of sentence `i` as bars with their numbers; `lowest` in capitals names the one that stands out.

    Args:
        values: The scores [n] of all sentences, by metric.
    """
    scores = {metric.upper(): float(values[metric][i]) for metric in (*FACTORS, "j")}
    bars = (
        f'<span class="meter {"lowest" if name == lowest else ""}"><span class="label">{name}</span>{bar(value)}'
        f'<span class="value">{value:.2f}</span></span>'
        for name, value in scores.items()
    )
    return f'<div class="meters">{"".join(bars)}</div>'
