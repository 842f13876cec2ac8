"""Agreement of metrics with human judgements of rewrites: correlations and AUC with bootstrap intervals."""

import csv
import io
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau, rankdata, spearmanr

from metrics.scorers.batching import Array
from metrics.scoring.items import SentenceScores
from metrics.util.errors import InputError
from metrics.util.files import atomic_file, read_text
from metrics.util.progress import progress

ASPECTS = ("style", "meaning", "fluency")
COLUMNS = ("source", "output", "system", *ASPECTS)
# Columns of the EMNLP 2021 human evaluation (Dale et al.) -> ours.
_EMNLP_COLUMNS = {"original": "source", "rewritten": "output", "source": "system", **{a: a for a in ASPECTS}}
# Which judgement each metric is compared with; joint: the product of the three.
PAIRS = (
    ("sta", "style"), ("soft_sta", "style"), ("sim", "meaning"), ("fl", "fluency"), ("soft_fl", "fluency"),
    ("j", "joint"), ("soft_j", "joint"),
)  # fmt: skip
RESAMPLES = 1_000


@dataclass(frozen=True)
class JudgedRewrites:
    """n rewrites; judgements: aspect, or "joint" for the product of the three -> means [n] in [0, 1], 1 is best."""

    sources: list[str]
    outputs: list[str]
    systems: list[str]
    judgements: dict[str, Array]


def read_judgements(path: Path) -> JudgedRewrites:
    """Read a file with the columns of `COLUMNS`; the mean stands for several judgements of one rewrite.

    An aspect with values outside [0, 1] is scaled by its least and largest value, and a warning is printed.

    Raises:
        InputError: A column is missing, or a judgement is not a finite number.
    """
    records = _records(path)
    missing = [name for name in COLUMNS if name not in records[0]]
    if missing:
        hint = "; --convert OUT makes them" if set(_EMNLP_COLUMNS) <= set(records[0]) else ""
        raise InputError(f"{path}: no column {', '.join(missing)}{hint}")
    grouped: dict[tuple[str, str, str], list[list[float]]] = {}
    for number, record in enumerate(records, start=2):
        if any(record[name] is None for name in COLUMNS):
            raise InputError(f"{path}: row {number} has too few columns")
        try:
            values = [float(record[aspect]) for aspect in ASPECTS]
        except ValueError:
            raise InputError(f"{path}: row {number}: style, meaning and fluency must be numbers") from None
        if not all(np.isfinite(values)):
            raise InputError(f"{path}: row {number}: a judgement that is not finite")
        grouped.setdefault((record["source"], record["output"], record["system"]), []).append(values)
    means = np.array([np.mean(values, axis=0) for values in grouped.values()])
    every = np.concatenate([np.array(values) for values in grouped.values()])
    ranges = zip(ASPECTS, means.T, every.min(axis=0), every.max(axis=0), strict=True)
    judgements = {aspect: _to_unit(path, aspect, mean, low, high) for aspect, mean, low, high in ranges}
    judgements["joint"] = judgements["style"] * judgements["meaning"] * judgements["fluency"]
    sources, outputs, systems = (list(column) for column in zip(*grouped, strict=True))
    return JudgedRewrites(sources, outputs, systems, judgements)


def convert_emnlp(path: Path, target: Path) -> int:
    """Write a file of the EMNLP 2021 human evaluation with the columns of `COLUMNS`; return the number of rows."""
    records = _records(path)
    missing = [name for name in _EMNLP_COLUMNS if name not in records[0]]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}: not a file of the EMNLP 2021 human evaluation")
    with atomic_file(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="," if target.suffix.lower() == ".csv" else "\t")
        writer.writeheader()
        writer.writerows({name: record[column] for column, name in _EMNLP_COLUMNS.items()} for record in records)
    return len(records)


def _records(path: Path) -> list[dict[str, str]]:
    text = read_text(path)
    csv.field_size_limit(1 << 27)
    delimiter = max("\t;,", key=text.partition("\n")[0].count)
    quoting: Any = csv.QUOTE_NONE if delimiter == "\t" and _is_unquoted(text) else csv.QUOTE_MINIMAL
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)
    try:
        records = list(reader)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: {error}") from None
    if not records:
        raise InputError(f"{path}: contains no judgement")
    return records


def _is_unquoted(text: str) -> bool:
    """Whether quotes in tab-separated `text` are ordinary characters, as programs without a csv module write them.

    They are if every line has all columns by its tabs alone, and a reader that honours quotes loses columns or lines.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    columns = lines[0].count("\t") + 1 if lines else 0
    if any(line.count("\t") + 1 != columns for line in lines):
        return False
    try:
        quoted = [len(row) for row in csv.reader(io.StringIO("\n".join(lines), newline=""), delimiter="\t")]
    except csv.Error:
        return True
    return quoted != [columns] * len(lines)


def _to_unit(path: Path, aspect: str, means: Array, low: float, high: float) -> Array:
    """Return `means` unchanged if all judgements are in [0, 1], else scaled by the least and largest judgement."""
    if low >= 0 and high <= 1:
        return means
    if low == high:
        raise InputError(f"{path}: {aspect} is {low:g} in every row: its scale is unknown; convert it to [0, 1]")
    print(f"{path}: {aspect} runs from {low:g} to {high:g}; read as 0 to 1", file=sys.stderr)
    return (means - low) / (high - low)


def agreement(judged: JudgedRewrites, scores: SentenceScores) -> list[dict[str, Any]]:
    """Compute how well each metric agrees with the judgement of the same rewrites that it stands for.

    Returns:
        One row per metric and statistic: metric, judgement, level ("sentence" or "system"), statistic, value, the
        bounds low and high of the 95 % interval of a bootstrap over source sentences, and n. Value and bounds are
        None where the statistic is undefined, as for a constant metric.
    """
    predictions = _predictions(scores)
    cluster, system = _numbered(judged.sources), _numbered(judged.systems)
    members = [np.flatnonzero(cluster == i) for i in range(cluster.max() + 1)]
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(members), size=len(members)) for _ in range(RESAMPLES)]
    # The rewrites themselves, then the resamples.
    samples = [np.arange(len(cluster)), *(np.concatenate([members[i] for i in draw]) for draw in draws)]
    rows: list[dict[str, Any]] = []
    for metric, aspect in progress(PAIRS, "bootstrap", "metrics"):
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


def system_means(judged: JudgedRewrites, scores: SentenceScores) -> dict[str, dict[str, float]]:
    """Return system -> {judgement or metric: mean}, in descending order of the joint judgement."""
    columns = {**judged.judgements, **_predictions(scores)}
    rows = {name: np.array([system == name for system in judged.systems]) for name in set(judged.systems)}
    table = {name: {c: float(values[own].mean()) for c, values in columns.items()} for name, own in rows.items()}
    return dict(sorted(table.items(), key=lambda item: -item[1]["joint"]))


def spearman(x: Array, y: Array) -> float | None:
    """Return Spearman's rank correlation, None if it is undefined."""
    return _defined(lambda: spearmanr(x, y).statistic)


def kendall(x: Array, y: Array) -> float | None:
    """Return Kendall's tau-b, None if it is undefined."""
    return _defined(lambda: kendalltau(x, y).statistic)


def auc(x: Array, y: Array) -> float | None:
    """Return P(a rewrite judged above .5 has a higher score than another one), where ties count half."""
    good = y > 0.5
    if good.all() or not good.any():
        return None
    n = int(good.sum())
    return float((rankdata(x)[good].sum() - n * (n + 1) / 2) / (n * (len(x) - n)))


def _predictions(scores: SentenceScores) -> dict[str, Array]:
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
