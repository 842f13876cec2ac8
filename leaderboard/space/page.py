"""The gradio page: its layout, and which parts an event updates. All rows are in memory before it is built."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

import gradio as gr

from leaderboard.space.data import Group, Leaderboard, Record
from leaderboard.space.escaping import MAX_NAME, external_link, to_html
from leaderboard.space.views.charts import render_charts
from leaderboard.space.views.columns import COLUMNS, DEFAULT, FIXED
from leaderboard.space.views.details import code_block, render_details
from leaderboard.space.views.ranking import render_published, render_ranking, to_csv, to_parquet
from leaderboard.space.views.selection import ANY, CHOICES, MAX_SEARCH, Filters, TableState, select
from leaderboard.space.views.sentences import OUTPUT_ORDERS, PAIR_ORDERS, Comparisons, render_outputs
from leaderboard.space.views.slices import render_slices
from leaderboard.space.views.tables import page_number
from metrics.spaces.gate import launch_options
from metrics.spaces.theme import theme
from metrics.util.characters import printable
from metrics.util.errors import InputError

ASSETS = Path(__file__).parent / "assets"
TITLE = "Text detoxification leaderboard"
# Longer lists are hard to read; the filters shorten them.
MAX_CHOICES = 300
# Filters work on rows in memory: without queue and spinner, the table does not flicker.
UNQUEUED: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# Reading a system's sentences from the Hub takes a second.
QUEUED: dict[str, Any] = {
    "show_progress": "minimal", "api_visibility": "private", "trigger_mode": "always_last",
    # All these events together: while comparisons run, the filters need the processor too.
    "concurrency_limit": 2, "concurrency_id": "sentences",
}  # fmt: skip
# Calls that wait; the filters do not.
MAX_QUEUE = 64
# Bytes of a request: a search, the keys of three systems, and the names of all columns take 2,000.
MAX_BODY = 32_000
# In the order of CHOICES.
FILTER_LABELS = ("Kind", "Size (parameters)", "Parallel training data", "Checked", "Test set seen")


class Page:
    """The page of one leaderboard: `build` creates its components and connects their events."""

    def __init__(self, board: Leaderboard) -> None:
        self.board = board
        self.comparisons = Comparisons(board)
        self.first_group = next(iter(board.groups.values()), None)

    def build(self) -> gr.Blocks:
        """Return the page as a gradio app."""
        with gr.Blocks(title=TITLE, analytics_enabled=False) as demo:
            _html(_introduction(self.board), "top")
            self._filters()
            self.state, self.open_tab = gr.State(TableState()), gr.State("ranking")
            with gr.Tabs(selected="ranking", elem_id="parts") as self.tabs:
                fill = {"ranking": self._ranking, "charts": self._charts, "system": self._system}
                fill |= {"compare": self._compare, "submit": self._submit}
                tabs = {}
                for name in fill:
                    with gr.Tab(name.capitalize(), id=name) as tabs[name]:
                        fill[name]()
            self._on_filters(tabs)
            self._on_table()
            self._on_systems(tabs["system"], tabs["compare"])
            self._on_download()
        return demo

    # -- layout -------------------------------------------------------------------------------------------------------
    def _filters(self) -> None:
        groups = [(group.label, key) for key, group in self.board.groups.items()]
        with gr.Row():
            self.group = gr.Dropdown(
                groups, label="Test set and profile", elem_id="group", filterable=False, scale=2, min_width=260
            )
            hint = "name, base model, data, note"
            self.search = gr.Textbox(
                label="Search", placeholder=hint, elem_id="search", max_length=MAX_SEARCH, scale=2, min_width=220
            )
        with gr.Accordion("Filters and columns", open=False, elem_id="filters"):
            with gr.Row():
                self.menus = [
                    gr.Dropdown([ANY, *choices], label=label, elem_id=f"filter-{f}", filterable=False, min_width=150)
                    for (f, choices), label in zip(CHOICES.items(), FILTER_LABELS, strict=True)
                ]
            columns = [(column.title, name) for name, column in COLUMNS.items() if name not in FIXED]
            label = "Columns beside rank and system"
            self.columns = gr.CheckboxGroup(columns, value=list(DEFAULT), label=label, elem_id="columns")
        self.filters = [self.group, self.search, *self.menus]

    def _ranking(self) -> None:
        self.table = _html(render_ranking(self.first_group, Filters(), DEFAULT, TableState()), "ranking")
        with gr.Row():
            self.csv = gr.Button("Download as CSV", elem_id="csv", size="sm", scale=0, min_width=190)
            self.parquet = gr.Button("Download as Parquet", elem_id="parquet", size="sm", scale=0, min_width=190)
        self.file = gr.JSON(visible=False)
        self.published = _html(render_published(self.board.published), "published")

    def _charts(self) -> None:
        self.charts = _html("", "charts")

    def _system(self) -> None:
        self.system = self._system_menu("System", 0, "system")
        self.details = _html("", "details")
        self.slices = _html("", "slices")
        self.order, self.rude = _sentence_controls(OUTPUT_ORDERS, "outputs")
        self.sentences = _html("", "sentences")

    def _compare(self) -> None:
        with gr.Row():
            self.left = self._system_menu("First system", 0, "left")
            self.right = self._system_menu("Second system", 1, "right")
        self.pair_order, self.pair_rude = _sentence_controls(PAIR_ORDERS, "pair")
        self.pair = _html("", "comparison")

    def _submit(self) -> None:
        repo = self.board.repo or "ORG/NAME"
        publish = f"python -m leaderboard.publish result.json --repo {repo}"
        submission = Template(_asset("submission.html")).substitute(
            publish=code_block(f"python -m metrics.score MODEL_ID --json result.json\n{publish}"),
            verify=code_block(f"python -m leaderboard.verify --repo {repo}"),
            citation=code_block(_asset("citation.bib").strip()),
        )
        _html(submission, "submit")

    def _system_menu(self, label: str, place: int, elem_id: str) -> gr.Dropdown:
        """A menu of systems with the one at `place` selected."""
        records = select(self.first_group, Filters(), TableState())
        choices = self._choices(records)
        info = f"The first {MAX_CHOICES} that pass the filters." if len(records) > MAX_CHOICES else None
        return gr.Dropdown(
            choices, value=_key_at(choices, place), label=label, info=info, elem_id=elem_id, min_width=240
        )

    def _choices(self, records: Sequence[Record]) -> list[tuple[str, str]]:
        """(name, key) of the first records; systems of the same name also show their revision."""
        names = [printable(str(record["system"]), MAX_NAME) for record in records[:MAX_CHOICES]]
        return [
            (f"{name} ({printable(str(record['revision']), 12)})" if names.count(name) > 1 else name, record["key"])
            for name, record in zip(names, records, strict=False)
        ]

    def _update_menu(self, records: Sequence[Record], selected: str | None, place: int = 0) -> Any:
        """New choices; `selected` stays selected even if it is not among `records`, None selects the one at `place`."""
        choices = self._choices(records)
        record = self.board.records.get(selected or "")
        if record is None:
            selected = _key_at(choices, place)
        elif selected not in [key for _, key in choices]:
            choices = [*self._choices([record]), *choices]
        return gr.Dropdown(choices=choices, value=selected)

    # -- events: filters and tabs -------------------------------------------------------------------------------------
    def _group(self, key: str | None) -> Group | None:
        return self.board.groups.get(key or "")

    def _on_filters(self, tabs: dict[str, gr.Tab]) -> None:
        menus = [self.system, self.left, self.right]
        inputs = [self.state, self.columns, *menus, *self.filters]
        updated = [self.table, self.charts, self.state, *menus]

        def update(
            tab: str, state: TableState, columns: list[str], system: str | None, left: str | None, right: str | None,
            key: str | None, *values: str,
        ) -> dict[Any, Any]:  # fmt: skip
            """Update the open tab only."""
            group, filters, state = self._group(key), Filters(*values), replace(state, page=0)
            new: dict[Any, Any] = {self.state: state}
            if tab == "ranking":
                new[self.table] = render_ranking(group, filters, columns, state)
            elif tab == "charts":
                new[self.charts] = render_charts(select(group, filters, state))
            elif tab in ("system", "compare"):
                records = select(group, filters, TableState())
                # The two systems of a pair share a group; a published figure, which has none, fits any.
                selected = [k if k and self.board.group_of(k) in (group, None) else None for k in (system, left, right)]
                places = zip(menus, selected, (0, 0, 1), strict=True)
                new |= {menu: self._update_menu(records, k, place) for menu, k, place in places}
            return new

        # Not `input`: gradio's text box sends none when a letter is deleted, and its menu sends two per choice.
        changes = [self.search.change, self.group.change, self.columns.change, *(menu.change for menu in self.menus)]
        gr.on(changes, update, [self.open_tab, *inputs], updated, trigger_mode="always_last", **UNQUEUED)
        for name, tab in tabs.items():
            on_select = partial(lambda name, *values: {self.open_tab: name, **update(name, *values)}, name)
            tab.select(on_select, inputs, [self.open_tab, *updated], **UNQUEUED)

    def _on_table(self) -> None:
        inputs, updated = [self.state, self.columns, *self.filters], [self.table, self.state]

        def update(state: TableState, columns: list[str], key: str, *filters: str) -> tuple[str, TableState]:
            return render_ranking(self._group(key), Filters(*filters), columns, state), state

        def sort(event: gr.EventData, state: TableState, *values: Any) -> tuple[str, TableState]:
            return update(state.sorted_by(str(event.value)), *values)

        def turn(event: gr.EventData, state: TableState, *values: Any) -> tuple[str, TableState]:
            return update(replace(state, page=page_number(event.value)), *values)

        def show_system(event: gr.EventData) -> list[Any]:
            record = self.board.records.get(str(event.value))
            menu = self._update_menu([record], record["key"]) if record else gr.skip()
            return [gr.Tabs(selected="system") if record else gr.skip(), menu]

        self.table.sort(sort, inputs, updated, **UNQUEUED)
        self.table.turn(turn, inputs, updated, **UNQUEUED)
        for block in (self.table, self.published):
            block.choose(show_system, None, [self.tabs, self.system], **UNQUEUED)

    def _on_systems(self, system: gr.Tab, pair: gr.Tab) -> None:
        changes = [self.system.change, system.select]

        def show(key: str | None) -> tuple[str, str]:
            return render_details(self.board, key), render_slices(self.board, key)

        gr.on(changes, show, self.system, [self.details, self.slices], **QUEUED)
        inputs = [self.system, self.order, self.rude]
        _on_sentences(changes, partial(render_outputs, self.board), inputs, self.sentences)
        changes = [self.left.change, self.right.change, pair.select]
        inputs = [self.left, self.right, self.pair_order, self.pair_rude]
        _on_sentences(changes, self.comparisons.render, inputs, self.pair)

    def _on_download(self) -> None:
        def save(convert: Callable[..., bytes], name: str, state: TableState, key: str | None, *filters: str) -> Any:
            """A file as assets/save.js reads it: the browser saves it, the server writes nothing to its disk."""
            data = convert(self.board, select(self._group(key), Filters(*filters), state))
            return {"name": name, "data": base64.b64encode(data).decode("ascii")}

        for button, convert, name in ((self.csv, to_csv, "csv"), (self.parquet, to_parquet, "parquet")):
            saved = partial(save, convert, f"leaderboard.{name}")
            clicked = button.click(saved, [self.state, *self.filters], self.file, **QUEUED)
            clicked.then(None, self.file, None, js=_asset("save.js"))


def _key_at(choices: list[tuple[str, str]], place: int) -> str | None:
    return choices[min(place, len(choices) - 1)][1] if choices else None


def _asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")


def _introduction(board: Leaderboard) -> str:
    """What the metrics mean, and which rows the page shows, at which revision."""
    source = "a local folder"
    if board.repo:
        source = external_link(f"https://huggingface.co/datasets/{board.repo}", to_html(board.repo))
    return Template(_asset("introduction.html")).substitute(
        title=TITLE, source=source, revision=to_html(board.snapshot.revision[:12]),
        measured=f"{len(board.records) - len(board.published):,}", published=f"{len(board.published):,}",
    )  # fmt: skip


def _html(value: str, elem_id: str) -> gr.HTML:
    clicks = _asset("page.js")
    return gr.HTML(value, elem_id=elem_id, elem_classes="part", js_on_load=clicks, apply_default_css=False)


def _sentence_controls(orders: dict[str, int], elem_id: str) -> tuple[gr.Dropdown, gr.Checkbox]:
    """The controls of a table of sentences: their order, and whether rude words are shown."""
    info = "The texts are offensive. Press a blurred word to show it."
    with gr.Row():
        order = gr.Dropdown(
            list(orders), label="Order of sentences", elem_id=f"{elem_id}-order", filterable=False, min_width=200
        )
        rude = gr.Checkbox(label="Show rude words", info=info, elem_id=f"{elem_id}-rude", min_width=200)
    return order, rude


def _on_sentences(changes: list[Any], render: Callable[..., str], inputs: list[Any], block: gr.HTML) -> None:
    """Connect a table of sentences; the last two of `inputs` are its controls."""
    page = gr.State(0)

    def turn(event: gr.EventData, *values: Any) -> tuple[str, int]:
        to = page_number(event.value)
        return render(*values, to), to

    order, rude = inputs[-2:]
    gr.on([*changes, order.input], lambda *values: (render(*values, 0), 0), inputs, [block, page], **QUEUED)
    block.turn(turn, inputs, [block, page], **QUEUED)
    rude.input(render, [*inputs, page], block, **QUEUED)


def launch(demo: gr.Blocks, **options: Any) -> None:
    """Serve the page until it is interrupted; `options` are arguments of `gr.Blocks.launch`.

    Raises:
        InputError: The page cannot be served at the host and port.
    """
    # This page has filters, hints and a dark mode, which the metrics' pages lack.
    look = theme().set(
        checkbox_label_background_fill_selected="*primary_700", block_title_background_fill_dark="*primary_800",
        checkbox_label_background_fill_selected_dark="*primary_800",
        block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300",
        input_placeholder_color="*neutral_500", input_placeholder_color_dark="*neutral_300",
    )  # fmt: skip
    try:
        demo.queue(max_size=MAX_QUEUE, api_open=False)
        look_of_page = {"theme": look, "css_paths": [ASSETS / "page.css"], "footer_links": ["settings"]}
        demo.launch(**look_of_page, **launch_options(MAX_BODY), **options)
    except (OSError, OverflowError) as error:
        raise InputError(f"--host, --port: cannot serve there ({error})") from None
