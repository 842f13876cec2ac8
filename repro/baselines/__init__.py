"""Rewriters that are not trained.

Each is a module here with a function `rewrites(context: RewriterContext) -> Rewrites`, and a line in
`UNTRAINED`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from pydantic import Field

from metrics.data.test_sets import TestSet
from metrics.models.resolve import ModelRef
from metrics.systems.resolve import Rewrites
from repro.config.section import Count, RewritingConfig, Section, SeedConfig
from repro.followers.follower import Follower
from repro.leader.config import LeaderConfig, RolloutConfig

# Name -> a description for the readers of a table. The names go to rows, so keep the descriptions as they are.
UNTRAINED = {
    "mask-infill": "rude words of the lexicon masked, and filled in by the untouched leader's likelihood",
    "few-shot": "the untouched leader, asked with examples in its prompt",
    "best-of-k": "the likeliest rewrite, or else the first of several sampled ones that the screener passes",
}
# Those that use the leader without its warm-up.
UNTOUCHED = ("mask-infill", "few-shot")


class BestOfKConfig(Section):
    """Settings of best-of-k."""

    candidates: Count = Field(description="Most rewrites of a sentence that best-of-k draws.")


class BaselineConfig(BestOfKConfig, RolloutConfig, SeedConfig, LeaderConfig, RewritingConfig):
    """All recipe fields that an untrained rewriter may read."""


@dataclass(frozen=True)
class RewriterContext:
    """The models, sentences and recipe fields that an untrained rewriter may use.

    Attributes:
        leader: The leader as downloaded, before any warm-up or training.
        rewriter: The model that the recipe's method trained, or the warm-up if it has no method.
        load_follower: Loads the follower that judges rewrites.
    """

    config: BaselineConfig
    leader: ModelRef
    rewriter: ModelRef
    test: TestSet
    load_follower: Callable[[], Follower]


def untrained(name: str) -> Callable[[RewriterContext], Rewrites]:
    """Return the function `rewrites` of the rewriter called `name`, a key of `repro.baselines.UNTRAINED`."""
    rewrites: Callable[[RewriterContext], Rewrites] = import_module(
        f"repro.baselines.{name.replace('-', '_')}"
    ).rewrites
    return rewrites
