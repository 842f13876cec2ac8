"""Load the tokenizer of a resolved model: an adapter's own, where it has one, else its base's."""

import json
import sys
from pathlib import Path
from typing import Any

from metrics.models.resolve import ModelRef
from metrics.models.weights import loading_errors, require_own_code
from metrics.util.errors import InputError
from metrics.util.files import read_text

CHAT_TEMPLATE, _PROCESSORS_TEMPLATE = "chat_template.jinja", "chat_template.json"
_TOKENIZER, _SETTINGS = "tokenizer.json", "tokenizer_config.json"
_FIRST_WORD = "a"
# Of these, different tokenizers make different tokens: digits, contractions, signs, white space; case and scripts.
_PROBES = (
    f"{_FIRST_WORD} how are you? i don't know, it's 2023 (12345): a_b-c @user #tag x.y/z  two\n\nlines\tab...!!! 3$",
    f"{_FIRST_WORD} You ARE Straße, ñandú, Привет мир, 你好, مرحبا, ｆｕｌｌ… 😀",
)
# What tokenizer_config.json may state: fields of BERT's normalizer, and which ends of a text have a special token.
_CASE = {
    "lowercase": "do_lower_case",
    "strip_accents": "strip_accents",
    "handle_chinese_chars": "tokenize_chinese_chars",
}
_ENDS = ("add_bos_token", "add_eos_token")
_PARTS = (_TOKENIZER, _SETTINGS, "special_tokens_map.json", "added_tokens.json")


def has_own_tokenizer(ref: ModelRef) -> bool:
    """Whether an adapter's folder holds a tokenizer."""
    return ref.base is not None and any((ref.folder / part).is_file() for part in _PARTS)


def load_tokenizer(ref: ModelRef) -> Any:
    """Load the transformers tokenizer of a model.

    A chat template that lies in an adapter's folder without a tokenizer replaces the base's.

    Raises:
        InputError: There is no tokenizer, or it has no vocabulary or needs code from the model repository.
    """
    from transformers import AutoConfig, AutoTokenizer

    base = ref.base or ref
    folder = ref.folder if has_own_tokenizer(ref) else base.folder
    with loading_errors(ref.name):
        # An adapter's folder has no config, from which transformers reads the kind of model.
        config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False)
        found = AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False)
        tokenizer = _as_stored(found, folder, ref.name)
    _require_vocabulary(folder, tokenizer, ref.name)
    code = tokenizer.init_kwargs.get("auto_map")
    code = code.get("AutoTokenizer") if isinstance(code, dict) else code
    require_own_code(ref.name, _SETTINGS, code, type(found).__name__)
    longest = tokenizer.model_max_length
    if type(longest) not in (int, float) or not longest >= 1:
        raise InputError(f"{ref.name}/{_SETTINGS}: model_max_length is {longest!r}; write a number of tokens, or null")
    tokenizer.model_max_length = int(min(longest, 1e30))
    if ref.base is not None and folder != ref.folder and (ref.folder / CHAT_TEMPLATE).is_file():
        tokenizer.chat_template = read_text(ref.folder / CHAT_TEMPLATE)
    if tokenizer.chat_template is None and (folder / _PROCESSORS_TEMPLATE).is_file():
        problem = f"{_PROCESSORS_TEMPLATE} is for processors of images or sound, and its tokenizer has no template"
        raise InputError(f"{ref.name}: {problem}; write it to {CHAT_TEMPLATE}, or remove it")
    return tokenizer


def _as_stored(tokenizer: Any, folder: Path, name: str) -> Any:
    """Return the tokenizer, or one in its place that makes of texts what `tokenizer.json` says.

    transformers 5 rebuilds many kinds of tokenizers from the vocabulary alone: the file's own normalizer, rules for
    digits, prefix space, special tokens and decoder, with which the model was trained, would be lost. As in
    transformers, case and prefix space in `tokenizer_config.json` take precedence.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    own = getattr(tokenizer, "backend_tokenizer", None)
    if own is None or not (folder / _TOKENIZER).is_file():
        return tokenizer
    kind, stored = type(tokenizer).__name__, Tokenizer.from_file(str(folder / _TOKENIZER))
    stated = json.loads(read_text(folder / _SETTINGS)) if (folder / _SETTINGS).is_file() else {}
    _set_case(stored, own, stated)
    _set_lengths(stored, own)
    prefix = stated.get("add_prefix_space")
    if not _splits_as(stored, own, first_word=not isinstance(prefix, bool)):
        print(f"{name}: {_TOKENIZER} is followed; {kind} of transformers splits otherwise", file=sys.stderr)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        own = tokenizer.backend_tokenizer
        own.normalizer = stored.normalizer
    # This class does not read the setting.
    if type(tokenizer) is PreTrainedTokenizerFast and isinstance(prefix, bool):
        words = own.encode(f"{_FIRST_WORD} {_FIRST_WORD}", add_special_tokens=False).tokens
        marked = [word[0] in "Ġ▁" for word in words]
        if any(marked) and marked[0] != prefix:
            raise InputError(
                f"{name}: {_SETTINGS} says add_prefix_space {prefix}, and {_TOKENIZER} does not; change one"
            )
    _set_special_tokens(tokenizer, stored, stated, name)
    return tokenizer


def _set_case(stored: Any, own: Any, stated: dict[str, Any]) -> None:
    """Let tokenizers of BERT's kind treat case, accents and Chinese characters as stated, else as `stored` does."""
    from tokenizers.normalizers import BertNormalizer

    normalizer = stored.normalizer
    if isinstance(normalizer, BertNormalizer):
        for field, setting in _CASE.items():
            if isinstance(stated.get(setting), bool):
                setattr(normalizer, field, stated[setting])
        stored.normalizer = normalizer
        if isinstance(own.normalizer, BertNormalizer):
            own.normalizer = normalizer


