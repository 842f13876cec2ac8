"""What the heads see of a text: hidden states of two frozen models, log-probabilities, character n-grams.

Every feature is computed from the text's canonical form, so that one pass of a backbone serves all heads and a score
depends on what a text says and not on how it was tokenised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from metrics.data.text import detokenise, well_formed
from metrics.generation.batching import length_sorted_batches
from metrics.models.resolve import resolve_model
from metrics.util.progress import progress

Floats = np.ndarray[Any, np.dtype[np.float32]]
MAX_CHARACTERS = 4000
NGRAM_BITS = 16
CHUNK = 1024
# Rows of logits at once: 25 MB, which stay near the processor.
VOCABULARY_ROWS = 128
_CLITIC = re.compile(r"(\w)\s+(n't|'(?:s|m|d|re|ve|ll))\b", re.IGNORECASE)


def canonical(text: str) -> str:
    """`text` as running English: detokenised, contractions joined; sentence case where it had only one case.

    Jigsaw and most rewriters write "i ca n't ." where CoLA writes "I can't."; neither is worse English for it.
    Lone surrogates become U+FFFD, and only the first 4,000 characters count.
    """
    text = _CLITIC.sub(r"\1\2", detokenise(" ".join(well_formed(text[:MAX_CHARACTERS]).split())))
    if not any(c.isupper() for c in text) or (text.isupper() and len(text.split()) > 2):
        text = re.sub(r"\bi\b", "I", text.lower())
        text = re.sub(r"[a-zA-Z]", lambda first: first[0].upper(), text, count=1)
    return text


def character_ngrams(texts: Sequence[str]) -> Any:
    """Sparse [n, 2^16]: which hashed 3- to 5-grams of the lower-cased words occur, rows of unit length."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), n_features=2**NGRAM_BITS, alternate_sign=False, binary=True
    ).transform(texts)


def profanity_log_odds(texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[n]: log-odds of alt-profanity-check's P(offensive), within about ±7."""
    from profanity_check import predict_prob

    p = np.asarray(predict_prob(list(texts)), dtype=np.float64) if len(texts) else np.zeros(0)
    return np.log(p + 1e-3) - np.log(1.001 - p)


@dataclass(frozen=True)
class Reading:
    """What a backbone saw of one text. states: layer -> [tokens, width]; surprise: see `surprise`, SmolLM2 only."""

    states: dict[int, Any]
    surprise: Floats | None = None


class Backbone:
    """A frozen built-in model that reads canonical texts in batches of similar length."""

    name: str
    max_tokens: int

    def __init__(self, batch_size: int = 32) -> None:
        self.ref = resolve_model(self.name)
        self.batch_size = batch_size

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.ref.folder, trust_remote_code=False)

    def _load(self, auto: Any) -> Any:
        import torch

        model = auto.from_pretrained(
            self.ref.folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
        return model.eval()

    def read(self, texts: Sequence[str], description: str, row: Callable[[Reading], Any]) -> list[Any]:
        """`row` of each text's reading, the same whatever else is in `texts` (up to rounding).

        Readings are let go at once: memory holds what `row` returns and one batch.
        """
        import torch

        ids = [self._ids(text) for text in texts]
        rows: list[Any] = [None] * len(texts)
        with torch.inference_mode():
            for indices in progress(
                length_sorted_batches([len(i) for i in ids], self.batch_size), description, "batches"
            ):
                for i, reading in zip(indices, self._batch([ids[i] for i in indices]), strict=True):
                    rows[i] = row(reading)
        return rows

    def _ids(self, text: str) -> list[int]:
        raise NotImplementedError

    def _batch(self, ids: list[list[int]]) -> list[Reading]:
        raise NotImplementedError


class MiniLM(Backbone):
    """all-MiniLM-L6-v2; a reading holds the states after each of its six layers, special tokens included."""

    name = "minilm-l6"
    max_tokens = 256
    width = 384

    @cached_property
    def model(self) -> Any:
        from transformers import AutoModel

        from metrics.generation.packed_linear import pack_linear_layers

        model = self._load(AutoModel)
        pack_linear_layers(model)
        return model

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, truncation=True, max_length=self.max_tokens)["input_ids"])

    def words(self, text: str) -> tuple[tuple[int, ...], ...]:
        """The places of each word's tokens in a reading; of all signs if there are no words, of [CLS] if nothing is."""
        pieces = self.tokenizer.convert_ids_to_tokens(self._ids(text))[1:-1]
        groups: list[list[int]] = []
        for place, piece in enumerate(pieces, start=1):
            if piece.startswith("##") and groups:
                groups[-1].append(place)
            else:
                groups.append([place])
        words = [group for group in groups if any(c.isalnum() for c in pieces[group[0] - 1])]
        return tuple(map(tuple, words or groups or [[0]]))

    def _batch(self, ids: list[list[int]]) -> list[Reading]:
        import torch

        width = max(map(len, ids))
        padded = torch.tensor([[*row, *[0] * (width - len(row))] for row in ids])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
        states = self.model(input_ids=padded, attention_mask=mask, output_hidden_states=True).hidden_states
        return [
            Reading({layer: state[r, : len(row)] for layer, state in enumerate(states)}) for r, row in enumerate(ids)
        ]


