"""Sentences on their way through the measures: checked, deduplicated, and scored in chunks."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from metrics.data.text import well_formed
from metrics.scorers.batching import Array
from metrics.scoring import DECIMALS
from metrics.scoring.measures import Item, Measure
from metrics.util.errors import InputError
from metrics.util.progress import progress

Texts = Sequence[str]
# Sentences scored together: bounds memory, and is what an interrupted run loses.
CHUNK = 1_024


@dataclass(frozen=True)
class SentenceScores:
    """Scores of the sentences of one system, arrays [n]; all scores of an empty output are 0.

    sta and fl are in [0, 1], by the profile's rules, and soft_sta and soft_fl are the probabilities that the rules are
    applied to: P(neutral) and P(acceptable). sim is a cosine in [-1, 1].
    """

    sta: Array
    sim: Array
    fl: Array
    soft_sta: Array
    soft_fl: Array

    @property
    def j(self) -> Array:
        """The product sta * sim * fl [n]; negative where `sim` is."""
        return self.sta * self.sim * self.fl

    def metric(self, name: str) -> Array:
        """Return the scores [n] called `name`: one of `METRICS`, "soft_sta" or "soft_fl"."""
        return np.asarray(getattr(self, name))


def to_items(
    sources: Texts, outputs: Texts, references: Sequence[Texts] | None, measures: Collection[Measure]
) -> list[Item]:
    """Combine sources, outputs and references [n] into items [n]; without references if no measure needs them.

    The texts are made well-formed (lone surrogates become U+FFFD), because texts that are the same in a UTF-8 file
    must have the same score.

    Raises:
        InputError: Unequal counts, or a sentence without a reference where a measure needs one.
    """
    n = len(sources)
    if n != len(outputs):
        raise InputError(f"{len(outputs)} outputs for {n} sentences")
    if not any(measure.needs_references for measure in measures):
        references = [()] * n
    elif references is None or len(references) != n or not all(references):
        raise InputError(f"this profile compares with human references: each of the {n} sentences needs one")
    return [
        (well_formed(source), well_formed(output), tuple(map(well_formed, texts)))
        for source, output, texts in zip(sources, outputs, references, strict=True)
    ]


def score_chunks(
    items: Sequence[Item], measures: Collection[Measure], description: str
) -> Iterator[dict[Item, list[float]]]:
    """Yield item -> scores, the columns of all measures, of at most `CHUNK` distinct items with an output at a time.

    `description` is the name of the stage on the progress bar.

    Raises:
        InputError: A score is not finite.
    """
    # Longest first: texts that do not fit into memory fail at once, and batches hold texts of similar length.
    distinct = sorted({item for item in items if item[1].strip()}, key=lambda item: (-len(item[1]), item))
    chunks = [distinct[i : i + CHUNK] for i in range(0, len(distinct), CHUNK)]
    for chunk in progress(chunks, description) if len(chunks) > 1 else chunks:
        values = np.concatenate([measure(chunk) for measure in measures], axis=-1).round(DECIMALS)
        if not np.isfinite(values).all():
            raise InputError("a scorer returned a value that is not finite; its weights may be damaged")
        yield dict(zip(chunk, values.tolist(), strict=True))


def first_columns(
    measures: Sequence[Measure], sources: Texts, outputs: Texts, references: Sequence[Texts] | None
) -> list[Array]:
    """Return the first column [n] of each measure: its scores of n outputs, 0 for an empty one.

    Raises:
        InputError: As `to_items` and `score_chunks`.
    """
    items = to_items(sources, outputs, references, measures)
    scored = {item: values for chunk in score_chunks(items, measures, "scoring") for item, values in chunk.items()}
    starts = np.cumsum([0, *(len(measure.columns) for measure in measures)])[:-1]
    return [np.array([scored[i][start] if i in scored else 0.0 for i in items], dtype=np.float64) for start in starts]
