"""The command `python bench/products.py`: the time of a decoding step's matrix products, in several variants.

A decoding step multiplies every weight of the layers with one row per unfinished rollout. The program measures the
products of all 30 layers of SmolLM2-135M (random weights of its shapes, each at its own address) with --rows rows:

- `plain`: `torch.nn.functional.linear` in float32
- `bfloat16`: the same in bfloat16
- `packed`, `bfloat16 packed`: `metrics.generation.packed_linear`
- `read`: no products, only the sum of all weights, which reads them once

It prints the median time of each variant and the operations per second.
"""

from collections.abc import Callable
from typing import Any

import torch
from measuring import machine, median_seconds
from torch.nn.functional import linear

from metrics.generation.packed_linear import PackedLinear, can_pack
from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command

LAYERS = 30
# [out, in] of a layer's projections: queries, keys, values, output; gate, up, down.
SHAPES = ((576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536))


def variants(rows: int) -> dict[str, Callable[[], Any]]:
    """Return the functions to measure by name."""
    weights = [torch.randn(shape) for _ in range(LAYERS) for shape in SHAPES]
    inputs = {width: torch.randn(rows, width) for width in (576, 1536)}
    functions: dict[str, Callable[[], Any]] = {"read": lambda: [weight.sum() for weight in weights]}

    def add(plain: str, packed: str, dtype: torch.dtype) -> None:
        pairs = [(weight.to(dtype), inputs[weight.shape[1]].to(dtype)) for weight in weights]
        functions[plain] = lambda: [linear(rows, weight) for weight, rows in pairs]
        if can_pack(weight for weight, _ in pairs):
            layers = [(PackedLinear(weight, None), rows) for weight, rows in pairs]
            functions[packed] = lambda: [layer(rows) for layer, rows in layers]

    add("plain", "packed", torch.float32)
    add("bfloat16", "bfloat16 packed", torch.bfloat16)
    return functions


def main(argv: list[str]) -> None:
    parser = command_parser("python bench/products.py", __doc__)
    parser.add_argument("--rows", type=int, default=48, metavar="N", help="unfinished rollouts (48)")
    parser.add_argument("--repeats", type=int, default=9, metavar="N", help="measurements of each variant (9)")
    options = parser.parse_args(argv)
    if min(options.rows, options.repeats) < 1:
        raise InputError("--rows, --repeats: at least 1")
    print(f"{options.rows} rows, {machine()}")
    operations = 2 * options.rows * LAYERS * sum(out * width for out, width in SHAPES)
    with torch.no_grad():
        seconds = median_seconds(variants(options.rows), options.repeats)
    for name, median in seconds.items():
        rate = "" if name == "read" else f", {operations / median / 1e9:.0f} billion operations per second"
        print(f"{name}: {median * 1e3:.1f} ms{rate}")


if __name__ == "__main__":
    run_command(main)
