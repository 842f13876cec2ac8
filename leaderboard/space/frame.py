"""What the tabs of the page share: the leaderboard, the filters above the tabs, events, and the address of the view."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

import gradio as gr
from gradio.components import Component

from leaderboard.space.data import Group, Leaderboard, Record
from leaderboard.space.escaping import MAX_NAME
from leaderboard.space.views.selection import Filters, TableState, select
from leaderboard.space.views.texts.sentences import Comparisons
from metrics.util.characters import printable

# The Space stores no answers, and lacks the module.
if TYPE_CHECKING:
    from leaderboard.judging.collecting import Collector

ASSETS = Path(__file__).parent / "assets"
# Longer lists are hard to read, and gradio copies them with every event; the filters shorten them.
MAX_CHOICES = 100
# Of an address; the server reads no more.
_MAX_ADDRESS = 4_000
# Filters work on rows in memory: without queue and spinner, the table does not flicker.
UNQUEUED: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# Reading a system's sentences from the Hub takes a second.
QUEUED: dict[str, Any] = {
    "show_progress": "minimal", "api_visibility": "private", "trigger_mode": "always_last",
    # All these events together: while comparisons run, the filters need the processor too.
    "concurrency_limit": 2, "concurrency_id": "sentences",
}  # fmt: skip


class Refresh(NamedTuple):
    """What happens when a tab is opened, and when the filters change while it is open.

    Attributes:
        update: A function of (group, filters, *values of `inputs`) that returns one value per output.
        inputs: Components of the tab.
        outputs: Components that the function renders again.
        on_load: Whether to call `update` when the page is opened, too, so that a tab that reads files opens at once.
    """

    update: Callable[..., Sequence[Any]]
    inputs: Sequence[Component]
    outputs: Sequence[Component]
    on_load: bool = False


class Kept(NamedTuple):
    """A component whose value stands in the page's address; `restore` returns the update for a value found there."""

    component: Component
    default: Any
    restore: Callable[[str], Any]


