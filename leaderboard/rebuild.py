"""The command `python -m leaderboard.rebuild`: makes the derived tables from the rows' files, whatever they say now.

Needed after rows were removed, or merged from pull requests and nothing published since.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from metrics.util.errors import run_command


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m leaderboard.rebuild", description=__doc__)
    parser.add_argument("--local", metavar="DIR", help="a leaderboard folder")
    parser.add_argument("--repo", metavar="ORG/NAME", help="a leaderboard on the Hub")
    options = parser.parse_args(argv)
    from leaderboard.board.board import load_board, table_changes
    from leaderboard.publishing.card import scaffold
    from leaderboard.stores.store import open_store, patiently

    store = open_store(repo=options.repo, local=options.local)

    def act() -> str:
        # Without the hashes, by which the tables would serve in place of files that they agree with.
        snapshot = replace(store.snapshot(whole=True), oids={})
        board = load_board(snapshot)
        changes = {**scaffold(snapshot), **table_changes(board, snapshot)}
        if changes:
            store.commit(changes, snapshot.revision, "Rebuild the derived tables")
        return f"{store.name}: {len(board.rows)} rows, {len(changes)} files changed"

    print(patiently(act, store))


if __name__ == "__main__":
    run_command(main)