class SmolLM2(Backbone):
    """SmolLM2-135M-Instruct as a reader; a reading holds the states after `layers`, and its surprise.

    depth: with a number only the layers below it are computed, and no surprise.
    """

    name = "smollm2-135m-q4"
    max_tokens = 512
    width = 576
    # Words are still told apart where toxicity is read, and sentences where acceptability is.
    toxic_layers = (6, 8, 10, 12)
    acceptable_layers = (12, 16, 20, 24)
    layers = tuple(sorted({*toxic_layers, *acceptable_layers}))

    def __init__(self, batch_size: int = 32, depth: int | None = None) -> None:
        super().__init__(batch_size)
        self.depth = depth
        self._states: dict[int, Any] = {}

    @cached_property
    def model(self) -> Any:
        from transformers import AutoModelForCausalLM

        from metrics.generation.packed_linear import pack_linear_layers

        model = self._load(AutoModelForCausalLM)
        if self.depth is not None:
            model.model.layers = model.model.layers[: self.depth]
            model.config.num_hidden_layers = self.depth
        pack_linear_layers(model)
        for number in self.layers:
            if self.depth is None or number <= self.depth:
                model.model.layers[number - 1].register_forward_hook(self._keep(number))
        return model

    def _keep(self, number: int) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            self._states[number] = output[0] if isinstance(output, tuple) else output

        return hook

    @cached_property
    def context(self) -> list[int]:
        """A line break: what stands before a sentence, and the place where the model's attention may rest."""
        return list(self.tokenizer("\n", add_special_tokens=False)["input_ids"])

    def _ids(self, text: str) -> list[int]:
        # A text without tokens is read as a line break: no sentence at all.
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])[: self.max_tokens] or self.context

    def _batch(self, ids: list[list[int]]) -> list[Reading]:
        import torch

        width, start = max(map(len, ids)), len(self.context)
        # Padding on the right needs no mask in a causal model.
        padded = torch.tensor([[*self.context, *row, *[0] * (width - len(row))] for row in ids])
        last = self.model.model(input_ids=padded, use_cache=False).last_hidden_state
        natural: list[Floats | None] = [None] * len(ids)
        if self.depth is None:
            own = torch.cat([last[r, start - 1 : start - 1 + len(row)] for r, row in enumerate(ids)])
            natural = list(self._surprises(own, ids))
        readings = [
            Reading({n: state[r, start : start + len(row)] for n, state in self._states.items()}, natural[r])
            for r, row in enumerate(ids)
        ]
        self._states.clear()
        return readings

    def _surprises(self, states: Any, ids: list[list[int]]) -> Iterator[Floats]:
        """`surprise` of each text; states: the last ones before each of its tokens, of all texts one below another."""
        import torch

        tokens = torch.tensor([token for row in ids for token in row])
        # Every first state is the context's, and so its distribution is that of words on their own.
        alone = self.model.lm_head(states[:1]).log_softmax(-1)[0][tokens]
        plain, entropy, likeliest = [], [], []
        for part, own in zip(states.split(VOCABULARY_ROWS), tokens.split(VOCABULARY_ROWS), strict=True):
            logits = self.model.lm_head(part)
            logits -= logits.amax(-1, keepdim=True)
            odds = logits.exp()
            total = odds.sum(-1)
            likeliest.append(-total.log())
            plain.append(logits.gather(1, own[:, None])[:, 0] + likeliest[-1])
            entropy.append(-torch.linalg.vecdot(odds, logits) / total - likeliest[-1])
        columns = [torch.cat(values).double().numpy() for values in (plain, [alone], entropy, likeliest)]
        ends = np.cumsum([len(row) for row in ids])[:-1]
        yield from (surprise(*text) for text in zip(*(np.split(column, ends) for column in columns), strict=True))


def token_states(reading: Reading, layers: Sequence[int]) -> Floats:
    """[tokens, len(layers) × width]: the states of each token after `layers`, side by side."""
    return np.concatenate([reading.states[layer].numpy() for layer in layers], axis=-1)


def pooled_states(reading: Reading) -> Floats:
    """[6937]: mean, maximum and last token of SmolLM2's states after `acceptable_layers`, then its surprise."""
    import torch

    assert reading.surprise is not None
    states = [reading.states[layer] for layer in SmolLM2.acceptable_layers]
    parts = [part.numpy() for s in states for part in (s.mean(0), torch.amax(s, 0), s[-1])]
    return np.concatenate([*parts, reading.surprise])


def surprise(plain: Any, alone: Any, entropy: Any, likeliest: Any) -> Floats:
    """How natural a language model finds a sentence, [25], from four values of each of its tokens [n].

    plain: the token's log-probability. alone: the same at the start of a line, which stands for the word's own
    frequency, as in SLOR (Kann et al. 2018). entropy: of the distribution it was drawn from. likeliest: the
    log-probability of the token that was expected most.
    """
    kinds = (plain, plain - alone, plain + entropy, plain - likeliest)
    values = []
    for kind in kinds:
        ordered = np.sort(kind)
        values += [kind.mean(), ordered[0], ordered[:2].mean(), *np.quantile(kind, (0.1, 0.25))]
    n = len(plain)
    values += [np.log(n), 1 / n, alone.mean(), plain.std(), kinds[2][-1]]
    return np.asarray(values, dtype=np.float32)
