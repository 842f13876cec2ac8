"""The look of this project's pages (gradio 6)."""

import gradio as gr


def theme() -> gr.themes.Base:
    """Return a theme with system fonts, which need no request to a server, and a teal that white text reads on."""
    return gr.themes.Soft(
        primary_hue="teal", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        block_title_text_color="*primary_800",
    )
