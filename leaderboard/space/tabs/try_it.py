"""The tab Try it."""

from typing import Any

import gradio as gr

from leaderboard.space.frame import Frame, html_block
from leaderboard.space.views.try_it import BUILT_IN_PROFILES, EXAMPLE, HUB_PROFILES, MAX_CHARACTERS, render_scores

# One call after the other: the models take all cores. Apart from the other events, which need not wait for it.
_SCORING: dict[str, Any] = {
    "show_progress": "minimal", "api_visibility": "private", "concurrency_limit": 1, "concurrency_id": "scoring",
}  # fmt: skip


def try_it_tab(frame: Frame) -> None:
    """Create the tab that scores a rewrite that the visitor types."""
    profiles = (*BUILT_IN_PROFILES, *(HUB_PROFILES if frame.local else ()))
    limits: dict[str, Any] = {"max_length": MAX_CHARACTERS, "lines": 2, "max_lines": 6, "min_width": 300}
    with gr.Row():
        source = gr.Textbox(EXAMPLE[0], label="Toxic sentence", elem_id="try-source", **limits)
        output = gr.Textbox(EXAMPLE[1], label="Rewrite", elem_id="try-output", **limits)
    with gr.Row():
        profile = gr.Dropdown(profiles, value=profiles[0], label="Profile", elem_id="try-profile", filterable=False)
        rude = gr.Checkbox(label="Show rude words", elem_id="try-rude", min_width=200)
    button = gr.Button("Score", variant="primary", elem_id="try-score", scale=0)
    hint = "<p>The first score takes up to a minute: the models are loaded then. Nothing that you write is kept.</p>"
    scores = html_block(hint, "scores")
    inputs = [source, output, profile, rude]

    def score(source: str, output: str, profile: str, show_rude: bool) -> str:
        if profile not in profiles:
            return "<p>No such profile.</p>"
        return render_scores(source, output, profile, show_rude)

    gr.on([button.click, source.submit, output.submit], score, inputs, scores, **_SCORING)
    frame.keep("try-profile", profile, profiles)
