"""The leader: the policy π_θ that is trained, and the reference π_ref that it started from.

The reference never costs a second full model: with LoRA it is the model with its adapter disabled; otherwise it shares
the frozen weights and copies the trained ones.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from metrics.generation.decoding import LLAMA_LIKE
from metrics.generation.lengths import model_positions
from metrics.generation.prompts import prompt_ids
from metrics.generation.tokens import get_eos_token_ids
from metrics.models.loading import LoadedModel
from metrics.util.errors import InputError
from repro.distributed import full_tensor, shard_like
from repro.leader.split_decoder import SplitDecoder, Tokens, copy_trained

_ATTENTION_OR_NORM = re.compile(r"attn|attention|norm|ln_", re.IGNORECASE)
_FINAL_NORMS = ("model.norm.weight", "decoder.final_layer_norm.weight", "transformer.ln_f.weight")


class Leader:
    """A causal or seq2seq model that rewrites, with its reference.

    Args:
        train: What is trained: "full", "lora", or the number of top layers.
        train_feed_forward: Whether the feed-forward blocks of top layers are trained too, and not attention and norms
            alone.
        max_length: Prompts and targets are truncated to this many tokens, or to fewer that fit the model's positions.
        lora_rank: Rank of the adapter of `train="lora"`.
        dtype: Dtype of the matmuls behind log-probabilities and their gradients, "float32" or "bfloat16". Trained
            weights stay in float32, and so do the logits of a split decoder.

    Attributes:
        model: The policy, a transformers or PEFT model.
        split_decoder: The model as trunk and top layers, or None where that does not apply.

    Raises:
        InputError: `train` does not fit the model.
    """

    def __init__(
        self, loaded: LoadedModel, *, train: str | int, train_feed_forward: bool = True, max_length: int = 128,
        lora_rank: int = 16, dtype: str = "float32",
    ) -> None:  # fmt: skip
        self.loaded, self.model, self.tokenizer = loaded, loaded.model, loaded.tokenizer
        self.seq2seq, self.prompt = loaded.seq2seq, loaded.prompt
        # Prompt and target of a causal model stand behind each other.
        positions, most = model_positions(loaded.model, loaded.seq2seq)
        limits = (positions, most) if self.seq2seq else (positions and positions // 2,)
        self.max_length = min([max_length, *(limit for limit in limits if limit)])
        if self.max_length < max_length:
            problem = f"max_length={self.max_length} in place of {max_length}"
            print(f"{loaded.ref.name}: {problem}: no more fit the positions of the model", file=sys.stderr)
        self.dtype = getattr(torch, dtype)
        self.uses_lora = train == "lora"
        self.split_decoder: SplitDecoder | None = None
        self._reference_model: Any = None
        if train == "full":
            self.model.requires_grad_(True)
        elif self.uses_lora:
            self.model = _add_lora(self.model, lora_rank, seq2seq=self.seq2seq)
        elif isinstance(train, int):
            _train_top_layers(self.model, train, feed_forward=train_feed_forward, seq2seq=self.seq2seq)
            if self.model.config.model_type in LLAMA_LIKE:
                split = SplitDecoder(self.model, train, self.dtype)
                self.split_decoder = split if split.matches_model else None
        else:
            raise InputError(f'train: "{train}" is not "full", "lora" or a number of layers')
        if not self.uses_lora and self.split_decoder is None:
            self._reference_model = copy_trained(self.model)
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

    @property
    def eos_token_id(self) -> int:
        """The tokenizer's end of sequence, or the lowest id of the generation config if that names others."""
        ends, own = get_eos_token_ids(self.loaded.model, self.tokenizer), self.tokenizer.eos_token_id
        return int(own if own in ends else min(ends))

    def prompt_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text in the leader's prompt, truncated to `max_length`."""
        return prompt_ids(self.tokenizer, self.prompt, texts, self.seq2seq, self.max_length)

    def target_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text as an output of the model, with the end of sequence."""
        eos, most = self.eos_token_id, self.max_length - 1
        return [[*self.tokenizer(text, add_special_tokens=False)["input_ids"][:most], eos] for text in texts]

    def decode(self, outputs: Tokens) -> list[str]:
        """Return the text of each output, without special tokens and with white space collapsed."""
        texts = self.tokenizer.batch_decode([list(tokens) for tokens in outputs], skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]


def _add_lora(model: Any, rank: int, *, seq2seq: bool) -> Any:
    """Return the model wrapped in a LoRA adapter on all linear layers; only the adapter is trained."""
    from peft import LoraConfig, get_peft_model

    task = "SEQ_2_SEQ_LM" if seq2seq else "CAUSAL_LM"
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type=task)
    return get_peft_model(model, config)


def _train_top_layers(model: Any, layers: int, *, feed_forward: bool, seq2seq: bool) -> None:
    """Train the last `layers` layers (of a seq2seq model: of its decoder) and the final norm; freeze all others.

    Without `feed_forward`, only attention and norms of these layers are trained.
    """
    # The first list of modules: T5's layers contain further lists.
    within = model.get_decoder() if seq2seq else model
    stack = next((m for m in within.modules() if isinstance(m, nn.ModuleList) and len(m) > 1), None)
    if stack is None:
        raise InputError("train: this model has no stack of layers; use train=full")
    if not 0 < layers <= len(stack):
        raise InputError(f"train: {layers} layers, but the model has {len(stack)}; use 1 to {len(stack)}")
    model.requires_grad_(False)
    for name, parameter in stack[-layers:].named_parameters():
        parameter.requires_grad_(feed_forward or bool(_ATTENTION_OR_NORM.search(name)))
    for name, parameter in model.named_parameters():
        if name.endswith(_FINAL_NORMS):
            parameter.requires_grad_(True)


def merged_state(model: Any) -> dict[str, torch.Tensor]:
    """Return all weights of a LoRA model by their names in the base model, with the adapter merged into them."""
    from peft.tuners.lora import Linear

    base = model.get_base_model()
    state = {n.replace(".base_layer.", "."): p.detach() for n, p in base.named_parameters() if ".lora_" not in n}
    for name, module in base.named_modules():
        if isinstance(module, Linear):
            (adapter,) = module.active_adapters
            state[f"{name}.weight"] = state[f"{name}.weight"] + module.get_delta_weight(adapter).detach()
    return state
