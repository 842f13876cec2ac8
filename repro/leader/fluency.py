"""How fluent a rewrite is compared with its source, by the log-probabilities of the untouched leader."""

from collections.abc import Sequence
from difflib import SequenceMatcher

import torch

from metrics.generation.batching import length_sorted_batches
from repro.leader.leader import Leader
from repro.leader.logprobs import target_logprobs

# In nats: the most that a run of kept tokens may gain, and the log-probability at which a new token changes nothing.
_GAIN, _NEW = 1.0, -6.0
_BATCH = 32


def token_logprobs(leader: Leader, texts: Sequence[str]) -> list[tuple[list[int], list[float]]]:
    """Score texts with the leader, each after a line break.

    Args:
        leader: The model.
        texts: n texts. The end of sequence takes the place of a line break that the tokenizer does not know.

    Returns:
        The token ids of each text, with the end of sequence, and their log-probabilities in nats.
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
        What the runs of kept tokens gain or lose, at most `_GAIN` each, plus the log-probability of each new token
        minus `_NEW`. Where an edit leaves a word out that the text needs, the next token becomes improbable.
    """
    (before, old), (after, new) = source, rewrite
    change = 0.0
    for tag, i, end, j, stop in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            change += min(_GAIN, sum(new[j:stop]) - sum(old[i:end]))
        else:
            change += sum(value - _NEW for value in new[j:stop])
    return change


class LikelihoodModel:
    """Measures how much more probable edits make the text around them.

    Args:
        leader: The untouched leader, with weights of its own.
    """

    def __init__(self, leader: Leader) -> None:
        self._leader = leader

    def fluency_changes(self, sources: Sequence[str], rewrites: Sequence[str]) -> list[float]:
        """Return the `fluency_change` of each of n rewrites of n sources, in nats."""
        texts = list(dict.fromkeys([*sources, *rewrites]))
        scored = dict(zip(texts, token_logprobs(self._leader, texts), strict=True))
        return [fluency_change(scored[source], scored[new]) for source, new in zip(sources, rewrites, strict=True)]
