"""The command `python -m leaderboard.export OUT_DIR`: exports a leaderboard to the format of Every Eval Ever 0.3.0.

Every Eval Ever is a public format for evaluation results (https://github.com/evaleval/every_eval_ever). A row becomes

    OUT_DIR/data/detox-suite/<developer>/<model>/<uuid>.json
    OUT_DIR/data/detox-suite/<developer>/<model>/<uuid>_samples.jsonl     if the row's sentences are stored

Scores of verified rows are those that verification recomputed, as on the page; of a sentence that is J, while its STA,
SIM and FL are the stored ones, at most 0.0001 apart. A second export writes the same files. Published figures are
marked as reported, not run. Rows whose verification found a mismatch are left out and counted. Human references are not
exported, since leaderboards do not store them.
"""

from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m leaderboard.export", __doc__)
    parser.add_argument("out", metavar="OUT_DIR", type=Path, help="created if it does not exist")
    parser.add_argument("--local", metavar="DIR", help="a leaderboard folder")
    parser.add_argument("--repo", metavar="ORG/NAME", help="a leaderboard on the Hub")
    options = parser.parse_args(argv)
    from leaderboard.publishing.every_eval_ever import export
    from leaderboard.stores import open_store

    print(export(open_store(repo=options.repo, local=options.local), options.out))


if __name__ == "__main__":
    run_command(main)
