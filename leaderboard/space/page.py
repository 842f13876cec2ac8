"""The gradio page: what stands where, and which part an event renews. All rows are in memory before it is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from leaderboard.space import outputs as system_outputs
from leaderboard.space import prose
from leaderboard.space import versus as pairs
from leaderboard.space.charts import charts
from leaderboard.space.data import Group, Leaderboard, Record
from leaderboard.space.details import details
from leaderboard.space.download import as_csv, as_parquet, handed_over
from leaderboard.space.ranking import (
    ANY,
    CHOICES,
    DEFAULT,
    Filters,
    View,
    column_choices,
    page_of,
    published,
    ranking,
    records_shown,
)
from leaderboard.space.shown import MAX_NAME, visible
from metrics.spaces.theme import theme
from metrics.util.errors import InputError

HERE = Path(__file__).parent
SCRIPT = (HERE / "page.js").read_text("utf-8")
SAVE = (HERE / "save.js").read_text("utf-8")
# Nobody looks through a longer list; the filters narrow it.
MAX_CHOICES = 300
# Filters answer at once: they bypass the queue, and no spinner flickers over the table.
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# What reads a system's sentences may take a moment.
READING: dict[str, Any] = {
    "show_progress": "minimal",
    "api_visibility": "private",
    "trigger_mode": "always_last",
    "concurrency_limit": 4,
}
FILTER_LABELS = {
    "kind": "Kind",
    "size": "Size (parameters)",
    "parallel": "Parallel training data",
    "verification": "Checked",
    "contamination": "Test set seen",
}


class Page:
    """The page of one leaderboard: `build` lays it out, the other methods are its parts and their events."""

    def __init__(self, board: Leaderboard) -> None:
        self.board = board
        self.versus = pairs.Versus(board)
        self.first = next(iter(board.groups.values()), None)

    def build(self) -> gr.Blocks:
        with gr.Blocks(title=prose.TITLE, analytics_enabled=False) as demo:
            _block(prose.introduction(self.board), "top")
            self._filters()
            self.view, self.part = gr.State(View()), gr.State("ranking")
            with gr.Tabs(selected="ranking", elem_id="parts") as self.tabs:
                tabs = {}
                for name, title, fill in (
                    ("ranking", "Ranking", self._ranking),
                    ("charts", "Charts", self._charts),
                    ("system", "System", self._system),
                    ("compare", "Compare", self._compare),
                    ("submit", "Submit", self._submit),
                ):
                    with gr.Tab(title, id=name) as tabs[name]:
                        fill()
            self._renew_on_filters(tabs)
            self._sort_and_turn()
            self._choose_by_name()
            self._read_system(tabs["system"])
            self._compare_pair(tabs["compare"])
            self._download()
        return demo

    # -- layout -------------------------------------------------------------------------------------------------------
    def _filters(self) -> None:
        groups = [(group.label, key) for key, group in self.board.groups.items()]
        with gr.Row():
            self.group = gr.Dropdown(
                groups, value=self.first.key if self.first else None, label="Test set and profile", elem_id="group",
                filterable=False, scale=2, min_width=260,
            )  # fmt: skip
            self.search = gr.Textbox(
                label="Search", placeholder="name, base model, data, note", elem_id="search",
                max_length=200, scale=2, min_width=220,
            )  # fmt: skip
        with gr.Accordion("Filters and columns", open=False, elem_id="filters"):
            with gr.Row():
                self.menus = [
                    gr.Dropdown(
                        [ANY, *choices], value=ANY, label=FILTER_LABELS[field], elem_id=f"filter-{field}",
                        filterable=False, min_width=150,
                    )
                    for field, choices in CHOICES.items()
                ]  # fmt: skip
            self.columns = gr.CheckboxGroup(
                column_choices(), value=list(DEFAULT), label="Columns beside rank and system", elem_id="columns"
            )

    def _ranking(self) -> None:
        self.table = _block(ranking(self.first, Filters(), DEFAULT, View()), "ranking")
        with gr.Row():
            self.csv = gr.Button("Download as CSV", elem_id="csv", size="sm", scale=0, min_width=190)
            self.parquet = gr.Button("Download as Parquet", elem_id="parquet", size="sm", scale=0, min_width=190)
        self.file = gr.JSON(visible=False)
        self.published = _block(published(self.board.published), "published")

    def _charts(self) -> None:
        self.drawing = _block("", "charts")

    def _system(self) -> None:
        self.system = self._list("System", 0, "system")
        self.about = _block("", "details")
        self.order, self.rude = _reading(system_outputs.ORDERS, "outputs")
        self.sentences, self.sentence_page = _block("", "sentences"), gr.State(0)

    def _compare(self) -> None:
        with gr.Row():
            self.left, self.right = self._list("First system", 0, "left"), self._list("Second system", 1, "right")
        self.pair_order, self.pair_rude = _reading(pairs.ORDERS, "pair")
        self.pair, self.pair_page = _block("", "comparison"), gr.State(0)

    def _submit(self) -> None:
        _block(prose.submission(self.board), "submit")

    def _list(self, label: str, place: int, elem_id: str) -> gr.Dropdown:
        records = records_shown(self.first, Filters(), View())
        choices = self._choices(records)
        value = choices[min(place, len(choices) - 1)][1] if choices else None
        info = f"The first {MAX_CHOICES} that the filters show." if len(records) > MAX_CHOICES else None
        return gr.Dropdown(choices, value=value, label=label, info=info, elem_id=elem_id, min_width=240)

    # -- lists of systems ---------------------------------------------------------------------------------------------
    def _choices(self, records: Sequence[Record]) -> list[tuple[str, str]]:
        """(name, key) of the first records; equal names are told apart by their revision."""
        names = [visible(str(record["system"]), MAX_NAME) for record in records[:MAX_CHOICES]]
        return [
            (f"{name} ({visible(str(record['revision']), 12)})" if names.count(name) > 1 else name, record["key"])
            for name, record in zip(names, records, strict=False)
        ]

    def _chosen(self, records: Sequence[Record], chosen: str | None, place: int = 0) -> Any:
        """A list with new choices. What was chosen stays, also where the filters do not show it; None: choose anew."""
        choices = self._choices(records)
        kept = self.board.records.get(chosen or "")
        if kept is None:
            chosen = choices[min(place, len(choices) - 1)][1] if choices else None
        elif chosen not in [key for _, key in choices]:
            choices = [*self._choices([kept]), *choices]
        return gr.Dropdown(choices=choices, value=chosen)

    # -- events: filters and tabs -------------------------------------------------------------------------------------
    @property
    def _filter_parts(self) -> list[Any]:
        return [self.group, self.search, *self.menus]

    def _group(self, key: str | None) -> Group | None:
        return self.board.groups.get(key or "")

    def _renew_on_filters(self, tabs: dict[str, gr.Tab]) -> None:
        lists = [self.system, self.left, self.right]
        asked = [self.view, self.columns, *lists, *self._filter_parts]
        renewed = [self.table, self.drawing, self.view, *lists]

        def renew(
            part: str, view: View, columns: list[str], system: str | None, left: str | None, right: str | None,
            key: str | None, *filters: str,
        ) -> list[Any]:  # fmt: skip
            """Of what the filters decide, only what is looked at."""
            group, wanted, view = self._group(key), Filters(*filters), replace(view, page=0)
            table = drawing = gr.skip()
            filled = [gr.skip()] * len(lists)
            if part == "ranking":
                table = ranking(group, wanted, columns, view)
            elif part == "charts":
                drawing = charts(records_shown(group, wanted, view))
            elif part in ("system", "compare"):
                records = records_shown(group, wanted, View())
                # A pair is of one group; a published figure, which is of none, may be read in any.
                kept = [k if k and self.board.group_of(k) in (group, None) else None for k in (system, left, right)]
                filled = [self._chosen(records, k, place) for k, place in zip(kept, (0, 0, 1), strict=True)]
            return [table, drawing, view, *filled]

        # Not `input`: a text box has none for a letter that is deleted, and a menu has two for one choice.
        changes = [self.search.change, self.group.change, self.columns.change, *(menu.change for menu in self.menus)]
        gr.on(changes, renew, [self.part, *asked], renewed, trigger_mode="always_last", **AT_ONCE)
        for name, tab in tabs.items():
            open_tab = partial(lambda part, *values: [part, *renew(part, *values)], name)
            tab.select(open_tab, asked, [self.part, *renewed], **AT_ONCE)

    def _sort_and_turn(self) -> None:
        asked, renewed = [self.view, self.columns, *self._filter_parts], [self.table, self.view]

        def sort(event: gr.EventData, view: View, columns: list[str], key: str, *filters: str) -> tuple[str, View]:
            view = view.sorted_by(str(event.value))
            return ranking(self._group(key), Filters(*filters), columns, view), view

        def turn(event: gr.EventData, view: View, columns: list[str], key: str, *filters: str) -> tuple[str, View]:
            view = replace(view, page=page_of(event.value))
            return ranking(self._group(key), Filters(*filters), columns, view), view

        self.table.sort(sort, asked, renewed, **AT_ONCE)
        self.table.turn(turn, asked, renewed, **AT_ONCE)

    def _choose_by_name(self) -> None:
        def choose(event: gr.EventData) -> list[Any]:
            record = self.board.records.get(str(event.value))
            if record is None:
                return [gr.skip(), gr.skip()]
            return [gr.Tabs(selected="system"), self._chosen([record], record["key"])]

        for block in (self.table, self.published):
            block.choose(choose, None, [self.tabs, self.system], **AT_ONCE)

    # -- events: sentences --------------------------------------------------------------------------------------------
    def _read_system(self, tab: gr.Tab) -> None:
        asked, page = [self.system, self.order, self.rude], self.sentence_page
        read = partial(system_outputs.outputs, self.board)

        def chosen(key: str | None, order: str, rude: bool) -> tuple[str, str, int]:
            return details(self.board, key), read(key, order, rude, 0), 0

        gr.on([self.system.change, tab.select], chosen, asked, [self.about, self.sentences, page], **READING)
        self._turn(self.sentences, read, asked, page, self.order, self.rude)

    def _compare_pair(self, tab: gr.Tab) -> None:
        asked, page = [self.left, self.right, self.pair_order, self.pair_rude], self.pair_page
        read: Any = self.versus.shown
        gr.on(
            [self.left.change, self.right.change, tab.select], lambda *values: (read(*values, 0), 0), asked,
            [self.pair, page], **READING,
        )  # fmt: skip
        self._turn(self.pair, read, asked, page, self.pair_order, self.pair_rude)

    def _turn(
        self, block: gr.HTML, read: Any, asked: list[Any], page: gr.State, order: gr.Dropdown, rude: gr.Checkbox
    ) -> None:
        """What pages of sentences have in common: another order starts anew, showing rude words keeps the page."""

        def turn(event: gr.EventData, *values: Any) -> tuple[str, int]:
            to = page_of(event.value)
            return read(*values, to), to

        block.turn(turn, asked, [block, page], **READING)
        order.input(lambda *values: (read(*values, 0), 0), asked, [block, page], **READING)
        rude.input(read, [*asked, page], block, **READING)

    # -- events: downloads --------------------------------------------------------------------------------------------
    def _download(self) -> None:
        for button, name, write in (
            (self.csv, "leaderboard.csv", as_csv),
            (self.parquet, "leaderboard.parquet", as_parquet),
        ):

            def save(name: str, write: Any, view: View, key: str | None, *filters: str) -> dict[str, str]:
                records = records_shown(self._group(key), Filters(*filters), view)
                return handed_over(name, write(self.board, records))

            asked = [self.view, *self._filter_parts]
            button.click(partial(save, name, write), asked, self.file, **READING).then(None, self.file, None, js=SAVE)


def _block(value: str, elem_id: str) -> gr.HTML:
    return gr.HTML(value, elem_id=elem_id, elem_classes="part", js_on_load=SCRIPT, apply_default_css=False)


def _reading(orders: dict[str, int], elem_id: str) -> tuple[gr.Dropdown, gr.Checkbox]:
    """How sentences are read: their order, and whether rude words are shown."""
    names = list(orders)
    with gr.Row():
        order = gr.Dropdown(
            names, value=names[0], label="Order of sentences", elem_id=f"{elem_id}-order", filterable=False,
            min_width=200,
        )  # fmt: skip
        rude = gr.Checkbox(
            False, label="Show rude words", info="The texts are offensive. Single words show when pressed.",
            elem_id=f"{elem_id}-rude", min_width=200,
        )  # fmt: skip
    return order, rude


def launch(demo: gr.Blocks, **options: Any) -> None:
    # Beside the metrics' pages, this one has a dark side, filters and hints.
    look = theme().set(
        block_title_background_fill_dark="*primary_800",
        checkbox_label_background_fill_selected="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_800",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_300",
    )
    try:
        demo.launch(theme=look, css_paths=[HERE / "page.css"], footer_links=["settings"], **options)
    except (OSError, OverflowError) as error:
        raise InputError(f"--host, --port: cannot serve there ({error})") from None
