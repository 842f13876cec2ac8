"""Recipe sections of the follower: its models, and how it turns their outputs into verdicts."""

from typing import Literal

from pydantic import Field

from repro.config.section import Limit, NonNegative, Section, Share


class FollowerConfig(Section):
    """Which models answer the rollouts, and the corpora that they are fitted on."""

    follower: Literal["screener", "guarded"] = Field(
        description='"screener" (the paper\'s), or "guarded": also checks content and fluency.'
    )
    screener: str = Field(description='"nb-svm", fitted by this run, or the name of a sequence classifier.')
    screener_corpora: list[str] = Field(description="Corpora whose toxic and neutral sentences fit the screener.")
    screener_threshold: Share = Field(description="A rollout passes the screener when P(toxic) is at most this.")


class VerdictConfig(Section):
    """How the follower turns its models' outputs into a verdict."""

    flip_rate: Share = Field(description="Share of the screener's verdicts that is flipped (as released: 0.1).")
    screener_margin: NonNegative = Field(
        description="The guarded follower also passes what lowers the log-odds of being toxic by this (0: never)."
    )
    guard_rude: bool = Field(
        description="Fail rollouts with a rude word of the lexicon, an insulting name or a threat."
    )
    guard_kept: Share = Field(description="Least share of the text's content words that a rollout keeps (0: any).")
    guard_invented: Limit = Field(description="Most words that neither text nor equivalents support (100: any).")
    guard_claims: bool = Field(description="Fail rollouts that negate otherwise, or say no more than 'is a person'.")
    guard_gaps: bool = Field(
        description="Fail rollouts with a gap: a determiner without its noun, or no word for a rude one that is needed."
    )
    guard_length_ratio: NonNegative = Field(description="Most words of a rollout per word of its text.")
    guard_likelihood: NonNegative = Field(
        description="Most nats that edits may cost the words around them, under the untouched leader (0: no limit)."
    )
    guard_naturalness: Share = Field(description="Least probability that a person wrote the rollout.")
