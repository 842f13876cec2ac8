"""STA, SIM and FL of a profile, one object each: which model, compared with what, under which rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from metrics.data.text import DETOKENISERS, well_formed
from metrics.profiles import Profile
from metrics.scorers import CLASSIFIERS, COMPARISONS, SIMILARITIES
from metrics.scorers.batching import Array
from metrics.scoring import DECIMALS
from metrics.scoring.rules import acceptability, softmax, style
from metrics.util.errors import InputError
from metrics.util.progress import progress

# (source, output, references)
Item = tuple[str, str, tuple[str, ...]]
# Sentences scored together: bounds memory, and is what a killed run may have to do again.
CHUNK = 1_024


class Measure(Protocol):
    """One metric under one profile. `columns` names what a call returns, [n, len(columns)]."""

    columns: tuple[str, ...]
    needs_references: bool

    @property
    def description(self) -> str: ...

    def __call__(self, items: Sequence[Item]) -> Array: ...


class Style:
    """sta: under the profile's rule, in [0, 1]; soft_sta: P(neutral)."""

    columns: tuple[str, ...] = ("sta", "soft_sta")

    def __init__(self, profile: Profile) -> None:
        p = self._profile = profile
        self.needs_references = p.sta_rule == "relative"
        self._classify = CLASSIFIERS[p.sta_scorer](p.sta_model, p.sta_revision, p.max_tokens)

    @property
    def description(self) -> str:
        return _describe(self._profile, "sta", self._classify.revision)

    def __call__(self, items: Sequence[Item]) -> Array:
        texts = [output for _, output, _ in items]
        if self.needs_references:
            # One pass: a text and its copy must not differ by the rounding of two batches, or ≤ would not hold.
            texts += [source for source, _, _ in items] + [references[0] for _, _, references in items]
        logits = _require_class(self._profile, "sta", self._classify(texts))
        output, *compared = np.split(logits, 3 if self.needs_references else 1)
        return np.stack([style(self._profile, output, *compared), softmax(output)[:, self._profile.sta_label]], axis=-1)


class Similarity:
    """sim: cosine in [−1, 1] with what the profile anchors it to."""

    columns: tuple[str, ...] = ("sim",)

    def __init__(self, profile: Profile) -> None:
        p = self._profile = profile
        self.needs_references = p.sim_anchor != "source"
        self._encode = SIMILARITIES[p.sim_scorer](p.sim_model, p.sim_revision, p.max_tokens)

    @property
    def description(self) -> str:
        return _describe(self._profile, "sim", self._encode.revision)

    def __call__(self, items: Sequence[Item]) -> Array:
        return self._anchored(items)[:, None]

    def _anchored(self, items: Sequence[Item]) -> Array:
        outputs = [output for _, output, _ in items]
        if self._profile.sim_anchor == "references":
            pairs = [(reference, output, i) for i, (_, output, all_) in enumerate(items) for reference in all_]
            cosines = self._encode.cosine([pair[0] for pair in pairs], [pair[1] for pair in pairs])
            best = np.full(len(items), -1.0)
            np.maximum.at(best, [pair[2] for pair in pairs], cosines)
            return best
        with_source = self._encode.cosine([source for source, _, _ in items], outputs)
        if self._profile.sim_anchor == "source":
            return with_source
        # CLEF's test sets have one reference per sentence; where there are more, the first stands for them.
        with_reference = self._encode.cosine([references[0] for _, _, references in items], outputs)
        weight = self._profile.sim_source_weight
        return weight * with_source + (1 - weight) * with_reference


class Fluency:
    """fl: under the profile's rule, in [0, 1]; soft_fl: P(acceptable), or fl itself for scores without classes."""

    columns: tuple[str, ...] = ("fl", "soft_fl")

    def __init__(self, profile: Profile) -> None:
        p = self._profile = profile
        self.needs_references = p.fl_scorer in COMPARISONS
        self._detokenise = DETOKENISERS[p.fl_detokenise]
        kinds: dict[str, Callable[..., Any]] = {**CLASSIFIERS, **COMPARISONS}
        self._judge = kinds[p.fl_scorer](p.fl_model, p.fl_revision, p.max_tokens)

    @property
    def description(self) -> str:
        return _describe(self._profile, "fl", self._judge.revision)

    def __call__(self, items: Sequence[Item]) -> Array:
        texts = [self._detokenise(output) for _, output, _ in items]
        if self.needs_references:
            values = self._judge.compare([s for s, _, _ in items], texts, [r[0] for _, _, r in items])
            return np.stack([values, values], axis=-1)
        logits = _require_class(self._profile, "fl", self._judge(texts))
        soft = softmax(logits)[:, self._profile.fl_label]
        return np.stack([acceptability(self._profile, logits), soft], axis=-1)


MEASURES: dict[str, Callable[[Profile], Measure]] = {"sta": Style, "sim": Similarity, "fl": Fluency}


def _require_class(profile: Profile, metric: str, logits: Array) -> Array:
    """`logits` [n, classes]. Errors: fewer than two classes, or none with the profile's label."""
    choices = profile.choices(metric)
    if logits.shape[-1] <= max(1, choices["label"]):
        raise InputError(
            f"profile {profile.name}: {metric}_label {choices['label']}, but {choices['model']} has "
            f"{logits.shape[-1]} class(es)"
        )
    return logits


def _describe(profile: Profile, metric: str, revision: str) -> str:
    """The metric's field of the signature: scorer, model@revision, and every choice of the profile."""
    choices = profile.choices(metric)
    kind, model = choices.pop("scorer"), choices.pop("model")
    choices.pop("revision", None)
    rest = ",".join(f"{name}={value}" for name, value in choices.items())
    return f"{kind}({model}@{revision};{rest},max_tokens={profile.max_tokens})"


def to_items(
    sources: Sequence[str], outputs: Sequence[str], references: Sequence[Sequence[str]] | None, measures: Any
) -> list[Item]:
    """The sentences as items, their texts as UTF-8 can hold them: what looks alike to a file must score alike.

    Errors: unequal counts, a sentence without a reference where a measure needs one.
    """
    if len(sources) != len(outputs):
        raise InputError(f"{len(outputs)} outputs for {len(sources)} sentences")
    if not any(measure.needs_references for measure in measures):
        return [(well_formed(s), well_formed(o), ()) for s, o in zip(sources, outputs, strict=True)]
    if references is None or len(references) != len(sources) or not all(references):
        raise InputError(f"this profile compares with human references: each of the {len(sources)} sentences needs one")
    return [
        (well_formed(s), well_formed(o), tuple(map(well_formed, r)))
        for s, o, r in zip(sources, outputs, references, strict=True)
    ]


def score_chunks(items: Iterable[Item], measures: Sequence[Measure], description: str) -> Iterable[tuple[Item, Any]]:
    """(item, its values) of each distinct item with an output that is not empty, the columns of all measures joined.

    Yields after every chunk of 1,024 items, so that work can be kept as it is done. Errors: scores that are not finite.
    """
    # Longest first: too long a text fails at once, and batches hold texts of similar length.
    distinct = sorted({item for item in items if item[1].strip()}, key=lambda item: (-len(item[1]), item))
    chunks = [distinct[i : i + CHUNK] for i in range(0, len(distinct), CHUNK)]
    for chunk in progress(chunks, description) if len(chunks) > 1 else chunks:
        values = np.concatenate([measure(chunk) for measure in measures], axis=-1).round(DECIMALS)
        if not np.isfinite(values).all():
            raise InputError("a scorer gave a value that is not finite; are its weights damaged?")
        yield from zip(chunk, values.tolist(), strict=True)
