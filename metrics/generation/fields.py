"""What becomes of each field of a generation config: it changes the text and is recorded, or changes no text, or is
refused."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from metrics.generation.values import require_values
from metrics.util.errors import InputError, suggest

# The fields that --decoding takes; they are part of the signature wherever a generation config states them.
DECODING_KEYS = (
    "do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "num_beams", "num_beam_groups",
    "length_penalty", "early_stopping", "repetition_penalty", "no_repeat_ngram_size",
    "min_length", "min_new_tokens", "max_length", "max_new_tokens",
)  # fmt: skip
# Without effect on greedy and beam search.
SAMPLING_KEYS = ("temperature", "top_k", "top_p", "min_p", "typical_p", "top_h", "epsilon_cutoff", "eta_cutoff")
# Further fields that change the text, with the value that changes nothing. Others are part of the signature.
TEXT_FIELDS: dict[str, Any] = {
    "bad_words_ids": None, "begin_suppress_tokens": None, "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0,
    "exponential_decay_length_penalty": None, "forced_bos_token_id": None, "forced_eos_token_id": None,
    "guidance_scale": 1.0, "remove_invalid_values": False, "renormalize_logits": False, "sequence_bias": None,
    "stop_strings": None, "suppress_tokens": None, "top_h": None, "watermarking_config": None,
}  # fmt: skip
# Special tokens, which belong to the model as its vocabulary does; its revision stands for them.
TOKEN_FIELDS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
# Fields that change no text: how many outputs come back and what beside them, memory and speed. They are replaced by
# these values. Assisted decoding and prompt lookup give the text of plain decoding, which takes their place.
OVERRIDDEN_FIELDS: dict[str, Any] = {
    "num_return_sequences": 1, "return_dict_in_generate": False, "output_attentions": False,
    "output_hidden_states": False, "output_logits": False, "output_scores": False,
    "use_cache": True, "cache_config": None, "cache_implementation": None, "max_cache_len": None, "low_memory": None,
    "prefill_chunk_size": None, "compile_config": None, "disable_compile": None, "continuous_batching_config": None,
    "assistant_confidence_threshold": None, "assistant_early_exit": None, "assistant_ensemble_weight": None,
    "assistant_lookbehind": None, "is_assistant": None, "max_matching_ngram_size": None, "num_assistant_tokens": None,
    "num_assistant_tokens_schedule": None, "prompt_lookup_num_tokens": None, "speculation_type": None,
    "target_lookbehind": None, "use_mtp": None,
}  # fmt: skip
# Fields that are refused, with the values that change nothing and the reason.
_CUSTOM = "transformers needs code from the Hub for it"
REFUSED_FIELDS: dict[str, tuple[tuple[Any, ...], str]] = {
    "constraints": ((None,), _CUSTOM),
    "diversity_penalty": ((None, 0.0), _CUSTOM),
    "dola_layers": ((None,), _CUSTOM),
    "force_words_ids": ((None,), _CUSTOM),
    "num_beam_groups": ((None, 1), _CUSTOM),
    "penalty_alpha": ((None, 0.0), _CUSTOM),
    "max_time": ((None,), "the text would depend on the speed of the machine"),
    "token_healing": ((None, False), "it changes the prompt"),
}
_QUANTIZED = ("quantized", "hqq", "quanto")
# Fields about the file, not about the text.
_METADATA = ("transformers_version", "_from_model_config", "_commit_hash", "_name_or_path")
# What a field of no meaning holds in files of older versions.
_EMPTY: tuple[Any, ...] = (None, {}, [])


def text_fields(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a generation config that change the text, beside `DECODING_KEYS`.

    Args:
        stored: The config as a dictionary.

    Raises:
        InputError: A field is unknown, or no score should depend on it.
    """
    where, action = "generation_config.json", "remove it there to score the model without it"
    known = (*DECODING_KEYS, *TEXT_FIELDS, *TOKEN_FIELDS, *OVERRIDDEN_FIELDS, *REFUSED_FIELDS)
    for name, value in stored.items():
        if name in REFUSED_FIELDS:
            harmless, reason = REFUSED_FIELDS[name]
            if value not in (*harmless, *_EMPTY):
                raise InputError(f"{where}: {name}={value!r}: refused, because {reason}; {action}")
        elif name not in (*known, *_METADATA) and value not in _EMPTY:
            raise InputError(f"{where}: {name}={value!r}: unknown to this program{suggest(name, known)}; {action}")
    cache = stored.get("cache_implementation")
    if cache in _QUANTIZED:
        reason = "a quantized cache changes the text and needs another library"
        raise InputError(f"{where}: cache_implementation={cache!r}: refused, because {reason}; {action}")
    # transformers makes an object of the config of watermarks; the decoding is JSON.
    values = {name: value.to_dict() if hasattr(value, "to_dict") else value for name, value in stored.items()}
    return {k: v for k, neutral in TEXT_FIELDS.items() if (v := values.get(k)) not in (neutral, *_EMPTY)}


def parse_decoding(settings: Sequence[str]) -> dict[str, Any]:
    """Return the settings of the option --decoding, KEY=VALUE each; raise an `InputError` for one that is wrong."""
    values: dict[str, Any] = {}
    for setting in settings:
        key, _, text = setting.partition("=")
        if key not in DECODING_KEYS:
            raise InputError(f"--decoding {setting}: no such setting{suggest(key, DECODING_KEYS)}")
        try:
            values[key] = json.loads(text.lower())
        except (ValueError, RecursionError):
            values[key] = None
        if type(values[key]) not in (int, float, bool):
            raise InputError(f"--decoding {setting}: the value must be a number, true or false")
        require_values("--decoding", {key: values[key]})
    return values
