"""mDeBERTa's tokenizer from its SentencePiece model, with the normalisation of transformers 4."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Types of pieces in SentencePiece's model.proto.
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer from tokenizer.json, or convert spm.model as transformers 4 did.

    transformers 5 replaces SentencePiece's normalisation by NFC, which tokenizes full-width text differently.

    Args:
        folder: The model's folder.

    Returns:
        A `tokenizers.Tokenizer` without truncation and padding.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer
    pieces, charsmap = _read_sentencepiece(folder / "spm.model")
    unknown = next(i for i, (_, _, type_) in enumerate(pieces) if type_ == _UNKNOWN)
    tokenizer = Tokenizer(models.Unigram([(piece, score) for piece, score, _ in pieces], unknown, False))
    mapped = [normalizers.Precompiled(charsmap)] if charsmap else []
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Strip(), *mapped, normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    for piece, _, type_ in pieces:
        if type_ in (_CONTROL, _USER_DEFINED):
            tokenizer.add_tokens([AddedToken(piece, normalized=False, special=type_ == _CONTROL)])
    tokenizer.add_special_tokens(["[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"])
    return tokenizer


def _read_sentencepiece(path: Path) -> tuple[list[tuple[str, float, int]], bytes]:
    """(piece, score, type) of each piece, and the compiled normalisation rules, of a SentencePiece model.

    Parsed here, because nothing else would need the packages sentencepiece and protobuf.
    """
    pieces, charsmap = [], b""
    for number, value in _fields(path.read_bytes()):
        if number == 1:
            piece = dict(_fields(value))
            pieces.append((piece[1].decode("utf-8"), struct.unpack("<f", piece.get(2, b"\0" * 4))[0], piece.get(3, 1)))
        elif number == 3:
            charsmap = dict(_fields(value)).get(2, b"")
    return pieces, charsmap


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field of a protocol buffer message: an int, or the bytes of any other type."""
    position = 0

    def varint() -> int:
        nonlocal position
        value, shift = 0, 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while position < len(message):
        key = varint()
        wire_type = key & 7
        if wire_type == 0:
            yield key >> 3, varint()
        else:
            size = varint() if wire_type == 2 else {1: 8, 5: 4}[wire_type]
            yield key >> 3, message[position : position + size]
            position += size
