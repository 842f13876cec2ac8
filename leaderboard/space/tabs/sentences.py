"""The tab Sentences: the explorer."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from leaderboard.space.data import Group, Record
from leaderboard.space.frame import QUEUED, Frame, Refresh, html_block, phone_fold
from leaderboard.space.views.picture import leader
from leaderboard.space.views.selection import Filters, TableState, select
from leaderboard.space.views.tables import page_at, page_number, page_text
from leaderboard.space.views.texts.explorer import (
    LENGTHS,
    MAX_WORDS,
    ORDERS,
    PROFILES,
    SUNK_BY,
    TOXICITY,
    Choice,
    Explorer,
)
from leaderboard.space.views.texts.sentence import render_list, render_sentence

# What the menus offer: elem_id, label and choices, in the order of the fields of `Choice`.
_MENUS = (
    ("toxicity", "Kind of toxicity", TOXICITY),
    ("length", "Length of the source", LENGTHS),
    ("sunk", "Sunk by", SUNK_BY),
    ("profiles", "Other profiles", PROFILES),
)


def sentences_tab(frame: Frame) -> Refresh:
    """Create the explorer: filters, the list of sentences, and beside it one sentence with every system's rewrite."""
    explorer = Explorer(frame.board)
    system, controls, rude = _controls(frame)
    with gr.Row(elem_id="explorer"):
        listed, sentence = html_block("", "list"), html_block("", "sentence")
    frame.choosers.append(sentence)
    picked, page = frame.hidden("sentence"), frame.hidden("list-page")
    # The systems that pass the filters above the tabs; what is listed is not listed again when the tab is opened again.
    shown = gr.Textbox(visible=False)
    state, views = [shown, system, *controls, rude, picked, page], [listed, sentence, picked]

    def show(keys: str, key: str | None, *values: Any) -> list[Any]:
        if not keys:
            # Nobody has opened the tab; its controls may still change one after the other.
            return [gr.skip()] * len(views)
        *fields, rude, picked, page = values
        return _show(explorer, _records(frame, keys), key or "", Choice(*fields), rude, picked, page)

    def turn(event: gr.EventData, keys: str, key: str | None, *values: Any) -> list[Any]:
        # The first sentence of the new page is shown.
        to = page_text(page_number(event.value), key, *values[:-3])
        return [*show(keys, key, *values[:-2], "", to), to]

    def pick(event: gr.EventData, keys: str, key: str | None, *values: Any) -> list[Any]:
        return show(keys, key, *values[:-2], str(page_number(event.value) + 1), values[-1])

    changes = [component.change for component in (shown, system, *controls)]
    gr.on([*changes, rude.input], show, state, views, **QUEUED)
    listed.turn(turn, state, [*views, page], **QUEUED)
    listed.pick(pick, state, views, **QUEUED)

    def update(group: Group | None, filters: Filters, key: str | None, before: str) -> list[Any]:
        records = select(group, filters, TableState())
        own = frame.in_group(key, group) or _key(leader(records))
        keys = " ".join(record["key"] for record in records[:100])
        now = f"{group.key if group else ''} {keys}"
        return [gr.skip(), gr.skip()] if (now, own) == (before, key) else [frame.update_menu(records, own), now]

    return Refresh(update, [system, shown], [system, shown], on_load=True)


def _controls(frame: Frame) -> tuple[gr.Dropdown, list[Any], gr.Checkbox]:
    """The system, the filters and the order in the order of the fields of `Choice`, and whether to show rude words."""
    with gr.Row():
        best = _key(leader(frame.first_group.records if frame.first_group else ()))
        system = frame.system_menu("System", 0, "explored", best)
        order = gr.Dropdown(list(ORDERS), label="Order", elem_id="explorer-order", filterable=False, min_width=180)
        words = gr.Textbox(
            label="Words in source or rewrite", elem_id="explorer-words", max_length=MAX_WORDS, min_width=180
        )
        info = "The texts are offensive. Press a blurred word to show it."
        rude = gr.Checkbox(label="Show rude words", info=info, elem_id="explorer-rude", min_width=180)
    phone_fold("More filters", "explorer-fold", [f"explorer-{name}" for name, *_ in _MENUS])
    with gr.Row(elem_classes="foldable"):
        menus = [
            gr.Dropdown(list(choices), label=label, elem_id=f"explorer-{name}", filterable=False, min_width=150)
            for name, label, choices in _MENUS
        ]
    for menu, (name, _, choices) in zip(menus, _MENUS, strict=True):
        frame.keep(f"explorer-{name}", menu, choices)
    frame.keep("words", words)
    frame.keep("order", order, ORDERS)
    return system, [*menus, words, order], rude


def _records(frame: Frame, keys: str) -> list[Record]:
    """The records that a hidden text box names after the group's key; the text may come from anybody."""
    return [frame.board.records[key] for key in str(keys).split()[1:101] if key in frame.board.records]


def _show(
    explorer: Explorer, records: Sequence[Record], key: str, choice: Choice, rude: bool, picked: str, page: str
) -> list[Any]:
    """The list, the sentence beside it, and its place as the address holds it: from 1, "" for the first of the list."""
    to = page_at(page, key, *vars(choice).values())
    wanted = page_number(picked) - 1
    listed, place = render_list(explorer, records, key, choice, wanted, to, rude)
    sentence = render_sentence(explorer, records, key, place, rude)
    return [listed, sentence, str(place + 1) if place == wanted >= 0 else ""]


def _key(record: Record | None) -> str | None:
    return record["key"] if record else None
