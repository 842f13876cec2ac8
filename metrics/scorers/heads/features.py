"""Features of a text for the heads: hidden states of two frozen models, surprisal statistics, character n-grams.

Callers compute all features from a text's canonical form, so that one forward pass serves all heads.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from metrics.data.text import detokenise, well_formed
from metrics.generation.batching import length_sorted_batches
from metrics.models.resolve import resolve_model
from metrics.models.weights import load_base
from metrics.scorers.batching import Array, pad
from metrics.util.errors import InputError
from metrics.util.progress import progress

Floats = NDArray[np.float32]
Item = TypeVar("Item")
States = TypeVar("States")
_MAX_CHARACTERS = 4000
_NGRAM_BITS = 16
_BATCH_SIZE = 32
# Rows of logits computed at once: 25 MB, which fit into the processor's cache.
_LOGITS_ROWS = 128
_CLITIC = re.compile(r"(\w)\s+(n't|'(?:s|m|d|re|ve|ll))\b", re.IGNORECASE)


def canonical(text: str) -> str:
    """Return `text` as running English: detokenised, contractions joined, in sentence case if it has one case only.

    Jigsaw and most rewriters write "i ca n't ." where CoLA writes "I can't."; the difference is spelling, not quality.
    Lone surrogates become U+FFFD; the text is truncated to 4,000 characters.
    """
    text = _CLITIC.sub(r"\1\2", detokenise(" ".join(well_formed(text[:_MAX_CHARACTERS]).split())))
    if not any(c.isupper() for c in text) or (text.isupper() and len(text.split()) > 2):
        text = re.sub(r"\bi\b", "I", text.lower())
        text = re.sub(r"[a-zA-Z]", lambda first: first[0].upper(), text, count=1)
    return text


def character_ngrams(texts: Sequence[str]) -> Any:
    """Return which hashed 3- to 5-grams of the lower-cased words occur: sparse [n, 2^16], rows of unit length."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), n_features=2**_NGRAM_BITS, alternate_sign=False, binary=True
    ).transform(texts)


def profanity_log_odds(texts: Sequence[str]) -> Array:
    """Return the log-odds [n] of alt-profanity-check's P(offensive), within about ±7."""
    from profanity_check import predict_prob

    p = np.asarray(predict_prob(list(texts)), dtype=np.float64) if len(texts) else np.zeros(0)
    return np.log(p + 1e-3) - np.log(1.001 - p)


@dataclass(frozen=True)
class HiddenStates:
    """The hidden states of one text: layer -> [tokens, width]; of an uncut SmolLM2 also `surprisal_statistics` [25]."""

    states: dict[int, Any]
    surprisal: Floats | None = None


