"""Which weights of a leader are trained: all, a LoRA adapter, or the top layers."""

from typing import Any

import torch
from torch import nn

from metrics.util.errors import InputError

_FINAL_NORMS = ("model.norm.weight", "decoder.final_layer_norm.weight", "transformer.ln_f.weight")


def add_lora(model: Any, rank: int, *, seq2seq: bool) -> Any:
    """Return the model wrapped in a LoRA adapter on all linear layers; only the adapter is trained."""
    from peft import LoraConfig, get_peft_model

    task = "SEQ_2_SEQ_LM" if seq2seq else "CAUSAL_LM"
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type=task)
    return get_peft_model(model, config)


def train_top_layers(model: Any, layers: int, *, seq2seq: bool) -> None:
    """Freeze a model below its last `layers` layers (of a seq2seq model: of its decoder).

    The final norm is trained too; embeddings and head are frozen.

    Raises:
        InputError: The model has no stack of layers, or fewer than `layers`.
    """
    # The first list of modules: T5's layers contain further lists.
    within = model.get_decoder() if seq2seq else model
    stack = next((m for m in within.modules() if isinstance(m, nn.ModuleList) and len(m) > 1), None)
    if stack is None:
        raise InputError("train: this model has no stack of layers; use train=full")
    if not 0 < layers <= len(stack):
        raise InputError(f"train: {layers} layers, but the model has {len(stack)}; use 1 to {len(stack)}")
    model.requires_grad_(False)
    for layer in stack[-layers:]:
        layer.requires_grad_(True)
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
