"""XCOMET-lite (Larionov et al. 2024), the FL of CLEF 2025: mDeBERTa that scores a text and tags the errors in it.

The model encodes each output three times: joined with its source, with its reference, with both. The score is a
weighted sum of the three regressions, each at most 1, and of the MQM score of the tagged error spans. The computation
is that of COMET 2.2 (Unbabel, XCOMETMetric), oddities included, but without training, scores without a reference, and
the text and confidence of a span.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from metrics.generation.batching import length_sorted_batches
from metrics.models.resolve import ModelRef, resolve_config, resolve_model, resolve_pinned
from metrics.scorers.batching import Array, truncate
from metrics.scorers.deberta_tokenizer import load_tokenizer
from metrics.util.errors import InputError, one_line
from metrics.util.files import read_text

# Of the three regressions: with source, with reference, with both.
REGRESSION_WEIGHTS = (0.12, 0.33, 0.33)
TAG_WEIGHTS = (0.1667, 0.3333, 0.5)
MQM_WEIGHT = 0.22
# MQM penalty of each tag: none, minor, major, critical.
PENALTIES = (0, 1, 5, 10)
MAX_PENALTY = 25
# The arguments of the published model, which its config.json may leave out.
DEFAULTS = {
    "encoder_model": "DeBERTa",
    "layer_transformation": "softmax",
    "pretrained_model": "microsoft/mdeberta-v3-base",
    "word_layer": 8,
    "hidden_sizes": [3072, 1024],
}
# Tensors that only training uses, or that newer encoders no longer store.
UNUSED = ("layerwise_attention.dropout_mask", "layerwise_attention.dropout_fill", "wordloss.weight", ".position_ids")


class XCometLite:
    """Scores outputs against sources and references: 1 is perfect, and there is no lower bound.

    The encoder's config and tokenizer come from a second model, which the first one's config.json names. `revision` is
    "COMMIT+COMMIT" of the two; None: their default branches, pinned at first use.

    Raises:
        InputError: A model cannot be found; when it is first used: it cannot be loaded.
    """

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512, batch_size: int = 16) -> None:
        commit, _, encoder = (revision or "").partition("+")
        self.ref: ModelRef = resolve_pinned(resolve_model, model, commit or None)
        self._arguments = _read_arguments(self.ref)
        self.encoder_ref: ModelRef = resolve_pinned(
            resolve_config, self._arguments["pretrained_model"], encoder or None
        )
        self.max_tokens = max_tokens
        self.batch_size = batch_size

    @property
    def revision(self) -> str:
        """The commits of the model and of its encoder, "COMMIT+COMMIT"."""
        return f"{self.ref.revision}+{self.encoder_ref.revision}"

    @cached_property
    def _loaded(self) -> tuple[Any, Any, int]:
        """(modules named as in the checkpoint, tokenizer, maximal length)."""
        import transformers

        try:
            config = transformers.AutoConfig.from_pretrained(self.encoder_ref.folder, trust_remote_code=False)
            modules = _build_modules(config, self._arguments)
            modules.load_state_dict(_read_weights(self.ref.folder))
            tokenizer = load_tokenizer(self.encoder_ref.folder)
        except Exception as error:
            raise InputError(f"{self.ref.name}: cannot be loaded as XCOMET-lite ({one_line(error)})") from error
        # COMET reserves two positions for encoders that count positions from 2.
        max_length = min(self.max_tokens, config.max_position_embeddings) - 2
        return modules.eval(), tokenizer, max_length

    def compare(self, sources: Sequence[str], outputs: Sequence[str], references: Sequence[str]) -> Array:
        """Return the scores [n] of n outputs."""
        triples = list(
            zip(*(truncate(texts, self.max_tokens) for texts in (outputs, sources, references)), strict=True)
        )
        distinct = list(dict.fromkeys(triples))
        scores = dict(zip(distinct, self._score(distinct), strict=True)) if distinct else {}
        return np.array([scores[triple] for triple in triples], dtype=np.float64)

    def _score(self, triples: Sequence[tuple[str, ...]]) -> Array:
        """Scores of (output, source, reference)."""
        _, tokenizer, max_length = self._loaded
        cls, sep, pad = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", "[PAD]"))

        def segment(text: str) -> list[int]:
            # As in COMET: a long output alone may fill the sequence, and then its source does not fit.
            ids = tokenizer.encode(text, add_special_tokens=False).ids[: max_length - 4]
            return [*(i for i in ids if i != pad), sep]

        segments = [[segment(text) for text in triple] for triple in triples]
        inputs = [
            [[cls, *output, *context][:max_length] for context in (source, reference, [*source, *reference])]
            for output, source, reference in segments
        ]
        scores = np.zeros(len(triples))
        for rows in length_sorted_batches([len(with_both) for _, _, with_both in inputs], self.batch_size):
            predictions = [self._predict([inputs[row][i] for row in rows], pad) for i in range(3)]
            regressions = np.stack([regression for regression, _ in predictions])
            scores[rows] = REGRESSION_WEIGHTS @ np.minimum(regressions, 1.0)
            for i, row in enumerate(rows):
                length = 1 + len(segments[row][0])
                tags = np.stack([probabilities[i, :length] for _, probabilities in predictions])
                scores[row] += MQM_WEIGHT * mqm(np.tensordot(TAG_WEIGHTS, tags, 1).argmax(-1).tolist())
        return scores

    def _predict(self, sequences: Sequence[list[int]], pad: int) -> tuple[Array, Array]:
        """(regressions [n], probabilities of the tags [n, length, 4]) of n token sequences."""
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
    """Return the MQM score, in [0, 1], of tagged tokens.

    A run of tags other than 0 is one error span with the severity of its first token. As in COMET, a span counts when a
    0 ends it: a span that is still open at the end costs nothing.

    Args:
        tags: An index into `PENALTIES` for each token, [CLS] and [SEP] included.
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
        raise InputError(
            f"{ref.name}/config.json: {wrong[0]} {arguments[wrong[0]]} has another type than XCOMET-lite's"
        )
    return arguments


def _read_weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    state: dict[str, Any] = {}
    for file in sorted(folder.glob("*.safetensors")):
        state.update(load_file(file))
    return {name: tensor.float() for name, tensor in state.items() if not name.endswith(UNUSED)}


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
    return nn.ModuleDict(
        {
            "encoder": nn.ModuleDict({"model": encoder}),
            "layerwise_attention": mix,
            "estimator": nn.ModuleDict({"ff": nn.Sequential(*layers)}),
            "hidden2tag": nn.Linear(config.hidden_size, len(PENALTIES)),
        }
    )
