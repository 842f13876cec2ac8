"""How many outputs of a system have which fault."""

from collections.abc import Sequence

from leaderboard.space.data import Leaderboard, Record
from leaderboard.space.escaping import MAX_NAME, to_html
from leaderboard.space.views.bars import bar
from leaderboard.space.views.columns import system_name
from leaderboard.space.views.tables import headings, table
from metrics.scoring.slices import NONE, SUNK, count_outputs
from metrics.util.errors import InputError

# A judge's faults are a dozen; a row from outside may name others in every sentence.
_MAX_FAULTS = 8
SINKS = {"STA": "STA: still rude", "SIM": "SIM: meaning lost", "FL": "FL: badly written"}
# Their sentences are read for the table.
MAX_SYSTEMS = 20


def render_faults(board: Leaderboard, key: str | None) -> str:
    """Return the number of outputs of the record `key` by fault, as HTML; "" if no sentences are stored."""
    counts = _counts(board, key)
    if counts is None or key is None:
        return ""
    title, faults = counts
    total = sum(faults.values())
    lines = "".join(
        f"<li><span>{_name(name, title)}</span>{bar(n / total)}<span>{n:,}</span></li>"
        for name, n in [*faults.items()][:_MAX_FAULTS]
    )
    name = to_html(board.records[key]["system"], MAX_NAME)
    return (
        f'<section class="faults"><h2>What goes wrong in the {total:,} outputs of {name}</h2><ul>{lines}</ul>'
        f'<p class="source">{_explain(title)}</p></section>'
    )


def render_fault_table(board: Leaderboard, records: Sequence[Record]) -> str:
    """Return a table of the share of outputs by fault, a row per record that has sentences; "" if none has."""
    # All rows of a ranking have one profile, and so one kind of fault; a row from outside may claim another.
    title, found = "", []
    for record in records[:MAX_SYSTEMS]:
        counts = _counts(board, record["key"])
        if counts is not None and title in ("", counts[0]):
            title = counts[0]
            found.append((record, counts[1]))
    if not found:
        return ""
    names = list(dict.fromkeys(name for _, faults in found for name in faults))[:_MAX_FAULTS]
    rows = []
    for record, faults in found:
        total = sum(faults.values())
        cells = (f"<td>{_share(faults.get(name, 0), total)}</td>" for name in names)
        rows.append(f'<tr><th scope="row">{system_name(record)}</th>{"".join(cells)}</tr>')
    head = headings(["System", *(_name(name, title) for name in names)])
    more = f" The first {MAX_SYSTEMS} systems." if len(records) > MAX_SYSTEMS else ""
    return (
        f"<h2>What goes wrong</h2><p>{_explain(title)}{more}</p>{table('fault-table', head, rows, 'Outputs by fault')}"
    )


def _counts(board: Leaderboard, key: str | None) -> tuple[str, dict[str, int]] | None:
    try:
        return count_outputs(board.sentences(key).scored) if key in board.records else None
    except InputError:
        return None


def _share(n: int, total: int) -> str:
    return f'<span class="share">{bar(n / total)}<span>{n:,}</span></span>'


def _name(name: str, title: str) -> str:
    if name == NONE:
        return "no fault" if title.startswith("fault") else "nothing wrong"
    return SINKS.get(name, to_html(name, MAX_NAME))


def _explain(title: str) -> str:
    if title.startswith("fault"):
        return "Outputs by the fault that the profile's judge sees in them."
    return f"Nothing wrong: J is {SUNK} or more. The other outputs are counted by the lowest of STA, SIM and FL."
