"""Recipe sections of the follower: its models, and how it turns their outputs into verdicts."""

from typing import Annotated, Literal

from pydantic import Field

from repro.config.section import NonNegative, Section, Share


class FollowerConfig(Section):
    """Which models answer the rollouts, and the corpora that they are fitted on."""

    follower: Literal["screener", "guarded"] = Field(
        description='"screener" (the paper\'s), or "guarded": also checks content and fluency.'
    )
    screener: str = Field(description='"nb-svm", fitted by this run, or the name of a sequence classifier.')
    screener_corpora: list[str] = Field(
        description="Corpora whose toxic and neutral sentences fit the screener; the neutral ones warm the leader up."
    )
    screener_threshold: Share = Field(description="A rollout passes the screener when P(toxic) is at most this.")


class VerdictConfig(Section):
    """How the follower turns its models' outputs into a verdict."""

    flip_rate: Share = Field(description="Share of the screener's verdicts that is flipped (as released: 0.1).")
    guard_content: Annotated[float, Field(ge=-1, le=1)] = Field(description="Least cosine of a rollout and its text.")
    guard_words_kept: Share = Field(description="Least share of the text's words that a rollout keeps.")
    guard_length_ratio: NonNegative = Field(description="Most words of a rollout per word of its text.")
    guard_naturalness: Share = Field(description="Least probability that a person wrote the rollout.")
