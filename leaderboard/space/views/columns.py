"""The columns of the ranking: titles, explanations, and the cell of each row."""

from collections.abc import Callable
from dataclasses import dataclass

from leaderboard.space.data import Record
from leaderboard.space.escaping import MAX_NAME, MISSING, to_attribute, to_html
from leaderboard.space.views.bars import score_cell
from leaderboard.space.views.tables import number
from metrics.scoring import METRICS

UNKNOWN = "unknown"
PARALLEL = {True: "used", False: "not used", None: UNKNOWN}
STATUSES = ("verified", "unchecked", "unverifiable", "mismatch")


@dataclass(frozen=True)
class Column:
    """A column of the ranking: its title, a record's cell as HTML, and an explanation, shown above the heading."""

    title: str
    cell: Callable[[Record], str]
    # Sorted by number and aligned right.
    numeric: bool = False
    help: str = ""


def score(record: Record, metric: str) -> str:
    """Return a mean and, if there is one, its interval as HTML."""
    low, high = record[f"{metric}_low"], record[f"{metric}_high"]
    interval = f' <span class="interval">[{low:.3f}, {high:.3f}]</span>' if None not in (low, high) else ""
    return f"{number(record[metric])}{interval}"


def size(parameters: int | None) -> str:
    """Return a number of parameters in three digits: 135M."""
    if parameters is None:
        return MISSING
    units = ((1e9, "B"), (1e6, "M"), (1e3, "K"))
    return next((f"{parameters / unit:.3g}{name}" for unit, name in units if parameters >= unit), str(parameters))


def status(record: Record) -> str:
    """Return the result of the row's verification as a badge."""
    found = str(record["verification"] or "unchecked")
    known = found if found in STATUSES else "unchecked"
    return f'<span class="badge {known}">{to_html(found, 20)}</span>'


def system_name(record: Record) -> str:
    """Return a system's name as a button that opens its details, with a note if another row's name is like it."""
    name, note = str(record["system"]), record.get("name_note")
    beside = f' <span class="interval">({to_html(note, 2 * MAX_NAME)})</span>' if note else ""
    return (
        f'<button type="button" class="name" data-event="choose" data-value="{record["key"]}" '
        f'title="Details of {to_attribute(name)}">{to_html(name, MAX_NAME)}</button>{beside}'
    )


def no_rank_reason(record: Record) -> str:
    """Return why a measured row has no rank."""
    missing = [metric.upper() for metric in METRICS if record[metric] is None]
    other = "its outputs score differently" if record["verification"] == "mismatch" else "no outputs stored"
    return f"no {', '.join(missing)}" if missing else other


def _rank(record: Record) -> str:
    if record["rank"] is not None:
        return str(record["rank"])
    why = no_rank_reason(record)
    return f'<span class="nothing" title="no rank: {why}">–<span class="hidden"> no rank: {why}</span></span>'


def _text(title: str, field: str, limit: int = MAX_NAME, help: str = "") -> Column:
    return Column(title, lambda record: to_html(record[field], limit), help=help)


def _number(title: str, field: str, digits: int, help: str) -> Column:
    return Column(title, lambda record: number(record[field], digits), True, help)


def _score(metric: str, help: str) -> Column:
    return Column(metric.upper(), lambda record: score_cell(record, metric), True, help)


COLUMNS = {
    "rank": Column("Rank", _rank, True),
    "system": Column("System", system_name),
    "ties": _text("Ties", "ties", 20, "a paired test finds no difference between systems that share a letter"),
    "j": _score("j", "joint score: the mean of STA · SIM · FL"),
    "sta": _score("sta", "style accuracy: no longer toxic"),
    "sim": _score("sim", "similarity: keeps the meaning"),
    "fl": _score("fl", "fluency: acceptable language"),
    "verification": Column("Checked", status, help="whether the stored outputs give these scores"),
    "kind": _text("Kind", "kind"),
    "size": Column("Size", lambda record: size(record["size"]), True, "parameters"),
    "parallel_data": Column(
        "Parallel data", lambda record: PARALLEL[record["parallel_data"]], help="trained on toxic texts with rewrites"
    ),
    "contamination": _text("Test set seen", "contamination", help="whether it was trained on the test set"),
    "base": _text("Base model", "base"),
    "licence": _text("Licence", "licence"),
    "training_data": Column("Training data", lambda r: to_html(", ".join(map(str, r["training_data"] or ())))),
    "soft_sta": _number("Soft STA", "soft_sta", 3, "mean probability of not being toxic"),
    "soft_fl": _number("Soft FL", "soft_fl", 3, "mean probability of being acceptable"),
    "length_ratio": _number("Length", "length_ratio", 2, "words of the output over words of the source"),
    "copies": _number("Copies", "copies", 3, "share of outputs that equal their source"),
    "empty": _number("Empty", "empty", 0, "outputs without a word"),
    "seconds": _number("Seconds", "seconds", 0, "time to generate all outputs"),
    "device": _text("Device", "device"),
    "prompt_tokens": _number("Prompt tokens", "prompt_tokens", 0, "tokens that the endpoint read"),
    "completion_tokens": _number("Completion tokens", "completion_tokens", 0, "tokens that the endpoint wrote"),
    "token_cost": _number("Cost", "token_cost", 6, "of all tokens, at the price that the submitter gave"),
    "n": _number("n", "n", 0, "sentences"),
    "note": _text("Note", "note", 200),
    "submitter": _text("Submitter", "submitter"),
    "date": _text("Date", "date"),
    "run_id": _text("Run", "run_id"),
}
FIXED = ("rank", "system")
# What fits a window of 1,280 pixels; the menu has the others.
DEFAULT = ("ties", "j", "sta", "sim", "fl", "verification", "size", "parallel_data")
