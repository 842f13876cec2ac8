"""The command `python -m metrics.agreement FILE`: how well the metrics agree with people.

FILE is a TSV or CSV with the columns source, output, system, style, meaning, fluency: one judged rewrite per row, the
judgements in [0, 1] (higher is better); an aspect on another scale is brought to it by its least and largest value,
which is told. Several judgements of one rewrite are averaged. `--convert OUT` writes such a file from one of the EMNLP
2021 human evaluation (Dale et al.; columns original, rewritten, source = system).

Prints, per metric, sentence-level Spearman, Kendall (tau-b) and AUC (judged above .5 or not), and system-level Spearman
and Kendall of the means, with 95 % intervals of a bootstrap over source sentences.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.util.errors import InputError, run_command

if TYPE_CHECKING:
    import numpy as np

    from metrics.scoring.evaluator import SentenceScores

    Array = np.ndarray[Any, np.dtype[np.float64]]

ASPECTS = ("style", "meaning", "fluency")
COLUMNS = ("source", "output", "system", *ASPECTS)
EMNLP = {"original": "source", "rewritten": "output", "source": "system", **{a: a for a in ASPECTS}}
# Which metric is held against which judgement; joint: the product of the three.
PAIRS = (
    ("sta", "style"), ("soft_sta", "style"), ("sim", "meaning"), ("fl", "fluency"), ("soft_fl", "fluency"),
    ("j", "joint"), ("soft_j", "joint"),
)  # fmt: skip
RESAMPLES = 1_000


@dataclass(frozen=True)
class Judged:
    """Rewrites with the mean human judgement of each. judgements: aspect, or "joint", -> [n] in [0, 1]."""

    sources: list[str]
    outputs: list[str]
    systems: list[str]
    judgements: dict[str, Array]


def _records(path: Path) -> list[dict[str, str]]:
    from metrics.util.files import read_text

    text = read_text(path)
    csv.field_size_limit(1 << 27)
    header = text.partition("\n")[0]
    delimiter = max("\t;,", key=header.count)
    dialect: dict[str, Any] = {"delimiter": delimiter}
    if delimiter == "\t" and _is_unquoted(text):
        dialect["quoting"] = csv.QUOTE_NONE
    reader = csv.DictReader(io.StringIO(text, newline=""), **dialect)
    try:
        records = list(reader)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: {error}") from None
    if not records:
        raise InputError(f"{path}: no judgement in it")
    return records


def _is_unquoted(text: str) -> bool:
    """Whether quotes in tab-separated `text` are characters like others, as programs without the csv module write.

    So they are if every line has all columns by its tabs alone, and reading them as quotes takes columns or lines away.
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


def read_judgements(path: Path) -> Judged:
    """Reads FILE. Errors: missing columns, a judgement that is not a finite number, naming the row."""
    import numpy as np

    records = _records(path)
    missing = [name for name in COLUMNS if name not in records[0]]
    if missing:
        hint = "; --convert OUT makes them" if set(EMNLP) <= set(records[0]) else ""
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
    judgements = {
        aspect: _to_unit(path, aspect, means[:, i], every[:, i].min(), every[:, i].max())
        for i, aspect in enumerate(ASPECTS)
    }
    judgements["joint"] = judgements["style"] * judgements["meaning"] * judgements["fluency"]
    sources, outputs, systems = (list(column) for column in zip(*grouped, strict=True))
    return Judged(sources, outputs, systems, judgements)


def _to_unit(path: Path, aspect: str, means: Array, low: float, high: float) -> Array:
    """`means` on the scale [0, 1]: as they are if every judgement was on it, else by the least and the largest one."""
    if low >= 0 and high <= 1:
        return means
    if low == high:
        raise InputError(f"{path}: {aspect} is {low:g} in every row: its scale cannot be told; bring it to [0, 1]")
    print(f"{path}: {aspect} runs from {low:g} to {high:g}; read as 0 to 1", file=sys.stderr)
    return (means - low) / (high - low)


def convert(path: Path, target: Path) -> int:
    """Writes a file of the EMNLP 2021 human evaluation with this command's columns; returns the rows."""
    from metrics.util.files import atomic_file

    records = _records(path)
    missing = [name for name in EMNLP if name not in records[0]]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}: not a file of the EMNLP 2021 human evaluation")
    with atomic_file(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="," if target.suffix.lower() == ".csv" else "\t")
        writer.writeheader()
        writer.writerows({name: record[column] for column, name in EMNLP.items()} for record in records)
    return len(records)


def agreement(judged: Judged, scores: SentenceScores) -> list[dict[str, Any]]:
    """One row per metric and statistic: value, low, high (None where it is not defined, as for a constant metric)."""
    import numpy as np

    from metrics.util.progress import progress

    predictions = {name: scores.metric(name) for name, _ in PAIRS if name != "soft_j"}
    predictions["soft_j"] = scores.soft_sta * scores.sim * scores.soft_fl
    cluster = _numbered(judged.sources)
    members = [np.flatnonzero(cluster == i) for i in range(cluster.max() + 1)]
    rng = np.random.default_rng(0)
    samples = [
        np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))]) for _ in range(RESAMPLES)
    ]
    system = _numbered(judged.systems)
    systems = int(system.max()) + 1
    rows = []
    for metric, aspect in progress(PAIRS, "bootstrap"):
        x, y = predictions[metric], judged.judgements[aspect]
        for level, statistic in (("sentence", spearman), ("sentence", kendall), ("sentence", auc)):
            low, high = _interval([statistic(x[s], y[s]) for s in samples])
            rows.append(_row(metric, aspect, level, statistic.__name__, statistic(x, y), low, high, len(x)))
        if systems > 1:
            for statistic in (spearman, kendall):
                drawn = [statistic(_means(x[s], system[s]), _means(y[s], system[s])) for s in samples]
                value = statistic(_means(x, system), _means(y, system))
                rows.append(_row(metric, aspect, "system", statistic.__name__, value, *_interval(drawn), systems))
    return rows


