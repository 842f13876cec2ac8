"""The command `python -m leaderboard.show [FOLDER]`: prints the rankings of a leaderboard folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from metrics.errors import run_command

DEFAULT = "runs/smollm2-cpu/leaderboard"


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m leaderboard.show", description=__doc__)
    parser.add_argument("folder", nargs="?", default=DEFAULT, help=f"default: {DEFAULT}, left by tox -e reproduce")
    options = parser.parse_args(argv)
    from leaderboard.rows import rankings, read_rows, table

    for ranking in rankings(read_rows(Path(options.folder))):
        first = ranking[0]
        print(f"{first.test_set} ({first.test_set_origin}), n = {first.n}, each with its 95 % interval")
        print(table(ranking))
        print(f"signature: {first.signature}\n")


if __name__ == "__main__":
    run_command(main)
