"""The command `python -m repro.run RECIPE`: retrains SRO, scores it beside baselines and references, writes a report.

Run it again after an interruption: it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import run_command


def parser() -> argparse.ArgumentParser:
    p = command_parser("python -m repro.run", __doc__)
    p.add_argument("recipe", metavar="RECIPE", help="a name from repro/recipes (smollm2-cpu, smoke, …) or a YAML file")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of the recipe")
    p.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    p.add_argument("--out", metavar="DIR", help="where everything goes (default: runs/RECIPE)")
    return p


def main(argv: list[str]) -> None:
    options = parser().parse_args(argv)
    # libgomp spins while it waits, which stalls both threads as soon as anything else runs; it reads this at import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # trl reports its use to the Hub otherwise.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from repro.config.recipe import load_recipe

    recipe = load_recipe(options.recipe, options.set)

    from repro.pipeline.pipeline import run

    run(recipe, options.data_dir, Path(options.out or f"runs/{recipe.name}"))


if __name__ == "__main__":
    run_command(main)
