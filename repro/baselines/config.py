"""Recipe section of the untrained rewriters, and all recipe fields that they read."""

from __future__ import annotations

from pydantic import Field

from repro.config.section import Count, RewritingConfig, Section, SeedConfig
from repro.leader.config import LeaderConfig, RolloutConfig


class BestOfKConfig(Section):
    """Best-of-k."""

    candidates: Count = Field(description="Most rewrites of a sentence that best-of-k draws.")


class BaselineConfig(BestOfKConfig, RolloutConfig, SeedConfig, LeaderConfig, RewritingConfig):
    """All fields that an untrained rewriter may read."""
