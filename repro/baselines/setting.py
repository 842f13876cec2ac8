"""What an untrained rewriter is given, and how it is found by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from metrics.data.test_sets import TestSet
from metrics.models.resolve import ModelRef
from metrics.systems.resolve import Rewrites
from repro.baselines.config import BaselineConfig
from repro.followers.follower import Follower


@dataclass(frozen=True)
class Setting:
    """What an untrained rewriter is given.

    Attributes:
        config: The recipe fields that it may read.
        leader: The untouched leader.
        rewriter: The model that the recipe's method trained, or the warm-up if it has no method.
        test: The sentences to rewrite.
        load_follower: Loads the follower that judges rewrites.
    """

    config: BaselineConfig
    leader: ModelRef
    rewriter: ModelRef
    test: TestSet
    load_follower: Callable[[], Follower]


def untrained(name: str) -> Callable[[Setting], Rewrites]:
    """Return the function `rewrites` of the rewriter called `name`, a key of `repro.baselines.UNTRAINED`."""
    rewrites: Callable[[Setting], Rewrites] = import_module(f"repro.baselines.{name.replace('-', '_')}").rewrites
    return rewrites
