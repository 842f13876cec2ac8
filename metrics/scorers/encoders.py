"""Scorers on transformers encoders: sequence classifiers and sentence embeddings."""

import json
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from metrics.generation.batching import length_sorted_batches
from metrics.models.resolve import resolve_model, resolve_pinned
from metrics.scorers.batching import Array, pair_cosines, score_unique, truncate
from metrics.util.errors import InputError, one_line
from metrics.util.files import read_text

_BATCH_SIZE = 64


class _Encoder:
    """Loads a model and runs it on batches of similar length. A warning on stderr says so once if it truncates texts.

    Raises:
        InputError: The model cannot be found; when it is first used: it cannot be loaded.
    """

    auto_class: ClassVar[str]

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512) -> None:
        self.ref = resolve_pinned(resolve_model, model, revision)
        # The commit of the Hub, or a hash of the folder.
        self.revision = self.ref.revision
        self.max_tokens = max_tokens
        self._warned = False

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        import torch
        import transformers

        try:
            model = getattr(transformers, self.auto_class).from_pretrained(
                self.ref.folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.ref.folder, trust_remote_code=False)
        except Exception as error:
            raise InputError(f"{self.ref.name}: {self.auto_class} cannot load it ({one_line(error)})") from error
        return model.eval(), tokenizer

    @cached_property
    def _max_length(self) -> int:
        """The maximal number of tokens of a text, special ones included."""
        model, tokenizer = self._loaded
        # A tokenizer that was saved without a limit has 10^30.
        limits = [self.max_tokens, tokenizer.model_max_length]
        positions = getattr(model.config, "max_position_embeddings", None) or 0
        if positions > 0:
            tables = (module for name, module in model.named_modules() if name.endswith("position_embeddings"))
            padding = getattr(next(tables, None), "padding_idx", None)
            # RoBERTa and its relatives count positions from padding_idx + 1: 514 positions serve 512 tokens.
            limits.append(positions if padding is None else positions - padding - 1)
        return int(min(limits))

    def __call__(self, texts: Sequence[str]) -> Array:
        """Return the values [n, width] of n texts."""
        return score_unique(truncate(texts, self.max_tokens), self._score)

    def _score(self, texts: list[str]) -> Array:
        import torch

        model, tokenizer = self._loaded
        max_length = self._max_length
        values: list[Any] = [None] * len(texts)
        for indices in length_sorted_batches([len(t) for t in texts], _BATCH_SIZE):
            batch_texts = [texts[i] for i in indices]
            batch = tokenizer(batch_texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
            if not self._warned and any(encoding.overflowing for encoding in batch.encodings or ()):
                self._warned = True
                print(f"{self.ref.name}: texts are truncated to {max_length} tokens", file=sys.stderr)
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

    def _pool(self, output: Any, mask: Any) -> Any:
        return output.logits


class SentenceEncoder(_Encoder):
    """Unit-length sentence embeddings [n, width] as sentence-transformers computes them (Reimers and Gurevych 2019).

    The folder may contain `1_Pooling` (mean or first token; default mean), `2_Dense` (safetensors; LaBSE has it) and
    `sentence_bert_config.json` (the maximal length). Other poolings, activations and modules raise an InputError.
    """

    auto_class = "AutoModel"

    @cached_property
    def _max_length(self) -> int:
        limit = read_config(self.ref.folder / "sentence_bert_config.json").get("max_seq_length")
        return min(super()._max_length, limit) if isinstance(limit, int) else super()._max_length

    @cached_property
    def _pooling(self) -> tuple[bool, Any]:
        """(whether the first token is used instead of the mean, the dense layer or None)."""
        folder, name = self.ref.folder, self.ref.name
        modules = read_config(folder / "modules.json", list)
        types = [str(module.get("type") if isinstance(module, dict) else module) for module in modules]
        kinds = [type_.rpartition(".")[2] for type_ in types]
        unknown = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Dense", "Normalize")]
        if unknown or kinds.count("Dense") > 1:
            raise InputError(f"{name}/modules.json: {(unknown or ['a second Dense'])[0]} is not supported")
        config = read_config(folder / "1_Pooling" / "config.json")
        modes = [key.removeprefix("pooling_mode_") for key, on in config.items() if on is True and "_mode_" in key]
        # Newer folders name the mode in one field.
        mode = "+".join(modes) or config.get("pooling_mode", "mean")
        if mode not in ("mean_tokens", "mean", "cls_token", "cls"):
            raise InputError(f"{name}/1_Pooling: pooling by {mode} is not supported; mean and cls are")
        layers = folder / "2_Dense"
        return mode.startswith("cls"), _read_dense(layers, f"{name}/2_Dense") if layers.is_dir() else None

    def _pool(self, output: Any, mask: Any) -> Any:
        import torch

        first, dense = self._pooling
        states = output.last_hidden_state
        pooled = states[:, 0] if first else (states * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(dense(pooled) if dense else pooled, dim=-1)

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> Array:
        """Return the cosines [n] of n pairs, in [-1, 1]; negative values are not clipped."""
        return pair_cosines(left, right, self)


def read_config(path: Path, kind: type = dict) -> Any:
    """Return the JSON object, or the array if `kind` is list, in a file; empty if there is no such file.

    Raises:
        InputError: The file holds something else.
    """
    try:
        config = json.loads(read_text(path)) if path.is_file() else kind()
    except ValueError:
        config = None
    if not isinstance(config, kind):
        raise InputError(f"{path}: not a JSON {'object' if kind is dict else 'array'}")
    return config


def _read_dense(folder: Path, name: str) -> Any:
    """A linear layer and its activation, as sentence-transformers stores them."""
    import torch
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise InputError(f"{name}: no model.safetensors; pickled weights are not loaded")
    activation_name = str(read_config(folder / "config.json").get("activation_function", "Tanh"))
    activation = {"Tanh": torch.nn.Tanh, "Identity": torch.nn.Identity}.get(activation_name.rpartition(".")[2])
    if activation is None:
        raise InputError(f"{name}: activation {activation_name} is not supported; Tanh and Identity are")
    try:
        state = load_file(weights)
        outputs, inputs = state["linear.weight"].shape
        linear = torch.nn.Linear(inputs, outputs, bias="linear.bias" in state)
        linear.load_state_dict({key.removeprefix("linear."): tensor.float() for key, tensor in state.items()})
    except Exception as error:
        raise InputError(f"{name}/model.safetensors: not a linear layer ({one_line(error)})") from None
    return torch.nn.Sequential(linear, activation())
