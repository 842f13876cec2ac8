"""Sentences on their way to the measures: checked, deduplicated, and scored in chunks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from metrics.data.text import well_formed
from metrics.scoring import DECIMALS
from metrics.scoring.measures import Item, Measure
from metrics.util.errors import InputError
from metrics.util.progress import progress

# Sentences scored together: bounds memory, and is what an interrupted run loses.
CHUNK = 1_024


def to_items(
    sources: Sequence[str],
    outputs: Sequence[str],
    references: Sequence[Sequence[str]] | None,
    measures: Collection[Measure],
) -> list[Item]:
    """Combine sources, outputs and references [n] into items [n].

    The texts are made well-formed (lone surrogates become U+FFFD), because texts that are the same in a UTF-8 file
    must have the same score. References are left out if no measure needs them.

    Raises:
        InputError: Unequal counts, or a sentence without a reference where a measure needs one.
    """
    if len(sources) != len(outputs):
        raise InputError(f"{len(outputs)} outputs for {len(sources)} sentences")
    if not any(measure.needs_references for measure in measures):
        references = [()] * len(sources)
    elif references is None or len(references) != len(sources) or not all(references):
        raise InputError(f"this profile compares with human references: each of the {len(sources)} sentences needs one")
    return [
        (well_formed(source), well_formed(output), tuple(map(well_formed, texts)))
        for source, output, texts in zip(sources, outputs, references, strict=True)
    ]


def score_chunks(
    items: Sequence[Item], measures: Collection[Measure], description: str
) -> Iterator[dict[Item, list[float]]]:
    """Score each distinct item whose output is not empty; `description` is the name of the stage on the progress bar.

    Yields:
        Item -> its scores, the columns of all measures, for at most `CHUNK` items at a time.

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
