"""Two charts of the selected systems as SVG: J with its intervals, and STA against SIM.

A chart library would load megabytes of script, and its colours would not follow the page's light or dark theme.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.space.data import Record
from leaderboard.space.escaping import to_attribute
from leaderboard.space.views.tables import scroll_box
from metrics.util.characters import printable

# More marks than this overlap.
MAX_SYSTEMS = 30
_NAME_LENGTH = 30
# Pixels. As narrow as this, the charts are readable on a phone, and names stand above their marks.
_WIDTH, _ROW, _TOP, _SIDE, _MARGIN = 420, 40, 30, 400, 46


@dataclass(frozen=True)
class Axis:
    """A linear scale: values from low to high fall on pixels from start to end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """The round values within the axis, at most nine."""
        step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.5) if (self.high - self.low) / s <= 8)
        first, last = round(self.low / step), round(self.high / step)
        return [i * step for i in range(first, last + 1) if self.low - 1e-9 <= i * step <= self.high + 1e-9]


def render_charts(records: Sequence[Record]) -> str:
    """Return both charts of the first `MAX_SYSTEMS` systems that have scores, as HTML."""
    complete = [r for r in records if None not in (r["j"], r["sta"], r["sim"])]
    if not complete:
        return '<p role="status">No system with scores passes the filters above.</p>'
    drawn = complete[:MAX_SYSTEMS]
    svg = '<svg width="16" height="16" aria-hidden="true">'
    kinds = {r["kind"] if r["kind"] in _SHAPES else "model" for r in drawn}
    legend = "".join(f"<li>{svg}{_mark(kind, 8, 8)}</svg> {kind}</li>" for kind in _SHAPES if kind in kinds)
    more = f", the first {MAX_SYSTEMS} of {len(complete):,} in the order of the ranking"
    return (
        f"<div class='two'><section><h2>J with its 95 % intervals{more if len(complete) > MAX_SYSTEMS else ''}</h2>"
        "<p>Overlapping intervals do not mean that two systems are equal: the letters in the ranking come from a "
        "paired test over the same sentences.</p>"
        f"{scroll_box(_intervals(drawn), 'J of each system with its interval', 'box chart')}"
        "</section><section><h2>STA against SIM</h2><p>The numbers are those of the systems in the other chart. A "
        "system that deletes or rewrites freely gains STA and loses SIM. Along a dashed line the product STA · SIM is "
        "constant; its value stands at the line's end.</p>"
        f"{scroll_box(_trade_off(drawn), 'STA against SIM', 'box chart')}<ul class='legend'>{legend}</ul>"
        "</section></div>"
    )


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    return f'<svg {size} role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _intervals(records: Sequence[Record]) -> str:
    values = [r[name] for r in records for name in ("j", "j_low", "j_high") if r[name] is not None]
    low, high = min(0.0, *values), max(values)
    names = [str(r["system"]) for r in records]
    names = [f"{printable(name[:_NAME_LENGTH])}{'…' if len(name) > _NAME_LENGTH else ''}" for name in names]
    names = [f"{place}  {name}" for place, name in enumerate(names, start=1)]
    x = Axis(low, max(high, low + 0.1), 16, _WIDTH - 60)
    bottom = _TOP + _ROW * len(records)
    parts = [_vertical(x(tick), _TOP - 6, bottom, f"{tick:.2g}", _TOP - 12) for tick in x.ticks]
    for place, (name, r) in enumerate(zip(names, records, strict=True)):
        y = _TOP + _ROW * (place + 0.75)
        bar = _line(x(r["j_low"]), y, x(r["j_high"]), y, "whisker") if None not in (r["j_low"], r["j_high"]) else ""
        mark = _mark(r["kind"], x(r["j"]), y)
        label = _text(x.start, y - 10, html.escape(name), "system", "start")
        value = _text(_WIDTH - 50, y + 4, f"{r['j']:.3f}", "score", "start")
        parts.append(f"<g><title>{_tooltip(r, ('j',))}</title>{label}{bar}{mark}{value}</g>")
    return _svg(_WIDTH, bottom + 8, f"J of {len(records)} systems with their 95 % intervals", parts)


