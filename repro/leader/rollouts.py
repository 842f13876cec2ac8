"""Rollouts: the leader's own rewrites of training texts, sampled or greedy."""

import copy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from metrics.generation.decoding import sampler_supports
from metrics.generation.engines.vllm import VLLM
from metrics.generation.lengths import model_positions
from metrics.generation.packed_linear import PackedLinear, pack_linear_layers
from metrics.generation.rewriting import generate_ids
from metrics.generation.sampler import sample_ids
from metrics.generation.tokens import get_eos_token_ids
from metrics.util.errors import name_option
from repro.distributed import num_processes, rank
from repro.leader.config import RolloutConfig
from repro.leader.leader import Leader, merged_state
from repro.leader.split_decoder import Tokens

# Share of the GPU's memory for vLLM; training needs the rest.
_VLLM_MEMORY_SHARE = 0.3
# Keeps the random numbers of several processes apart.
_RANK_STRIDE = 7_368_787


class RolloutGenerator:
    """Rolls out with the leader's current weights.

    In another dtype than the leader's it rolls out with a copy, whose trained weights it refreshes before each call.

    Args:
        leader: The policy. If its weights are to be sharded, create the generator before.

    Attributes:
        max_new_tokens: The longest rollout: `rollout_max_new_tokens`, or as many as fit the model behind a prompt.
    """

    def __init__(self, leader: Leader, config: RolloutConfig) -> None:
        self.leader, self.config = leader, config
        self._copy: Any = None
        self._packed_layers: dict[str, list[PackedLinear]] = {}
        self._vllm: VLLM | None = None
        positions, most = model_positions(leader.model, leader.seq2seq)
        rest = most if leader.seq2seq else positions and positions - leader.max_length
        self.max_new_tokens = min(config.rollout_max_new_tokens, rest or config.rollout_max_new_tokens)
        if self.max_new_tokens < config.rollout_max_new_tokens:
            limits = f"rollout_max_new_tokens={self.max_new_tokens} in place of {config.rollout_max_new_tokens}"
            print(f"{leader.loaded.ref.name}: {limits}: no more fit the positions of the model", file=sys.stderr)
        dtype = getattr(torch, config.rollout_dtype)
        if config.rollout_engine == "none" and leader.model.dtype != dtype:
            self._copy = copy.deepcopy(leader.model).requires_grad_(False)
            for parameter in self._copy.parameters():
                # `Module.to` would round the buffers too, and with them the rotary angles.
                parameter.data = parameter.data.to(dtype)
            # The leader's own layers are not packed: their sums would differ in the last digits.
            self._packed_layers = pack_linear_layers(self._copy)

    def generate(self, texts: Sequence[str], seed: int) -> list[list[int]]:
        """Roll out each text, in the leader's prompt, `config.rollouts` times; equal seeds give equal rollouts.

        Returns:
            Token ids of each rollout, those of one text next to each other. None is empty: an end of sequence stands
            for a rollout without tokens.
        """
        prompts, config = self.leader.prompt_ids(texts), self.config
        settings: dict[str, Any] = {"max_new_tokens": self.max_new_tokens, "do_sample": config.sample, "num_beams": 1}
        if config.sample:
            settings |= {"temperature": config.temperature, "top_k": 0, "top_p": 1.0}
        with torch.random.fork_rng():
            # Before the seed is set, because vLLM sets one of its own when it starts.
            vllm = self._current_vllm() if config.rollout_engine == "vllm" else None
            torch.manual_seed(seed + _RANK_STRIDE * rank())
            if vllm is not None:
                outputs = vllm([prompt for prompt in prompts for _ in range(config.rollouts)], settings)
            else:
                with dropout(self.current_model(), config.rollout_dropout) as model:
                    outputs = self._generate(model, prompts, settings, seed)
        return [tokens or [self.leader.eos_token_id] for tokens in outputs]

    def current_model(self) -> Any:
        """Return a model with the leader's current weights in the dtype of rollouts."""
        if self._copy is None:
            return self.leader.model
        copies = dict(self._copy.named_parameters())
        for name, value in self.leader.trainable_state().items():
            if name in copies:
                copies[name].copy_(value)
            for layer in self._packed_layers.get(name, ()):
                layer.set_weight(value.to(self._copy.dtype))
        return self._copy

    def _generate(self, model: Any, prompts: Tokens, settings: dict[str, Any], seed: int) -> list[list[int]]:
        """Generate with the suite's sampler, or with transformers if the sampler does not support the model."""
        tokenizer, config = self.leader.tokenizer, self.config
        if not sampler_supports(model):
            settings = {**settings, "num_return_sequences": config.rollouts}
            return generate_ids(model, tokenizer, prompts, self.leader.seq2seq, settings)
        return sample_ids(
            model, prompts, num_return_sequences=config.rollouts, max_new_tokens=self.max_new_tokens,
            temperature=config.temperature if config.sample else None, pad_token_id=tokenizer.pad_token_id,
            eos_token_ids=get_eos_token_ids(model, tokenizer), seed=seed, shard=(rank(), num_processes()),
        )  # fmt: skip

    def _current_vllm(self) -> VLLM:
        leader, config = self.leader, self.config
        if self._vllm is None:
            longest = leader.max_length + self.max_new_tokens
            limits: Any = {"max_model_len": longest, "gpu_memory_utilization": _VLLM_MEMORY_SHARE}
            with name_option("rollout_engine: vllm"):
                self._vllm = VLLM(leader.loaded, config.rollout_dtype, **limits)
        state = merged_state(leader.model) if leader.uses_lora else leader.trainable_state()
        self._vllm.load_weights(state.items())
        return self._vllm


@contextmanager
def dropout(model: Any, rate: float) -> Iterator[Any]:
    """Within the block, set the rate of all dropout layers and of attention dropout, and yield the model.

    Rate 0 puts the model in eval mode, any other in training mode. Afterwards it is in eval mode with its own rates.
    """
    rates = [(m, "p") for m in model.modules() if isinstance(m, nn.Dropout)]
    rates += [(m, "attention_dropout") for m in model.modules() if hasattr(m, "attention_dropout")]
    before = [getattr(*place) for place in rates]
    model.train(rate > 0)
    for place in rates:
        setattr(*place, rate)
    try:
        yield model
    finally:
        model.eval()
        for place, value in zip(rates, before, strict=True):
            setattr(*place, value)
