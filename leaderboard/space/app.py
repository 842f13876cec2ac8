"""The Space: shows the data set ORG/NAME that the Space's variable SRO_LEADERBOARD names."""

import os

# gradio reads this when it is imported. The page sends requests to the Hub only, for its data set.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from leaderboard.space.data import open_leaderboard
from leaderboard.space.page import Page, launch
from metrics.util.errors import InputError, run_command


def main(argv: list[str]) -> None:
    """Run the Space; `argv` is not used."""
    repo = os.environ.get("SRO_LEADERBOARD")
    if not repo:
        raise InputError("SRO_LEADERBOARD is not set; set this variable of the Space to the data set to show, ORG/NAME")
    launch(Page(open_leaderboard(repo=repo)).build())


if __name__ == "__main__":
    run_command(main)
