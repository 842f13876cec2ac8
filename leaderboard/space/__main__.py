"""The command `python -m leaderboard.space`: shows a leaderboard, or writes its page as a Hugging Face Space.

    python -m leaderboard.space --local DIR       a folder, such as a run leaves in runs/NAME/leaderboard
    python -m leaderboard.space --repo ORG/NAME   a data set on the Hub
    python -m leaderboard.space --stage DIR       writes a Space that needs nothing else of this project

Without any of them: the leaderboard that `tox -e reproduce` left, or the example that comes with the project.

Exit codes: 0 done, 2 something given cannot be used (one line says what), 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from metrics.util.errors import run_command

EXAMPLE = Path(__file__).resolve().parent.parent / "example"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m leaderboard.space", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = p.add_mutually_exclusive_group()
    what.add_argument("--local", metavar="DIR", type=Path, help="show the leaderboard in this folder")
    what.add_argument("--repo", metavar="ORG/NAME", help="show this data set of the Hub")
    what.add_argument("--stage", metavar="DIR", type=Path, help="write a Space here; must not exist or be empty")
    p.add_argument("--host", default=None, help="default: this machine only (GRADIO_SERVER_NAME)")
    p.add_argument("--port", type=int, help="default: the first free one from 7860 (GRADIO_SERVER_PORT)")
    return p


def main(argv: list[str]) -> None:
    options = parser().parse_args(argv)
    if options.stage:
        from leaderboard.space.stage import stage

        stage(options.stage)
        print(f"{options.stage}: python app.py in it shows the data set in SRO_LEADERBOARD")
        return
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from leaderboard.space.data import open_board
    from leaderboard.stores import DEFAULT_FOLDER

    default = Path(DEFAULT_FOLDER) if Path(DEFAULT_FOLDER).is_dir() else EXAMPLE
    local = options.local or (None if options.repo else default)
    board = open_board(repo=options.repo, local=local)
    from leaderboard.space.page import Page, launch

    launch(Page(board).build(), server_name=options.host, server_port=options.port)


if __name__ == "__main__":
    run_command(main)
