"""XCOMET-lite (Larionov et al. 2024), the FL of CLEF 2025: mDeBERTa that scores a text and tags the errors in it.

An output is read three times: joined with its source, with its reference, with both. The score is a weighted sum of the
three regressions, each at most 1, and of a fourth value that counts the tagged error spans as MQM does. It follows
COMET 2.2 (Unbabel, XCOMETMetric) to the letter, oddities included; left out: training, scores without a reference, and
the text and confidence of a span.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from metrics.generation.batching import length_sorted_batches
from metrics.models.pins import resolve_pinned
from metrics.models.resolve import ModelRef, resolve_config, resolve_model
from metrics.scorers.batching import Array, bounded
from metrics.util.errors import InputError
from metrics.util.files import read_text

# The readings: with source, with reference, with both.
READING_WEIGHTS = (0.12, 0.33, 0.33)
TAG_WEIGHTS = (0.1667, 0.3333, 0.5)
MQM_WEIGHT = 0.22
# By tag: none, minor, major, critical.
PENALTIES = (0, 1, 5, 10)
MAX_PENALTY = 25
# The arguments of the released model, which its config.json may leave out.
DEFAULTS = {
    "encoder_model": "DeBERTa",
    "layer_transformation": "softmax",
    "pretrained_model": "microsoft/mdeberta-v3-base",
    "word_layer": 8,
    "hidden_sizes": [3072, 1024],
}
# Kinds of SentencePiece's pieces.
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4
# Tensors that a checkpoint holds for training only, or that newer encoders no longer store.
UNUSED = ("layerwise_attention.dropout_mask", "layerwise_attention.dropout_fill", "wordloss.weight", ".position_ids")


class XCometLite:
    """Scores [n] of outputs against sources and references: 1 is perfect, and nothing bounds it from below.

    Weights and constructor arguments are read from `model`, the encoder's config and tokenizer from the model that its
    config.json names. `revision` pins both, "the model's+the encoder's", and can be given again as it was read.
    """

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512, batch_size: int = 16) -> None:
        own, _, encoder = (revision or "").partition("+")
        self.ref: ModelRef = resolve_pinned(resolve_model, model, own or None)
        self._arguments = _read_arguments(self.ref)
        self.encoder_ref: ModelRef = resolve_pinned(
            resolve_config, self._arguments["pretrained_model"], encoder or None
        )
        self.max_tokens = max_tokens
        self.batch_size = batch_size

    @property
    def revision(self) -> str:
        return f"{self.ref.revision}+{self.encoder_ref.revision}"

    @cached_property
    def _loaded(self) -> tuple[Any, Any, int]:
        """(modules named as in the checkpoint, tokenizer, the longest sequence)."""
        import transformers

        try:
            config = transformers.AutoConfig.from_pretrained(self.encoder_ref.folder, trust_remote_code=False)
            modules = _modules(config, self._arguments)
            modules.load_state_dict(_read_weights(self.ref.folder))
            tokenizer = load_tokenizer(self.encoder_ref.folder)
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"{self.ref.name}: cannot be loaded as XCOMET-lite ({reason})") from error
        # Two less than there is room for: COMET keeps them for models that count positions from 2.
        longest = min(self.max_tokens, config.max_position_embeddings) - 2
        return modules.eval(), tokenizer, longest

    def compare(self, sources: Sequence[str], outputs: Sequence[str], references: Sequence[str]) -> Array:
        triples = list(zip(*(bounded(texts, self.max_tokens) for texts in (outputs, sources, references)), strict=True))
        distinct = list(dict.fromkeys(triples))
        scores = dict(zip(distinct, self._score(distinct), strict=True)) if distinct else {}
        return np.array([scores[triple] for triple in triples], dtype=np.float64)

    def _score(self, triples: Sequence[tuple[str, ...]]) -> Array:
        """Scores of (output, source, reference)."""
        _, tokenizer, longest = self._loaded
        cls, sep, pad = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", "[PAD]"))

        def segment(text: str) -> list[int]:
            # Cut to leave two free places, and no more: a long output takes nearly all of a reading.
            ids = tokenizer.encode(text, add_special_tokens=False).ids[: longest - 4]
            return [*(i for i in ids if i != pad), sep]

        segments = [[segment(text) for text in triple] for triple in triples]
        readings = [
            [[cls, *output, *rest][:longest] for rest in (source, reference, [*source, *reference])]
            for output, source, reference in segments
        ]
        scores = np.zeros(len(triples))
        for rows in length_sorted_batches([len(both) for _, _, both in readings], self.batch_size):
            read = [self._read([readings[row][i] for row in rows], pad) for i in range(3)]
            regressions = np.stack([regression for regression, _ in read])
            scores[rows] = READING_WEIGHTS @ np.minimum(regressions, 1.0)
            for place, row in enumerate(rows):
                length = 1 + len(segments[row][0])
                tags = np.stack([probabilities[place, :length] for _, probabilities in read])
                scores[row] += MQM_WEIGHT * mqm(np.tensordot(TAG_WEIGHTS, tags, 1).argmax(-1).tolist())
        return scores

    def _read(self, sequences: Sequence[list[int]], pad: int) -> tuple[Array, Array]:
        """(regressions [n], probabilities of the tags [n, length, 4])."""
        import torch

        modules, _, _ = self._loaded
        width = max(len(sequence) for sequence in sequences)
        ids = torch.tensor([sequence + [pad] * (width - len(sequence)) for sequence in sequences])
        mask = torch.tensor([[1] * len(sequence) + [0] * (width - len(sequence)) for sequence in sequences])
        with torch.inference_mode():
            states = modules["encoder"]["model"](ids, attention_mask=mask, output_hidden_states=True).hidden_states
            mix = modules["layerwise_attention"]
            weights = torch.cat(list(mix.scalar_parameters)).softmax(0)
            sentence = mix.gamma * torch.einsum("l,lnd->nd", weights, torch.stack([state[:, 0] for state in states]))
            regression = modules["estimator"]["ff"](sentence).squeeze(-1)
            tags = modules["hidden2tag"](states[self._arguments["word_layer"]]).softmax(-1)
        return regression.double().numpy(), tags.double().numpy()


def mqm(tags: Sequence[int]) -> float:
    """The quality, in [0, 1], of a text whose tokens, [CLS] and [SEP] among them, carry `tags`.

    A run of tags other than 0 is one span, as grave as its first token. It counts where a 0 ends it: a span still open
    at the end, however grave, costs nothing.
    """
    penalty, span = 0, 0
    for tag in tags:
        if not tag:
            penalty, span = penalty + PENALTIES[span], 0
        elif not span:
            span = tag
    return 1 - min(penalty, MAX_PENALTY) / MAX_PENALTY


def _read_arguments(ref: ModelRef) -> dict[str, Any]:
    path = ref.folder / "config.json"
    try:
        arguments = {**DEFAULTS, **json.loads(read_text(path))}
    except (ValueError, TypeError):
        raise InputError(f"{ref.name}/config.json: not a JSON object") from None
    for key in ("encoder_model", "layer_transformation"):
        if arguments[key] != DEFAULTS[key]:
            raise InputError(f"{ref.name}/config.json: {key} {arguments[key]}; XCOMET-lite has {DEFAULTS[key]}")
    wrong = [key for key, value in DEFAULTS.items() if type(arguments[key]) is not type(value)]
    if wrong:
        raise InputError(f"{ref.name}/config.json: {wrong[0]} {arguments[wrong[0]]} is not what XCOMET-lite takes")
    return arguments


def _read_weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    state: dict[str, Any] = {}
    for file in sorted(folder.glob("*.safetensors")):
        state.update(load_file(file))
    return {name: tensor.float() for name, tensor in state.items() if not name.endswith(UNUSED)}


def _modules(config: Any, arguments: dict[str, Any]) -> Any:
    """The model without its weights, its parts named as in the checkpoint."""
    import torch
    import transformers
    from torch import nn

    # An encoder with token types would have to be given them.
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
        # The third place was dropout's.
        layers += [nn.Linear(before, after), nn.Tanh(), nn.Identity()]
    layers.append(nn.Linear(arguments["hidden_sizes"][-1], 1))
    return nn.ModuleDict(
        {
            "encoder": nn.ModuleDict({"model": encoder}),
            "layerwise_attention": mix,
            "estimator": nn.ModuleDict({"ff": nn.Sequential(*layers)}),
            "hidden2tag": nn.Linear(config.hidden_size, len(PENALTIES)),
        }
    )


def load_tokenizer(folder: Path) -> Any:
    """DeBERTa's tokenizer: tokenizer.json where there is one, else what transformers 4 made from spm.model.

    transformers 5 puts NFC in the place of SentencePiece's normalisation: full-width text would be read otherwise.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer
    pieces, charsmap = read_sentencepiece(folder / "spm.model")
    unknown = next(i for i, (_, _, kind) in enumerate(pieces) if kind == _UNKNOWN)
    tokenizer = Tokenizer(models.Unigram([(piece, score) for piece, score, _ in pieces], unknown, False))
    mapped = [normalizers.Precompiled(charsmap)] if charsmap else []
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Strip(), *mapped, normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    for piece, _, kind in pieces:
        if kind in (_CONTROL, _USER_DEFINED):
            tokenizer.add_tokens([AddedToken(piece, normalized=False, special=kind == _CONTROL)])
    tokenizer.add_special_tokens(["[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"])
    return tokenizer


def read_sentencepiece(path: Path) -> tuple[list[tuple[str, float, int]], bytes]:
    """(piece, score, kind) of each piece, and the compiled normalisation, of a SentencePiece model.

    Read by hand: sentencepiece and protobuf would be needed for this alone.
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
    """(number, value) of each field of a message in protocol buffers' format: an int, or the bytes of anything else."""
    place = 0

    def varint() -> int:
        nonlocal place
        value, shift = 0, 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
        else:
            size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
            yield key >> 3, message[place : place + size]
            place += size
