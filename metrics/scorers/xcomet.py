"""XCOMET-lite (Larionov et al. 2024), the FL of CLEF 2025: mDeBERTa that scores a text and tags the errors in it.

As in COMET 2.2 (Unbabel, XCOMETMetric), the model encodes each output three times: joined with its source, with its
reference, with both. The score is a weighted sum of the three regressions, each at most 1, and of the MQM score of the
tagged error spans.
"""

import io
import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from metrics.generation.batching import length_sorted_batches
from metrics.models.resolve import ModelRef, resolve_config, resolve_model, resolve_pinned
from metrics.models.weights import weight_files
from metrics.scorers.batching import Array, pad, score_unique, truncate
from metrics.scorers.sentence_modules import read_config
from metrics.util.errors import InputError, one_line

# Of the three regressions: with source, with reference, with both.
_REGRESSION_WEIGHTS = (0.12, 0.33, 0.33)
_TAG_WEIGHTS = (0.1667, 0.3333, 0.5)
_MQM_WEIGHT = 0.22
# MQM penalty of each tag: none, minor, major, critical.
_PENALTIES = (0, 1, 5, 10)
_MAX_PENALTY = 25
# The arguments of the published model, which its config.json may leave out.
_DEFAULTS = {
    "encoder_model": "DeBERTa", "layer_transformation": "softmax", "pretrained_model": "microsoft/mdeberta-v3-base",
    "word_layer": 8, "hidden_sizes": [3072, 1024],
}  # fmt: skip
# Tensors that only training uses, or that newer encoders no longer store.
_UNUSED = ("layerwise_attention.dropout_mask", "layerwise_attention.dropout_fill", "wordloss.weight", ".position_ids")
# Types of pieces in SentencePiece's model.proto.
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4


class XCometLite:
    """Scores outputs against sources and references: 1 is perfect, and there is no lower bound.

    The encoder's config and tokenizer come from a second model, which the first one's config.json names. `revision` is
    "COMMIT+COMMIT" of the two; None: their default branches, pinned at first use.

    Raises:
        InputError: A model cannot be found; when it is first used: it cannot be loaded.
    """

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512, batch_size: int = 16) -> None:
        commit, _, encoder = (revision or "").partition("+")
        self.ref = resolve_pinned(resolve_model, model, commit or None)
        self._arguments = _read_arguments(self.ref)
        self.encoder_ref = resolve_pinned(resolve_config, self._arguments["pretrained_model"], encoder or None)
        self.revision = f"{self.ref.revision}+{self.encoder_ref.revision}"
        self.max_tokens = max_tokens
        self.batch_size = batch_size

    @cached_property
    def _loaded(self) -> tuple[Any, Any, int]:
        """(modules named as in the checkpoint, tokenizer, maximal length)."""
        import transformers
        from safetensors.torch import load_file

        try:
            weights = {
                k: v for file in weight_files(self.ref.folder, self.ref.name) for k, v in load_file(file).items()
            }
            config = transformers.AutoConfig.from_pretrained(self.encoder_ref.folder, trust_remote_code=False)
            modules = _build_modules(config, self._arguments)
            modules.load_state_dict({k: v.float() for k, v in weights.items() if not k.endswith(_UNUSED)})
            tokenizer = _load_tokenizer(self.encoder_ref.folder)
        except Exception as error:
            raise InputError(f"{self.ref.name}: cannot be loaded as XCOMET-lite ({one_line(error)})") from error
        # COMET reserves two positions for encoders that count positions from 2.
        return modules.eval(), tokenizer, min(self.max_tokens, config.max_position_embeddings) - 2

    def compare(self, sources: Sequence[str], outputs: Sequence[str], references: Sequence[str]) -> Array:
        """Return the scores [n] of n outputs."""
        columns = (truncate(texts, self.max_tokens) for texts in (outputs, sources, references))
        return score_unique(list(zip(*columns, strict=True)), self._score) if outputs else np.zeros(0)

    def _score(self, triples: Sequence[tuple[str, ...]]) -> Array:
        """Scores [n] of n (output, source, reference)."""
        _, tokenizer, max_length = self._loaded
        cls, sep, padding = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", "[PAD]"))

        def segment(text: str) -> list[int]:
            # As in COMET: a long output alone may fill the sequence, and then its source does not fit.
            ids = tokenizer.encode(text, add_special_tokens=False).ids[: max_length - 4]
            return [*(i for i in ids if i != padding), sep]

        segments = [[segment(text) for text in triple] for triple in triples]
        inputs = [
            [[cls, *output, *context][:max_length] for context in (source, reference, [*source, *reference])]
            for output, source, reference in segments
        ]
        scores = np.zeros(len(triples))
        for rows in length_sorted_batches([len(with_both) for _, _, with_both in inputs], self.batch_size):
            predictions = [self._predict([inputs[row][i] for row in rows], padding) for i in range(3)]
            regressions = np.stack([regression for regression, _ in predictions])
            scores[rows] = _REGRESSION_WEIGHTS @ np.minimum(regressions, 1.0)
            for i, row in enumerate(rows):
                length = 1 + len(segments[row][0])
                tags = np.stack([probabilities[i, :length] for _, probabilities in predictions])
                scores[row] += _MQM_WEIGHT * mqm(np.tensordot(_TAG_WEIGHTS, tags, 1).argmax(-1).tolist())
        return scores

    def _predict(self, sequences: Sequence[list[int]], padding: int) -> tuple[Array, Array]:
        """(regressions [n], probabilities of the tags [n, length, 4]) of n token sequences."""
        import torch

        modules, _, _ = self._loaded
        ids, mask = pad(sequences, padding)
        with torch.inference_mode():
            states = modules["encoder"]["model"](ids, attention_mask=mask, output_hidden_states=True).hidden_states
            mix = modules["layerwise_attention"]
            weights = torch.cat(list(mix.scalar_parameters)).softmax(0)
            sentence = mix.gamma * torch.einsum("l,lnd->nd", weights, torch.stack([state[:, 0] for state in states]))
            regression = modules["estimator"]["ff"](sentence).squeeze(-1)
            tags = modules["hidden2tag"](states[self._arguments["word_layer"]]).softmax(-1)
        return regression.double().numpy(), tags.double().numpy()


