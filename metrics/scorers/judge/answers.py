"""What a judge answers: the probability of the first of two words, read from tokens or from text."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

# The two answers that a prompt allows, in lower case. P is the probability of the first.
Words = tuple[str, str]
# With less probability on the two words, nine of ten answers are something else.
MIN_MASS = 0.1
# Rounding can lift the log-probability of a sure token above 0; a larger one is no log-probability.
_MAX_LOG_PROBABILITY = 1e-3


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        p: P(first word) / (P(first word) + P(second word)), in [0, 1]; None if the answer is neither word.
        text: What the judge wrote, for messages.
        prompt_tokens: Tokens that the judge read for it.
        completion_tokens: Tokens that the judge wrote.
    """

    p: float | None
    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Backend(Protocol):
    """A model that answers prompts.

    Attributes:
        name: The model's name; it holds no secret.
        revision: What pins the model and the way it is read: part of the signature.
        cache_key: What an answer depends on beside the name and the prompt. Of an endpoint it holds the whole URL,
            because two ports of a host may serve different models by one name.
    """

    name: str
    revision: str
    cache_key: str

    def ask(self, prompts: Sequence[str], words: Words) -> Iterator[tuple[int, Answer]]:
        """Yield (index of the prompt, answer) in any order.

        Raises:
            InputError: The model cannot be reached or used.
        """


def normal(text: str) -> str:
    """Return a token or a short answer in lower case, without the space, quotes and marks around it."""
    return text.strip(" \t\r\n\"'`*.,:!()▁Ġ").lower()


def from_probabilities(tokens: Iterable[tuple[str, float]], words: Words) -> float | None:
    """Compute P(first word) from (token, log-probability) pairs.

    Returns:
        P in [0, 1]; None if the words have too little probability, or if a number is no log-probability.
    """
    mass = dict.fromkeys(words, 0.0)
    for token, log_probability in tokens:
        # So written, the comparison also refuses NaN.
        if not log_probability <= _MAX_LOG_PROBABILITY:
            return None
        if (word := normal(token)) in mass:
            mass[word] += math.exp(log_probability)
    total = sum(mass.values())
    return mass[words[0]] / total if total >= MIN_MASS else None


def from_votes(texts: Sequence[str], words: Words) -> float | None:
    """Compute the share of the first word among the votes, or None unless most votes are one of the words."""
    votes = [vote for vote in map(_vote, texts) if vote in words]
    return votes.count(words[0]) / len(votes) if 2 * len(votes) > len(texts) else None


def _vote(text: str) -> str:
    """The word that an answer begins with, or that its field "answer" holds."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    value = value.get("answer") if isinstance(value, dict) else value
    return next(iter(re.findall(r"\w+", str(value).lower())), "")
