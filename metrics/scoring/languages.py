"""Results in several languages: the rows of their table, and the averages of the shared tasks."""

from collections.abc import Sequence

from metrics.data.languages import AVERAGES, ENGLISH, complete_groups
from metrics.data.sources import SHARED_TASKS
from metrics.scoring import METRICS
from metrics.scoring.result import Result


def states_languages(results: Sequence[Result]) -> bool:
    """Whether a table of the results needs a column for the language: one is not English."""
    return any(result.test_set.lang != ENGLISH for result in results)


def average_rows(results: Sequence[Result]) -> list[list[str]]:
    """Return the averages of results under one profile as rows of text: system, average, the metrics, n.

    An average is the plain mean of the languages' means, as the shared tasks compute it, and has no interval. A system
    has a row for each average whose languages are all there.
    """
    rows: list[tuple[str, float, list[str]]] = []
    for system in dict.fromkeys(result.rewrites.system for result in results):
        own = {r.test_set.lang: r.summary for r in results if r.rewrites.system == system}
        for average, summaries in complete_groups(own).items():
            means = {metric: sum(s[metric].mean for s in summaries) / len(summaries) for metric in METRICS}
            cells = [system, average, *(f"{means[metric]:.3f}" for metric in METRICS), f"{len(summaries)} languages"]
            rows.append((average, -means["j"], cells))
    return [cells for _, _, cells in sorted(rows, key=lambda row: ([*AVERAGES].index(row[0]), row[1]))]


def missing_languages(results: Sequence[Result]) -> list[str]:
    """Return a line for each average of a shared task of which some languages are there and some are not."""
    if results[0].test_set.name not in SHARED_TASKS:
        return []
    there = {result.test_set.lang for result in results}
    lacking = {name: [lang for lang in langs if lang not in there] for name, langs in AVERAGES.items()}
    partly = {name: langs for name, langs in lacking.items() if 0 < len(langs) < len(AVERAGES[name])}
    return [f"no {name}: without {', '.join(langs)}" for name, langs in partly.items()]