def _set_lengths(stored: Any, own: Any) -> None:
    """Let two tokenizers truncate and pad alike."""
    stored.no_truncation()
    stored.no_padding()
    if own.truncation:
        stored.enable_truncation(**own.truncation)
    if own.padding:
        stored.enable_padding(**own.padding)


def _splits_as(stored: Any, own: Any, *, first_word: bool) -> bool:
    """Whether two tokenizers split and join texts alike, special tokens aside; `first_word` includes the first one."""
    start = 0 if first_word else len(_FIRST_WORD)
    for probe in _PROBES:
        rows = []
        for one in (stored, own):
            encoding = one.encode(probe, add_special_tokens=False)
            pairs = zip(encoding.ids, encoding.offsets, strict=True)
            rows.append([token for token, (_, end) in pairs if end > start])
        texts = [one.decode(rows[0], skip_special_tokens=False).split() for one in (stored, own)]
        if rows[0] != rows[1] or texts[0] != texts[1]:
            return False
    return True


def _set_special_tokens(tokenizer: Any, stored: Any, stated: dict[str, Any], name: str) -> None:
    """Let a tokenizer add the special tokens that `tokenizer.json` says."""
    # Where there is a tokenizer.json, transformers ignores these settings.
    for setting, token, ids in zip(_ENDS, ("bos_token_id", "eos_token_id"), _special_tokens(stored), strict=True):
        if isinstance(stated.get(setting), bool) and stated[setting] != (getattr(tokenizer, token) in ids):
            says = f"{_SETTINGS} says {setting} {stated[setting]}"
            print(f"{name}: {_TOKENIZER} is followed; {says}", file=sys.stderr)
    own, kind = tokenizer.backend_tokenizer, type(tokenizer).__name__
    # Where texts have a language, it is one of the special tokens.
    if not hasattr(tokenizer, "src_lang") and _special_tokens(own) != _special_tokens(stored):
        print(f"{name}: {_TOKENIZER} is followed; {kind} of transformers adds other special tokens", file=sys.stderr)
        own.post_processor = stored.post_processor


def _special_tokens(backend: Any) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer adds before and behind a text."""
    encoding = backend.encode(_FIRST_WORD)
    special = [bool(mask) for mask in encoding.special_tokens_mask]
    first = special.index(False) if False in special else len(special)
    last = len(special) - special[::-1].index(False) if False in special else first
    return encoding.ids[:first], encoding.ids[last:]


def _require_vocabulary(folder: Path, tokenizer: Any, name: str) -> None:
    """Refuse a folder without the file of the vocabulary: transformers makes an all but empty tokenizer of it."""
    names = {_TOKENIZER, *(file for file in tokenizer.vocab_files_names.values() if file != _SETTINGS)}
    # Tokenizers of characters or bytes have no file.
    if tokenizer.vocab_files_names and not any((folder / file).is_file() for file in names):
        problem = f"its tokenizer has no vocabulary (none of {', '.join(sorted(names))})"
        raise InputError(f"{name}: {problem}; save the tokenizer again with save_pretrained")


def choose_padding(tokenizer: Any, model: Any) -> None:
    """Give a tokenizer without a usable padding token one, so that texts can be batched; its meaning is masked.

    It is the end of sequence if there is one, else a special token, else token 0 of the vocabulary: no text that is
    read or written changes.
    """
    embeddings = model.get_input_embeddings().weight.shape[0]
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id < embeddings:
        return
    ends = model.generation_config.eos_token_id if getattr(model, "generation_config", None) else None
    ends = ends if isinstance(ends, list) else [ends]
    special = (tokenizer.eos_token_id, *ends, tokenizer.bos_token_id, tokenizer.unk_token_id, 0)
    token = next(token for token in special if token is not None and token < embeddings)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(token)


def require_known_tokens(tokenizer: Any, model: Any, name: str) -> None:
    """Raise an `InputError` if a tokenizer makes tokens for which the model has no embedding; padding is no matter."""
    embeddings = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) <= embeddings:
        return
    beyond = sorted(
        (index, token)
        for token, index in tokenizer.get_vocab().items()
        if index >= embeddings and index != tokenizer.pad_token_id
    )
    if beyond:
        example = f"such as {beyond[0][1]!r}"
        problem = f"its tokenizer has {len(beyond)} tokens for which the model has no embedding, {example}"
        raise InputError(f"{name}: {problem}; its tokenizer and its weights do not belong together")
