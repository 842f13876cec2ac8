"""The command `python -m leaderboard.space`: shows a leaderboard in the browser, or writes the page as a Space.

    python -m leaderboard.space --local DIR       a folder, such as runs/NAME/leaderboard of a run
    python -m leaderboard.space --repo ORG/NAME   a data set on the Hub
    python -m leaderboard.space --stage DIR       write a Hugging Face Space that runs without this project

Without an option it shows the leaderboard of `tox -e reproduce`, or the example that comes with the project.

Exit codes: 0 done, 2 invalid input (one line says what), 130 interrupted.
"""

import os
from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import run_command


def main(argv: list[str]) -> None:
    """Run the command with the arguments `argv`."""
    parser = command_parser("python -m leaderboard.space", __doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--local", metavar="DIR", type=Path, help="show the leaderboard in this folder")
    what.add_argument("--repo", metavar="ORG/NAME", help="show this data set of the Hub")
    what.add_argument("--stage", metavar="DIR", type=Path, help="write a Space to this folder; must be new or empty")
    parser.add_argument("--host", help="address to listen on; default: this machine only (GRADIO_SERVER_NAME)")
    port = "port to listen on; default: the first free port from 7860 (GRADIO_SERVER_PORT)"
    parser.add_argument("--port", type=int, help=port)
    options = parser.parse_args(argv)
    if options.stage:
        from leaderboard.space.stage import write_page_space

        write_page_space(options.stage)
        print(f"{options.stage}: python app.py in it shows the data set that SRO_LEADERBOARD names")
        return
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from leaderboard.space.data import open_leaderboard
    from leaderboard.stores import DEFAULT_FOLDER

    if not options.repo and not options.local:
        example = Path(__file__).resolve().parent.parent / "example"
        options.local = Path(DEFAULT_FOLDER) if Path(DEFAULT_FOLDER).is_dir() else example
    board = open_leaderboard(repo=options.repo, local=options.local)
    from leaderboard.space.page import Page, launch

    launch(Page(board, local=True).build(), server_name=options.host, server_port=options.port)


if __name__ == "__main__":
    run_command(main)
