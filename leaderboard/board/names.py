"""Notes that tell rows of one name, or of names that look alike, apart: nobody owns a name."""

from collections import Counter
from collections.abc import Iterable

from leaderboard.board.letters import letters


def name_notes(rows: Iterable[tuple[str, str, str, str]]) -> dict[str, str]:
    """Return a note about each row of a ranking whose name is also that of another row, or looks like another name.

    Args:
        rows: A key of each row, by which its note is returned; its name, run id and date.
    """
    rows = list(rows)
    counts = Counter(name for _, name, _, _ in rows)
    alike = look_alikes(counts)
    notes = {}
    for key, name, run, date in rows:
        parts = [f"row {run} of {date[:10]}"] if counts[name] > 1 else []
        parts += [f"not {alike[name]}"] if name in alike else []
        if parts:
            notes[key] = "; ".join(parts)
    return notes


def look_alikes(names: Iterable[str]) -> dict[str, str]:
    """Return another of the names for each name that reads like it."""
    groups: dict[str, set[str]] = {}
    for name in names:
        for form in letters(name):
            groups.setdefault(form, set()).add(name)
    groups.pop("", None)
    return {name: min(group - {name}) for group in groups.values() if len(group) > 1 for name in group}