def _trade_off(records: Sequence[Record]) -> str:
    x = Axis(*_range(records, "sim"), _MARGIN, _SIDE)
    y = Axis(*_range(records, "sta"), _SIDE - _MARGIN, 28)
    parts = [_vertical(x(tick), y.end, y.start, f"{tick:.2g}", y.start + 16) for tick in x.ticks]
    parts += [_line(x.start, y(tick), x.end, y(tick), "grid") for tick in y.ticks]
    parts += [_text(x.start - 6, y(tick) + 4, f"{tick:.2g}", "tick", "end") for tick in y.ticks]
    parts += [_product(x, y, value / 10) for value in range(1, 10)]
    parts += [_text((x.start + x.end) / 2, _SIDE - 8, "SIM", "axis"), _text(x.start, 14, "STA", "axis")]
    # The best last, on top of the others.
    for place, r in reversed(list(enumerate(records, start=1))):
        at = x(r["sim"]), y(r["sta"])
        mark, whiskers = _mark(r["kind"], *at), ""
        if None not in (r["sim_low"], r["sta_low"]):
            whiskers = _line(x(r["sim_low"]), at[1], x(r["sim_high"]), at[1], "whisker")
            whiskers += _line(at[0], y(r["sta_low"]), at[0], y(r["sta_high"]), "whisker")
        number = _text(at[0] + 8, at[1] - 7, str(place), "place", "start")
        parts.append(f"<g><title>{_tooltip(r, ('sta', 'sim'))}</title>{whiskers}{mark}{number}</g>")
    return _svg(_SIDE + 32, _SIDE, f"STA against SIM of {len(records)} systems", parts)


def _range(records: Sequence[Record], metric: str) -> tuple[float, float]:
    """The lowest and the highest value in the chart, with a margin, within the metric's range."""
    values = [r[name] for r in records for name in (metric, f"{metric}_low", f"{metric}_high") if r[name] is not None]
    low, high = max(min(values) - 0.05, -1.0), min(max(values) + 0.05, 1.02)
    return (low, high) if high - low > 0.1 else (high - 0.1, high)


def _product(x: Axis, y: Axis, value: float) -> str:
    """The curve on which STA · SIM is `value`, where it crosses the chart, with its value at the right end."""
    steps = [x.low + (x.high - x.low) * i / 40 for i in range(41)]
    points = [f"{x(s):.1f},{y(value / s):.1f}" for s in steps if s > 0 and y.low <= value / s <= y.high]
    if len(points) < 2:
        return ""
    end_x, end_y = map(float, points[-1].split(","))
    label = _text(end_x + 4, end_y + 4, f"{value:.1f}", "tick", "start")
    return f'<polyline class="product" points="{" ".join(points)}"/>{label}'


# One shape per kind, so that readers do not depend on colour; SVG paths around the mark's centre.
_SHAPES = {
    "model": "m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    "outputs": "m-4.5-4.5h9v9h-9z",
    "baseline": "m0-6l6 10.5h-12z",
    "human": "m0-6.5l6.5 6.5l-6.5 6.5l-6.5-6.5z",
}


def _mark(kind: str, x: float, y: float) -> str:
    kind = kind if kind in _SHAPES else "model"
    return f'<path class="mark {kind}" d="M{x:.1f} {y:.1f}{_SHAPES[kind]}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _vertical(x: float, top: float, bottom: float, label: str, label_y: float) -> str:
    return _line(x, top, x, bottom, "grid") + _text(x, label_y, label, "tick")


def _text(x: float, y: float, content: str, css: str, anchor: str = "middle") -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{content}</text>'


def _tooltip(record: Record, metrics: Sequence[str]) -> str:
    """The text shown when a pointer rests on a mark."""
    parts = []
    for metric in metrics:
        low, high = record[f"{metric}_low"], record[f"{metric}_high"]
        interval = f" [{low:.3f}, {high:.3f}]" if None not in (low, high) else ""
        parts.append(f"{metric.upper()} {record[metric]:.3f}{interval}")
    return f"{to_attribute(str(record['system']))}: {', '.join(parts)}"
