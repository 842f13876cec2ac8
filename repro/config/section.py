"""Recipe sections: the base class, and the sections that no single component owns.

A section is a small pydantic model that stands in the package of the component that reads it. Field names are unique
across sections, so that a recipe's YAML stays flat; `repro.config.recipe.Recipe` joins all sections.
"""

from typing import Annotated

from pydantic import Field

from metrics.util.config import Config

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Limit = Annotated[int, Field(ge=0)]


class Section(Config):
    """A group of recipe fields that one component reads."""


class NameConfig(Section):
    """The recipe's name."""

    name: str = Field(description="The recipe's name, by default that of its file.")


class SeedConfig(Section):
    """The seed of everything that is drawn at random."""

    seed: int = Field(description="Seed of the order of texts, noise, sampling, verdict flips and adapter weights.")


class RewritingConfig(Section):
    """How development and test sentences are rewritten."""

    max_new_tokens: Count = Field(description="Longest rewrite of a development or test sentence, in tokens.")
    generation_batch_size: Count = Field(description="Sentences per batch of rewriting.")


class ScoringConfig(Section):
    """Which systems are scored, on which test set, by which metrics."""

    test_set: str = Field(description="Name of the test set, or a file of your own (FILE or FILE:LANG).")
    test_limit: Limit = Field(description="Use the first n test sentences (0: all).")
    profile: str = Field(description="Metric protocol: a name from metrics/profiles or a YAML file.")
    systems: list[str] = Field(
        description="Baselines, models that this run trains, Hub ids or folders (with a /), openai:MODEL@URL."
    )
    system: str | None = Field(description="System message of the last two kinds of systems; null: none.")
    few_shot: str | None = Field(
        description="Examples for these: a file with a source, a tab and its rewrite per line; null: none."
    )
