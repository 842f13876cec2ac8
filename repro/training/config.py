"""Recipe sections of training: texts, warm-up, budget, and choice of the checkpoint."""

from typing import Literal, Self

from pydantic import Field, model_validator

from repro.config.section import Count, Limit, NonNegative, Section, Share
from repro.distributed import num_processes


class TextsConfig(Section):
    """The texts that a method learns from."""

    toxic_corpus: str = Field(description="Corpus of toxic texts to roll out on, or a file of your own.")
    toxic_limit: Limit = Field(description="How many of its texts (0: all).")
    toxic_max_words: Limit = Field(description="Longest text, in words (0: any length).")
    toxic_min_content: Limit = Field(description="Fewest words that are neither rude nor function words (0: any).")
    parallel_corpus: str = Field(description="Corpus of (toxic, neutral) pairs for methods that learn from pairs.")


class WarmupConfig(Section):
    """The warm-up, which makes a paraphraser of the leader before it meets the follower."""

    warmup: Literal["denoise", "none"] = Field(
        description='"denoise": restore neutral sentences that were made rude; "none": no warm-up.'
    )
    warmup_corpora: list[str] = Field(description="Corpora whose neutral sentences are made rude.")
    warmup_softened: Limit = Field(
        description="How many toxic sentences of these corpora are rewritten by rule, for the leader to learn from."
    )
    warmup_softened_share: Share = Field(description="Share of rows that are such pairs.")
    warmup_steps: Limit = Field(description="Updates.")
    warmup_batch_size: Count = Field(description="Rows per update and process.")
    warmup_learning_rate: NonNegative = Field(description="Learning rate after its first steps; linear to 0.")
    warmup_changes: Count = Field(description="Most rude changes per sentence.")
    warmup_names: Share = Field(
        description="Share of the neutral sentences that become a pair: their subject insulted, and what is meant."
    )
    warmup_registers: Share = Field(description="Share of rows that are written as chat, source and target alike.")
    warmup_pair_share: Share = Field(description="Share of rows that are paraphrase pairs.")
    warmup_max_words: Limit = Field(description="Longest neutral sentence, in words.")

    @model_validator(mode="after")
    def _check_warmup(self) -> Self:
        if self.warmup != "none" and (self.warmup_steps < 1 or self.warmup_max_words < 4):
            raise ValueError("a warm-up needs warmup_steps >= 1 and warmup_max_words >= 4")
        return self


class TrainingConfig(Section):
    """The budget, which is the same for every method, and the optimiser."""

    steps: Limit = Field(description="Updates (0: `epochs` passes over the texts).")
    epochs: Count = Field(description="Passes over the texts where steps is 0.")
    batch_size: Count = Field(description="Texts per micro-batch and process.")
    accumulation: Count = Field(description="Micro-batches per update.")
    learning_rate: NonNegative = Field(description="Learning rate of AdamW after its first steps.")
    schedule: Literal["constant", "linear"] = Field(description='"linear": down to 0 at the end.')
    weight_decay: NonNegative = Field(description="Weight decay of AdamW.")

    def epoch_updates(self, texts: int) -> int:
        """Return the number of updates in a pass over `texts` texts."""
        return -(-texts // (self.batch_size * self.accumulation * num_processes()))


class TrackingConfig(Section):
    """Which experiment trackers see the training. They change no result, so they are no part of it (`exclude`)."""

    report_to: list[str] = Field(
        [], exclude=True, description="Trackers that transformers knows: trackio, tensorboard, wandb, …"
    )


class DevelopmentConfig(Section):
    """Which checkpoint is chosen, and when training stops early."""

    development_set: str = Field(description="Test set, or file, whose J chooses the checkpoint.")
    development_limit: Limit = Field(description="Use its first n sentences (0: all).")
    evaluate_every: Count = Field(description="Steps between two evaluations.")
    patience: Limit = Field(description="Stop after so many evaluations in a row without a better J (0: never).")
    stop_repetition: NonNegative = Field(description="Stop when the mean bigram repetition is above this (1: never).")
    stop_length_ratio: NonNegative = Field(
        description="Stop when mean length ratio or its inverse is higher (0: never)."
    )
