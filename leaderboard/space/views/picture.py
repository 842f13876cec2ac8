"""The picture of the first screen: J of the best systems with intervals, ties, and the references as guide lines."""

from collections.abc import Sequence

from leaderboard.space.data import Group, Record
from leaderboard.space.escaping import MAX_NAME, to_attribute, to_html
from leaderboard.space.views.bars import percent
from leaderboard.space.views.charts import Axis
from leaderboard.space.views.columns import system_name
from leaderboard.space.views.ties import letters, tied

# As many as are read at a glance; the tab Charts has more.
MAX_SYSTEMS = 10
# Rows that no system enters: they say what people and trivial rules reach.
YARDSTICKS = ("human", "baseline")
# Pixels: a row, the guides' names above the rows, the axis below, a tie's lane.
_ROW, _TOP, _AXIS, _LANE = 28, 40, 24, 14
_MAX_LANES = 4
_TEST = "a paired test over the same sentences (each pair at 5 %, not corrected for the number of pairs)"


def render_picture(group: Group | None, records: Sequence[Record]) -> str:
    """Return the picture of the ranked systems among `records`, best first, as HTML; "" if there is none."""
    ranked = [r for r in records if r["j"] is not None and r["rank"] is not None]
    # Without stored outputs no row has a rank; the picture then says that these J are the submitter's.
    shown = ranked or [r for r in records if r["j"] is not None and r["verification"] != "mismatch"]
    systems = [r for r in shown if r["kind"] not in YARDSTICKS][:MAX_SYSTEMS]
    if group is None or not systems:
        return ""
    guides, filtered = _guides(group), len(records) < len(group.records)
    return (
        f'<figure class="picture"><figcaption>{_verdict(systems, guides, bool(ranked), filtered)}</figcaption>'
        f"{_plot(systems, guides)}{_legend(systems)}</figure>"
    )


def leader(records: Sequence[Record]) -> Record | None:
    """Return the best ranked system that is neither human nor a baseline; without ranks, the first system."""
    systems = [r for r in records if r["kind"] not in YARDSTICKS and r["j"] is not None]
    return next((r for r in systems if r["rank"] is not None), systems[0] if systems else None)


def leader_and_next(records: Sequence[Record]) -> list[Record]:
    """Return the leader and the next system, or, where there is no other system, the first other row."""
    best = leader(records)
    others = [r for r in records if r is not best]
    others.sort(key=lambda r: (r["kind"] in YARDSTICKS, r["rank"] is None))
    return [r for r in (best, *others) if r is not None][:2]


def _guides(group: Group) -> list[Record]:
    """The human references and the baseline delete, as far as they have a J."""
    delete = next((r for r in group.records if r["kind"] == "baseline" and r["system"] == "delete"), None)
    return [r for r in (group.reference, delete) if r is not None and r["j"] is not None]


def _name(record: Record) -> str:
    return to_html(record["system"], MAX_NAME)


def _verdict(systems: Sequence[Record], guides: Sequence[Record], ranked: bool, filtered: bool) -> str:
    """Who leads, and whether the lead is real, in words."""
    best = systems[0]
    interval = f" [{best['j_low']:.3f}, {best['j_high']:.3f}]" if best["j_low"] is not None else ""
    among = "the systems that pass the filters" if filtered else "the systems"
    first = f"<strong>{_name(best)}</strong> leads among {among} with J {best['j']:.3f}{interval}."
    if not ranked:
        return f"{first} These rows have no rank: their outputs are not stored, so that nobody can check them."
    same = [r for r in systems[1:] if tied(best, r)]
    if same:
        more = f" and {len(same) - 3} more" if len(same) > 3 else ""
        names = ", ".join(_name(r) for r in same[:3])
        second = f"The lead is not certain: {_TEST} does not tell it apart from {names}{more}."
    elif len(systems) > 1:
        second = f"The lead is significant: {_TEST} tells it apart from every other one."
    else:
        second = f"No other system {'passes the filters' if filtered else 'has been measured yet'}."
    return f"{first} {second} {_beside_guides(best, guides)}"


def _beside_guides(best: Record, guides: Sequence[Record]) -> str:
    parts = []
    for guide in guides:
        apart = "above" if best["j"] > guide["j"] else "below"
        where = "not told apart from" if tied(best, guide) else apart
        name = "the human references" if guide["kind"] == "human" else "deleting the rude words"
        parts.append(f"{where} {name} ({guide['j']:.3f})")
    return f"It is {', and it is '.join(parts)}." if parts else ""


