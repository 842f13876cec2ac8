"""The tab Judge."""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import gradio as gr

from leaderboard.judging.study import stored_studies
from leaderboard.space.data import Group
from leaderboard.space.frame import QUEUED, Frame, Refresh, asset, html_block
from leaderboard.space.views.people import render_people
from leaderboard.space.views.reading import TRIALS, study_choices, study_payload
from leaderboard.space.views.selection import Filters
from metrics.util.characters import printable
from metrics.util.errors import InputError

# The Space stores no answers, and lacks the module.
if TYPE_CHECKING:
    from leaderboard.judging.collecting import Collector

# Texts of this many studies stay in memory.
_CACHED = 4
# One reader's answers after the other's.
_STORING: dict[str, Any] = {
    "show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple",
    "concurrency_limit": 1, "concurrency_id": "answers",
}  # fmt: skip


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
    if frame.collector:
        _store_answers(frame.collector, reader)
    payload = lru_cache(_CACHED)(lambda name: _payload(frame, name))
    people = lru_cache(_CACHED)(lambda name: render_people(frame.board, name))
    # The study that is shown: opening the tab again does not begin anew.
    shown = gr.Textbox(visible=False)
    menu.change(None, menu, shown, js="(name) => name ?? ''", queue=False)
    shown.change(payload, shown, reader, **QUEUED).then(people, shown, results, **QUEUED)

    def update(group: Group | None, filters: Filters, name: str | None) -> list[Any]:
        return [name or ""]

    return Refresh(update, [menu], [shown])


def _payload(frame: Frame, name: str | None) -> dict[str, Any]:
    return study_payload(frame.board, name) | {"stores": frame.collector is not None and name not in TRIALS}


def _store_answers(collector: "Collector", reader: gr.HTML) -> None:
    """Connect the events of assets/judge.js: a reader gives their name, or answers."""
    reply = gr.JSON(visible=False)

    def replying(act: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[gr.EventData], dict[str, Any]]:
        def answer(event: gr.EventData) -> dict[str, Any]:
            try:
                return act(event.value)
            except InputError as error:
                return {"problem": printable(str(error))}
            except (KeyError, TypeError, ValueError):
                # Not what the page's script sends.
                return {"problem": "no answers"}

        return answer

    def enter(value: dict[str, Any]) -> dict[str, Any]:
        return collector.enter(str(value["study"]), str(value["name"]))

    def store(value: dict[str, Any]) -> dict[str, Any]:
        collector.save(dict(value["document"]), str(value["name"]))
        return {"problem": ""}

    dispatch = "(reply) => { window.dispatchEvent(new CustomEvent('judge-reply', { detail: reply })); }"
    for connect, act in ((reader.enter, enter), (reader.store, store)):
        connect(replying(act), None, reply, **_STORING).then(None, reply, None, js=dispatch)