class Backbone(Generic[Item, States]):
    """A frozen built-in model, or its first `num_layers`, that encodes texts, or pairs of them, in similar lengths."""

    name: ClassVar[str]
    auto_class: ClassVar[str]
    max_tokens: ClassVar[int]

    def __init__(self, num_layers: int | None = None) -> None:
        self.ref = resolve_model(self.name)
        self.num_layers = num_layers

    @cached_property
    def tokenizer(self) -> Any:
        """The model's transformers tokenizer."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.ref.folder, trust_remote_code=False)

    @cached_property
    def line_break(self) -> list[int]:
        """The tokens of a line break."""
        return list(self.tokenizer("\n", add_special_tokens=False)["input_ids"])

    def load(self) -> Any:
        """Load the transformers model in float32, without the layers behind `num_layers`."""
        import torch
        import transformers

        auto_class = getattr(transformers, self.auto_class)
        model = load_base(self.ref.folder, self.ref.name, auto_class, dtype=torch.float32)
        if self.num_layers is not None:
            # A model with a head holds its layers one level deeper.
            decoder = getattr(model, "model", model)
            decoder.layers = decoder.layers[: self.num_layers]
            model.config.num_hidden_layers = self.num_layers
        return model

    @cached_property
    def model(self) -> Any:
        """The transformers model, with packed linear layers."""
        from metrics.generation.packed_linear import pack_linear_layers

        model = self.load().eval()
        pack_linear_layers(model)
        return model

    def extract(self, texts: Sequence[Item], description: str, feature: Callable[[States], Any]) -> list[Any]:
        """Compute a feature of each text; up to rounding it does not depend on the other texts.

        Args:
            texts: Canonical texts [n].
            description: The name of the stage on the progress bar.
            feature: Computes what to keep; the hidden states are freed after each batch.
        """
        import torch

        ids = [self._ids(text) for text in texts]
        rows: list[Any] = [None] * len(texts)
        batches = length_sorted_batches([len(i) for i in ids], _BATCH_SIZE)
        with torch.inference_mode():
            for indices in progress(batches, description, "batches"):
                for i, hidden in zip(indices, self._encode([ids[i] for i in indices]), strict=True):
                    rows[i] = feature(hidden)
        return rows

    def _ids(self, text: Item) -> list[int]:
        raise NotImplementedError

    def _encode(self, ids: list[list[int]]) -> list[States]:
        raise NotImplementedError


class MiniLM(Backbone[str, HiddenStates]):
    """all-MiniLM-L6-v2: the states of its embeddings (0) and after each of its six layers, special tokens included."""

    name = "minilm-l6"
    auto_class = "AutoModel"
    max_tokens = 256

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, truncation=True, max_length=self.max_tokens)["input_ids"])

    def word_indices(self, text: str) -> tuple[tuple[int, ...], ...]:
        """Return the indices of each word's tokens; of each sign's if `text` has no words, of [CLS] if it is empty."""
        pieces = self.tokenizer.convert_ids_to_tokens(self._ids(text))[1:-1]
        starts = [i for i, piece in enumerate(pieces, start=1) if i == 1 or not piece.startswith("##")]
        groups = [tuple(range(start, end)) for start, end in pairwise([*starts, len(pieces) + 1])]
        words = [group for group in groups if any(c.isalnum() for c in pieces[group[0] - 1])]
        return tuple(words or groups or [(0,)])

    def _encode(self, ids: list[list[int]]) -> list[HiddenStates]:
        padded, mask = pad(ids)
        states = self.model(input_ids=padded, attention_mask=mask, output_hidden_states=True).hidden_states
        return [
            HiddenStates({layer: state[r, : len(row)] for layer, state in enumerate(states)})
            for r, row in enumerate(ids)
        ]


class SmolLM2(Backbone[str, HiddenStates]):
    """SmolLM2-135M-Instruct: the states after `layers`; surprisal statistics unless `num_layers` limits the model."""

    name = "smollm2-135m-q4"
    auto_class = "AutoModelForCausalLM"
    max_tokens = 512
    width = 576
    # Early layers still distinguish words, which toxicity needs; late layers distinguish sentences, for acceptability.
    toxic_layers = (6, 8, 10, 12)
    acceptable_layers = (12, 16, 20, 24)
    layers = tuple(sorted({*toxic_layers, *acceptable_layers}))

    @cached_property
    def model(self) -> Any:
        """The transformers model, with packed linear layers; a forward pass stores the states after `layers`."""
        model = super().model
        self._states: dict[int, Any] = {}
        for number, layer in enumerate(model.model.layers, start=1):
            if number in self.layers:
                layer.register_forward_hook(partial(self._store_states, number))
        return model

    def _store_states(self, number: int, _layer: Any, _inputs: Any, states: Any) -> None:
        self._states[number] = states

    def _ids(self, text: str) -> list[int]:
        # A text without tokens becomes a line break: it has at least one state.
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])[: self.max_tokens] or self.line_break

    def _encode(self, ids: list[list[int]]) -> list[HiddenStates]:
        # A line break is the context of each sentence; the model attends to it as to an empty context.
        start = len(self.line_break)
        # Padding on the right needs no mask in a causal model.
        padded, _ = pad([[*self.line_break, *row] for row in ids])
        last = self.model.model(input_ids=padded, use_cache=False).last_hidden_state
        before = [last[r, start - 1 : start - 1 + len(row)] for r, row in enumerate(ids)]
        surprisal = self._surprisal(before, ids) if self.num_layers is None else [None] * len(ids)
        hidden = [
            HiddenStates({n: state[r, start : start + len(row)] for n, state in self._states.items()}, surprisal[r])
            for r, row in enumerate(ids)
        ]
        self._states.clear()
        return hidden

    def _surprisal(self, before: list[Any], ids: list[list[int]]) -> list[Floats | None]:
        """`surprisal_statistics` of each text, from the last states before each of its tokens [tokens, width]."""
        import torch

        states = torch.cat(before)
        tokens = torch.tensor([token for row in ids for token in row])
        # The first state is that of the context, and predicts a token without knowing its sentence.
        unconditional = self.model.lm_head(states[:1]).log_softmax(-1)[0][tokens]
        log_probs, entropy, largest = [], [], []
        for part, targets in zip(states.split(_LOGITS_ROWS), tokens.split(_LOGITS_ROWS), strict=True):
            logits = self.model.lm_head(part)
            logits -= logits.amax(-1, keepdim=True)
            exponentials = logits.exp()
            total = exponentials.sum(-1)
            largest.append(-total.log())
            log_probs.append(logits.gather(1, targets[:, None])[:, 0] + largest[-1])
            entropy.append(-torch.linalg.vecdot(exponentials, logits) / total - largest[-1])
        columns = [torch.cat(values).double().numpy() for values in (log_probs, [unconditional], entropy, largest)]
        ends = np.cumsum([len(row) for row in ids])[:-1]
        return [surprisal_statistics(*text) for text in zip(*(np.split(c, ends) for c in columns), strict=True)]


def token_states(hidden: HiddenStates, layers: Sequence[int]) -> Floats:
    """Return the states of each token after `layers`, concatenated: [tokens, len(layers) * width]."""
    return np.concatenate([hidden.states[layer].numpy() for layer in layers], axis=-1)


def pooled_states(hidden: HiddenStates) -> Floats:
    """Return the features of acceptability [6937]: mean, maximum and last of SmolLM2's states, then the surprisal."""
    assert hidden.surprisal is not None
    states = [hidden.states[layer] for layer in SmolLM2.acceptable_layers]
    parts = [part.numpy() for s in states for part in (s.mean(0), s.amax(0), s[-1])]
    return np.concatenate([*parts, hidden.surprisal])


