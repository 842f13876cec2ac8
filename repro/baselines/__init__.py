"""Rewriters that are not trained.

Each is a module here with a function `rewrites(setting: repro.baselines.setting.Setting) -> Rewrites`, and a line in
`UNTRAINED`.
"""

from pydantic import Field

from repro.config.section import Count, RewritingConfig, Section, SeedConfig
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
    """Best-of-k."""

    candidates: Count = Field(description="Most rewrites of a sentence that best-of-k draws.")


class BaselineConfig(BestOfKConfig, RolloutConfig, SeedConfig, LeaderConfig, RewritingConfig):
    """All recipe fields that an untrained rewriter may read."""
