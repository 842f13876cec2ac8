"""The tab Charts."""

from leaderboard.space.data import Group
from leaderboard.space.frame import Frame, Refresh, html_block
from leaderboard.space.views.charts import render_charts
from leaderboard.space.views.selection import Filters, TableState, select


def charts_tab(frame: Frame) -> Refresh:
    """Create the tab with the charts of the systems that pass the filters."""
    charts = html_block("", "charts")

    def update(group: Group | None, filters: Filters) -> list[str]:
        return [render_charts(select(group, filters, TableState()))]

    return Refresh(update, [], [charts])