def surprisal_statistics(log_probs: Any, unconditional: Any, entropy: Any, largest: Any) -> Floats:
    """Return 25 statistics of how natural a language model finds a sentence of n tokens.

    Args:
        log_probs: Log-probability of each token [n].
        unconditional: That at the start of a line [n]: the word's frequency, as in SLOR (Kann et al. 2018).
        entropy: Entropy of the distribution that predicts the token [n].
        largest: Log-probability of the most likely token there [n].
    """
    differences = (log_probs, log_probs - unconditional, log_probs + entropy, log_probs - largest)
    values = []
    for difference in differences:
        ordered = np.sort(difference)
        values += [difference.mean(), ordered[0], ordered[:2].mean(), *np.quantile(difference, (0.1, 0.25))]
    n = len(log_probs)
    values += [np.log(n), 1 / n, unconditional.mean(), log_probs.std(), differences[2][-1]]
    return np.asarray(values, dtype=np.float32)


def load_head(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """Return the weights of a head by name, in float64.

    Raises:
        InputError: The file is missing or damaged, or holds other names.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    remedy = "run `python -m metrics.heads train`"
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {remedy}") from None
    if set(tensors) != set(names):
        raise InputError(f"{path}: holds {sorted(tensors)}, not {sorted(names)}; {remedy}")
    return {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
