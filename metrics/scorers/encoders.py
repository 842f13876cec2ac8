"""Scorers on transformers encoders: sequence classifiers and sentence embeddings."""

import inspect
import sys
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from metrics.generation.batching import length_sorted_batches
from metrics.models.loading import load_weights
from metrics.models.resolve import resolve_model, resolve_pinned
from metrics.models.tokenizers import choose_padding, load_tokenizer, require_known_tokens
from metrics.models.weights import loading_errors
from metrics.scorers.batching import Array, pair_cosines, score_unique, truncate
from metrics.scorers.sentence_modules import SentenceSettings, pool, read_settings
from metrics.util.errors import InputError

_BATCH_SIZE = 64


class _Encoder:
    """Loads a model and runs it on batches of similar length. A warning on stderr says so once if it truncates texts.

    Raises:
        InputError: The model cannot be found; when it is first used: it cannot be loaded.
    """

    auto_class: ClassVar[str]
    # Beginnings of the names of modules whose output is not used: their weights may be missing.
    unused: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512) -> None:
        self.ref = resolve_pinned(resolve_model, model, revision)
        # The commit of the Hub, or a hash of the folder.
        self.revision = self.ref.revision
        self.max_tokens = max_tokens
        self._warned = False
        # Set when the model is loaded.
        self._pads = True

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        import torch
        import transformers

        tokenizer = load_tokenizer(self.ref)
        model, _ = load_weights(
            self.ref, getattr(transformers, self._auto_class()), tokenizer, dtype=torch.float32, ignore=self.unused
        )
        require_known_tokens(tokenizer, model, self.ref.name)
        self._pads = _can_pad(tokenizer, model)
        choose_padding(tokenizer, model)
        if getattr(model.config, "pad_token_id", None) is None:
            # Classifiers on decoders read the last token that is not this one. Nothing is padded: the last of all.
            model.config.pad_token_id = -1
        return model, tokenizer

    def _auto_class(self) -> str:
        """The class of transformers that loads the model."""
        return self.auto_class

    def _length_limit(self, tokenizer: Any) -> int:
        """The maximal number of tokens that the model's files state; without one, a tokenizer says 10^30."""
        return int(tokenizer.model_max_length)

    @cached_property
    def _max_length(self) -> int:
        """The maximal number of tokens of a text, special ones included."""
        model, tokenizer = self._loaded
        limits = [self.max_tokens, self._length_limit(tokenizer)]
        positions = getattr(model.config, "max_position_embeddings", None) or 0
        if positions > 0:
            tables = (module for name, module in model.named_modules() if name.endswith("position_embeddings"))
            padding = getattr(next(tables, None), "padding_idx", None)
            # RoBERTa and its relatives count positions from padding_idx + 1: 514 positions serve 512 tokens.
            limits.append(positions if padding is None else positions - padding - 1)
        return int(min(limits))

    def __call__(self, texts: Sequence[str]) -> Array:
        """Return the values [n, width] of n texts."""
        side = self._loaded[1].truncation_side
        return score_unique(truncate(texts, self.max_tokens, side), self._score)

    def _score(self, texts: list[str]) -> Array:
        import torch

        model, tokenizer = self._loaded
        max_length = self._max_length
        encoded = tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=True)
        if not self._warned and any(encoding.overflowing for encoding in encoded.encodings or ()):
            self._warned = True
            print(f"{self.ref.name}: texts are truncated to {max_length} tokens", file=sys.stderr)
        columns = {key: encoded[key] for key in _inputs(model) if key in encoded}
        lengths = [len(ids) for ids in encoded["input_ids"]]
        by_length = length_sorted_batches([len(t) for t in texts], _BATCH_SIZE)
        batches = by_length if self._pads else _equal_batches(lengths)
        fill = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
        values: list[Any] = [None] * len(texts)
        for indices in batches:
            # A tokenizer without special tokens makes no token of an empty text.
            width = max(1, *(lengths[i] for i in indices))
            batch = {
                key: torch.tensor([[*rows[i], *[fill.get(key, 0)] * (width - lengths[i])] for i in indices])
                for key, rows in columns.items()
            }
            if not max(lengths[i] for i in indices):
                batch["attention_mask"] = torch.ones_like(batch["input_ids"])
            with torch.inference_mode():
                rows = self._pool(model(**batch), batch["attention_mask"].unsqueeze(-1)).double().numpy()
            for i, row in zip(indices, rows, strict=True):
                values[i] = row
        return np.array(values)

    def _pool(self, output: Any, mask: Any) -> Any:
        """The values [n, width] of a batch; `output` is the model's, mask [n, length, 1] is 0 at padding."""
        raise NotImplementedError


