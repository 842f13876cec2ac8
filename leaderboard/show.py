"""The command `python -m leaderboard.show [FOLDER]`: prints the rankings of a leaderboard."""

from metrics.util.console import command_parser
from metrics.util.errors import run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m leaderboard.show", __doc__)
    parser.add_argument("folder", nargs="?", help="a leaderboard folder (default: the one that tox -e reproduce left)")
    parser.add_argument("--repo", metavar="ORG/NAME", help="a leaderboard on the Hub instead")
    parser.add_argument("--lang", metavar="CODES", help="show these languages only: de,ru (default: all)")
    options = parser.parse_args(argv)
    from leaderboard.board.markdown import rankings
    from leaderboard.board.reading import load_board
    from leaderboard.stores import DEFAULT_FOLDER, open_store
    from metrics.data.languages import require_code

    local = options.folder or (None if options.repo else DEFAULT_FOLDER)
    snapshot = open_store(repo=options.repo, local=local).snapshot()
    # Counting faults reads the sentences of every row, which from the Hub would be a download each.
    langs = [require_code(code, "--lang") for code in options.lang.split(",")] if options.lang else []
    print(rankings(load_board(snapshot), None if options.repo else snapshot, langs))


if __name__ == "__main__":
    run_command(main)
