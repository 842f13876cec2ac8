"""The tab Compare."""

from typing import Any

import gradio as gr

from leaderboard.space.data import Group
from leaderboard.space.frame import Frame, Refresh, html_block
from leaderboard.space.tabs.texts import connect_texts, text_controls
from leaderboard.space.views.picture import leader_and_next
from leaderboard.space.views.selection import Filters, TableState, select
from leaderboard.space.views.texts.sentences import PAIR_ORDERS


def compare_tab(frame: Frame) -> Refresh:
    """Create the tab that compares two systems by a paired test and sentence by sentence."""
    keys = [record["key"] for record in leader_and_next(frame.first_group.records if frame.first_group else ())]
    first, second = (*keys, None, None)[:2]
    with gr.Row():
        menus = [
            frame.system_menu("First system", 0, "left", first),
            frame.system_menu("Second system", 1, "right", second),
        ]
    order, rude = text_controls(frame, PAIR_ORDERS, "pair")
    comparison = html_block("", "comparison")
    # The pair that is shown: one that the menus still name when the tab is opened again is not rendered again.
    shown = gr.Textbox(visible=False, elem_id="compared")
    changes = [menu.change for menu in menus]
    gr.on(changes, None, menus, shown, js="(first, second) => `${first ?? ''} ${second ?? ''}`", queue=False)

    def render(pair: str, *values: Any) -> str:
        first, _, second = pair.partition(" ")
        return frame.comparisons.render(first, second, *values)

    connect_texts(frame, shown.change, render, [shown, order, rude], comparison)

    def update(group: Group | None, filters: Filters, *keys: str | None) -> list[Any]:
        records = select(group, filters, TableState())
        best = [*(record["key"] for record in leader_and_next(records)), None, None]
        new = [
            frame.update_menu(records, frame.in_group(key, group) or best[place], place)
            for place, key in enumerate(keys)
        ]
        return [*new, " ".join(menu["value"] or "" for menu in new)]

    return Refresh(update, menus, [*menus, shown])
