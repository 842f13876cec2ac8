"""STA, SIM and FL of a profile: which model, compared with what, under which rule of the published protocols.

A new metric is a subclass of `Measure` and an entry of `MEASURES`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from metrics.data.text import DETOKENISERS
from metrics.profiles import Profile
from metrics.scorers import PAIR_SCORERS, SCORERS
from metrics.scorers.batching import Array
from metrics.util.errors import InputError
from metrics.util.files import content_hash

# Names of classes that the class of neutral (STA) or acceptable (FL) texts cannot have.
_OPPOSITES = {
    "sta": {"toxic", "toxicity", "hate", "hateful", "hate speech", "offensive", "abusive", "insult", "rude"},
    "fl": {"unacceptable", "not acceptable", "ungrammatical", "incorrect"},
}  # fmt: skip
# (source, output, references); without references where no measure needs them
Item = tuple[str, str, tuple[str, ...]]


def softmax(logits: Array) -> Array:
    """Return the probabilities [n, classes] of logits [n, classes]."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def style(profile: Profile, output: Array, *compared: Array) -> Array:
    """Compute STA [n], in [0, 1], under the profile's `sta_rule`.

    Args:
        profile: The protocol.
        output: Logits of the outputs [n, classes].
        compared: Logits of the sources and of the human rewrites [n, classes], for the rule "relative".
    """
    label, threshold = profile.sta_label, float(profile.sta_threshold or 0)
    if profile.sta_rule == "argmax":
        return (output.argmax(-1) == label).astype(np.float64)
    if profile.sta_rule == "logit":
        return (np.delete(output, label, axis=-1).max(-1) <= threshold).astype(np.float64)
    neutral = softmax(output)[:, label]
    if profile.sta_rule != "relative":
        return neutrality(profile, neutral)
    p_in, p_ref = (softmax(logits)[:, label] for logits in compared)
    return np.maximum((neutral + (p_in <= neutral)) / 2, (p_ref <= neutral).astype(np.float64))


def neutrality(profile: Profile, p: Array) -> Array:
    """Compute STA [n] of P(neutral) [n] under the rule "probability" or "soft"."""
    return (p >= float(profile.sta_threshold or 0)).astype(np.float64) if profile.sta_rule == "probability" else p


def acceptability(profile: Profile, logits: Array) -> Array:
    """Compute FL [n], in [0, 1], under the profile's `fl_rule` from the logits of the outputs [n, classes]."""
    if profile.fl_rule == "argmax":
        return (logits.argmax(-1) == profile.fl_label).astype(np.float64)
    return fluency(profile, softmax(logits)[:, profile.fl_label])


def fluency(profile: Profile, p: Array) -> Array:
    """Compute FL [n] of P(acceptable) [n] under the rule "probability" or "soft"."""
    return (p > float(profile.fl_threshold or 0)).astype(np.float64) if profile.fl_rule == "probability" else p


class Measure(ABC):
    """One metric under one profile: calling it with n items returns their scores [n, len(columns)].

    `metric` is also the prefix of its fields in a profile and the first of `columns`. A profile names one of
    `SCORERS[metric]`.
    """

    metric: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self.needs_references = self.metric in profile.metrics_with_references
        self._choices = profile.choices(self.metric)
        make_scorer = SCORERS[self.metric][self._choices["scorer"]]
        self.reads_pairs = self._choices["scorer"] in PAIR_SCORERS
        prompt = [self._choices["prompt"]] if "prompt" in self._choices else []
        self._scorer = make_scorer(self._choices["model"], self._choices.get("revision"), profile.max_tokens, *prompt)

    @property
    def signature_field(self) -> str:
        """The metric's field of the signature: scorer(model@revision;choices), every choice of the profile included."""
        named = {"scorer", "model", "revision"}
        choices = {**self._choices}
        if "prompt" in choices:
            choices["prompt"] = f"#{content_hash(choices['prompt'])[:16]}"
        text = "".join(f"{name}={value}," for name, value in choices.items() if name not in named)
        # The model of a judge may hold a URL, which says too much.
        model = f"{getattr(self._scorer, 'name', choices['model'])}@{self._scorer.revision}"
        return f"{self._choices['scorer']}({model};{text}max_tokens={self._profile.max_tokens})"

    @abstractmethod
    def __call__(self, items: Sequence[Item]) -> Array:
        """Return the scores [n, len(columns)] of n items whose outputs are not empty."""

    def _judge(self, items: Sequence[Item], outputs: Sequence[str]) -> Array:
        """P(good) [n] of a pair scorer."""
        p: Array = self._scorer([source for source, _, _ in items], outputs)
        return p

    def _classify(self, texts: Sequence[str]) -> Array:
        """Logits [n, classes]; refuses a model that lacks the class of good texts, or calls it by its opposite."""
        logits: Array = self._scorer(texts)
        label, model, classes = self._choices["label"], self._choices["model"], logits.shape[-1]
        if classes <= max(1, label):
            where = f"profile {self._profile.name}: {self.metric}_label {label}"
            raise InputError(f"{where}, but {model} has {classes} class(es)")
        names = getattr(self._scorer, "labels", [])
        if names and names[label].lower().replace("_", " ").strip() in _OPPOSITES[self.metric]:
            where = f"profile {self._profile.name}: {self.metric}_label {label} is the class of good texts"
            raise InputError(f"{where}, but {model} calls it {names[label]}; its classes are {', '.join(names)[:200]}")
        return logits


