"""The tab Charts."""

import gradio as gr

from leaderboard.space.data import Group
from leaderboard.space.frame import QUEUED, Frame, Refresh, html_block
from leaderboard.space.views.charts import render_charts
from leaderboard.space.views.faults import MAX_SYSTEMS, render_fault_table
from leaderboard.space.views.selection import Filters, TableState, select


def charts_tab(frame: Frame) -> Refresh:
    """Create the tab with the charts and the faults of the systems that pass the filters."""
    board = frame.board
    charts, faults = html_block("", "charts"), html_block("", "fault-table")
    frame.choosers.append(faults)
    # Faults are counted in the sentences, which takes longer than the charts.
    systems = gr.Textbox(visible=False)

    def count(keys: str) -> str:
        return render_fault_table(board, [board.records[key] for key in keys.split() if key in board.records])

    systems.change(count, systems, faults, **QUEUED)

    def update(group: Group | None, filters: Filters) -> list[str]:
        records = select(group, filters, TableState())
        return [render_charts(records), " ".join(record["key"] for record in records[:MAX_SYSTEMS])]

    return Refresh(update, [], [charts, systems])
