"""The command `python -m leaderboard.show [FOLDER]`: prints the rankings of a leaderboard folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from metrics.util.errors import run_command

if TYPE_CHECKING:
    from leaderboard.board.tables import Board
    from leaderboard.rows.row import Row, Score

DEFAULT = "runs/smollm2-cpu/leaderboard"


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m leaderboard.show", description=__doc__)
    parser.add_argument("folder", nargs="?", help=f"default: {DEFAULT}, left by tox -e reproduce")
    parser.add_argument("--repo", metavar="ORG/NAME", help="a leaderboard on the Hub instead")
    options = parser.parse_args(argv)
    from leaderboard.board.board import load_board
    from leaderboard.stores.store import open_store

    local = None if options.repo and not options.folder else options.folder or DEFAULT
    board = load_board(open_store(repo=options.repo, local=local).snapshot())
    for ranking in board.rankings:
        print(heading(ranking))
        print(table(ranking, board))
        first = ranking[0]
        print(
            f"source: {first.source.title}, {first.source.url}\n"
            if first.source
            else f"signature: {first.comparable}\n"
        )


def heading(ranking: Sequence[Row]) -> str:
    first = ranking[0]
    if first.source:
        return f"{first.test_set.name}, as published (another protocol: compare within this table only)"
    part = "" if first.test_set.n == first.test_set.of else f" of {first.test_set.of:,}"
    return (
        f"{first.test_set.name} ({first.test_set.origin}), n = {first.test_set.n:,}{part}, {first.profile}; "
        "95 % intervals; systems that share a letter are not told apart by a paired test at 5 %"
    )


def table(ranking: Sequence[Row], board: Board) -> str:
    """A ranking as a Markdown table."""
    lines = [
        "| rank | ties | system | J | STA | SIM | FL | length ratio | copies |",
        "|--:|---|---|---|---|---|---|--:|--:|",
    ]
    for row in ranking:
        place = board.placing(row)
        scores = [_cell(row.scores.get(metric)) for metric in ("j", "sta", "sim", "fl")]
        ratio = "" if row.length_ratio is None else f"{row.length_ratio:.2f}"
        copies = "" if row.copies is None else f"{row.copies:.1%}"
        name = row.system.name.replace("|", "\\|")
        cells = ["–" if place.rank is None else str(place.rank), place.ties, name, *scores, ratio, copies]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(score: Score | None) -> str:
    if score is None:
        return ""
    return f"{score.mean:.3f}" if score.low is None else f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]"


if __name__ == "__main__":
    run_command(main)
