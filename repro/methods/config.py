"""Recipe sections of the training methods: which one, and the SRO objective."""

from typing import Annotated, Literal

from pydantic import Field

from metrics.util.config import OneOf
from repro.config.section import NonNegative, Positive, Section, SeedConfig, Share
from repro.leader.config import LeaderConfig, RolloutConfig
from repro.methods import METHODS
from repro.training.config import DevelopmentConfig, TrackingConfig, TrainingConfig


class MethodConfig(Section):
    """The training method."""

    method: Annotated[str, OneOf((*METHODS, "none"))] = Field(description='A name from repro.methods, or "none".')


class ObjectiveConfig(Section):
    """The SRO objective (arXiv 2410.20298); as published: siblings false, lone_fail_weight 1, credit all,
    imitation 0."""

    beta: Positive = Field(description="Inverse temperature β of the preference.")
    epsilon: Annotated[float, Field(ge=0, lt=0.5)] = Field(description="Label smoothing ε.")
    siblings: bool = Field(description="Compare a fail with the best rollout of the same text that passed.")
    lone_fail_weight: Share = Field(description="Weight of the fails without such a rollout.")
    credit: Literal["all", "differing"] = Field(
        description='Tokens that Δ sums over: "all", or those that the two sides of a comparison do not share.'
    )
    imitation: NonNegative = Field(description="Weight of the passes' likelihood beside the objective.")
    shift_right: bool = Field(description="Score a token where the one before it was read (as released: false).")
    rejected_with_prompt: bool = Field(description="Take Δ(x) over prompt and text (as released: true).")


class SROConfig(ObjectiveConfig, RolloutConfig, SeedConfig):
    """Hyper-parameters of SRO: objective, rollouts and seed."""


class ContextConfig(MethodConfig, SROConfig, LeaderConfig, TrainingConfig, DevelopmentConfig, TrackingConfig):
    """All fields that a training method may read."""
