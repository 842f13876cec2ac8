"""The split of ParaDetox into development and test rows."""

from __future__ import annotations

import functools

from metrics.data.near_duplicates import NearDuplicates
from metrics.data.sources import ParallelTexts
from metrics.util.files import sha256_bytes

OFFICIAL = 500  # the first rows are the test set of the SRO paper
DEVELOPMENT = 400
TEST = 2000
Row = tuple[str, tuple[str, ...]]


@functools.lru_cache(maxsize=4)
def split(parallel: ParallelTexts, training: tuple[str, ...]) -> tuple[list[Row], list[Row], int]:
    """Split ParaDetox in the order of the SHA-256 of the toxic sentences.

    The first 500 rows are the SRO paper's test set and belong to neither part. Repeated sentences count once.

    Args:
        parallel: All rows.
        training: Texts that systems are trained on; their near-duplicates are left out.

    Returns:
        (development rows, test rows, number of near-duplicates left out); fewer rows if there are not enough.
    """
    head = {row[0] for row in parallel.rows[:OFFICIAL]}
    unique = {row[0]: row for row in reversed(parallel.rows) if row[0] not in head}
    rows = sorted(unique.values(), key=lambda row: sha256_bytes(row[0].encode()))
    selected: list[Row] = []
    dropped = 0
    index = NearDuplicates(training, queries=(row[0] for row in rows))
    for row in rows:
        if len(selected) == DEVELOPMENT + TEST:
            break
        if index.contains(row[0]):
            dropped += 1
        else:
            selected.append(row)
            # Later sentences must not repeat this one either, or development rows would leak into the test.
            index.add(row[0])
    return selected[:DEVELOPMENT], selected[DEVELOPMENT:], dropped
