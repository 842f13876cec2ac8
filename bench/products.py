"""The command `python bench/products.py`: the time of a decoding step's matrix products, in several variants.

A decoding step multiplies every weight of the layers with one row per unfinished rollout. The program measures the
products of all 30 layers of SmolLM2-135M (random weights of its shapes, each at its own address) with --rows rows:

- `plain`: `torch.nn.functional.linear` in float32
- `bfloat16`: the same in bfloat16
- `packed`, `bfloat16 packed`: `metrics.generation.packed_linear`
- `read`: no products, only the sum of all weights, which reads them once

It prints the median time of each variant and the operations per second.
"""

import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command

LAYERS = 30
# [out, in] of a layer's projections: queries, keys, values, output; gate, up, down.
SHAPES = ((576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536))


def variants(rows: int) -> dict[str, Callable[[], Any]]:
    """Return the functions to measure by name."""
    import torch
    from torch.nn.functional import linear

    from metrics.generation.packed_linear import PackedLinear, can_pack

    weights = [torch.randn(shape) for _ in range(LAYERS) for shape in SHAPES]
    inputs = {width: torch.randn(rows, width) for width in (576, 1536)}
    functions: dict[str, Callable[[], Any]] = {"read": lambda: [w.sum() for w in weights]}

    def add(plain: str, packed: str, weights: list[torch.Tensor], inputs: dict[int, torch.Tensor]) -> None:
        functions[plain] = lambda: [linear(inputs[w.shape[1]], w) for w in weights]
        if can_pack(weights):
            layers = [(PackedLinear(w, None), inputs[w.shape[1]]) for w in weights]
            functions[packed] = lambda: [layer(rows) for layer, rows in layers]

    add("plain", "packed", weights, inputs)
    add("bfloat16", "bfloat16 packed", [w.bfloat16() for w in weights], {k: v.bfloat16() for k, v in inputs.items()})
    return functions


def main(argv: list[str]) -> None:
    parser = command_parser("python bench/products.py", __doc__)
    parser.add_argument("--rows", type=int, default=48, metavar="N", help="unfinished rollouts (48)")
    parser.add_argument("--repeats", type=int, default=9, metavar="N", help="measurements of each variant (9)")
    options = parser.parse_args(argv)
    if min(options.rows, options.repeats) < 1:
        raise InputError("--rows, --repeats: at least 1")
    import torch

    print(f"{options.rows} rows, {torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}")
    operations = 2 * options.rows * LAYERS * sum(out * width for out, width in SHAPES)
    with torch.no_grad():
        functions = variants(options.rows)
        seconds: dict[str, list[float]] = {name: [] for name in functions}
        # The variants alternate; the first round only warms them up.
        for repeat in range(options.repeats + 1):
            for name, multiply in functions.items():
                start = time.perf_counter()
                multiply()
                if repeat:
                    seconds[name].append(time.perf_counter() - start)
    for name, times in seconds.items():
        median = statistics.median(times)
        rate = "" if name == "read" else f", {operations / median / 1e9:.0f} billion operations per second"
        print(f"{name}: {median * 1e3:.1f} ms{rate}")


if __name__ == "__main__":
    run_command(main)
