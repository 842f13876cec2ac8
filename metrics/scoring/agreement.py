"""Agreement of metrics with human judgements of rewrites: correlations and AUC with bootstrap intervals."""

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from metrics.data.judged import Array, JudgedRewrites
from metrics.scoring.statistics import Interval
from metrics.util.progress import progress

# The leaderboard's page imports this module without the models behind the scores, and scipy.stats takes a second.
if TYPE_CHECKING:
    from metrics.scoring.items import SentenceScores

# Which judgement each metric is compared with; joint: the product of the three.
PAIRS = (
    ("sta", "style"), ("soft_sta", "style"), ("sim", "meaning"), ("fl", "fluency"), ("soft_fl", "fluency"),
    ("j", "joint"), ("soft_j", "joint"),
)  # fmt: skip
TITLES = {
    "sta": "STA", "soft_sta": "soft STA", "sim": "SIM", "fl": "FL", "soft_fl": "soft FL", "j": "J", "soft_j": "soft J",
}  # fmt: skip
RESAMPLES = 1_000


def rank_correlation(x: Array, judged: JudgedRewrites, aspect: str, resamples: int) -> Interval | None:
    """Return Spearman's correlation of scores [n] with a judgement of the same n rewrites; None if it is undefined.

    The interval is that of a bootstrap over source sentences, as in `agreement`, which computes far more.
    """
    samples, y = _samples(judged, resamples), judged.judgements[aspect]
    value, *resampled = (spearman(x[s], y[s]) for s in samples)
    defined = [v for v in resampled if v is not None]
    return None if value is None or not defined else Interval(value, *np.percentile(defined, [2.5, 97.5]).tolist())


def agreement(judged: JudgedRewrites, scores: "SentenceScores") -> list[dict[str, Any]]:
    """Correlate each metric with the judgement of the same rewrites that it stands for.

    Args:
        judged: n rewrites with their judgements.
        scores: Their scores.

    Returns:
        One row per metric and statistic: metric, judgement, level ("sentence" or "system"), statistic, value, the
        bounds low and high of the 95 % interval of a bootstrap over source sentences, and n. Value and bounds are
        None where the statistic is undefined, as for a constant metric.
    """
    predictions = _predictions(scores)
    system, samples = _numbered(judged.systems), _samples(judged, RESAMPLES)
    rows: list[dict[str, Any]] = []
    pairs_of_set = [pair for pair in PAIRS if pair[1] in judged.judgements]
    for metric, aspect in progress(pairs_of_set, "bootstrap", "metrics"):
        x, y = predictions[metric], judged.judgements[aspect]
        levels = {"sentence": [(x[s], y[s]) for s in samples]}
        if system.max() > 0:
            levels["system"] = [(_means(x[s], system[s]), _means(y[s], system[s])) for s in samples]
        for level, pairs in levels.items():
            for statistic in (spearman, kendall, auc) if level == "sentence" else (spearman, kendall):
                value, *resampled = (statistic(*pair) for pair in pairs)
                defined = [v for v in resampled if v is not None]
                low, high = np.percentile(defined, [2.5, 97.5]).tolist() if defined else (None, None)
                rows.append({
                    "metric": metric, "judgement": aspect, "level": level, "statistic": statistic.__name__,
                    "value": value, "low": low, "high": high, "n": len(pairs[0][0]),
                })  # fmt: skip
    return rows


def _samples(judged: JudgedRewrites, resamples: int) -> list[Any]:
    """The places of all rewrites, then those of resamples of the source sentences with all their rewrites."""
    cluster = _numbered(judged.sources)
    members = [np.flatnonzero(cluster == i) for i in range(cluster.max() + 1)]
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(members), size=len(members)) for _ in range(resamples)]
    return [np.arange(len(cluster)), *(np.concatenate([members[i] for i in draw]) for draw in draws)]


def system_means(judged: JudgedRewrites, scores: "SentenceScores") -> dict[str, dict[str, float]]:
    """Return system -> {judgement or metric: mean}, in descending order of the joint judgement if there is one."""
    columns = {**judged.judgements, **_predictions(scores)}
    rows = {name: np.array([system == name for system in judged.systems]) for name in set(judged.systems)}
    table = {name: {c: float(values[own].mean()) for c, values in columns.items()} for name, own in rows.items()}
    return dict(sorted(table.items(), key=lambda item: -item[1].get("joint", 0)))


def interval_text(row: Mapping[str, Any]) -> str:
    """Return the value of a row of `agreement` with its interval, or "undefined"."""
    return "undefined" if row["value"] is None else str(Interval(row["value"], row["low"], row["high"]))


def spearman(x: Array, y: Array) -> float | None:
    """Return Spearman's rank correlation, None if it is undefined."""
    from scipy.stats import spearmanr

    return _defined(lambda: spearmanr(x, y).statistic)


def kendall(x: Array, y: Array) -> float | None:
    """Return Kendall's tau-b, None if it is undefined."""
    from scipy.stats import kendalltau

    return _defined(lambda: kendalltau(x, y).statistic)


def auc(x: Array, y: Array) -> float | None:
    """Return P(a rewrite judged above .5 has a higher score than another one), where ties count half."""
    from scipy.stats import rankdata

    good = y > 0.5
    if good.all() or not good.any():
        return None
    n = int(good.sum())
    return float((rankdata(x)[good].sum() - n * (n + 1) / 2) / (n * (len(x) - n)))


def _predictions(scores: "SentenceScores") -> dict[str, Array]:
    predictions = {name: scores.metric(name) for name, _ in PAIRS if name != "soft_j"}
    return {**predictions, "soft_j": scores.soft_sta * scores.sim * scores.soft_fl}


def _numbered(texts: list[str]) -> Any:
    """[n]: the index of each text among the distinct ones, sorted."""
    # Not np.unique: it pads every text to the longest, and drops NULs at the end of one.
    index = {text: i for i, text in enumerate(sorted(set(texts)))}
    return np.array([index[text] for text in texts])


def _means(values: Array, system: Any) -> Array:
    """The mean of each system that a resample contains."""
    counts = np.bincount(system)
    return (np.bincount(system, weights=values)[counts > 0]) / counts[counts > 0]


def _defined(statistic: Callable[[], Any]) -> float | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a constant column, for which the statistic is undefined
        value = float(statistic())
    return value if np.isfinite(value) else None
