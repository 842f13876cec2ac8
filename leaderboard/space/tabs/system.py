"""The tab System."""

from functools import partial
from typing import Any

import gradio as gr

from leaderboard.space.data import Group
from leaderboard.space.frame import QUEUED, Frame, Refresh, html_block
from leaderboard.space.tabs.texts import connect_texts, text_controls
from leaderboard.space.views.details import render_details
from leaderboard.space.views.history import render_history
from leaderboard.space.views.picture import leader
from leaderboard.space.views.selection import Filters, TableState, select
from leaderboard.space.views.texts.sentences import OUTPUT_ORDERS, render_outputs
from leaderboard.space.views.texts.slices import render_slices


def system_tab(frame: Frame) -> Refresh:
    """Create the tab with all facts and all outputs of one system."""
    best = leader(frame.first_group.records if frame.first_group else ())
    menu = frame.system_menu("System", 0, "system", best["key"] if best else None)
    details, history, slices = (html_block("", name) for name in ("details", "history", "slices"))
    frame.choosers.append(history)
    order, rude = text_controls(frame, OUTPUT_ORDERS, "outputs")
    outputs = html_block("", "sentences")
    # The system that is shown: one that the menu still names when the tab is opened again is not rendered again.
    shown = gr.Textbox(visible=False)
    menu.change(None, menu, shown, js="(key) => key ?? ''", queue=False)

    for render, block in ((render_details, details), (render_history, history), (render_slices, slices)):
        shown.change(partial(render, frame.board), shown, block, **QUEUED)
    connect_texts(frame, shown.change, partial(render_outputs, frame.board), [shown, order, rude], outputs)

    def update(group: Group | None, filters: Filters, key: str | None) -> list[Any]:
        menu = frame.update_menu(select(group, filters, TableState()), frame.in_group(key, group))
        return [menu, menu["value"] or ""]

    return Refresh(update, [menu], [menu, shown])
