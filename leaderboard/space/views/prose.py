"""The texts of the page, as HTML; their templates are assets."""

from __future__ import annotations

from pathlib import Path
from string import Template

from leaderboard.space.data import Leaderboard
from leaderboard.space.escaping import external_link, to_html
from leaderboard.space.views.details import code_block

ASSETS = Path(__file__).parent.parent / "assets"
TITLE = "Text detoxification leaderboard"


def render_introduction(board: Leaderboard) -> str:
    """Return what the metrics mean, and which rows the page shows, at which revision."""
    source = "a local folder"
    if board.repo:
        source = external_link(f"https://huggingface.co/datasets/{board.repo}", to_html(board.repo))
    return Template((ASSETS / "introduction.html").read_text("utf-8")).substitute(
        title=TITLE,
        measured=f"{len(board.records) - len(board.published):,}",
        published=f"{len(board.published):,}",
        source=source,
        revision=to_html(board.snapshot.revision[:12]),
    )


def render_submission(board: Leaderboard) -> str:
    """Return how to add a row, and how to cite."""
    repo = board.repo or "ORG/NAME"
    publish = f"python -m leaderboard.publish result.json --repo {repo}"
    return Template((ASSETS / "submission.html").read_text("utf-8")).substitute(
        publish=code_block(f"python -m metrics.score MODEL_ID --json result.json\n{publish}"),
        verify=code_block(f"python -m leaderboard.verify --repo {repo}"),
        citation=code_block((ASSETS / "citation.bib").read_text("utf-8").strip()),
    )
