"""The command `python -m repro.run RECIPE`: trains a rewriter, scores it beside baselines and references, and reports.

Interrupted runs resume: run the same command again.
"""

import os
from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    p = command_parser("python -m repro.run", __doc__)
    p.add_argument("recipe", metavar="RECIPE", help="a name from repro/recipes (smollm2-cpu, smoke, …) or a YAML file")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of the recipe")
    p.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    p.add_argument("--out", metavar="DIR", help="where everything goes (default: runs/RECIPE)")
    p.add_argument("--verbose", action="store_true", help="show messages of other libraries; log.jsonl has them anyway")
    options = p.parse_args(argv)
    # libgomp reads this when it is loaded. Threads that spin while they wait stall each other on busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Otherwise trl reports its use to the Hub.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from repro.config.recipe import load_recipe
    from repro.distributed import is_main_process
    from repro.pipeline.pipeline import run
    from repro.pipeline.report import print_summary

    recipe = load_recipe(options.recipe, options.set)
    out = Path(options.out or f"runs/{recipe.name}")
    run(recipe, options.data_dir, out, verbose=options.verbose)
    if is_main_process():
        print_summary(recipe, out)


if __name__ == "__main__":
    run_command(main)
