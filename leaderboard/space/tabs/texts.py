"""Tables of sentences: their controls, and the events that render them again."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from leaderboard.space.frame import QUEUED, Frame
from leaderboard.space.views.tables import page_at, page_number, page_text


def text_controls(frame: Frame, orders: dict[str, int], elem_id: str) -> tuple[gr.Dropdown, gr.Checkbox]:
    """Return the controls of a table of sentences: their order, and whether rude words are shown."""
    info = "The texts are offensive. Press a blurred word to show it."
    names = list(orders)
    with gr.Row():
        order = gr.Dropdown(
            names, label="Order of sentences", elem_id=f"{elem_id}-order", filterable=False, min_width=200
        )
        rude = gr.Checkbox(label="Show rude words", info=info, elem_id=f"{elem_id}-rude", min_width=200)
    frame.keep(f"{elem_id}-order", order, names)
    return order, rude


def connect_texts(
    frame: Frame, changed: Any, render: Callable[..., str], inputs: list[Any], block: gr.HTML
) -> None:  # fmt: skip
    """Render a table of sentences again when it has others, and when its controls are used.

    Args:
        frame: The page; its address holds the table's page.
        changed: The event after which the table has other sentences.
        render: A function of the values of `inputs` and the page that returns HTML.
        inputs: Components: what tells which sentences, their order, and whether rude words are shown.
        block: The block that shows the table.
    """
    what, order, rude = inputs
    page = frame.hidden(f"{block.elem_id}-page")

    def turn(event: gr.EventData, *values: Any) -> tuple[str, str]:
        to = page_number(event.value)
        return render(*values, to), page_text(to, *values[:2])

    def again(*values: Any) -> str:
        return render(*values[:-1], page_at(values[-1], *values[:2]))

    gr.on([changed, order.change, rude.input], again, [what, order, rude, page], block, **QUEUED)
    block.turn(turn, inputs, [block, page], **QUEUED)
