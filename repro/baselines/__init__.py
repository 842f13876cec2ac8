"""Rewriters that are not trained.

Each is a module here with a function `rewrites(context: RewriterContext) -> Rewrites`, and a line in
`UNTRAINED`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Self

from pydantic import Field, model_validator

from metrics.data.test_sets import TestSet
from metrics.models.resolve import ModelRef
from metrics.systems.names import ENDPOINT
from metrics.systems.resolve import Rewrites
from metrics.util.files import sha256_bytes
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


class EndpointConfig(Section):
    """The model of few-shot and best-of-k, if it is not the leader."""

    untrained_model: str | None = Field(
        None, description="openai:MODEL@URL, which few-shot and best-of-k ask in place of the leader; null: the leader."
    )

    @model_validator(mode="after")
    def _check_endpoint(self) -> Self:
        match = ENDPOINT.fullmatch(self.untrained_model or "openai:m@http://h")
        if match is None or not match["url"]:
            raise ValueError(f"untrained_model is {self.untrained_model!r}; it must be openai:MODEL@URL or null")
        return self


class BaselineConfig(EndpointConfig, BestOfKConfig, RolloutConfig, SeedConfig, LeaderConfig, RewritingConfig):
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


def outputs_at_endpoint(name: str, outputs: Sequence[str], draws: Sequence[Rewrites]) -> dict[str, Any]:
    """Return the fields of `Rewrites` that differ from those of the first of the requests that a rewriter made.

    Args:
        name: The rewriter's name.
        outputs: What it chose.
        draws: What the endpoint wrote, request after request: their tokens and cost add up.
    """
    file = "".join(f"{output}\n" for output in outputs).encode()
    usage = {**draws[0].usage}
    for key in ("prompt_tokens", "completion_tokens", "cost"):
        if key in usage:
            usage[key] = round(sum(drawn.usage[key] for drawn in draws), 6)
    return {"system": name, "outputs": tuple(outputs), "revision": f"sha256:{sha256_bytes(file)}", "usage": usage}
