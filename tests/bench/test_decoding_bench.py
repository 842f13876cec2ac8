"""`bench/decoding.py` runs on a tiny model and measures every variant; its times need a quiet machine."""

from __future__ import annotations

from pathlib import Path

from tests.benches import run_bench


def test_every_variant_decodes_every_batch(tiny_llama: Path) -> None:
    size = ["--rows", "1", "3", "--tokens", "3", "--repeats", "1", "--dtype", "bfloat16"]
    printed = run_bench("decoding", "--model", str(tiny_llama), *size)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line.startswith("| ")]
    assert [row[:2] for row in rows[1:]] == [["1", "ours"], ["1", "transformers"], ["3", "ours"], ["3", "transformers"]]
