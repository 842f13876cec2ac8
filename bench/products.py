"""The command `python bench/products.py`: what reading a leader's weights for a few tokens costs, in several ways.

A step of decoding multiplies every weight of the layers with one row for each rollout that goes on. Timed are the
products of all 30 layers of SmolLM2-135M (random weights of its shapes, no two in the same place) with --rows rows:

- `plain`: float32, as `torch.nn.functional.linear` does them
- `bfloat16`: weights and rows of two bytes
- `laid out`, `bfloat16, laid out`: the same with weights arranged for the library beforehand (metrics/laid_out.py)
- `read`: no products: the sum of all weights, which is to read them once

Prints the median time of each, and the rate of its products.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

from metrics.util.errors import InputError, run_command

LAYERS = 30
# [out, in] of a layer's projections: queries, keys, values, output; gate, up, down.
SHAPES = ((576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536))


def ways(rows: int) -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    import torch
    from torch.nn.functional import linear

    from metrics.generation.packed_linear import PackedLinear, can_pack

    weights = [torch.randn(shape) for _ in range(LAYERS) for shape in SHAPES]
    inputs = {width: torch.randn(rows, width) for width in (576, 1536)}
    narrow = [weight.bfloat16() for weight in weights]
    narrow_inputs = {width: value.bfloat16() for width, value in inputs.items()}
    found: dict[str, Callable[[], Any]] = {
        "plain": lambda: [linear(inputs[w.shape[1]], w) for w in weights],
        "bfloat16": lambda: [linear(narrow_inputs[w.shape[1]], w) for w in narrow],
        "read": lambda: [w.sum() for w in weights],
    }
    if can_pack(weights):
        laid = [(PackedLinear(w, None), inputs[w.shape[1]]) for w in weights]
        found["laid out"] = lambda: [layer(own) for layer, own in laid]
    if can_pack(narrow):
        narrow_laid = [(PackedLinear(w, None), narrow_inputs[w.shape[1]]) for w in narrow]
        found["bfloat16, laid out"] = lambda: [layer(own) for layer, own in narrow_laid]
    return found


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python bench/products.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=48, metavar="N", help="rollouts that go on (48)")
    parser.add_argument("--repeats", type=int, default=9, metavar="N", help="times each way is gone (9)")
    options = parser.parse_args(argv)
    if min(options.rows, options.repeats) < 1:
        raise InputError("--rows, --repeats: at least 1")
    import torch

    print(f"{options.rows} rows, {torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}")
    operations = 2 * options.rows * LAYERS * sum(out * width for out, width in SHAPES)
    with torch.no_grad():
        found = ways(options.rows)
        seconds: dict[str, list[float]] = {name: [] for name in found}
        # The ways take turns; what the first turn warms up is not counted.
        for turn in range(options.repeats + 1):
            for name, act in found.items():
                start = time.perf_counter()
                act()
                if turn:
                    seconds[name].append(time.perf_counter() - start)
    for name, times in seconds.items():
        median = statistics.median(times)
        rate = "" if name == "read" else f", {operations / median / 1e9:.0f} billion operations a second"
        print(f"{name}: {median * 1e3:.1f} ms{rate}")


if __name__ == "__main__":
    run_command(main)
