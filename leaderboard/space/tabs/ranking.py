"""The tab Ranking."""

import base64
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from leaderboard.space.data import Group, Record
from leaderboard.space.frame import QUEUED, Frame, Refresh, asset, html_block
from leaderboard.space.views.columns import COLUMNS, DEFAULT, FIXED
from leaderboard.space.views.faults import render_faults
from leaderboard.space.views.picture import leader, render_picture
from leaderboard.space.views.ranking import render_ranking, to_csv, to_parquet
from leaderboard.space.views.selection import Filters, TableState, select
from leaderboard.space.views.tables import page_number
from leaderboard.space.views.texts.examples import render_examples


def ranking_tab(frame: Frame) -> Refresh:
    """Create the tab with the picture of the leaders, example rewrites, the ranking, its columns and its downloads."""
    board, group = frame.board, frame.first_group
    first = select(group, Filters(), TableState())
    best = _key(leader(first))
    with gr.Row(elem_id="first-screen"):
        with gr.Column(scale=3, min_width=320):
            picture = html_block(render_picture(group, first), "picture")
            lead = html_block(frame.comparisons.render_lead(best), "lead")
            faults = html_block(render_faults(board, best), "faults")
        with gr.Column(scale=2, min_width=320):
            examples = html_block(render_examples(board, best), "examples")
    # These read the sentences of the leader and the next system, and only when there is another leader.
    shown = gr.Textbox(best, visible=False)
    renders = (frame.comparisons.render_lead, partial(render_faults, board), partial(render_examples, board))
    shown.change(lambda key: [render(key) for render in renders], shown, [lead, faults, examples], **QUEUED)
    names = [(column.title, name) for name, column in COLUMNS.items() if name not in FIXED]
    state = frame.hidden("sort", TableState().text)
    with gr.Accordion("Columns", open=False, elem_id="columns-menu"):
        columns = gr.CheckboxGroup(
            names, value=list(DEFAULT), label="Columns beside rank and system", elem_id="columns"
        )
    table = html_block(render_ranking(group, Filters(), DEFAULT, TableState()), "ranking")
    frame.keep("columns", columns, tuple(COLUMNS))
    frame.choosers += [picture, table]
    _connect_table(frame, table, state, columns)
    _downloads(frame, state)

    def update(group: Group | None, filters: Filters, text: str, names: list[str]) -> list[str]:
        now, records = TableState.parse(text).of(group and group.key, filters), select(group, filters, TableState())
        key = _key(leader(group.records)) if group else ""
        return [render_picture(group, records), key, render_ranking(group, filters, names, now)]

    return Refresh(update, [state, columns], [picture, shown, table])


def _key(record: Record | None) -> str:
    return record["key"] if record else ""


def _connect_table(frame: Frame, table: gr.HTML, state: gr.Textbox, columns: gr.CheckboxGroup) -> None:
    inputs, updated = [state, columns, *frame.filters], [table, state]

    def render(
        change: Callable[[TableState], TableState], text: str, columns: list[str], key: str, *values: str
    ) -> Any:
        group, filters = frame.group_at(key), Filters(*values)
        now = change(TableState.parse(text).of(group and group.key, filters))
        return render_ranking(group, filters, columns, now), now.text

    def sort(event: gr.EventData, *values: Any) -> Any:
        return render(lambda state: state.sorted_by(str(event.value)), *values)

    def turn(event: gr.EventData, *values: Any) -> Any:
        return render(lambda state: replace(state, page=page_number(event.value)), *values)

    table.sort(sort, inputs, updated, **frame.instant)
    table.turn(turn, inputs, updated, **frame.instant)
    again = partial(render, _same)
    columns.change(lambda *values: again(*values)[0], inputs, table, trigger_mode="always_last", **frame.instant)


def _same(state: TableState) -> TableState:
    return state


def _downloads(frame: Frame, state: gr.Textbox) -> None:
    file = gr.JSON(visible=False)

    def save(convert: Callable[..., bytes], name: str, text: str, key: str | None, *filters: str) -> Any:
        """A file as assets/save.js reads it: the browser saves it, the server writes nothing to its disk."""
        data = convert(frame.board, select(frame.group_at(key), Filters(*filters), TableState.parse(text)))
        return {"name": name, "data": base64.b64encode(data).decode("ascii")}

    with gr.Row():
        for name, title, convert in (("csv", "CSV", to_csv), ("parquet", "Parquet", to_parquet)):
            button = gr.Button(f"Download as {title}", elem_id=name, size="sm", scale=0, min_width=190)
            saved = partial(save, convert, f"leaderboard.{name}")
            clicked = button.click(saved, [state, *frame.filters], file, **QUEUED)
            clicked.then(None, file, None, js=asset("save.js"))
