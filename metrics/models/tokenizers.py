"""Load the tokenizer of a resolved model: an adapter's own, where it has one, else its base's."""

import sys
from pathlib import Path
from typing import Any

from metrics.models.resolve import ModelRef
from metrics.models.weights import loading_errors, require_own_code
from metrics.util.errors import InputError
from metrics.util.files import read_text

CHAT_TEMPLATE = "chat_template.jinja"
_TOKENIZER, _SETTINGS = "tokenizer.json", "tokenizer_config.json"
_FIRST_WORD = "a"
# Of these, different tokenizers make different tokens: digits, contractions, signs, white space; case and scripts.
_PROBES = (
    f"{_FIRST_WORD} how are you? i don't know, it's 2023 (12345): a_b-c @user #tag x.y/z  two\n\nlines\tab...!!! 3$",
    f"{_FIRST_WORD} You ARE Straße, ñandú, Привет мир, 你好, مرحبا, ｆｕｌｌ… 😀",
)
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
    from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

    base = ref.base or ref
    folder = ref.folder if has_own_tokenizer(ref) else base.folder
    with loading_errors(ref.name):
        # An adapter's folder has no config, from which transformers reads the kind of model.
        config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False)
        if (file := folder / _TOKENIZER).is_file() and not _splits_as(file, tokenizer):
            kind = type(tokenizer).__name__
            print(f"{ref.name}: {_TOKENIZER} is followed; {kind} of transformers splits otherwise", file=sys.stderr)
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    _require_vocabulary(folder, tokenizer, ref.name)
    code = tokenizer.init_kwargs.get("auto_map")
    code = code.get("AutoTokenizer") if isinstance(code, dict) else code
    require_own_code(ref.name, _SETTINGS, code, type(tokenizer).__name__)
    longest = tokenizer.model_max_length
    if type(longest) not in (int, float) or not longest >= 1:
        raise InputError(f"{ref.name}/{_SETTINGS}: model_max_length is {longest!r}; write a number of tokens, or null")
    tokenizer.model_max_length = int(min(longest, 1e30))
    if ref.base is not None and folder != ref.folder and (ref.folder / CHAT_TEMPLATE).is_file():
        tokenizer.chat_template = read_text(ref.folder / CHAT_TEMPLATE)
    return tokenizer


def _splits_as(file: Path, tokenizer: Any) -> bool:
    """Whether a tokenizer splits and joins texts as its `tokenizer.json` says.

    transformers 5 rebuilds many kinds of tokenizers from the vocabulary alone: the file's own normalizer, rules for
    digits and decoder, with which the model was trained, would be lost. Special tokens are not compared, nor the first
    word and, in BERT's kind, case and accents: further settings decide these.
    """
    from tokenizers import Tokenizer
    from tokenizers.normalizers import BertNormalizer

    own = getattr(tokenizer, "backend_tokenizer", None)
    if own is None:
        return True
    stored = Tokenizer.from_file(str(file))
    probes = _PROBES[:1] if isinstance(stored.normalizer, BertNormalizer) else _PROBES
    for probe in probes:
        rows = []
        for one in (stored, own):
            encoding = one.encode(probe, add_special_tokens=False)
            pairs = zip(encoding.ids, encoding.offsets, strict=True)
            rows.append([token for token, (_, end) in pairs if end > len(_FIRST_WORD)])
        texts = [one.decode(rows[0], skip_special_tokens=False).split() for one in (stored, own)]
        if rows[0] != rows[1] or texts[0] != texts[1]:
            return False
    return True


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
