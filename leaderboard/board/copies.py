"""Copies: rows whose outputs are those of another system."""

from collections.abc import Iterable, Mapping

from leaderboard.rows.row import Row
from metrics.systems.baselines import BASELINES
from metrics.systems.resolve import resolve_system

# Outputs of fewer sentences may be equal by chance.
_MIN_SENTENCES = 20


def by_outputs(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return rows by the hash of their outputs, as `find_copy` takes them."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.outputs, []).append(row)
    return groups


def find_copy(row: Row, others: Mapping[str, list[Row]]) -> Row | None:
    """Return the row among `others` of which `row` is a copy under another system's name.

    Two systems with the same outputs, sentence by sentence, are one, whatever their scores. Exceptions are baselines,
    whose outputs follow from the test set; systems on a handful of sentences; and systems of one training run, which
    coincide if it keeps the checkpoint of step 0. `others` comes from `by_outputs`.
    """
    if not row.outputs or is_baseline(row):
        return None
    for other in others.get(row.outputs, ()):
        enough = (row.test_set.n or 0) >= _MIN_SENTENCES or row.system.revision == other.system.revision
        if row.system.name != other.system.name and enough and not _same_run(row, other):
            return other
    return None


def is_baseline(row: Row) -> bool:
    """Return whether a row is of a built-in baseline at this program's revision, so that its outputs can be checked."""
    name = row.system.name
    built_in = row.system.kind in ("baseline", "human") and name in BASELINES
    return built_in and row.system.revision == resolve_system(name).revision


def _same_run(first: Row, second: Row) -> bool:
    """Return whether one training run, as its recipe lists its systems, made both rows."""
    recipes = [row.provenance.recipe or {} for row in (first, second)]
    if not recipes[0] or recipes[0] != recipes[1] or first.submitter != second.submitter:
        return False
    recipe = recipes[0].get("recipe", recipes[0])
    names = recipe.get("systems", []) if isinstance(recipe, dict) else []
    return {first.system.name, second.system.name} <= set(names)