def _numbered(texts: list[str]) -> Any:
    """[n]: the place of each text among the distinct ones, sorted."""
    import numpy as np

    # Not np.unique: it holds every text as wide as the longest, and loses NULs at the end of one.
    place = {text: i for i, text in enumerate(sorted(set(texts)))}
    return np.array([place[text] for text in texts])


def _row(*values: Any) -> dict[str, Any]:
    names = ("metric", "judgement", "level", "statistic", "value", "low", "high", "n")
    return dict(zip(names, values, strict=True))


def _means(values: Array, system: Any) -> Array:
    """The mean of each system that is there."""
    import numpy as np

    counts = np.bincount(system)
    return (np.bincount(system, weights=values)[counts > 0]) / counts[counts > 0]


def _interval(drawn: list[float | None]) -> tuple[float | None, float | None]:
    import numpy as np

    values = [value for value in drawn if value is not None]
    if not values:
        return None, None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def spearman(x: Array, y: Array) -> float | None:
    from scipy.stats import spearmanr

    return _defined(lambda: spearmanr(x, y).statistic)


def kendall(x: Array, y: Array) -> float | None:
    from scipy.stats import kendalltau

    return _defined(lambda: kendalltau(x, y).statistic)


def auc(x: Array, y: Array) -> float | None:
    """P(a rewrite judged above .5 scores higher than one that is not), ties count half."""
    from scipy.stats import rankdata

    good = y > 0.5
    if good.all() or not good.any():
        return None
    n = int(good.sum())
    return float((rankdata(x)[good].sum() - n * (n + 1) / 2) / (n * (len(x) - n)))


def _defined(statistic: Any) -> float | None:
    import numpy as np

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant column: the statistic is undefined, which None says
        value = float(statistic())
    return value if np.isfinite(value) else None


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m metrics.agreement", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--profile", action="append", metavar="NAME", help="may be repeated (default: offline)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE")
    parser.add_argument("--convert", metavar="OUT", help="only convert an EMNLP 2021 file to this command's columns")
    options = parser.parse_args(argv)
    if options.convert:
        print(f"{options.convert}: {convert(Path(options.file), Path(options.convert))} rows")
        return
    from metrics.profiles import load_profile

    profiles = [load_profile(name) for name in dict.fromkeys(options.profile or ["offline"])]
    for profile in profiles:
        if profile.needs_references:
            raise InputError(
                f"profile {profile.name} compares with human references, which judged rewrites do not have"
            )
    from metrics.util.files import cache_dir, require_writable, write_json

    if options.json:
        require_writable(Path(options.json))
    judged = read_judgements(Path(options.file))
    from metrics.scoring.cache import ScoreCache
    from metrics.scoring.evaluator import Evaluator

    documents = []
    for profile in profiles:
        evaluator = Evaluator(profile, ScoreCache(cache_dir() / "scores.sqlite"))
        scores = evaluator.score(judged.sources, judged.outputs)
        rows = agreement(judged, scores)
        systems = _system_table(judged, scores)
        documents.append({"measure": evaluator.measure, "agreement": rows, "systems": systems})
        print(f"profile {evaluator.measure['profile']}, {len(judged.outputs)} rewrites of {len(systems)} systems")
        print("metric\tjudgement\tlevel\tstatistic\tvalue [95 %]\tn")
        for row in rows:
            shown = "undefined" if row["value"] is None else f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
            print(
                "\t".join(str(row[k]) for k in ("metric", "judgement", "level", "statistic")), shown, row["n"], sep="\t"
            )
        print("system\t" + "\t".join(f"{aspect}\t{metric}" for metric, aspect in PAIRS))
        for name, means in systems.items():
            print(name, *(f"{means[aspect]:.3f}\t{means[metric]:.3f}" for metric, aspect in PAIRS), sep="\t")
    if options.json:
        write_json(Path(options.json), {"schema": 1, "file": options.file, "profiles": documents})


def _system_table(judged: Judged, scores: SentenceScores) -> dict[str, dict[str, float]]:
    """Means of every judgement and metric, per system, by the human joint, best first."""
    import numpy as np

    columns = {**judged.judgements, **{name: scores.metric(name) for name, _ in PAIRS if name != "soft_j"}}
    columns["soft_j"] = scores.soft_sta * scores.sim * scores.soft_fl
    table = {}
    for name in set(judged.systems):
        own = np.array([system == name for system in judged.systems])
        table[name] = {column: float(values[own].mean()) for column, values in columns.items()}
    return dict(sorted(table.items(), key=lambda item: -item[1]["joint"]))


if __name__ == "__main__":
    run_command(main)