def _plot(systems: Sequence[Record], guides: Sequence[Record]) -> str:
    values = [r[name] for r in (*systems, *guides) for name in ("j", "j_low", "j_high") if r[name] is not None]
    axis = Axis(min(0.0, *values), max(0.1, *values) * 1.04, 0, 100)
    bottom = _TOP + _ROW * len(systems)
    parts = []
    for place, tick in enumerate(axis.ticks):
        parts.append(_vertical("grid", axis, tick, _TOP, bottom))
        # A phone shows every other number.
        parts.append(_text(axis, tick, bottom + 16, f"{tick:.2g}", "tick odd" if place % 2 else "tick"))
    ties = _ties(systems)
    parts += [_band(rows) for rows in ties if rows == list(range(rows[0], rows[-1] + 1))]
    parts += [_guide(axis, guide, 14 + 16 * place, bottom) for place, guide in enumerate(guides)]
    parts += [_mark(axis, record, _TOP + _ROW * (place + 0.5)) for place, record in enumerate(systems)]
    label = "; ".join(f"{r['system']} {r['j']:.3f}" for r in (*systems, *guides))
    names = "".join(f"<li>{system_name(record)}</li>" for record in systems)
    scores = "".join(f"<li>{record['j']:.3f}</li>" for record in systems)
    return (
        f'<div class="plot"><ol>{names}</ol>'
        f'<svg class="track" height="{bottom + _AXIS}" role="img" aria-label="J: {to_attribute(label, 1_000)}">'
        f"{''.join(parts)}</svg>{_lanes(ties, bottom)}<ol>{scores}</ol></div>"
    )


def _mark(axis: Axis, record: Record, y: float) -> str:
    at = percent(record["j"], axis.low, axis.high)
    if record["j_low"] is None:
        return f'<circle class="mark dot" cx="{at}" cy="{y:g}" r="5"/>'
    low, high = (percent(record[f"j_{end}"], axis.low, axis.high) for end in ("low", "high"))
    whisker = f'<line class="interval" x1="{low}" x2="{high}" y1="{y:g}" y2="{y:g}"/>'
    return f'{whisker}<circle class="mark dot" cx="{at}" cy="{y:g}" r="5"/>'


def _guide(axis: Axis, record: Record, y: float, bottom: float) -> str:
    """A line from the guide's name down through all rows; the name stands where there is more space."""
    kind = "human" if record["kind"] == "human" else "baseline"
    right = record["j"] > (axis.low + axis.high) / 2
    name = "references" if kind == "human" else "delete"
    # A few pixels beside the line, which a percentage cannot say.
    label = f"{name} {record['j']:.3f}{chr(160) * 2}" if right else f"{chr(160) * 2}{name} {record['j']:.3f}"
    text = _text(axis, record["j"], y, label, f"guide {kind}", "end" if right else "start")
    return _vertical(f"guide {kind}", axis, record["j"], y - 11, bottom) + text


def _vertical(css: str, axis: Axis, value: float, top: float, bottom: float) -> str:
    x = percent(value, axis.low, axis.high)
    return f'<line class="{css}" x1="{x}" x2="{x}" y1="{top:g}" y2="{bottom:g}"/>'


def _text(axis: Axis, value: float, y: float, text: str, css: str, anchor: str = "middle") -> str:
    anchor = "start" if value == axis.low else anchor
    return (
        f'<text class="{css}" x="{percent(value, axis.low, axis.high)}" y="{y:g}" text-anchor="{anchor}">{text}</text>'
    )


def _ties(systems: Sequence[Record]) -> list[list[int]]:
    """The rows of each set of systems that share a letter, without sets that another one holds."""
    by_letter: dict[str, list[int]] = {}
    for row, record in enumerate(systems):
        for name in sorted(letters(record)):
            by_letter.setdefault(name, []).append(row)
    sets = sorted({tuple(rows) for rows in by_letter.values() if len(rows) > 1})
    return [list(rows) for rows in sets if not any(set(rows) < set(other) for other in sets)]


def _band(rows: Sequence[int]) -> str:
    top, height = _TOP + _ROW * rows[0] + 1, _ROW * len(rows) - 2
    return f'<rect class="tie" x="0" y="{top}" width="100%" height="{height}"/>'


def _lanes(ties: Sequence[Sequence[int]], bottom: float) -> str:
    """A bracket with a dot for each system, per tie, beside the rows: bands alone hide which of them overlap."""
    parts, ends = [], [-1] * _MAX_LANES
    for rows in ties:
        lane = next((i for i, end in enumerate(ends) if end < rows[0]), None)
        if lane is None:
            continue
        ends[lane] = rows[-1]
        x = _LANE * (lane + 0.5)
        first, last = (_TOP + _ROW * (row + 0.5) for row in (rows[0], rows[-1]))
        parts.append(f'<line class="bracket" x1="{x:g}" x2="{x:g}" y1="{first:g}" y2="{last:g}"/>')
        parts += [f'<circle class="bracket" cx="{x:g}" cy="{_TOP + _ROW * (row + 0.5):g}" r="3.5"/>' for row in rows]
    width = _LANE * sum(end >= 0 for end in ends) or 1
    return f'<svg class="lanes" width="{width}" height="{bottom + _AXIS}" aria-hidden="true">{"".join(parts)}</svg>'


def _legend(systems: Sequence[Record]) -> str:
    ties = " Shaded and bracketed systems are tied: the test finds no difference." if _ties(systems) else ""
    return (
        f'<p class="source">J, the mean of STA · SIM · FL; lines are 95 % bootstrap intervals over sentences.{ties}</p>'
    )
