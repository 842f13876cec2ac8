"""Pairs of toxic sentences and polite rewrites that nobody wrote: rules propose rewrites, models choose.

The follower rejects candidates that are rude or say something else; of the others that one is chosen which the
untouched leader finds most probable, unless all read worse than the toxic sentence.
"""

import random
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

import torch

from metrics.generation.batching import length_sorted_batches
from repro.followers.edits import compare
from repro.followers.follower import Follower, Verdict
from repro.leader.leader import Leader
from repro.leader.logprobs import target_logprobs
from repro.wording.insults import say_plainly
from repro.wording.softening import propose_rewrites

# Candidates per way of cutting a sentence, and how many of all of them the leader reads.
_PROPOSED, _READ = 24, 4
# In nats: what a lost word of content costs; what a place may gain; and the log-probability of a token that is as good
# as none.
_LOST, _GAIN, _NEW = 3.0, 1.0, -6.0
# In nats: what an edit may cost, and what it may cost where an insult is said plainly, which changes more.
_MARGIN, _PLAIN_MARGIN = 3.0, 7.0
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


def token_logprobs(leader: Leader, texts: Sequence[str]) -> list[tuple[list[int], list[float]]]:
    """Return the token ids of each text and their log-probabilities under the leader, after a line break, in nats.

    The end of sequence stands for a line break that the tokenizer does not know.
    """
    start = leader.tokenizer("\n", add_special_tokens=False)["input_ids"] or [leader.tokenizer.eos_token_id]
    # Words have the same tokens at the beginning of a text as within it.
    targets = leader.target_ids([f" {text}" for text in texts])
    values: list[tuple[list[int], list[float]]] = [([], [])] * len(texts)
    for batch in length_sorted_batches([len(target) for target in targets], _BATCH):
        with torch.no_grad():
            logprobs, _ = target_logprobs(leader, [start] * len(batch), [targets[i] for i in batch], reference=False)
        for i, value in zip(batch, logprobs, strict=True):
            values[i] = targets[i], value.tolist()
    return values


def fluency_change(source: tuple[list[int], list[float]], rewrite: tuple[list[int], list[float]]) -> float:
    """Return how much more probable an edit makes the text around it, in nats.

    Args:
        source: Token ids and log-probabilities of the sentence.
        rewrite: The same of its rewrite.

    Returns:
        The sum of what the tokens that stay gain or lose, at most `_GAIN` at each place, and of the log-probabilities
        of new tokens, over `_NEW`. Where words are missing, the next token is improbable.
    """
    (before, old), (after, new) = source, rewrite
    change = 0.0
    for tag, i, end, j, stop in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            change += min(_GAIN, sum(new[j:stop]) - sum(old[i:end]))
        else:
            change += sum(value - _NEW for value in new[j:stop])
    return change


def choose_rewrites(leader: Leader, candidates: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yield each toxic sentence with the rewrite chosen for it, unless there is none that reads well."""
    texts = list(dict.fromkeys([*candidates, *(c for options in candidates.values() for c in options)]))
    read = dict(zip(texts, token_logprobs(leader, texts), strict=True))
    for text, options in candidates.items():
        changes = {option: fluency_change(read[text], read[option]) for option in options}
        best = max(options, key=lambda option: changes[option] - _LOST * len(compare(text, option).lost))
        if changes[best] >= -(_MARGIN if say_plainly(text) == text else _PLAIN_MARGIN):
            yield text, best
