"""The page of a metric's Space (gradio 6): text areas for sources and rewrites, the mean, and a row per sentence."""

import html
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from gradio.events import api

from metrics.scorers.batching import Array
from metrics.scoring.functions import metric_values
from metrics.spaces.blocks import Blocks
from metrics.spaces.gate import launch_options
from metrics.spaces.theme import theme
from metrics.util.errors import InputError

# A public Space has two CPU cores; evaluate.load scores longer lists elsewhere.
MAX_SENTENCES = 200
MAX_CHARACTERS = 2_000
# Bytes of a request, sources and rewrites; calls that wait.
MAX_BODY, MAX_QUEUE = 1_000_000, 32
EXAMPLE = ("shut up, idiot\nwhy is this stupid thing so slow?", "please be quiet\nwhy is this so slow?")
PAGES = {
    "sta": ("STA: style accuracy", "Is a rewritten sentence free of toxicity?"),
    "sim": ("SIM: content similarity", "Does a rewritten sentence keep the meaning?"),
    "fl": ("FL: fluency", "Is a rewritten sentence acceptable English?"),
    "j": ("J: joint score", "Is a rewritten sentence polite, faithful and fluent at once?"),
}


def serve(metric: str) -> None:
    """Serve the page of a metric ("sta", "sim", "fl" or "j") until it is interrupted."""
    demo = _build(metric).queue(max_size=MAX_QUEUE, api_open=False)
    demo.launch(theme=theme(), css_paths=[Path(__file__).with_suffix(".css")], **launch_options(MAX_BODY))


def _build(metric: str) -> gr.Blocks:
    """The page of a metric under the profile `offline`, with a scored example; its API is /score."""
    title, question = PAGES[metric]

    def score(sources: list[str], predictions: list[str]) -> dict[str, list[float]]:
        """Return the values of each sentence, by metric name; `predictions` are the rewrites of `sources`."""
        return {name: values.tolist() for name, values in _scored(metric, sources, predictions).items()}

    def show(sources: str, predictions: str) -> str:
        left = _lines(sources)
        return _result(metric, left, _lines(predictions, len(left)))

    # The example is scored before the page is served: this loads the models, so that the first visitor need not wait.
    with Blocks(title=title) as demo:
        gr.Markdown(f"# {title}\n{question} One sentence per line: the first rewrite belongs to the first source.")
        with gr.Row():
            sources = gr.Textbox(EXAMPLE[0], label="Source sentences", lines=6, max_lines=20, min_width=300)
            predictions = gr.Textbox(EXAMPLE[1], label="Rewrites", lines=6, max_lines=20, min_width=300)
        button = gr.Button("Score", variant="primary", elem_id="score")
        # Screen readers announce a live region when it changes.
        table = gr.HTML(show(*EXAMPLE), elem_id="result", html_template='<div aria-live="polite">${value}</div>')
        button.click(show, [sources, predictions], table, api_visibility="private")
        api(score, api_name="score")
        gr.Markdown(
            "Profile `offline`, for English: the values are estimates of classifiers. The card of this Space explains "
            "them, and how to score more sentences with `evaluate`."
        )
    return demo


def _result(metric: str, sources: Sequence[str], predictions: Sequence[str]) -> str:
    """An HTML table: the mean as its caption, a row per sentence."""
    values = _scored(metric, sources, predictions)
    head = "".join(f'<th scope="col" class="value">{name.upper()}</th>' for name in values)
    rows = []
    for source, prediction, *row in zip(sources, predictions, *values.values(), strict=True):
        cells = "".join(f'<td class="value">{value:.3f}</td>' for value in row)
        rows.append(f"<tr><td>{html.escape(source)}</td><td>{html.escape(prediction)}</td>{cells}</tr>")
    of = f"the mean of {len(rows)} sentences" if len(rows) > 1 else "one sentence"
    return (
        f"<table><caption>{metric.upper()} <strong>{values[metric].mean():.3f}</strong>, {of}</caption>"
        f'<thead><tr><th scope="col">Source</th><th scope="col">Rewrite</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _scored(metric: str, sources: Sequence[str], predictions: Sequence[str]) -> dict[str, Array]:
    """`metric_values`; raises gr.Error, which gradio shows, in place of InputError."""
    if len(sources) > MAX_SENTENCES:
        raise gr.Error(f"{len(sources)} sentences: this page scores at most {MAX_SENTENCES} at once")
    if any(isinstance(text, str) and len(text) > MAX_CHARACTERS for text in (*sources, *predictions)):
        raise gr.Error(f"a sentence of more than {MAX_CHARACTERS:,} characters")
    if len(sources) != len(predictions):
        raise gr.Error(f"sources: {len(sources)}, rewrites: {len(predictions)}; each line needs its counterpart")
    try:
        return metric_values(metric, sources, predictions)
    except InputError as error:
        raise gr.Error(str(error)) from None


def _lines(text: str, expected: int = 0) -> list[str]:
    """The lines of a text area; blank lines at its end are dropped beyond the `expected` number of lines."""
    lines = [line.strip() for line in text.split("\n")]
    while len(lines) > expected and not lines[-1]:
        lines.pop()
    return lines
