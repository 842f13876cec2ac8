"""`bench/products.py` runs and measures every variant; its times need a quiet machine."""

from __future__ import annotations

import re

from tests.benches import run_bench


def test_every_variant_is_measured() -> None:
    printed = run_bench("products", "--rows", "2", "--repeats", "1")
    times = dict(re.findall(r"^([\w ]+): ([\d.]+) ms", printed, re.MULTILINE))
    assert {"plain", "bfloat16", "read"} <= times.keys() and all(float(value) > 0 for value in times.values())
