"""Rows of a test set of one's own, and of files whose reasoning was cut: published, and verified by the commands."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from leaderboard.board.tables import TABLES
from metrics.util.files import sha256_file
from tests.warm_python import run_module

# A line break and doubled quotes in cells, and one row per reference.
TEXTS = [
    ('he said "damn"', "he said something"), ("you fool\nand idiot", "you are\nwrong"), ("what crap", "what a pity"),
    ("what crap", "how sad"),
]  # fmt: skip


def write_test_set(folder: Path) -> Path:
    path = folder / "mine.tsv"
    pd.DataFrame(TEXTS, columns=["toxic_sentence", "reference"]).to_csv(path, sep="\t", index=False)
    return path


def published(folder: Path, *arguments: str) -> Path:
    """Score and publish with the commands."""
    result, board = folder / "result.json", folder / "board"
    for command in (
        ["metrics.score", *arguments, "--profile", "offline-v2", "--json", str(result)],
        ["leaderboard.publish", str(result), "--local", str(board)],
    ):
        done = run_module(*command)
        assert done.returncode == 0, done.stderr
    return board


def test_a_row_of_ones_own_test_set_is_verified_with_its_file(tmp_path: Path) -> None:
    path = write_test_set(tmp_path)
    board = published(tmp_path, "delete", "reference", "--test-set", str(path))
    done = run_module("leaderboard.verify", "--local", str(board))
    assert done.returncode == 0 and "2 unverifiable" in done.stdout
    assert "mine.tsv is not one of the suite's; give its file with --test-set" in done.stdout
    done = run_module("leaderboard.verify", "--local", str(board), "--test-set", str(path), "--write")
    assert done.returncode == 0 and "2 verified, 0 mismatch, 0 unverifiable" in done.stdout, done.stdout
    latest = pd.read_parquet(board / TABLES["latest"])
    assert set(latest["verification"]) == {"verified"} and set(latest["n"]) == {3}
    assert set(latest["test_set"]) == {"mine.tsv"}
    assert set(latest["test_set_revision"]) == {f"sha256:{sha256_file(path)}"}
    # Another file of that name is another test set.
    path.write_text(path.read_text().replace("what a pity", "what a shame"))
    done = run_module("leaderboard.verify", "--local", str(board), "--test-set", str(path))
    assert done.returncode == 1 and "test_set.revision" in done.stdout


def test_a_file_whose_reasoning_was_cut_is_verified(tmp_path: Path) -> None:
    """The row says that it was cut."""
    outputs = tmp_path / "outputs.txt"
    outputs.write_text("<think>damn</think> he said it\n<think>no end\nwhat a pity\n")
    path = write_test_set(tmp_path)
    board = published(tmp_path, str(outputs), "--cut-reasoning", "--test-set", str(path))
    (file,) = (board / "results").rglob("*.json")
    assert json.loads(file.read_text())["decoding"] == {"reasoning": "cut"}
    assert pd.read_parquet(file.with_suffix(".parquet"))["output"].tolist() == ["he said it", "", "what a pity"]
    done = run_module("leaderboard.verify", "--local", str(board), "--test-set", str(path))
    assert done.returncode == 0 and "1 verified, 0 mismatch, 0 unverifiable" in done.stdout, done.stdout
