"""Systems across languages: J and rank by language, and the averages of the shared tasks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from leaderboard.board.board import Board, Placing
from leaderboard.rows.row import TOLERANCE, Row
from metrics.data.languages import AVERAGES, complete_groups

# What differs between the languages of one test set.
_OF_LANGUAGE = ("test", "lang", "n")


@dataclass(frozen=True)
class Place:
    """J, and the rank among the systems that have one; None for an unranked row."""

    j: float
    rank: int | None


@dataclass(frozen=True)
class Across:
    """A system across languages: its places by language, and by the names of `AVERAGES` that it has all rows for."""

    name: str
    j: Mapping[str, Place]
    averages: Mapping[str, Place]


@dataclass(frozen=True)
class Family:
    """Rankings of one test set by one profile in several languages; systems with the best averages first."""

    title: str
    langs: tuple[str, ...]
    systems: tuple[Across, ...]


def families(board: Board) -> list[Family]:
    """Return the families of the latest measured rows that have two languages or more, in the order of the rankings."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for ranking in board.rankings:
        if (key := _family(ranking[0])) is not None:
            groups.setdefault(key, []).extend(ranking)
    several = [rows for rows in groups.values() if len({row.test_set.lang for row in rows}) > 1]
    return [_make(board, rows) for rows in several]


def _family(row: Row) -> tuple[str, ...] | None:
    """What the rows of a family share; None for published figures and for signatures of older versions."""
    signature = row.parsed_signature
    if signature is None:
        return None
    same = [value for name, value in signature.measurement if name not in _OF_LANGUAGE]
    limited = str(row.test_set.n) if row.test_set.n != row.test_set.of else ""
    return (row.test_set.name, limited, *same)


def _make(board: Board, rows: list[Row]) -> Family:
    systems: dict[tuple[str, ...], dict[str, tuple[float, Placing]]] = {}
    for row in rows:
        shown = board.shown(row).scores
        if "j" in shown:
            decoding = json.dumps({**row.decoding, "batch_size": None}, sort_keys=True)
            # Of files of outputs and of lexicons, each language may have another revision.
            revision = row.system.revision if row.system.kind == "model" else ""
            own = systems.setdefault((row.system.name, row.system.kind, row.submitter, decoding, revision), {})
            # The first of two rows: rankings begin with the best.
            own.setdefault(row.test_set.lang, (shown["j"].mean, board.placing(row)))
    # An average must not rest on a mismatch, which has no rank.
    ranked = {key: {lang: j for lang, (j, place) in own.items() if place.rank} for key, own in systems.items()}
    means = {key: {a: sum(js) / len(js) for a, js in complete_groups(own).items()} for key, own in ranked.items()}
    across = []
    for key, own in systems.items():
        better = {a: sum(m.get(a, -2.0) > mean + TOLERANCE for m in means.values()) for a, mean in means[key].items()}
        averages = {average: Place(mean, 1 + better[average]) for average, mean in means[key].items()}
        across.append(Across(key[0], {lang: Place(j, place.rank) for lang, (j, place) in own.items()}, averages))
    first = rows[0]
    part = "" if first.test_set.n == first.test_set.of else f" (first {first.test_set.n:,} of each language)"
    langs = tuple(sorted({row.test_set.lang for row in rows}))
    return Family(f"{first.test_set.name}{part}, {first.profile}", langs, tuple(sorted(across, key=_order)))


def _order(system: Across) -> tuple[float, ...]:
    """The best averages first; systems without them last, by the plain mean over their languages."""
    averages = [system.averages.get(average) for average in AVERAGES]
    plain = sum(place.j for place in system.j.values()) / len(system.j)
    return (*(-place.j if place else 2.0 for place in averages), -plain)
