"""The look of this project's pages (gradio 6)."""

from __future__ import annotations

import gradio as gr


def theme() -> gr.themes.Base:
    """System fonts, so that a page asks no other server for anything, and a teal dark enough for white on it."""
    return gr.themes.Soft(
        primary_hue="teal", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        block_title_text_color="*primary_800",
    )