class Style(Measure):
    """sta: neutral or not under the profile's rule, in [0, 1]; soft_sta: P(neutral)."""

    metric = "sta"
    columns = ("sta", "soft_sta")

    def __call__(self, items: Sequence[Item]) -> Array:
        texts = [output for _, output, _ in items]
        if self.reads_pairs:
            p = self._judge(items, texts)
            return np.stack([neutrality(self._profile, p), p], axis=-1)
        if self.needs_references:
            # One call for all: equal texts must not differ by the rounding of two batches, or <= would not hold.
            texts += [source for source, _, _ in items] + [references[0] for _, _, references in items]
        output, *compared = np.split(self._classify(texts), 3 if self.needs_references else 1)
        return np.stack([style(self._profile, output, *compared), softmax(output)[:, self._profile.sta_label]], axis=-1)


class Similarity(Measure):
    """sim: cosine in [-1, 1] of the output with what the profile's sim_anchor names, or P(same content)."""

    metric = "sim"
    columns = ("sim",)

    def __call__(self, items: Sequence[Item]) -> Array:
        if self._profile.sim_anchor == "references":
            return self._best_reference(items)[:, None]
        outputs = [output for _, output, _ in items]
        if self.reads_pairs:
            return self._judge(items, outputs)[:, None]
        with_source: Array = self._scorer.cosine([source for source, _, _ in items], outputs)
        if self._profile.sim_anchor == "source":
            return with_source[:, None]
        # CLEF's test sets have one reference for each sentence; of several, the first counts.
        with_reference = self._scorer.cosine([references[0] for _, _, references in items], outputs)
        weight = self._profile.sim_source_weight
        return (weight * with_source + (1 - weight) * with_reference)[:, None]

    @property
    def tells_faults(self) -> bool:
        """Whether the scorer has a method `faults`."""
        return hasattr(self._scorer, "faults")

    def faults(self, sources: Sequence[str], outputs: Sequence[str]) -> list[str]:
        """Return the fault [n] of n outputs that are not empty, one of `metrics.scorers.FAULTS` each."""
        found: list[str] = self._scorer.faults(sources, outputs)
        return found

    def _best_reference(self, items: Sequence[Item]) -> Array:
        """The largest cosine [n] over the references of each item."""
        pairs = [(reference, output, i) for i, (_, output, references) in enumerate(items) for reference in references]
        cosines = self._scorer.cosine([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        best = np.full(len(items), -1.0)
        np.maximum.at(best, [pair[2] for pair in pairs], cosines)
        return best


class Fluency(Measure):
    """fl: acceptable or not under the profile's rule, in [0, 1]; soft_fl: P(acceptable).

    Scorers that compare with references have no classes: both columns are their score.
    """

    metric = "fl"
    columns = ("fl", "soft_fl")

    def __call__(self, items: Sequence[Item]) -> Array:
        detokenise = DETOKENISERS[self._profile.fl_detokenise]
        texts = [detokenise(output) for _, output, _ in items]
        if self.reads_pairs:
            p = self._judge(items, texts)
            return np.stack([fluency(self._profile, p), p], axis=-1)
        if self.needs_references:
            values = self._scorer.compare([s for s, _, _ in items], texts, [r[0] for _, _, r in items])
            return np.stack([values, values], axis=-1)
        logits = self._classify(texts)
        return np.stack([acceptability(self._profile, logits), softmax(logits)[:, self._profile.fl_label]], axis=-1)


MEASURES: dict[str, type[Measure]] = {measure.metric: measure for measure in (Style, Similarity, Fluency)}
