"""Decoding settings: their names, their defaults, and which of them this project's own sampler supports."""

from collections.abc import Mapping
from typing import Any

from metrics.generation.fields import (
    DECODING_KEYS,
    OVERRIDDEN_FIELDS,
    REFUSED_FIELDS,
    SAMPLING_KEYS,
    TOKEN_FIELDS,
    text_fields,
)
from metrics.generation.values import require_values
from metrics.util.errors import InputError

DEFAULT_MAX_NEW_TOKENS = 64
# Model types whose decoder is embed -> layers(hidden, position_embeddings) -> norm -> lm_head, and nothing else.
LLAMA_LIKE = ("llama", "qwen2", "qwen3")
# Fields of a generation config that leave the logits unchanged.
_NEUTRAL_FIELDS = {
    "bos_token_id", "eos_token_id", "pad_token_id", "max_new_tokens", "max_length", "do_sample", "temperature", "top_k",
    "top_p", "transformers_version", "_from_model_config", *OVERRIDDEN_FIELDS,
}  # fmt: skip
# Settings without effect on greedy decoding and on sampling from the full distribution.
_NEUTRAL_SETTINGS = {"num_beams": 1, "top_k": 0, "top_p": 1.0}


def decoding_settings(
    model: Any, overrides: dict[str, Any] | None = None, default: int = DEFAULT_MAX_NEW_TOKENS
) -> dict[str, Any]:
    """Return the decoding settings of a model: its generation config, updated with `overrides`, sorted by name.

    A model whose config sets no length gets max_new_tokens=`default` instead of transformers' default of 20 tokens.

    Raises:
        InputError: The generation config has a field that is unknown or refused (see `metrics.generation.fields`), or
            a setting has a value that it cannot have.
    """
    overrides = overrides or {}
    lengths = {"max_length", "max_new_tokens"}
    replaced = lengths if lengths & overrides.keys() else set()
    stored = {key: getattr(model.generation_config, key, None) for key in DECODING_KEYS if key not in replaced}
    further = text_fields(model.generation_config.to_dict())
    tokens = {name: getattr(model.generation_config, name, None) for name in TOKEN_FIELDS}
    settings = {key: value for key, value in stored.items() if value is not None} | further | overrides
    if "guidance_scale" in settings and model.config.is_encoder_decoder:
        raise InputError(
            "generation_config.json: guidance_scale: transformers has it for causal models only; remove it"
        )
    if model.config.is_encoder_decoder and tokens["decoder_start_token_id"] is tokens["bos_token_id"] is None:
        problem = "it names neither decoder_start_token_id nor bos_token_id, with which outputs begin"
        raise InputError(f"generation_config.json: {problem}; add the one that the model was trained with")
    if settings.get("num_beam_groups", 1) != 1:
        raise InputError(f"decoding num_beam_groups: refused, because {REFUSED_FIELDS['num_beam_groups'][1]}")
    if "max_new_tokens" in settings:
        settings.pop("max_length", None)
    elif "max_length" not in settings:
        settings["max_new_tokens"] = default
    settings.setdefault("do_sample", False)
    if not settings["do_sample"]:
        # They have no effect on greedy and beam search; equal decodings must have equal settings.
        for key in SAMPLING_KEYS:
            settings.pop(key, None)
    require_values("decoding", {key: settings[key] for key in overrides.keys() & settings.keys()})
    own = {key: value for key, value in settings.items() if key not in overrides}
    require_values("generation_config.json", {**own, **tokens}, _vocabulary(model))
    return dict(sorted(settings.items()))


def _vocabulary(model: Any) -> int | None:
    """The number of tokens that a model knows, as far as its config states it."""
    size = getattr(model.config.get_text_config(), "vocab_size", None)
    return size if isinstance(size, int) else None


def sampler_supports(model: Any) -> bool:
    """Return whether `metrics.generation.sampler` supports a model.

    It supports the `LLAMA_LIKE` model types with full attention in every layer (sliding windows need another mask) and
    a generation config that leaves the logits unchanged.
    """
    return (
        getattr(model.config, "model_type", None) in LLAMA_LIKE
        and not is_unmerged(model)
        and rescaling_position(model) is None
        and set(getattr(model.config, "layer_types", None) or _layer_types(model.config)) == {"full_attention"}
        and model.generation_config.to_diff_dict().keys() <= _NEUTRAL_FIELDS
    )


def rescaling_position(model: Any) -> int | None:
    """Return the position from which LongRoPE (Ding et al. 2024) turns all rows of a batch by other angles, or None.

    transformers takes the longest row to decide for all.
    """
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    # Some models have parameters for each kind of layer.
    parameters = [rope, *(value for value in rope.values() if isinstance(value, dict))]
    original = getattr(config, "original_max_position_embeddings", None)
    starts = [
        one.get("original_max_position_embeddings") or original or config.max_position_embeddings
        for one in parameters
        if one.get("rope_type") == "longrope"
    ]
    return min(starts, default=None)


def _layer_types(config: Any) -> list[str]:
    """The kind of the layers of a config that does not list them, as transformers' caches take it."""
    local = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return ["local_attention" if any(local) else "full_attention"]


def is_unmerged(model: Any) -> bool:
    """Return whether a model is an adapter of a kind that changes more than the decoder's layers, as LoRA does not.

    Such adapters put vectors before the prompt, or look at the whole prompt, in the `forward` of the PEFT model.
    """
    return type(model).__module__.startswith("peft.") and any(
        config.peft_type != "LORA" or getattr(config, "alora_invocation_tokens", None)
        for config in model.peft_config.values()
    )


def sampler_supports_decoding(model: Any, settings: Mapping[str, Any]) -> bool:
    """Return whether `metrics.generation.sampler` supports a model under these settings.

    It decodes greedily, or samples from softmax(logits / temperature) over the full vocabulary.
    """
    do_sample = settings.get("do_sample")
    if do_sample is None or (do_sample and settings.get("top_k") != 0):
        # The default of transformers is top_k=50.
        return False
    effective = {key for key, value in settings.items() if (key, value) not in _NEUTRAL_SETTINGS.items()}
    supported = {"do_sample", "max_new_tokens", *(["temperature"] if do_sample else [])}
    return "max_new_tokens" in effective and effective <= supported and sampler_supports(model)
