"""The parts of a study: its arms, its options, and its table. This module imports neither torch nor the pipeline."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.files import write_text

TABLE_METRICS = ("j", "sta", "sim", "fl")


@dataclass(frozen=True)
class Arm:
    """A row of a study's table: a recipe with KEY=VALUE overrides, run with at most `most_seeds` of its seeds."""

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()
    most_seeds: int | None = None


def write_report(text: str, name: str, options: argparse.Namespace) -> None:
    """Write a study's report to NAME.md in its folder, and print it."""
    write_text(Path(options.out) / f"{name}.md", text)
    print(text)


def study_parser(name: str, description: str | None, seeds: int = 3) -> argparse.ArgumentParser:
    """Return a parser with the options that all studies have."""
    p = command_parser(f"python -m repro.studies.{name}", description)
    cores = os.cpu_count() or 1
    p.add_argument("--seeds", type=int, default=seeds, metavar="N", help=f"runs per arm, seeds 1 to N ({seeds})")
    p.add_argument("--workers", type=int, default=cores, metavar="N", help="runs at a time (default: cores)")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of every recipe")
    p.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    p.add_argument("--out", metavar="DIR", default="runs/studies", help="where runs and results go (runs/studies)")
    p.add_argument("--verbose", action="store_true", help="show messages of other libraries")
    return p
