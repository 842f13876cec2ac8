"""The rows of a system over time: dates, profiles, versions of the program, and J."""

from leaderboard.space.data import Leaderboard, Record
from leaderboard.space.escaping import MAX_NAME, to_html
from leaderboard.space.views.bars import score_cell
from leaderboard.space.views.columns import status
from leaderboard.space.views.tables import headings, table
from metrics.scoring.signature import Signature
from metrics.util.errors import InputError

MAX_ROWS = 50


def render_history(board: Leaderboard, key: str | None) -> str:
    """Return all rows of the system of the record `key` as a table, newest first; "" for published figures."""
    record = board.records.get(key or "")
    if record is None or record["record"] == "published":
        return ""
    try:
        found = board.history(record["key"])
    except InputError as error:
        return f"<h2>History</h2><p>Not available: {to_html(error)}.</p>"
    rows = [_row(board, one, record) for one in found[:MAX_ROWS]]
    head = headings(("Date", "Test set", "Profile", "Version", "Revision")) + headings(["J"], numeric=True)
    head += headings(("Checked", "Submitter", "Row"))
    more = f" The newest {MAX_ROWS} of {len(found):,}." if len(found) > MAX_ROWS else ""
    return (
        "<h2>History</h2><p>Every row of this name and kind, newest first, whoever published it. Rows with "
        "sentences are never overwritten, and replaced only where the leaderboard's owner says so in replaced.json; "
        f"J under two profiles, test sets or versions cannot be compared.{more}</p>"
        f"{table('history', head, rows, 'History')}"
    )


def _row(board: Leaderboard, row: Record, current: Record) -> str:
    texts = (row["date"], f"{row['test_set']}, {row['n']} sentences", row["profile"], _version(row), row["revision"])
    limits = (19, MAX_NAME, MAX_NAME, 20, 16)
    cells = "".join(f"<td>{to_html(text, limit)}</td>" for text, limit in zip(texts, limits, strict=True))
    css = ' class="chosen"' if row["run_id"] == current["run_id"] else ""
    return (
        f'<tr{css}>{cells}<td class="number">{score_cell(row, "j")}</td><td>{status(row)}</td>'
        f"<td>{to_html(row['submitter'], MAX_NAME)}</td><td>{_link(board, row, current)}</td></tr>"
    )


def _link(board: Leaderboard, row: Record, current: Record) -> str:
    run = str(row["run_id"])
    if run == current["run_id"]:
        return "this row"
    if run not in board.records:
        new = board.replaced.get(run)
        return f"replaced by {to_html(new, 16)}" if new else "not in the ranking"
    return f'<button type="button" class="name" data-event="choose" data-value="{run}">open {to_html(run, 16)}</button>'


def _version(row: Record) -> str:
    try:
        return Signature.parse(str(row["signature"])).fields()["version"]
    except InputError:
        return ""
