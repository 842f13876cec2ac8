"""Pairs of toxic sentences and polite rewrites that nobody wrote: rules propose rewrites, models choose.

The follower rejects candidates that are rude or say something else; of the others that one is chosen which the
untouched leader finds most probable, unless all read worse than the toxic sentence.
"""

import random
from collections.abc import Iterator

from repro.followers.edits import compare
from repro.followers.follower import Follower, Verdict
from repro.leader.fluency import LikelihoodModel
from repro.wording.insults import say_plainly
from repro.wording.softening import propose_rewrites

# Candidates per way of cutting a sentence, and how many of all of them the leader reads.
_PROPOSED, _READ = 24, 8
# In nats: what a lost word of content costs.
_LOST = 3.0
# In nats: what an edit may cost, and what it may cost where an insult is said plainly, which changes more.
_MARGIN, _PLAIN_MARGIN = 5.0, 7.0


def passing_candidates(text: str, follower: Follower, seed: int) -> list[str]:
    """Return the best candidates for a rewrite that the follower accepts, whether it finds them natural or not.

    The follower's model of naturalness is fitted on other texts and rejects much of chat; here the leader's likelihood
    takes its place.
    """
    candidates = propose_rewrites(text, _PROPOSED, random.Random(f"{seed} {text}"))
    if not candidates:
        return []
    sources = [text] * len(candidates)
    verdicts, quality = follower.judge(sources, candidates), follower.quality(sources, candidates)
    passing = [
        i
        for i, verdict in enumerate(verdicts)
        if verdict in (Verdict.PASS, Verdict.FLUENCY) and not compare(text, candidates[i]).gap
    ]
    return [candidates[i] for i in sorted(passing, key=lambda i: -quality[i])[:_READ]]


def choose_rewrites(likelihood: LikelihoodModel, candidates: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yield each toxic sentence with the rewrite chosen for it, unless there is none that reads well."""
    pairs = [(text, option) for text, options in candidates.items() for option in options]
    changes = dict(zip(pairs, likelihood.fluency_changes(*zip(*pairs, strict=True)), strict=True)) if pairs else {}
    for text, options in candidates.items():
        best = max(options, key=lambda option: changes[text, option] - _LOST * len(compare(text, option).lost))
        if changes[text, best] >= -(_MARGIN if say_plainly(text) == text else _PLAIN_MARGIN):
            yield text, best
