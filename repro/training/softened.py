"""Pairs of toxic sentences and polite rewrites that nobody wrote: rules propose rewrites, models choose.

The follower rejects candidates that are rude or say something else; of the others that one is chosen which the
untouched leader finds most probable, unless all read worse than the toxic sentence.
"""

import random
from collections.abc import Iterator, Sequence

import torch

from metrics.generation.batching import length_sorted_batches
from repro.followers.edits import compare
from repro.followers.follower import Follower, Verdict
from repro.leader.leader import Leader
from repro.leader.logprobs import sequence_logprobs
from repro.wording.softening import propose_rewrites

# Candidates per way of cutting a sentence, and how many of all of them the leader reads.
_PROPOSED, _READ = 24, 4
# A candidate that loses all words of content is ranked lower by this many nats per token.
_CONTENT_WEIGHT = 5.0
# How much lower, in nats per token, the log-probability of a rewrite may be than that of its source.
_MARGIN = 0.3
_BATCH = 32


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


def mean_logprobs(leader: Leader, texts: Sequence[str]) -> list[float]:
    """Return the mean log-probability per token of each text under the leader, after a line break, in nats.

    The end of sequence stands for a line break that the tokenizer does not know.
    """
    start = leader.tokenizer("\n", add_special_tokens=False)["input_ids"] or [leader.tokenizer.eos_token_id]
    values = [0.0] * len(texts)
    targets = leader.target_ids(texts)
    for batch in length_sorted_batches([len(target) for target in targets], _BATCH):
        with torch.no_grad():
            logprobs, _ = sequence_logprobs(leader, [start] * len(batch), [targets[i] for i in batch], reference=False)
        for i, value in zip(batch, logprobs.tolist(), strict=True):
            values[i] = value / len(targets[i])
    return values


def choose_rewrites(leader: Leader, candidates: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yield each toxic sentence with the rewrite chosen for it, unless there is none that reads well."""
    texts = list(dict.fromkeys([*candidates, *(c for options in candidates.values() for c in options)]))
    logprob = dict(zip(texts, mean_logprobs(leader, texts), strict=True))
    for text, options in candidates.items():
        best = max(options, key=lambda option: logprob[option] + _CONTENT_WEIGHT * compare(text, option).kept)
        if logprob[best] >= logprob[text] - _MARGIN:
            yield text, best
