"""`python bench/warm_up.py`: seconds and loss of the warm-up's steps, by what is trained.

Variants, on the same rows of the recipe `smollm2-cpu` (those that need no softening) and with its learning rate:
- `attention`: attention and norms of all layers, as the recipe says.
- `all`: feed-forward blocks too.

Each variant trains in a process of its own. The seconds are the median of all steps but the first, the loss is the mean
of the last third of the steps.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import machine, run_process

from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command
from metrics.util.markdown import markdown_table
from metrics.util.progress import progress
from repro.config.inputs import resolve_inputs
from repro.config.recipe import load_recipe
from repro.pipeline.leader import LoadingConfig, load_leader
from repro.training.config import WarmupConfig
from repro.training.trainer import training_arguments
from repro.training.warmup import WarmupTrainer, warmup_rows

VARIANTS = ("attention", "all")


class _Config(WarmupConfig, LoadingConfig):
    """The fields of a warm-up."""


def _measure(variant: str, steps: int) -> dict[str, Any]:
    """Train a variant in this process; return the number of its weights, and the seconds and loss of each step."""
    settings = [f"warmup_steps={steps}", f"train_feed_forward={json.dumps(variant == 'all')}"]
    recipe = load_recipe("smollm2-cpu", settings)
    config, inputs = recipe.narrow(_Config), resolve_inputs(recipe, None)
    neutral = [text for corpus in inputs.warming for text in dict.fromkeys(corpus.neutral)]
    rows = warmup_rows(neutral, (), (), config, config.seed)
    leader = load_leader(inputs.leader, config)
    ends, losses = [], []

    def log(entry: dict[str, Any]) -> None:
        if "loss" in entry:
            ends.append(time.perf_counter())
            losses.append(entry["loss"])

    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(
            Path(folder), max_steps=steps, per_device_train_batch_size=config.warmup_batch_size,
            learning_rate=config.warmup_learning_rate, lr_scheduler_type="linear", save_strategy="no", seed=config.seed,
        )  # fmt: skip
        WarmupTrainer(leader, arguments, rows, log=log).train()
    trained = sum(value.numel() for value in leader.trainable_state().values())
    return {"trained": trained, "losses": losses, "seconds": [b - a for a, b in itertools.pairwise(ends)]}


def main(argv: list[str]) -> None:
    """Run the command line."""
    parser = command_parser("python bench/warm_up.py", __doc__)
    parser.add_argument("--steps", type=int, default=45, metavar="N", help="steps of each variant (45)")
    parser.add_argument("--measure", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.steps < 3:
        raise InputError("--steps: at least 3")
    if options.measure:
        print(json.dumps(_measure(options.measure, options.steps)))
        return
    print(f"{options.steps} steps, {machine()}")
    found = {}
    for variant in progress([*VARIANTS], "variants"):
        printed = run_process(variant, [sys.executable, __file__, *argv, "--measure", variant])
        found[variant] = json.loads(printed.splitlines()[-1])
    seconds = {variant: statistics.median(result["seconds"]) for variant, result in found.items()}
    rows = [
        (
            variant,
            f"{result['trained'] / 1e6:.1f}",
            f"{seconds[variant]:.2f}",
            f"{seconds['all'] / seconds[variant]:.2f}",
            f"{statistics.mean(result['losses'][-(options.steps // 3) :]):.3f}",
        )
        for variant, result in found.items()
    ]
    print(markdown_table(rows, ("trained", "million weights", "seconds a step", "times faster than all", "loss")))


if __name__ == "__main__":
    run_command(main)
