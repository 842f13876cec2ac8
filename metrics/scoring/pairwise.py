"""The pairwise judge: which of two rewrites of a sentence is better, asked in both orders."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metrics.profiles import Profile, load_profile
from metrics.scorers.batching import Array
from metrics.scorers.judge import fill_prompt
from metrics.scorers.judge.judge import open_judge
from metrics.scoring.statistics import Interval, mean_interval
from metrics.util.errors import InputError
from metrics.util.files import content_hash

_LETTERS = ("a", "b")


@dataclass(frozen=True)
class Preferences:
    """What a judge prefers; outcomes [n]: 1 where the first rewrite wins, 0 where the second does, .5 for a tie.

    Attributes:
        outcomes: One per sentence.
        disagreements: The number of ties because the judge prefers another rewrite in the other order.
        judge: The judge and its prompt, as model@revision;prompt=#hash.
    """

    outcomes: Array
    disagreements: int
    judge: str

    @cached_property
    def win_rate(self) -> Interval:
        """The share of sentences in which the first rewrite wins, where a tie counts half."""
        return mean_interval(self.outcomes)


def prefer(
    judge: str, sources: Sequence[str], first: Sequence[str], second: Sequence[str], profile: Profile | None = None
) -> Preferences:
    """Ask a judge which of two rewrites [n] of each source [n] is better, once in each order.

    A judge that prefers different rewrites in the two orders follows the position: that is a tie. Equal rewrites are a
    tie and an empty one loses, without a question.

    Args:
        judge: MODEL or MODEL@URL.
        profile: The profile with the prompt; None for the profile `judge`.

    Raises:
        InputError: The profile has no pair_prompt, or the judge cannot be used.
    """
    profile = profile or load_profile("judge")
    prompt = profile.pair_prompt
    if prompt is None:
        raise InputError(f"profile {profile.name}: has no pair_prompt")
    outcomes = np.full(len(sources), 0.5)
    pending = []
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        if bool(a.strip()) != bool(b.strip()):
            outcomes[i] = float(bool(a.strip()))
        elif a != b:
            pending.append(i)
    orders = [(sources[i], a[i], b[i]) for a, b in ((first, second), (second, first)) for i in pending]
    limit = profile.max_tokens
    prompts = [fill_prompt(prompt, {"source": s, "first": a, "second": b}, limit) for s, a, b in orders]
    opened = open_judge(judge, None)
    forward, backward = np.split(opened.probabilities(prompts, _LETTERS, unusable=0.5), 2)
    # P(first) - .5 in each order, from the view of the first rewrite.
    votes = np.sign(forward - 0.5), np.sign(0.5 - backward)
    outcomes[pending] = np.where(votes[0] == votes[1], (votes[0] + 1) / 2, 0.5)
    # An answer that cannot be used, .5, prefers neither: a tie, but no disagreement.
    disagreements = int((votes[0] * votes[1] < 0).sum())
    return Preferences(outcomes, disagreements, f"{opened.name}@{opened.revision};prompt=#{content_hash(prompt)[:16]}")
