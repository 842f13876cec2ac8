"""The command `python -m leaderboard.rebuild`: rebuilds the derived tables from the rows' files.

Run it after rows were removed, or after merged pull requests if nothing was published since.
"""

from metrics.util.console import command_parser
from metrics.util.errors import run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m leaderboard.rebuild", __doc__)
    parser.add_argument("--local", metavar="DIR", help="a leaderboard folder")
    parser.add_argument("--repo", metavar="ORG/NAME", help="a leaderboard on the Hub")
    options = parser.parse_args(argv)
    from leaderboard.publishing.commit import rebuild
    from leaderboard.stores import open_store

    print(rebuild(open_store(repo=options.repo, local=options.local)))


if __name__ == "__main__":
    run_command(main)
