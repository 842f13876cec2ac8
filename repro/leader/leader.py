"""The leader: the policy π_θ that is trained, and the reference π_ref that it started from.

The reference never costs a second full model: with LoRA it is the model with its adapter disabled; otherwise it shares
the frozen weights and copies the trained ones. See `repro.leader.logprobs` for log-probabilities under both,
`repro.leader.rollouts` for sampling and `repro.leader.export` for saving.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from metrics.generation.decoding import LLAMA_LIKE
from metrics.generation.prompts import prompt_ids
from metrics.models.loading import DTYPES, LoadedModel
from metrics.util.errors import InputError
from repro.distributed import full_tensor, shard_like
from repro.leader.split_decoder import SplitDecoder
from repro.leader.trainable import add_lora, train_top_layers


class Leader:
    """A causal or seq2seq model that rewrites, with its reference.

    Args:
        loaded: The model to start from.
        train: What is trained: "full", "lora", or the number of top layers.
        max_length: Prompts and targets are truncated to this many tokens.
        lora_rank: Rank of the adapter of `train="lora"`.
        dtype: Dtype of the matmuls behind log-probabilities and their gradients, one of
            `metrics.models.loading.DTYPES`. Trained weights stay in float32, and so do the logits of a split decoder.

    Attributes:
        model: The policy, a transformers or PEFT model.
        split_decoder: The model as trunk and top layers, or None where that does not apply.

    Raises:
        InputError: `train` does not fit the model.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        train: str | int,
        max_length: int = 128,
        lora_rank: int = 16,
        dtype: str = DTYPES[0],
    ) -> None:
        self.loaded = loaded
        self.tokenizer = loaded.tokenizer
        self.seq2seq = loaded.seq2seq
        self.prompt = loaded.prompt
        self.max_length = max_length
        self.dtype = getattr(torch, dtype)
        self.model = loaded.model
        self.uses_lora = train == "lora"
        self.split_decoder: SplitDecoder | None = None
        self._reference_model: Any = None
        if train == "full":
            self.model.requires_grad_(True)
        elif self.uses_lora:
            self.model = add_lora(self.model, lora_rank, seq2seq=self.seq2seq)
        elif isinstance(train, int):
            train_top_layers(self.model, train, seq2seq=self.seq2seq)
            if self.model.config.model_type in LLAMA_LIKE:
                split = SplitDecoder(self.model, train, self.dtype)
                self.split_decoder = split if split.matches_model else None
        else:
            raise InputError(f'train: "{train}" is not "full", "lora" or a number of layers')
        if not self.uses_lora and self.split_decoder is None:
            shared = {id(p): p for p in self.model.parameters() if not p.requires_grad}
            self._reference_model = copy.deepcopy(self.model, shared).requires_grad_(False).eval()
        # With dropout, policy and reference would differ before the first update.
        self.model.eval()

    @property
    def device(self) -> torch.device:
        """The device of the model's weights."""
        return next(self.model.parameters()).device

    @contextmanager
    def reference(self) -> Iterator[Any]:
        """Within the block, the reference as a model to call; not for a leader with a split decoder."""
        if self.uses_lora:
            with self.model.disable_adapter():
                yield self.model
        else:
            yield self._reference_model

    def trainable_state(self) -> dict[str, torch.Tensor]:
        """Return the trained weights by name, detached and unsharded; all processes call this together."""
        return {n: full_tensor(p.detach()) for n, p in self.model.named_parameters() if p.requires_grad}

    def load_trainable_state(self, state: dict[str, torch.Tensor]) -> None:
        """Overwrite trained weights with those of `trainable_state`."""
        parameters = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in state.items():
                parameters[name].copy_(shard_like(value, parameters[name]))

    def prompt_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text in the leader's prompt, truncated to `max_length`."""
        return prompt_ids(self.tokenizer, self.prompt, texts, self.seq2seq, self.max_length)

    def target_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text as an output of the model, with the end of sequence."""
        eos = self.tokenizer.eos_token_id
        limit = self.max_length
        return [[*self.tokenizer(t, add_special_tokens=False)["input_ids"][: limit - 1], eos] for t in texts]

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each output, without special tokens and with white space collapsed."""
        texts = self.tokenizer.batch_decode([list(tokens) for tokens in outputs], skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]
