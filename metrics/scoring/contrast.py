"""How often, and by how much, metrics prefer the good rewrite of the contrast set to the bad one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metrics.data.contrast import Contrast
from metrics.scorers.batching import Array
from metrics.scoring.agreement import TITLES
from metrics.scoring.evaluator import Evaluator
from metrics.scoring.items import SentenceScores
from metrics.scoring.statistics import Interval, mean_interval
from metrics.util.markdown import markdown_table

METRICS = ("sta", "soft_sta", "sim", "fl", "j")
TOTAL = "all kinds"


def contrast_scores(evaluator: Evaluator, contrasts: Sequence[Contrast]) -> tuple[SentenceScores, SentenceScores]:
    """Score the good and the bad rewrites [n] for their sources; raises as `Evaluator.score` does."""
    n, sources = len(contrasts), [c.source for c in contrasts]
    scores = evaluator.score(sources * 2, [c.good for c in contrasts] + [c.bad for c in contrasts])
    columns = vars(scores)
    good, bad = (SentenceScores(**{k: v[half] for k, v in columns.items()}) for half in (slice(n), slice(n, None)))
    return good, bad


def preferences(kinds: Sequence[str], good: SentenceScores, bad: SentenceScores) -> list[dict[str, Any]]:
    """Compare the scores of good and bad rewrites [n], for each kind of fault and for all kinds together.

    Returns:
        One row per kind and metric: kind, metric, n, preferred (the share of pairs in which the good rewrite has the
        higher score, where a tie counts half) with its 95 % bootstrap interval low and high, difference (mean score
        of good - bad), good and bad (mean scores), and ratio (bad / good; None unless good is positive).
    """
    labels = np.array(kinds)
    own = {kind: labels == kind for kind in dict.fromkeys(kinds)}
    own[TOTAL] = np.ones(len(labels), dtype=bool)
    return [
        {"kind": kind, "metric": metric, **_compare(good.metric(metric)[rows], bad.metric(metric)[rows])}
        for kind, rows in own.items()
        for metric in METRICS
    ]


def _compare(good: Array, bad: Array) -> dict[str, Any]:
    share = mean_interval((np.sign(good - bad) + 1) / 2)
    means = float(good.mean()), float(bad.mean())
    return {
        "n": len(good), "preferred": share.mean, "low": share.low, "high": share.high,
        "difference": means[0] - means[1], "good": means[0], "bad": means[1],
        "ratio": means[1] / means[0] if means[0] > 0 else None,
    }  # fmt: skip


def preference_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows of `preferences` as a Markdown table, one line per kind, and the totals with their intervals."""
    head = ["kind", "n", *(TITLES[metric] for metric in METRICS), "SIM good", "SIM bad", "ratio"]
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = {row["metric"]: row for row in rows if row["kind"] == kind}
        cells = [f"{own[m]['preferred']:.2f} ({own[m]['difference']:+.2f})" for m in METRICS]
        sim = own["sim"]
        ratio = "undefined" if sim["ratio"] is None else f"{sim['ratio']:.2f}"
        lines.append([kind, sim["n"], *cells, f"{sim['good']:.2f}", f"{sim['bad']:.2f}", ratio])
    totals = [
        f"- {TITLES[row['metric']]} prefers the good rewrite: {Interval(row['preferred'], row['low'], row['high'])}"
        for row in rows
        if row["kind"] == TOTAL
    ]
    return "\n".join([markdown_table(lines, head), "", *totals]) + "\n"
