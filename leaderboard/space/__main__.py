"""The command `python -m leaderboard.space`: shows a leaderboard in the browser, or writes the page as a Space.

    python -m leaderboard.space --local DIR       a folder, such as runs/NAME/leaderboard of a run
    python -m leaderboard.space --repo ORG/NAME   a data set on the Hub
    python -m leaderboard.space --stage DIR       write a Hugging Face Space that runs without this project

Without an option it shows the leaderboard of `tox -e reproduce`, or the example that comes with the project.

The tab Judge of a folder stores readers' answers in DIR/judgements, unless other machines reach the page (--answers).

Exit codes: 0 done, 2 invalid input (one line says what), 130 interrupted.
"""

import os
from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


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
    answers = (
        "where answers in the tab Judge go: into the folder --local, which is the default where only this machine "
        "reaches the page, or into a file that readers save and send"
    )
    parser.add_argument("--answers", choices=("folder", "file"), help=answers)
    options = parser.parse_args(argv)
    if options.stage:
        from leaderboard.space.stage import write_page_space

        write_page_space(options.stage)
        print(f"{options.stage}: python app.py in it shows the data set that SRO_LEADERBOARD names")
        return
    if options.answers == "folder" and options.repo:
        raise InputError("--answers folder: answers are stored in a folder only; give --local DIR")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from leaderboard.judging.collecting import Collector
    from leaderboard.space.data import open_leaderboard
    from leaderboard.stores import DEFAULT_FOLDER, open_store
    from metrics.data.judgement_files import FOLDER

    if not options.repo and not options.local:
        example = Path(__file__).resolve().parent.parent / "example"
        options.local = Path(DEFAULT_FOLDER) if Path(DEFAULT_FOLDER).is_dir() else example
    board = open_leaderboard(repo=options.repo, local=options.local)
    from leaderboard.space.page import Page, launch

    collector = None
    host = options.host or os.environ.get("GRADIO_SERVER_NAME", "localhost")
    if options.answers == "folder" or (options.local and not options.answers and host in _THIS_MACHINE):
        collector = Collector(open_store(local=options.local))
        print(f"the tab Judge stores answers in {options.local / FOLDER}")
    page = Page(board, local=True, collector=collector)
    launch(page.build(), server_name=options.host, server_port=options.port)


if __name__ == "__main__":
    run_command(main)
