"""Which values the fields of a generation config and the settings of --decoding may have."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from metrics.util.errors import InputError

# Whether a value fits, given the size of the vocabulary; and what would fit, for messages.
_Kind = tuple[Callable[[Any, float], bool], str]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))


def _is_token(value: Any, vocabulary: float) -> bool:
    return _is_int(value) and 0 <= value < vocabulary


def _are_tokens(value: Any, vocabulary: float) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_token(token, vocabulary) for token in value)


def _is_bias(value: Any, vocabulary: float) -> bool:
    pair = isinstance(value, list) and len(value) == 2
    return pair and _are_tokens(value[0], vocabulary) and _is_number(value[1])


def _is_decay(value: Any) -> bool:
    pair = isinstance(value, list | tuple) and len(value) == 2
    return pair and _is_int(value[0]) and value[0] >= 0 and _is_number(value[1]) and value[1] > 0


def _whole(least: int) -> _Kind:
    return lambda value, _: _is_int(value) and value >= least, f"a whole number of at least {least}"


_FLAG: _Kind = (lambda value, _: isinstance(value, bool), "true or false")
_POSITIVE: _Kind = (lambda value, _: _is_number(value) and value > 0, "a number above 0")
_NUMBER: _Kind = (lambda value, _: _is_number(value), "a number")
_SHARE: _Kind = (lambda value, _: _is_number(value) and 0 <= value <= 1, "a number from 0 to 1")
_MASS: _Kind = (lambda value, _: _is_number(value) and 0 < value <= 1, "a number above 0, up to 1")
_TOKEN: _Kind = (_is_token, "a token id of the model's vocabulary")
_TOKENS: _Kind = (_are_tokens, "a list of token ids of the model's vocabulary")
_ANY_TOKENS: _Kind = (
    lambda value, _: _is_int(value) or (isinstance(value, list) and all(map(_is_int, value))),
    "a token id or a list of them",
)
_KINDS: dict[str, _Kind] = {
    "do_sample": _FLAG, "temperature": _POSITIVE, "top_k": _whole(0), "top_p": _SHARE, "min_p": _SHARE,
    "typical_p": _MASS, "num_beams": _whole(1), "num_beam_groups": _whole(1), "length_penalty": _NUMBER,
    "early_stopping": (lambda value, _: isinstance(value, bool) or value == "never", 'true, false or "never"'),
    "repetition_penalty": _POSITIVE, "no_repeat_ngram_size": _whole(0), "min_length": _whole(0),
    "min_new_tokens": _whole(0), "max_length": _whole(2), "max_new_tokens": _whole(1),
    "bad_words_ids": (
        lambda value, size: isinstance(value, list) and all(_are_tokens(word, size) for word in value),
        "a list of lists of token ids of the model's vocabulary",
    ),
    "begin_suppress_tokens": _TOKENS, "suppress_tokens": _TOKENS,
    "encoder_no_repeat_ngram_size": _whole(0), "encoder_repetition_penalty": _POSITIVE,
    "epsilon_cutoff": _SHARE, "eta_cutoff": _SHARE, "top_h": _MASS,
    "exponential_decay_length_penalty": (
        lambda value, _: _is_decay(value), "a pair of a whole number and a number above 0",
    ),
    "forced_bos_token_id": _TOKEN,
    "forced_eos_token_id": (
        lambda value, size: _is_token(value, size) or _are_tokens(value, size),
        "a token id of the model's vocabulary, or a list of them",
    ),
    "watermarking_config": (
        lambda value, _: isinstance(value, dict) and _is_number(value.get("bias", 0)),
        "an object whose bias is a number",
    ),
    "guidance_scale": _NUMBER, "remove_invalid_values": _FLAG, "renormalize_logits": _FLAG,
    "sequence_bias": (
        lambda value, size: isinstance(value, list) and all(_is_bias(pair, size) for pair in value),
        "a list of pairs: a list of token ids of the model's vocabulary, and a number",
    ),
    "stop_strings": (
        lambda value, _: all(isinstance(s, str) and s for s in (value if isinstance(value, list) else [value])),
        "a text or a list of texts",
    ),
    # The padding is the tokenizer's, and an end that the model never writes ends nothing: their range does not matter.
    "bos_token_id": _ANY_TOKENS, "eos_token_id": _ANY_TOKENS, "pad_token_id": _ANY_TOKENS,
    "decoder_start_token_id": _TOKEN,
}  # fmt: skip


def require_values(where: str, settings: Mapping[str, Any], vocabulary: int | None = None) -> None:
    """Check the values of decoding settings; those that are None and those of unknown names are not checked.

    Args:
        where: What holds the settings, for the message.
        settings: The settings by name.
        vocabulary: The number of tokens that the model knows; None leaves ids of tokens without an upper bound.

    Raises:
        InputError: A value is not of the form that its name asks for; the message names all of these.
    """
    size = math.inf if vocabulary is None else vocabulary
    wrong = [
        f"{name}={repr(value)[:80]}: must be {_KINDS[name][1]}"
        for name, value in settings.items()
        if value is not None and name in _KINDS and not _KINDS[name][0](value, size)
    ]
    if wrong:
        raise InputError(f"{where}: {'; '.join(wrong)}; correct or remove it")
