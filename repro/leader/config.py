"""Recipe sections of the leader: the model that is trained, and how it rolls out."""

from typing import Literal, Self

from pydantic import Field, model_validator

from repro.config.section import Count, Positive, Section, Share

Dtype = Literal["float32", "bfloat16"]


class LeaderConfig(Section):
    """The leader π_θ, and which of its weights are trained."""

    leader: str = Field(description="A built-in model, a folder or a Hub id.")
    prompt: str | None = Field(description="Prompt template with {text} in it; null: the model's own.")
    train: Literal["full", "lora"] | Count = Field(
        description='What is trained: "full", "lora", or how many top layers.'
    )
    lora_rank: Count = Field(description="Rank of the LoRA adapter.")
    max_length: Count = Field(description="Prompts are truncated to this many tokens.")
    train_dtype: Dtype = Field(description="Dtype of matrix products in training; trained weights stay in float32.")

    @model_validator(mode="after")
    def _check_prompt(self) -> Self:
        if self.prompt is not None and self.prompt.count("{text}") != 1:
            raise ValueError("the prompt must contain {text} exactly once")
        return self


class RolloutEngineConfig(Section):
    """The program that rolls out."""

    rollout_engine: Literal["none", "vllm"] = Field(
        description='"vllm" (causal leaders, one process, no dropout), or "none" for the suite\'s sampler.'
    )


class RolloutConfig(RolloutEngineConfig):
    """How the leader rolls out training texts."""

    rollouts: Count = Field(description="Rollouts per text.")
    sample: bool = Field(description="Sample rollouts; false: greedy decoding.")
    temperature: Positive = Field(description="Sampling temperature.")
    rollout_max_new_tokens: Count = Field(description="Longest rollout, in tokens.")
    rollout_dtype: Dtype = Field(description="Dtype of the weights that roll out.")
    rollout_dropout: Share = Field(description="Dropout rate while rolling out (as published: 0; as released: 0.1).")

    @model_validator(mode="after")
    def _check_sampling(self) -> Self:
        if self.rollouts > 1 and not self.sample:
            raise ValueError(f"{self.rollouts} greedy rollouts of a text are all alike; set sample=true or rollouts=1")
        return self
