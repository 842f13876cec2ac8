"""Decoding settings: their names, their defaults, and which of them this project's own sampler supports."""

from collections.abc import Mapping
from typing import Any

# The fields of a generation config that change the output; they are part of the signature.
DECODING_KEYS = (
    "do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "num_beams", "num_beam_groups",
    "length_penalty", "early_stopping", "repetition_penalty", "no_repeat_ngram_size",
    "min_length", "min_new_tokens", "max_length", "max_new_tokens",
)  # fmt: skip
# Those that must not be 0.
POSITIVE_KEYS = ("temperature", "num_beams", "num_beam_groups", "repetition_penalty", "max_length", "max_new_tokens")
DEFAULT_MAX_NEW_TOKENS = 64
# Model types whose decoder is embed -> layers(hidden, position_embeddings) -> norm -> lm_head, and nothing else.
LLAMA_LIKE = ("llama", "qwen2", "qwen3")
# Fields of a generation config that leave the logits unchanged.
_NEUTRAL_FIELDS = {
    "bos_token_id", "eos_token_id", "pad_token_id", "max_new_tokens", "max_length", "do_sample", "temperature", "top_k",
    "top_p", "use_cache", "output_attentions", "output_hidden_states", "transformers_version", "_from_model_config",
}  # fmt: skip
# Settings without effect on greedy decoding and on sampling from the full distribution.
_NEUTRAL_SETTINGS = {"num_beams": 1, "top_k": 0, "top_p": 1.0}


def decoding_settings(model: Any, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the decoding settings of a model: its generation config, updated with `overrides`, sorted by name.

    A model whose config sets no length gets max_new_tokens=64 instead of transformers' default of 20 tokens.
    """
    overrides = overrides or {}
    lengths = {"max_length", "max_new_tokens"}
    replaced = lengths if lengths & overrides.keys() else set()
    stored = {key: getattr(model.generation_config, key, None) for key in DECODING_KEYS if key not in replaced}
    settings = {key: value for key, value in stored.items() if value is not None} | overrides
    if "max_new_tokens" in settings:
        settings.pop("max_length", None)
    elif "max_length" not in settings:
        settings["max_new_tokens"] = DEFAULT_MAX_NEW_TOKENS
    settings.setdefault("do_sample", False)
    if not settings["do_sample"]:
        # They have no effect on greedy and beam search; equal decodings must have equal settings.
        for key in ("temperature", "top_k", "top_p", "min_p", "typical_p"):
            settings.pop(key, None)
    return dict(sorted(settings.items()))


def sampler_supports(model: Any) -> bool:
    """Return whether `metrics.generation.sampler` supports a model.

    It supports the `LLAMA_LIKE` model types with full attention in every layer (sliding windows need another mask) and
    a generation config that leaves the logits unchanged.
    """
    return (
        getattr(model.config, "model_type", None) in LLAMA_LIKE
        and not is_unmerged(model)
        and set(getattr(model.config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
        and model.generation_config.to_diff_dict().keys() <= _NEUTRAL_FIELDS
    )


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
