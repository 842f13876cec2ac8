"""The tab Judge."""

from functools import lru_cache
from typing import Any

import gradio as gr

from leaderboard.judging.study import stored_studies
from leaderboard.space.data import Group
from leaderboard.space.frame import QUEUED, Frame, Refresh, asset, html_block
from leaderboard.space.views.people import render_people
from leaderboard.space.views.reading import study_choices, study_payload
from leaderboard.space.views.selection import Filters

# Texts of this many studies stay in memory.
_CACHED = 4


def judge_tab(frame: Frame) -> Refresh:
    """Create the tab in which people judge rewrites blindly, and that shows what people have said."""
    choices = study_choices(frame.board, stored_studies(frame.board.snapshot))
    first = choices[0][1] if choices else None
    menu = gr.Dropdown(choices, value=first, label="Study", elem_id="study", filterable=False, min_width=240)
    frame.keep("study", menu, [name for _, name in choices])
    reader = gr.HTML(
        None, elem_id="judge", elem_classes="part", html_template='<div class="judge"></div>',
        js_on_load=asset("judge.js"), apply_default_css=False,
    )  # fmt: skip
    results = html_block("", "people")
    payload = lru_cache(_CACHED)(lambda name: study_payload(frame.board, name))
    people = lru_cache(_CACHED)(lambda name: render_people(frame.board, name))
    # The study that is shown: opening the tab again does not begin anew.
    shown = gr.Textbox(visible=False)
    menu.change(None, menu, shown, js="(name) => name ?? ''", queue=False)
    shown.change(payload, shown, reader, **QUEUED).then(people, shown, results, **QUEUED)

    def update(group: Group | None, filters: Filters, name: str | None) -> list[Any]:
        return [name or ""]

    return Refresh(update, [menu], [shown])
