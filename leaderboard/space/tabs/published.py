"""The tab Published."""

from leaderboard.space.frame import Frame, html_block
from leaderboard.space.views.ranking import render_published


def published_tab(frame: Frame) -> None:
    """Create the tab with the figures of papers."""
    frame.choosers.append(html_block(render_published(frame.board.published), "published"))
