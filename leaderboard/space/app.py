"""The Space: the page of the data set in SRO_LEADERBOARD (ORG/NAME), set as a variable of the Space."""

import os

# Before gradio is imported: the page asks nobody for anything but the data set.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from leaderboard.space.data import open_board
from leaderboard.space.page import Page, launch
from metrics.util.errors import InputError, run_command


def main(argv: list[str]) -> None:
    repo = os.environ.get("SRO_LEADERBOARD")
    if not repo:
        raise InputError("SRO_LEADERBOARD is not set; give the data set to show, ORG/NAME, as a variable of the Space")
    launch(Page(open_board(repo=repo)).build())


if __name__ == "__main__":
    run_command(main)
