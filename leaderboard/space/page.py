"""The gradio page: what stands above the tabs, the tabs, and which parts an event updates. All rows are in memory."""

import gc
import json
from collections.abc import Callable
from functools import partial
from string import Template
from typing import TYPE_CHECKING, Any

import gradio as gr

from leaderboard.space.data import Leaderboard
from leaderboard.space.escaping import external_link, to_html
from leaderboard.space.frame import ASSETS, UNQUEUED, Frame, Refresh, asset, html_block, phone_fold
from leaderboard.space.tabs.charts import charts_tab
from leaderboard.space.tabs.compare import compare_tab
from leaderboard.space.tabs.judge import judge_tab
from leaderboard.space.tabs.published import published_tab
from leaderboard.space.tabs.ranking import ranking_tab
from leaderboard.space.tabs.sentences import sentences_tab
from leaderboard.space.tabs.submit import submit_tab
from leaderboard.space.tabs.system import system_tab
from leaderboard.space.tabs.try_it import try_it_tab
from leaderboard.space.views.selection import ANY, CHOICES, MAX_SEARCH, Filters
from metrics.spaces.blocks import Blocks
from metrics.spaces.gate import launch_options
from metrics.spaces.theme import theme
from metrics.util.errors import InputError

# The Space stores no answers, and lacks the module.
if TYPE_CHECKING:
    from leaderboard.judging.collecting import Collector

TITLE = "Text detoxification leaderboard"
# Calls that wait; the filters do not.
MAX_QUEUE = 64
# Bytes of a request: a search, the keys of three systems, and the names of all columns take 2,000.
MAX_BODY = 32_000
# In the order of CHOICES.
FILTER_LABELS = ("Kind", "Size (parameters)", "Parallel training data", "Checked", "Test set seen")
# A tab is one function: it creates the tab's components, connects their events, and says what to render again when the
# tab is opened or the filters change. By the name that the address holds, in the order of the page.
TABS: dict[str, tuple[str, Callable[[Frame], Refresh | None]]] = {
    "ranking": ("Ranking", ranking_tab),
    "charts": ("Charts", charts_tab),
    "sentences": ("Sentences", sentences_tab),
    "system": ("System", system_tab),
    "compare": ("Compare", compare_tab),
    "try": ("Try it", try_it_tab),
    "judge": ("Judge", judge_tab),
    "published": ("Published", published_tab),
    "submit": ("Submit", submit_tab),
}


class Page:
    """The page of one leaderboard: `build` creates its components and connects their events."""

    def __init__(self, board: Leaderboard, *, local: bool = False, collector: "Collector | None" = None) -> None:
        """Keep the leaderboard, and what the tab Judge needs.

        Args:
            board: The leaderboard.
            local: Whether the page runs on the visitor's machine, and not as a Space.
            collector: Stores answers of readers; without it, they save them as files.
        """
        self.board, self.local, self.collector = board, local, collector

    def build(self) -> gr.Blocks:
        """Return the page as a gradio app."""
        frame = Frame(self.board, tuple(TABS), local=self.local, collector=self.collector)
        with Blocks(title=TITLE, analytics_enabled=False) as demo:
            html_block(_introduction(self.board), "top")
            _filters(frame)
            frame.open_tab = frame.keep("tab", gr.Textbox(frame.tab_names[0], visible=False), frame.tab_names)
            frame.tabs = gr.Tabs(selected=frame.tab_names[0], elem_id="parts", overflow_behavior="wrap")
            tabs, refreshes = {}, {}
            with frame.tabs:
                for name, (title, build) in TABS.items():
                    with gr.Tab(title, id=name) as tabs[name]:
                        refreshes[name] = build(frame)
            _on_filters(frame, tabs, {name: refresh for name, refresh in refreshes.items() if refresh})
            _on_choose(frame)
            restored = frame.connect_address(demo)
            for part in refreshes.values():
                if part and part.on_load:
                    inputs = [*frame.filters, *part.inputs]
                    restored.then(partial(_render, frame, part), inputs, list(part.outputs), **frame.instant)
        return demo


def _introduction(board: Leaderboard) -> str:
    """What the metrics mean, and which rows the page shows, at which revision and of which day."""
    source = "a local folder"
    if board.repo:
        source = external_link(f"https://huggingface.co/datasets/{board.repo}", to_html(board.repo))
    dates = [str(record["date"])[:10] for record in board.records.values() if record["record"] != "published"]
    newest = f"The newest result is of {to_html(max(dates), 10)}." if dates else ""
    return Template(asset("introduction.html")).substitute(
        title=TITLE, source=source, revision=to_html(board.snapshot.revision[:12]), newest=newest,
        measured=f"{len(board.records) - len(board.published):,}", published=f"{len(board.published):,}",
    )  # fmt: skip