class SequenceClassifier(_Encoder):
    """Raw logits [n, classes] of a transformers sequence classifier, in the model's own order of classes."""

    auto_class = "AutoModelForSequenceClassification"

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        model, tokenizer = super()._loaded
        problem = getattr(model.config, "problem_type", None)
        # Its labels do not exclude each other, or are no classes: a softmax over them means nothing.
        if problem not in (None, "single_label_classification"):
            raise InputError(
                f"{self.ref.name}: its problem_type is {problem}; a profile needs single_label_classification"
            )
        numbers = model.config.label2id or {}
        for index, label in model.config.id2label.items():
            if numbers.get(label, index) != index:
                problem = f"{label} is {index} in its id2label and {numbers[label]} in its label2id"
                raise InputError(f"{self.ref.name}/config.json: {problem}; correct the wrong one")
        return model, tokenizer

    @property
    def labels(self) -> list[str]:
        """The names of the classes, as the model's config has them."""
        names = self._loaded[0].config.id2label
        return [str(names[index]) for index in sorted(names)]

    def _pool(self, output: Any, mask: Any) -> Any:
        return output.logits


class SentenceEncoder(_Encoder):
    """Unit-length sentence embeddings [n, width] as sentence-transformers computes them (Reimers and Gurevych 2019).

    Everything that the folder states is honoured: modules and their order, pooling, the default prompt, the maximal
    length, lower case (see `metrics.scorers.sentence_modules`); what is not supported raises an InputError.
    """

    auto_class = "AutoModel"
    # The layer behind the first token: its output is not used here.
    unused = ("pooler.",)

    @cached_property
    def _settings(self) -> SentenceSettings:
        return read_settings(self.ref.folder, self.ref.name)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        settings = self._settings
        model, tokenizer = super()._loaded
        if settings.lower_case:
            _lower_case(tokenizer, self.ref.name)
        return model, tokenizer

    def _auto_class(self) -> str:
        from transformers import AutoConfig

        folder = self.ref.base.folder if self.ref.base else self.ref.folder
        with loading_errors(self.ref.name):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        # Of T5 and its relatives only the encoder is used.
        return "AutoModelForTextEncoding" if config.is_encoder_decoder else self.auto_class

    def _length_limit(self, tokenizer: Any) -> int:
        return self._settings.max_length or super()._length_limit(tokenizer)

    def __call__(self, texts: Sequence[str]) -> Array:
        """Return the vectors [n, width] of n texts."""
        prompt = self._settings.prompt
        return super().__call__([prompt + text for text in texts] if prompt else texts)

    @cached_property
    def _prompt_tokens(self) -> int:
        """The number of tokens at the start of a text that are not pooled."""
        settings = self._settings
        if settings.pool_prompt or not settings.prompt:
            return 0
        tokenizer = self._loaded[1]
        ids = tokenizer(settings.prompt)["input_ids"]
        return len(ids) - (bool(ids) and ids[-1] in tokenizer.all_special_ids)

    def _pool(self, output: Any, mask: Any) -> Any:
        import torch

        if self._prompt_tokens:
            mask = mask.clone()
            mask[:, : self._prompt_tokens] = 0
        vectors = pool(self._settings.poolings, output.last_hidden_state, mask)
        for module in self._settings.modules:
            vectors = module(vectors)
        return torch.nn.functional.normalize(vectors, dim=-1)

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> Array:
        """Return the cosines [n] of n pairs, in [-1, 1]; negative values are not clipped."""
        return pair_cosines(left, right, self)


def _can_pad(tokenizer: Any, model: Any) -> bool:
    """Whether a text's values cannot depend on the padding in its batch.

    The padding has to lie on the right and the model has to know its token: it counts positions by it, or finds the
    last token with it. Otherwise only texts of equal length share a batch.
    """
    plain = not type(model).__module__.startswith("peft.")
    known = tokenizer.pad_token_id is not None and tokenizer.pad_token_id == getattr(model.config, "pad_token_id", None)
    return plain and known and tokenizer.padding_side == "right"


def _equal_batches(lengths: Sequence[int]) -> list[list[int]]:
    """The indices of items, in batches of equal length."""
    groups: dict[int, list[int]] = {}
    for i, length in enumerate(lengths):
        groups.setdefault(length, []).append(i)
    return [
        group[start : start + _BATCH_SIZE] for group in groups.values() for start in range(0, len(group), _BATCH_SIZE)
    ]


def _inputs(model: Any) -> tuple[str, ...]:
    """The columns of a tokenizer that the model takes: many tokenizers make token types that decoders do not know."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    takes_types = "token_type_ids" in inspect.signature(base.forward).parameters
    return ("input_ids", "attention_mask", *(["token_type_ids"] if takes_types else []))


def _lower_case(tokenizer: Any, name: str) -> None:
    """Let a tokenizer lower-case its texts before all else, as sentence-transformers does."""
    from tokenizers import normalizers

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(f"{name}: do_lower_case needs a tokenizer with a tokenizer.json")
    own = [backend.normalizer] if backend.normalizer is not None else []
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
