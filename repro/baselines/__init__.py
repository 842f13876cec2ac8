"""Rewriters that are not trained: each a file here with `rewrites(setting) -> Rewrites` and a line in `UNTRAINED`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metrics.data.test_sets import TestSet
    from metrics.models.resolve import ModelRef
    from metrics.systems.outputs import Rewrites
    from repro.baselines.config import BaselineConfig
    from repro.followers.follower import Follower

# name -> what readers of a table should know of it.
UNTRAINED = {
    "mask-infill": "rude words of the lexicon masked, and filled in by the untouched leader's likelihood",
    "few-shot": "the untouched leader, asked with examples in its prompt",
    "best-of-k": "the likeliest rewrite, or else the first of several sampled ones that the screener passes",
}

# Those that ask the leader as it is, not the warmed-up one.
UNTOUCHED = ("mask-infill", "few-shot")


@dataclass(frozen=True)
class Setting:
    """What a baseline is given: the untouched leader, what the recipe made of it, the test set, and the screener.

    made: what the recipe's method trained, or the warm-up where it has no method.
    """

    config: BaselineConfig
    leader: ModelRef
    made: ModelRef
    test: TestSet
    follower: Callable[[], Follower]


def untrained(name: str) -> Callable[[Setting], Rewrites]:
    rewrites: Callable[[Setting], Rewrites] = import_module(f"repro.baselines.{name.replace('-', '_')}").rewrites
    return rewrites
