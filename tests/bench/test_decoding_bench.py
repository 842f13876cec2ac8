"""The decoding bench runs, on a tiny model, and sees that each way writes what it is timed for.

How fast is for a quiet machine to say: of three tokens and so small a model the clock may say anything.
"""

from __future__ import annotations

from pathlib import Path

from tests.benches import run_bench


def test_every_way_decodes_every_batch(tiny_llama: Path) -> None:
    size = ["--rows", "1", "3", "--tokens", "3", "--repeats", "1", "--dtype", "bfloat16"]
    printed = run_bench("decoding", "--model", str(tiny_llama), *size)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line.startswith("| ")]
    assert [row[:2] for row in rows[1:]] == [["1", "ours"], ["1", "library"], ["3", "ours"], ["3", "library"]]
