"""A judge behind an OpenAI-compatible endpoint."""

from collections.abc import Iterator, Sequence
from typing import Any

from metrics.generation.endpoint import Completion, Endpoint, RefusedRequestError
from metrics.scorers.judge.answers import Answer, Words, from_probabilities, from_votes
from metrics.util.errors import InputError
from metrics.util.files import content_hash
from metrics.util.number_cache import NumberCache

KEY_VARIABLE = "SRO_JUDGE_KEY"
VOTES = 5
# The ways to read an answer, best first. A vote is sampled at temperature 1: at 0 all votes would be the same.
MODES = ("probabilities", f"votes={VOTES}", f"votes={VOTES},plain text")
_TOP_LOGPROBS = 20
# Of an answer by probabilities: some models begin with a space or a line break.
_TOKENS, _VOTE_TOKENS = 4, 24


class EndpointJudge:
    """A model of an endpoint.

    The first request finds out whether the endpoint gives log-probabilities, and else whether it accepts a JSON
    schema. The answer is remembered in `modes`, so that a run that resumes reads answers as it did before.

    Args:
        model: The model's name at the endpoint.
        url: The endpoint's base URL, such as http://localhost:8000/v1; the default path is /v1.
        modes: Where the index of the mode in `MODES` is stored.
        timeout, retries, workers: As for `metrics.generation.endpoint.Endpoint`.

    Raises:
        InputError: The URL is unusable, or the endpoint cannot be reached, refuses the key or has no such model.
    """

    def __init__(
        self, model: str, url: str, modes: NumberCache, *, timeout: float = 60, retries: int = 6, workers: int = 16
    ) -> None:
        self.name = model
        self._endpoint = Endpoint(
            f"judge {model}", model, url, key_variable=KEY_VARIABLE, timeout=timeout, retries=retries, workers=workers
        )
        mode_key = content_hash(["mode", model, self._endpoint.url])
        known = modes.read([mode_key])
        self._mode = int(known[mode_key][0]) if known else self._find_mode()
        modes.write([(mode_key, [self._mode])])
        self.revision = f"{self._endpoint.host},{MODES[self._mode]}"
        self.cache_key = f"{self._endpoint.url},{MODES[self._mode]}"

    def ask(self, prompts: Sequence[str], words: Words) -> Iterator[tuple[int, Answer]]:
        """Yield the answers as they come; see `Backend`."""
        return self._endpoint.map(lambda prompt: self._answer(prompt, words), prompts)

    def _find_mode(self) -> int:
        words = ("yes", "no")
        for mode in range(len(MODES)):
            try:
                completion = self._complete("Is water wet? Answer with one word: Yes or No.", mode, words, 0)
            except RefusedRequestError:
                # An endpoint may refuse a parameter that it does not know.
                if mode < len(MODES) - 1:
                    continue
                raise
            if completion.problem:
                problem = f"{self._endpoint.url} does not answer with chat completions: {completion.problem}"
                raise InputError(f"judge {self.name}: {problem}")
            if mode or _top_logprobs(completion):
                break
        return mode

    def _answer(self, prompt: str, words: Words) -> Answer:
        count = VOTES if self._mode else 1
        try:
            completions = [self._complete(prompt, self._mode, words, seed) for seed in range(count)]
        except RefusedRequestError as error:
            advice = "use a model with a larger context, or a profile with a smaller max_tokens"
            raise InputError(f"{error}; {advice}" if "context" in str(error) else str(error)) from None
        texts = [completion.problem or completion.text for completion in completions]
        if self._mode:
            p = from_votes(texts, words)
        else:
            top = _top_logprobs(completions[0])
            p = from_probabilities(top, words)
            if not top and not completions[0].problem:
                texts = ["an answer without log-probabilities"]
        prompt_tokens = sum(completion.prompt_tokens for completion in completions)
        return Answer(p, texts[0], prompt_tokens, sum(completion.completion_tokens for completion in completions))

    def _complete(self, prompt: str, mode: int, words: Words, seed: int) -> Completion:
        settings: dict[str, Any] = {"temperature": 0, "logprobs": True, "top_logprobs": _TOP_LOGPROBS}
        if mode:
            settings = {"temperature": 1, "seed": seed}
        if mode == 1:
            settings["response_format"] = {"type": "json_schema", "json_schema": _schema(words)}
        messages = [{"role": "user", "content": prompt}]
        return self._endpoint.complete(messages, max_tokens=_VOTE_TOKENS if mode else _TOKENS, **settings)


def _schema(words: Words) -> dict[str, Any]:
    properties = {"answer": {"type": "string", "enum": list(words)}}
    schema = {"type": "object", "properties": properties, "required": ["answer"], "additionalProperties": False}
    return {"name": "answer", "strict": True, "schema": schema}


def _top_logprobs(completion: Completion) -> list[tuple[str, float]]:
    """(token, log-probability) of the candidates for the first token that is not blank; [] if there are none."""
    try:
        first = next(token for token in completion.logprobs["content"] if token["token"].strip())
        return [(str(top["token"]), float(top["logprob"])) for top in first["top_logprobs"]]
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration):
        return []
