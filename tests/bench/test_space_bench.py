"""The bench of the page shows a leaderboard that the page reads; how fast is for a quiet machine to say."""

from __future__ import annotations

from pathlib import Path

from leaderboard.space.data import open_leaderboard
from tests.benches import bench_module


def test_the_made_up_leaderboard_is_read(tmp_path: Path) -> None:
    bench_module("space").write_leaderboard(tmp_path, 3)
    board = open_leaderboard(local=tmp_path)
    assert sorted(len(group.records) for group in board.groups.values()) == [3, 500] and len(board.published) == 30
    best = next(iter(board.groups.values())).records[0]["key"]
    assert len(board.sentences(best).source) == 2_000
