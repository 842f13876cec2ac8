"""Minimum Bayes risk decoding: of several candidates for a sentence, choose the one with the highest expected utility.

The utility is a profile's J, and the other candidates stand for the rewrites that are not known (Kumar and Byrne 2004;
Eikema and Aziz 2020). A candidate that many others agree with wins over one that is good but alone.
"""

from collections.abc import Sequence

import numpy as np

from metrics.profiles import Profile
from metrics.scorers.batching import Array
from metrics.scoring import FACTORS
from metrics.scoring.items import Texts, first_columns
from metrics.scoring.measures import MEASURES


def expected_utilities(profile: Profile, sources: Texts, candidates: Sequence[Texts]) -> Array:
    """Compute the expected utility of each candidate under a profile.

    A profile that compares with human references takes each other candidate as the reference: the utility is the mean
    of J over them. Another profile compares with the source only: SIM is then the mean over the source and the other
    candidates in its place, and the utility is STA * SIM * FL. An empty candidate has utility 0.

    Args:
        sources: The toxic sentences [n].
        candidates: k >= 2 lists of rewrites [n], one list for each system or sample; equal ones count as often as they
            stand there.

    Returns:
        The utilities [n, k].

    Raises:
        InputError: A model of the profile cannot be used.
        ValueError: Fewer than two lists, or one of another length.
    """
    n, k = len(sources), len(candidates)
    if k < 2 or any(len(texts) != n for texts in candidates):
        raise ValueError(f"{k} lists of candidates for {n} sentences")
    measures = {metric: MEASURES[metric](profile) for metric in FACTORS}
    pairs = [(i, c, r) for i in range(n) for c in range(k) for r in range(k) if c != r]
    outputs = [candidates[c][i] for i, c, _ in pairs]
    # An empty candidate says nothing: the source stands for it.
    others = [candidates[r][i] if candidates[r][i].strip() else sources[i] for i, _, r in pairs]
    if profile.needs_references:
        columns = first_columns(
            [*measures.values()], [sources[i] for i, _, _ in pairs], outputs, [(other,) for other in others]
        )
        return np.asarray(np.prod(columns, axis=0).reshape(n, k, k - 1).mean(-1))
    cells = [(i, c) for i in range(n) for c in range(k)]
    own = [sources[i] for i, _ in cells], [candidates[c][i] for i, c in cells], None
    style, with_source, fluency = (column.reshape(n, k) for column in first_columns([*measures.values()], *own))
    (with_others,) = first_columns([measures["sim"]], others, outputs, None)
    similarity = (with_source + with_others.reshape(n, k, k - 1).sum(-1)) / k
    return np.asarray(style * similarity * fluency)


def choose(utilities: Array) -> list[int]:
    """Return the number of the best candidate for each sentence, of utilities [n, k]; the first of equals."""
    return [int(best) for best in utilities.argmax(-1)]
