"""Lengths: prompt and output fit the positions that a model's config states."""

import sys
from dataclasses import dataclass
from typing import Any

from torch import nn

from metrics.generation.decoding import DEFAULT_MAX_NEW_TOKENS, decoding_settings
from metrics.generation.prompts import MAX_PROMPT_TOKENS
from metrics.generation.reasoning import REASONING_MAX_NEW_TOKENS, find_reasoning
from metrics.models.loading import LoadedModel

# The names under which configs state the number of positions.
_POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "n_ctx", "seq_length")
_ENCODER_POSITIONS = ("max_encoder_position_embeddings", "max_source_positions", *_POSITIONS)
_DECODER_POSITIONS = ("max_decoder_position_embeddings", "max_target_positions", *_POSITIONS)


@dataclass(frozen=True)
class Lengths:
    """Limits of a model's prompts and outputs.

    Attributes:
        prompt: The greatest number of tokens of a prompt.
        settings: The decoding settings, whose `max_new_tokens` or `max_length` fits the model.
    """

    prompt: int
    settings: dict[str, Any]


def generation_settings(loaded: LoadedModel, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return `decoding_settings` that fit the model's positions and, if it reasons, leave room for that.

    Raises:
        InputError: As `decoding_settings`, or the chat template cannot be rendered.
    """
    reasoning = find_reasoning(loaded)
    default = REASONING_MAX_NEW_TOKENS if reasoning and reasoning.thinks else DEFAULT_MAX_NEW_TOKENS
    settings = decoding_settings(loaded.model, overrides, default)
    fitted = fit_lengths(loaded, settings).settings
    for key in ("max_new_tokens", "max_length"):
        if settings.get(key) != fitted.get(key):
            limits = f"{key}={fitted[key]} in place of {settings[key]}"
            print(f"{loaded.ref.name}: {limits}: no more fit the positions of the model", file=sys.stderr)
    return fitted


def fit_lengths(loaded: LoadedModel, settings: dict[str, Any]) -> Lengths:
    """Return the longest prompt, and settings whose longest output fits the model beside it.

    A prompt has up to `MAX_PROMPT_TOKENS`, and no more than the tokenizer states. Encoder and decoder have positions of
    their own. Elsewhere the prompt may have up to half of the positions, and more where the output needs fewer;
    `max_length`, which counts both, leaves a quarter of it to the output.
    """
    model, fitted = loaded.model, dict(settings)
    prompt = min(MAX_PROMPT_TOKENS, loaded.tokenizer.model_max_length)
    positions, most = model_positions(model, loaded.seq2seq)
    if loaded.seq2seq:
        prompt = min(prompt, positions or prompt)
        for key in ("max_new_tokens", "max_length"):
            if most and key in fitted:
                fitted[key] = min(fitted[key], most)
        return Lengths(prompt, fitted)
    if positions and "max_new_tokens" in fitted:
        new = min(fitted["max_new_tokens"], max(1, positions - min(MAX_PROMPT_TOKENS, positions // 2)))
        prompt, fitted["max_new_tokens"] = min(prompt, positions - new), new
    if "max_length" in fitted and "max_new_tokens" not in fitted:
        total = fitted["max_length"] = min(fitted["max_length"], positions or fitted["max_length"])
        prompt = min(prompt, total - max(1, total // 4))
    return Lengths(prompt, fitted)


def model_positions(model: Any, seq2seq: bool) -> tuple[int | None, int | None]:
    """Return the numbers of positions of encoder and decoder, None where the config states none.

    Prompts and outputs of a causal model share its positions: they are the first number, and the second one is None.
    """
    if seq2seq:
        return _positions(model, _ENCODER_POSITIONS), _positions(model, _DECODER_POSITIONS)
    return _positions(model, _POSITIONS), None


def _positions(model: Any, names: tuple[str, ...]) -> int | None:
    """Return the number of positions that the model's config states under one of the names, or None."""
    configs = (model.config.get_text_config(), model.config)
    stated = (getattr(config, name, None) for config in configs for name in names)
    found = next((value for value in stated if isinstance(value, int) and value > 0), None)
    for name, module in model.named_modules():
        # RoBERTa's kind counts positions from behind the padding token.
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            return min(found or module.num_embeddings, module.num_embeddings - module.padding_idx - 1)
    return found