class Frame:
    """The page around the tabs; a tab adds its components, and says which of them the address holds.

    Attributes:
        board: The leaderboard.
        tab_names: The names of the tabs, in order.
        local: Whether the page runs on the visitor's machine, and not as a Space.
        collector: Stores answers of readers; None where they save them as files.
        comparisons: Its comparisons of two systems.
        group: The menu of test sets and profiles.
        filters: The components whose values are `group` and the fields of `Filters`.
        tabs: The row of tabs.
        open_tab: The name of the open tab.
        choosers: HTML blocks whose event `choose` opens the details of a system.
        kept: The components whose values the address holds, by their name in it.
    """

    group: gr.Dropdown
    filters: list[Component]
    tabs: gr.Tabs
    open_tab: gr.Textbox

    def __init__(
        self, board: Leaderboard, tab_names: Sequence[str], *, local: bool = False, collector: "Collector | None" = None
    ) -> None:
        self.board = board
        self.local, self.collector = local, collector
        self.tab_names = tuple(tab_names)
        self.comparisons = Comparisons(board)
        self.first_group = next(iter(board.groups.values()), None)
        self.choosers: list[gr.HTML] = []
        self.kept: dict[str, Kept] = {}

    @property
    def instant(self) -> dict[str, Any]:
        """Options of an event without queue and spinner.

        gradio marks the components in `show_progress_on` as waiting: one hidden component, in place of all outputs.
        """
        return {**UNQUEUED, "show_progress_on": self.open_tab}

    def group_at(self, key: Any) -> Group | None:
        """Return the group that the menu names; None for an unknown key."""
        return self.board.groups.get(str(key or ""))

    # -- the address of the view --------------------------------------------------------------------------------------
    def keep(self, name: str, component: Any, choices: Sequence[str] | None = None) -> Any:
        """Let the address hold the component's value as `name`, and return the component.

        Args:
            name: The parameter in the address.
            component: A text box, a check box, a group of them, or a menu.
            choices: The values that may be restored; None for any text, which the component's events must check.
        """

        def restore(text: str) -> Any:
            if isinstance(component, gr.Checkbox):
                return text == "1"
            if isinstance(component, gr.CheckboxGroup):
                return [value for value in text.split(",") if value in (choices or ())]
            return text if choices is None or text in choices else gr.skip()

        self.kept[name] = Kept(component, component.value, restore)
        return component

    def keep_system(self, name: str, menu: gr.Dropdown) -> None:
        """Let the address hold the system that a menu selects, by the key of its record."""

        def restore(key: str) -> Any:
            record = self.board.records.get(key)
            # With the choices of before: the browser sends the old value until it has set this one.
            others = select(self.first_group, Filters(), TableState())
            return self.update_menu(others, key) if record else gr.skip()

        self.kept[name] = Kept(menu, menu.value, restore)

    def hidden(self, name: str, value: str = "") -> gr.Textbox:
        """Return a text box that nobody sees, for a state that the address holds as `name`."""
        return self.keep(name, gr.Textbox(value, visible=False, elem_id=f"state-{name}"))

    def connect_address(self, demo: gr.Blocks) -> Any:
        """Write the address whenever a kept value changes, and restore the view from it when the page is opened.

        Returns:
            The event of the restored view.
        """
        components = [kept.component for kept in self.kept.values()]
        defaults = json.dumps([[name, kept.default] for name, kept in self.kept.items()])
        script = asset("address.js").replace("DEFAULTS", defaults)
        changes = [component.change for component in components]
        gr.on(changes, None, components, js=script, queue=False, trigger_mode="always_last")

        def restore(address: str) -> list[Any]:
            given = parse_qs(str(address)[:_MAX_ADDRESS].removeprefix("?"), max_num_fields=100)
            values = {name: texts[0] for name, texts in given.items() if name in self.kept}
            opened = values.get("tab")
            tab = gr.Tabs(selected=opened) if opened in self.tab_names else gr.skip()
            new = [kept.restore(values[name]) if name in values else gr.skip() for name, kept in self.kept.items()]
            return [tab, *new]

        where = gr.Textbox(visible=False)
        return demo.load(restore, where, [self.tabs, *components], js="(text) => [location.search]", **self.instant)

    # -- menus of systems ---------------------------------------------------------------------------------------------
    def system_menu(self, label: str, place: int, elem_id: str, key: str | None = None) -> gr.Dropdown:
        """Return a menu of systems with `key`, or the one at `place`, selected, which the address holds."""
        records = select(self.first_group, Filters(), TableState())
        choices = _choices(records)
        info = f"The first {MAX_CHOICES} that pass the filters." if len(records) > MAX_CHOICES else None
        value = key if key in [known for _, known in choices] else _key_at(choices, place)
        menu = gr.Dropdown(choices, value=value, label=label, info=info, elem_id=elem_id, min_width=240)
        self.keep_system(elem_id, menu)
        return menu

    def update_menu(self, records: Sequence[Record], selected: str | None, place: int = 0) -> Any:
        """Return new choices; `selected` stays selected even if it is not among `records`, or is the one at `place`."""
        choices = _choices(records)
        record = self.board.records.get(selected or "")
        if record is None:
            selected = _key_at(choices, place)
        elif selected not in [key for _, key in choices]:
            choices = [*_choices([record]), *choices]
        return gr.update(choices=choices, value=selected)

    def in_group(self, key: str | None, group: Group | None) -> str | None:
        """Return the key of a system of the group, or of a published figure, which has no group; else None."""
        return key if key and self.board.group_of(key) in (group, None) else None


def _key_at(choices: list[tuple[str, str]], place: int) -> str | None:
    return choices[min(place, len(choices) - 1)][1] if choices else None


def _choices(records: Sequence[Record]) -> list[tuple[str, str]]:
    """(name, key) of the first records; systems of the same name also show their revision."""
    names = [printable(str(record["system"]), MAX_NAME) for record in records[:MAX_CHOICES]]
    return [
        (f"{name} ({printable(str(record['revision']), 12)})" if names.count(name) > 1 else name, record["key"])
        for name, record in zip(names, records, strict=False)
    ]


def asset(name: str) -> str:
    """Return the text of a file of the folder assets."""
    return (ASSETS / name).read_text("utf-8")


def html_block(value: str, elem_id: str) -> gr.HTML:
    """Return a block of the page whose buttons send the events that assets/page.js names."""
    # The script shows the value: gradio's own way of doing so takes longer.
    return gr.HTML(
        value, html_template="", elem_id=elem_id, elem_classes="part", js_on_load=asset("page.js"),
        apply_default_css=False,
    )  # fmt: skip


def phone_fold(title: str, elem_id: str, fields: Sequence[str]) -> gr.HTML:
    """Return a heading that folds the parts of the class `foldable` after it; only phones show it.

    It is open where the address holds one of `fields`, so that nobody overlooks a filter.
    """
    names = " ".join(fields)
    details = f'<details class="phone-fold" data-fields="{names}"><summary>{title}</summary></details>'
    return html_block(details, elem_id)
