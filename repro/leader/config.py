"""Recipe sections of the leader: the model that is trained, and how it rolls out."""

from typing import Annotated, Literal, Self

import torch
from pydantic import AfterValidator, Field, model_validator

from repro.config.section import Count, Positive, Section, Share


def _fastest_dtype() -> str:
    """Return "bfloat16" where the GPU or the processor has instructions for its products, else "float32".

    Without them bfloat16 is several times slower than float32.
    """
    if torch.cuda.is_available():
        has_products = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_products = any(is_there for name, is_there in torch.cpu.get_capabilities().items() if "bf16" in name)
    return "bfloat16" if has_products else "float32"


# "auto" never stays in a recipe: what a run did should not hang on who reads its lock file.
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16"], AfterValidator(lambda dtype: _fastest_dtype() if dtype == "auto" else dtype)
]


class LeaderConfig(Section):
    """The leader π_θ, and which of its weights are trained."""

    leader: str = Field(description="A built-in model, a folder or a Hub id.")
    prompt: str | None = Field(description="Prompt template with {text} in it; null: the model's own.")
    train: Literal["full", "lora"] | Count = Field(
        description='What is trained: "full", "lora", or how many top layers.'
    )
    train_feed_forward: bool = Field(
        description="Whether feed-forward blocks of the top layers are trained, or attention and norms alone."
    )
    lora_rank: Count = Field(description="Rank of the LoRA adapter.")
    max_length: Count = Field(description="Prompts are truncated to this many tokens.")
    train_dtype: Dtype = Field(
        description="Dtype of matrix products in training (auto: the faster one here); trained weights stay in float32."
    )

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
    rollout_dtype: Dtype = Field(description="Dtype of the weights that roll out (auto: the faster one here).")
    rollout_dropout: Share = Field(description="Dropout rate while rolling out (as published: 0; as released: 0.1).")

    @model_validator(mode="after")
    def _check_sampling(self) -> Self:
        if self.rollouts > 1 and not self.sample:
            raise ValueError(f"{self.rollouts} greedy rollouts of a text are all alike; set sample=true or rollouts=1")
        return self