def mqm(tags: Sequence[int]) -> float:
    """Return the MQM score, in [0, 1], of tagged tokens, [CLS] and [SEP] included; a tag is an index of `_PENALTIES`.

    A run of tags other than 0 is one error span with the severity of its first token. As in COMET, a span counts when a
    0 ends it: a span that is still open at the end costs nothing.
    """
    penalty, span = 0, 0
    for tag in tags:
        if not tag:
            penalty, span = penalty + _PENALTIES[span], 0
        elif not span:
            span = tag
    return 1 - min(penalty, _MAX_PENALTY) / _MAX_PENALTY


def _read_arguments(ref: ModelRef) -> dict[str, Any]:
    arguments = {**_DEFAULTS, **read_config(ref.folder / "config.json")}
    for key, default in _DEFAULTS.items():
        where = f"{ref.name}/config.json: {key} {arguments[key]}"
        if key in ("encoder_model", "layer_transformation") and arguments[key] != default:
            raise InputError(f"{where}; XCOMET-lite has {default}")
        if type(arguments[key]) is not type(default):
            raise InputError(f"{where} has another type than XCOMET-lite's")
    return arguments


def _build_modules(config: Any, arguments: dict[str, Any]) -> Any:
    """The model before its weights are loaded, with the names of the checkpoint."""
    import torch
    import transformers
    from torch import nn

    # The inputs have no token types.
    if config.model_type != "deberta-v2" or config.type_vocab_size:
        raise InputError(f"{arguments['pretrained_model']} is no mDeBERTa")
    if not 0 <= arguments["word_layer"] <= config.num_hidden_layers:
        raise InputError(f"word_layer {arguments['word_layer']} of {config.num_hidden_layers}")
    encoder = transformers.AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)
    mix = nn.Module()
    mix.gamma = nn.Parameter(torch.ones(1))
    mix.scalar_parameters = nn.ParameterList([torch.zeros(1) for _ in range(config.num_hidden_layers + 1)])
    layers: list[Any] = []
    for before, after in pairwise([config.hidden_size, *arguments["hidden_sizes"]]):
        # The identity replaces dropout, so that the indices are those of the checkpoint.
        layers += [nn.Linear(before, after), nn.Tanh(), nn.Identity()]
    layers.append(nn.Linear(arguments["hidden_sizes"][-1], 1))
    modules = nn.ModuleDict({"encoder": nn.ModuleDict({"model": encoder}), "layerwise_attention": mix})
    modules["estimator"] = nn.ModuleDict({"ff": nn.Sequential(*layers)})
    modules["hidden2tag"] = nn.Linear(config.hidden_size, len(_PENALTIES))
    return modules


def _load_tokenizer(folder: Path) -> Any:
    """mDeBERTa's tokenizer, without truncation and padding: tokenizer.json, or spm.model as transformers 4 converts it.

    transformers 5 replaces SentencePiece's normalisation by NFC, which tokenizes full-width text differently.
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
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Strip(), *mapped, spaces])
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
    stream = io.BytesIO(message)
    while stream.tell() < len(message):
        number, wire_type = divmod(_varint(stream), 8)
        value = _varint(stream) if wire_type in (0, 2) else {1: 8, 5: 4}[wire_type]
        yield number, stream.read(value) if wire_type else value


def _varint(stream: io.BytesIO) -> int:
    """An integer in groups of seven bits, the lowest first; the eighth bit of a byte says whether another follows."""
    (byte,) = stream.read(1)
    return byte if byte < 128 else byte - 128 + 128 * _varint(stream)
