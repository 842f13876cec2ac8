"""The pair scorer `llm-judge`: an instruction model answers the profile's question about each rewrite, yes or no."""

import re
from collections.abc import Mapping, Sequence

from metrics.data.text import well_formed
from metrics.scorers.batching import Array
from metrics.scorers.judge.judge import open_judge
from metrics.util.errors import InputError

# The model of a profile that leaves it to the user.
UNSET = "--judge"
# About as many characters as a token of English has: an endpoint does not say how it tokenizes.
_CHARACTERS_PER_TOKEN = 4
# Marks of the common chat templates: a rewrite that contains one could end the question and begin the answer.
_CHAT_MARKS = re.compile(r"<(?=\||/?s>|(start|end)_of_turn>)|\[(?=/?INST\])")


class LlmJudge:
    """P(yes) as the probability that a rewrite is good: the prompt asks so that "yes" is the good answer.

    Args:
        model: MODEL or MODEL@URL (see `open_judge`).
        revision: The commit of a model on the Hub.
        max_tokens: The length, in tokens of about four characters, at which texts are truncated.
        prompt: The question, with {output} and, if needed, {source}.

    Raises:
        InputError: The profile leaves the model open, or it cannot be used.
    """

    def __init__(self, model: str, revision: str | None, max_tokens: int, prompt: str) -> None:
        if model == UNSET:
            raise InputError("profile judge: give --judge MODEL[@URL]")
        self._judge = open_judge(model, revision)
        self._max_tokens, self._prompt = max_tokens, prompt

    @property
    def name(self) -> str:
        """The model's name without the URL."""
        return self._judge.name

    @property
    def revision(self) -> str:
        """The revision of a model here; the host and the way to read its answers for an endpoint."""
        return self._judge.revision

    def __call__(self, sources: Sequence[str], outputs: Sequence[str]) -> Array:
        """Return P(good) [n] of n rewrites."""
        pairs = zip(sources, outputs, strict=True)
        texts = [{"source": source, "output": output} for source, output in pairs]
        return self._judge.probabilities([fill_prompt(self._prompt, t, self._max_tokens) for t in texts])


def fill_prompt(prompt: str, texts: Mapping[str, str], max_tokens: int) -> str:
    """Put texts in place of {name} in a prompt: truncated to about `max_tokens`, in one line, without chat marks."""

    def clean(text: str) -> str:
        line = " ".join(well_formed(text)[: max_tokens * _CHARACTERS_PER_TOKEN].split())
        return _CHAT_MARKS.sub(lambda mark: f"{mark[0]} ", line)

    return re.sub(r"\{(\w+)\}", lambda place: clean(texts[place[1]]), prompt)