def _filters(frame: Frame) -> None:
    """The controls above the tabs."""
    groups = [(group.label, key) for key, group in frame.board.groups.items()]
    langs = sorted({group.lang for group in frame.board.groups.values()})
    phone_fold("Test set, search and filters", "controls-fold", ("group", "search", *CHOICES))
    with gr.Row(elem_id="controls", elem_classes="foldable"):
        language = gr.Dropdown(
            [ANY, *langs], label="Language", elem_id="language", filterable=False, visible=len(langs) > 1, min_width=110
        )
        frame.group = gr.Dropdown(
            groups, label="Test set and profile", elem_id="group", filterable=False, scale=2, min_width=260
        )
        hint = "name, base model, data, note"
        search = gr.Textbox(
            label="Search", placeholder=hint, elem_id="search", max_length=MAX_SEARCH, scale=2, min_width=220
        )
    with gr.Accordion("Filters", open=False, elem_id="filters", elem_classes="foldable"), gr.Row():
        menus = [
            gr.Dropdown([ANY, *choices], label=label, elem_id=f"filter-{field}", filterable=False, min_width=150)
            for (field, choices), label in zip(CHOICES.items(), FILTER_LABELS, strict=True)
        ]
    language.change(partial(_groups_in, frame), [language, frame.group], frame.group, **UNQUEUED)
    frame.filters = [frame.group, search, *menus]
    frame.keep("group", frame.group, tuple(frame.board.groups))
    frame.keep("search", search)
    for menu, (field, choices) in zip(menus, CHOICES.items(), strict=True):
        frame.keep(field, menu, (ANY, *choices))


def _groups_in(frame: Frame, lang: str, key: str) -> gr.Dropdown:
    """The menu of the groups in a language; a group in another one gives way to the first."""
    groups = [(group.label, own) for own, group in frame.board.groups.items() if lang in (ANY, group.lang)]
    keys = [own for _, own in groups] or [""]
    return gr.Dropdown(groups, value=key if key in keys else keys[0])


def _render(frame: Frame, refresh: Refresh, key: str | None, *values: Any) -> dict[Any, Any]:
    """Call a refresh with the values of the filters and of its own inputs."""
    filters, own = Filters(*values[: len(CHOICES) + 1]), values[len(CHOICES) + 1 :]
    # By component: gradio takes a list for the value of a single one.
    return dict(zip(refresh.outputs, refresh.update(frame.group_at(key), filters, *own), strict=True))


def _on_filters(frame: Frame, tabs: dict[str, gr.Tab], refreshes: dict[str, Refresh]) -> None:
    """Render the open tab again when the filters change, and a tab when it is opened."""

    # Changed filters trigger one event of an empty block, named like the open tab: an event of the filters for each tab
    # would send nine requests, and one for all tabs would have the outputs of all, which gradio makes anew.
    names = json.dumps(list(refreshes))
    heard = f"(event) => {{ if ({names}.includes(event.detail)) trigger(event.detail); }}"
    signal = gr.HTML(js_on_load=f"document.addEventListener('filters', {heard});", elem_id="filtered")
    # Not `input`: gradio's text box sends none when a letter is deleted, and its menu sends two per choice.
    changes = [component.change for component in frame.filters]
    send = "(tab) => { document.dispatchEvent(new CustomEvent('filters', {detail: tab})); }"
    gr.on(changes, None, frame.open_tab, js=send, queue=False, trigger_mode="always_last")
    for name, tab in tabs.items():
        # The browser alone knows which tab it opened last.
        tab.select(None, None, frame.open_tab, js=f"() => '{name}'", queue=False)
        if own := refreshes.get(name):
            for listen in (tab.select, getattr(signal, name)):
                inputs, outputs = [*frame.filters, *own.inputs], list(own.outputs)
                listen(partial(_render, frame, own), inputs, outputs, trigger_mode="always_last", **frame.instant)


def _on_choose(frame: Frame) -> None:
    """Open the details of the system whose name was pressed."""
    menu = frame.kept["system"].component

    def show_system(event: gr.EventData) -> list[Any]:
        record = frame.board.records.get(str(event.value))
        if record is None:
            return [gr.skip()] * 3
        # Tab and system change at once, so that the address of the view before keeps its own system.
        return [gr.Tabs(selected="system"), "system", frame.update_menu([record], record["key"])]

    for block in frame.choosers:
        block.choose(show_system, None, [frame.tabs, frame.open_tab, menu], **frame.instant)


def launch(demo: gr.Blocks, **options: Any) -> None:
    """Serve the page until it is interrupted; `options` are arguments of `gr.Blocks.launch`.

    Raises:
        InputError: The page cannot be served at the host and port.
    """
    # This page has filters, hints and a dark mode, which the metrics' pages lack.
    look = theme().set(
        checkbox_border_color="*neutral_500", checkbox_label_background_fill_selected="*primary_700",
        block_title_background_fill_dark="*primary_800",
        checkbox_label_background_fill_selected_dark="*primary_800",
        block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300",
        input_placeholder_color="*neutral_500", input_placeholder_color_dark="*neutral_300",
    )  # fmt: skip
    try:
        demo.queue(max_size=MAX_QUEUE, api_open=False)
        # The rows stay until the end: looking for garbage among them would stop all answers now and then.
        gc.collect()
        gc.freeze()
        look_of_page = {"theme": look, "css_paths": [ASSETS / "page.css", ASSETS / "people.css"], "footer_links": []}
        demo.launch(**look_of_page, **launch_options(MAX_BODY), **options)
    except (OSError, OverflowError) as error:
        raise InputError(f"--host, --port: cannot serve there ({error})") from None
