"""Scorers: models behind STA, SIM and FL, one small class each, all with the same interface.

A scorer is made from a model name, names its revision, and turns lists of texts into one float per sentence. Equal
texts are scored once and batches are sorted by length; neither changes a score.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from metrics.errors import InputError
from metrics.generation import length_sorted_batches
from metrics.models import ModelRef, resolve_model
from metrics.progress import progress
from metrics.text import DETOKENISERS

Array = np.ndarray[Any, np.dtype[np.float64]]
FLUENCY_HEAD = Path(__file__).parent / "fluency_head.json"
MAX_TOKENS = 512


class TextScorer(Protocol):
    """Scores each text by itself."""

    @property
    def revision(self) -> str: ...

    def __call__(self, texts: Sequence[str]) -> Array: ...


def score_unique(texts: Sequence[str], score: Callable[[list[str]], Array]) -> Array:
    """Applies `score` to the distinct texts and spreads the values: shape [len(texts), …]."""
    unique = list(dict.fromkeys(texts))
    values = score(unique)
    place = {text: i for i, text in enumerate(unique)}
    return values[[place[text] for text in texts]]


class ProfanityCheck:
    """P(neutral) by alt-profanity-check: a linear SVM on word counts, trained on Jigsaw and Twitter comments."""

    def __init__(self, model: str) -> None:
        if model != "alt-profanity-check":
            raise InputError(f"profanity-check is one model, alt-profanity-check, not {model}")

    @property
    def revision(self) -> str:
        from importlib.metadata import version

        return version("alt-profanity-check")

    def __call__(self, texts: Sequence[str]) -> Array:
        from profanity_check import predict_prob

        if not texts:
            return np.zeros(0)
        return score_unique(texts, lambda unique: 1.0 - np.asarray(predict_prob(unique), dtype=np.float64))


class _Encoder:
    """What classifiers and sentence encoders share: loading, and a pass in batches of similar length."""

    auto_class: str
    max_tokens: int

    def __init__(self, model: str, batch_size: int = 64) -> None:
        self.ref: ModelRef = resolve_model(model)
        self.batch_size = batch_size

    @property
    def revision(self) -> str:
        return self.ref.revision

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
            raise InputError(f"{self.ref.name}: cannot be loaded by {self.auto_class} ({error})") from error
        return model.eval(), tokenizer

    def __call__(self, texts: Sequence[str]) -> Array:
        return score_unique(texts, self._score)

    def _score(self, texts: list[str]) -> Array:
        import torch

        model, tokenizer = self._loaded
        values: list[Any] = [None] * len(texts)
        for indices in length_sorted_batches([len(t) for t in texts], self.batch_size):
            batch = tokenizer(
                [texts[i] for i in indices],
                padding=True,
                truncation=True,
                max_length=self.max_tokens,
                return_tensors="pt",
            )
            with torch.no_grad():
                rows = self._read(model(**batch), batch["attention_mask"].unsqueeze(-1)).double().numpy()
            for i, row in zip(indices, rows, strict=True):
                values[i] = row
        return np.array(values)

    def _read(self, output: Any, mask: Any) -> Any:
        """The values of a batch from the model's output; mask [n, length, 1] is 1 at real tokens."""
        raise NotImplementedError


class SequenceClassifier(_Encoder):
    """P(class 0) by a transformers sequence classifier: neutral, for toxicity models of the field; softmax."""

    auto_class = "AutoModelForSequenceClassification"
    max_tokens = MAX_TOKENS

    def _read(self, output: Any, mask: Any) -> Any:
        return output.logits.softmax(-1)[:, 0]


class SentenceEncoder(_Encoder):
    """Unit-length sentence embeddings [n, width]: mean of the last hidden states over real tokens (Sentence-BERT)."""

    auto_class = "AutoModel"
    max_tokens = 128

    def _read(self, output: Any, mask: Any) -> Any:
        import torch

        mean = (output.last_hidden_state * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean, dim=-1)

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> Array:
        """Cosines of the pairs, in [−1, 1], shape [n]; never clipped at 0."""
        both = self([*left, *right])
        return np.clip((both[: len(left)] * both[len(left) :]).sum(-1), -1.0, 1.0)


class LMAcceptability:
    """P(acceptable): a logistic head on a causal language model's log-probabilities of the sentence.

    Features: mean and minimum log-probability of the tokens, and the number of tokens; the head is fitted on CoLA
    (`python -m metrics.heads`) and never sees human judgements of rewrites.
    """

    CONTEXT = "\n"

    def __init__(self, model: str, detokeniser: str = "strap", batch_size: int = 32, head: Path = FLUENCY_HEAD) -> None:
        self.ref = resolve_model(model)
        self.detokenise = DETOKENISERS[detokeniser]
        self.batch_size = batch_size
        self._head_file = head

    @property
    def revision(self) -> str:
        return self.ref.revision

    @cached_property
    def head(self) -> dict[str, Any]:
        return dict(json.loads(self._head_file.read_text("utf-8")))

    @cached_property
    def _loaded(self) -> Any:
        from metrics.models import load_model

        return load_model(self.ref)

    def __call__(self, texts: Sequence[str]) -> Array:
        features = self.features(texts)
        z = features @ np.asarray(self.head["weights"]) + self.head["bias"]
        return 1.0 / (1.0 + np.exp(-z))

    def features(self, texts: Sequence[str]) -> Array:
        """[n, 3]: mean log p, minimum log p, tokens; zeros for a text without tokens."""
        return score_unique([self.detokenise(t) for t in texts], self._features)

    def _features(self, texts: list[str]) -> Array:
        import torch

        model, tokenizer = self._loaded.model, self._loaded.tokenizer
        context = tokenizer(self.CONTEXT, add_special_tokens=False)["input_ids"]
        ids = [tokenizer(t, add_special_tokens=False)["input_ids"][:MAX_TOKENS] for t in texts]
        values = np.zeros((len(texts), 3))
        batches = length_sorted_batches([len(i) for i in ids], self.batch_size)
        for indices in progress(batches, "fluency"):
            rows = [i for i in indices if ids[i]]
            if not rows:
                continue
            width = max(len(ids[i]) for i in rows)
            # Padding on the right needs no mask in a causal model.
            batch = torch.tensor([[*context, *ids[i], *[0] * (width - len(ids[i]))] for i in rows])
            with torch.no_grad():
                hidden = model.model(input_ids=batch.to(model.device), use_cache=False).last_hidden_state
                for row, i in enumerate(rows):
                    n = len(ids[i])
                    logits = model.lm_head(hidden[row, len(context) - 1 : len(context) - 1 + n]).float()
                    target = torch.tensor(ids[i], device=logits.device).unsqueeze(-1)
                    logp = logits.gather(-1, target).squeeze(-1) - logits.logsumexp(-1)
                    values[i] = logp.mean().item(), logp.min().item(), n
        return values


STA_SCORERS: dict[str, Callable[[str], TextScorer]] = {
    "profanity-check": ProfanityCheck,
    "sequence-classifier": SequenceClassifier,
}
SIM_SCORERS: dict[str, Callable[[str], SentenceEncoder]] = {"sentence-encoder": SentenceEncoder}
FL_SCORERS: dict[str, Callable[[str, str], TextScorer]] = {"lm-acceptability": LMAcceptability}
