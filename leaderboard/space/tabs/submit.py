"""The tab Submit."""

from string import Template

from leaderboard.space.frame import Frame, asset, html_block
from leaderboard.space.views.details import code_block


def submit_tab(frame: Frame) -> None:
    """Create the tab that says how to add a row, and how to cite the project."""
    repo = frame.board.repo or "ORG/NAME"
    publish = f"python -m leaderboard.publish result.json --repo {repo}"
    submission = Template(asset("submission.html")).substitute(
        publish=code_block(f"python -m metrics.score MODEL_ID --json result.json\n{publish}"),
        verify=code_block(f"python -m leaderboard.verify --repo {repo}"),
        citation=code_block(asset("citation.bib").strip()),
    )
    html_block(submission, "submit")
