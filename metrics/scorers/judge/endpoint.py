"""A judge behind an OpenAI-compatible endpoint: chat completions over HTTP, with retries and several at a time."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

from metrics.scorers.judge.answers import Answer, Words, from_probabilities, from_votes
from metrics.util.errors import InputError, missing_package, one_line
from metrics.util.files import content_hash
from metrics.util.hub import require_sendable
from metrics.util.number_cache import NumberCache

# The first variable that is set holds the key (see `_key_name`).
KEYS = ("SRO_JUDGE_KEY", "OPENAI_API_KEY")
VOTES = 5
# The ways to read an answer, best first. A vote is sampled at temperature 1: at 0 all votes would be the same.
MODES = ("probabilities", f"votes={VOTES}", f"votes={VOTES},plain text")
_TOP_LOGPROBS = 20
# How often a body that is no chat completion is asked for; failed requests are retried by the client.
_TRIES = 3
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
        timeout: Seconds until a request counts as failed.
        retries: How often a request is retried that fails by a timeout, a dropped connection, 429 or 5xx.
        workers: Requests at a time.

    Raises:
        InputError: The URL is unusable, or the endpoint cannot be reached, refuses the key or has no such model.
    """

    def __init__(
        self, model: str, url: str, modes: NumberCache, *, timeout: float = 60, retries: int = 6, workers: int = 16
    ) -> None:
        try:
            import openai
        except ModuleNotFoundError:
            raise missing_package("openai", "--judge MODEL@URL") from None
        parts = urlsplit(url)
        if not parts.hostname or parts.username or parts.password or parts.query:
            form = "http://HOST[:PORT][/PATH] or https://…, without a key"
            raise InputError(f"judge {model}: the URL must be {form}; {KEYS[0]} holds the key")
        self.name, self._host, self._workers = model, parts.hostname, workers
        self._key_name = _key_name(parts.scheme, parts.hostname)
        base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"
        # The client insists on a key; servers of one's own ignore it.
        key = os.environ.get(self._key_name, "") or "none"
        require_sendable(key, self._key_name)
        self._url = base
        self._client = openai.OpenAI(base_url=base, api_key=key, timeout=timeout, max_retries=retries)
        mode_key = content_hash(["mode", model, base])
        known = modes.read([mode_key])
        self._mode = int(known[mode_key][0]) if known else self._find_mode()
        modes.write([(mode_key, [self._mode])])
        self.revision = f"{parts.hostname},{MODES[self._mode]}"
        self.cache_key = f"{base},{MODES[self._mode]}"

    def ask(self, prompts: Sequence[str], words: Words) -> Iterator[tuple[int, Answer]]:
        """Yield the answers as they come; see `Backend`."""
        pending: SimpleQueue[tuple[int, str]] = SimpleQueue()
        answers: SimpleQueue[tuple[int, Answer | Exception]] = SimpleQueue()
        stopped = Event()
        for item in enumerate(prompts):
            pending.put(item)

        def work() -> None:
            with suppress(Empty):
                while not stopped.is_set():
                    i, prompt = pending.get_nowait()
                    try:
                        answers.put((i, self._answer(prompt, words)))
                    except Exception as error:
                        answers.put((i, error))

        # Not a ThreadPoolExecutor: an interrupted program would wait for a server that hangs.
        for _ in range(min(self._workers, len(prompts))):
            Thread(target=work, daemon=True).start()
        try:
            for _ in prompts:
                i, answer = answers.get()
                if isinstance(answer, Exception):
                    raise answer
                yield i, answer
        finally:
            # After an error, or when the reader stops, no further request is sent.
            stopped.set()

    def _find_mode(self) -> int:
        import openai

        words = ("yes", "no")
        for mode in range(len(MODES)):
            try:
                completion = self._complete("Is water wet? Answer with one word: Yes or No.", mode, words, 0)
            except openai.OpenAIError as error:
                # An endpoint may refuse a parameter that it does not know.
                if isinstance(error, openai.BadRequestError) and mode < len(MODES) - 1:
                    continue
                raise self._error(error) from None
            if isinstance(completion, str):
                raise InputError(f"judge {self.name}: {self._url} does not answer with chat completions: {completion}")
            if mode or _top_logprobs(completion):
                break
        return mode

    def _answer(self, prompt: str, words: Words) -> Answer:
        import openai

        count = VOTES if self._mode else 1
        try:
            completions = [self._complete(prompt, self._mode, words, seed) for seed in range(count)]
        except openai.OpenAIError as error:
            raise self._error(error) from None
        read = [c for c in completions if isinstance(c, dict)]
        used = [sum(_tokens(c, kind) for c in read) for kind in ("prompt_tokens", "completion_tokens")]
        texts = [_content(c) if isinstance(c, dict) else c for c in completions]
        if self._mode:
            p = from_votes(texts, words)
        else:
            p = from_probabilities(_top_logprobs(read[0]), words) if read else None
            if read and not _top_logprobs(read[0]):
                texts = ["an answer without log-probabilities"]
        return Answer(p, texts[0], *used)

    def _complete(self, prompt: str, mode: int, words: Words, seed: int) -> dict[str, Any] | str:
        """The chat completion as parsed JSON, or what is wrong with the body as text."""
        settings: dict[str, Any] = {
            "temperature": 0,
            "max_tokens": _TOKENS,
            "logprobs": True,
            "top_logprobs": _TOP_LOGPROBS,
        }
        if mode:
            settings = {"temperature": 1, "max_tokens": _VOTE_TOKENS, "seed": seed}
        if mode == 1:
            settings["response_format"] = {"type": "json_schema", "json_schema": _schema(words)}
        problem = ""
        for _ in range(_TRIES):
            raw = self._client.chat.completions.with_raw_response.create(
                model=self.name, messages=[{"role": "user", "content": prompt}], **settings
            )
            text = raw.http_response.text
            try:
                body = json.loads(text)
                if isinstance(body["choices"][0]["message"], dict):
                    return body
            except (ValueError, KeyError, IndexError, TypeError, RecursionError):
                pass
            problem = f"not a chat completion: {one_line(text)[:80]}"
        return problem

    def _error(self, error: Any) -> InputError:
        """What the user can do; the server's own text may repeat the key and is shown only where it cannot."""
        import openai

        judge, status = f"judge {self.name}", getattr(error, "status_code", None)
        if isinstance(error, openai.APITimeoutError):
            return InputError(f"{judge}: {self._url} does not answer in time; run the same command again to resume")
        if isinstance(error, openai.APIConnectionError):
            reason = one_line(error.__cause__ or error)
            return InputError(f"{judge}: {self._url} cannot be reached ({reason}); check the host and the server")
        if status in (401, 403):
            action = f"refused the key in {self._key_name}" if self._key_name else f"needs a key; set {KEYS[0]}"
            return InputError(f"{judge}: {self._host} {action} ({status})")
        if status == 404:
            return InputError(f"{judge}: {self._url} has no model of this name, or is not the API's base URL (404)")
        if status == 429:
            action = "run the same command again later to resume, or lower SRO_JUDGE_CONCURRENCY"
            return InputError(f"{judge}: {self._host} accepts no more requests (429); {action}")
        if status is not None and status >= 500:
            return InputError(f"{judge}: {self._host} fails ({status}); run the same command again to resume")
        key = os.environ.get(self._key_name) or "\0"
        text = one_line(error).replace(key, "…")
        too_long = "; use a model with a larger context, or a profile with a smaller max_tokens"
        return InputError(f"{judge}: {self._host}: {text}{too_long * ('context' in text)}")


def _key_name(scheme: str, host: str) -> str:
    """The variable that holds the key for a host, or ""."""
    # A key that was not set for this program must not cross a network unencrypted.
    private = scheme == "https" or host in ("localhost", "127.0.0.1", "::1")
    return next((name for name in KEYS[: 2 if private else 1] if os.environ.get(name)), "")


def _schema(words: Words) -> dict[str, Any]:
    properties = {"answer": {"type": "string", "enum": list(words)}}
    schema = {"type": "object", "properties": properties, "required": ["answer"], "additionalProperties": False}
    return {"name": "answer", "strict": True, "schema": schema}


def _content(completion: dict[str, Any]) -> str:
    return str(completion["choices"][0]["message"].get("content") or "")


def _top_logprobs(completion: dict[str, Any]) -> list[tuple[str, float]]:
    """(token, log-probability) of the candidates for the first token that is not blank; [] if there are none."""
    try:
        tokens = completion["choices"][0]["logprobs"]["content"]
        first = next(token for token in tokens if token["token"].strip())
        return [(str(top["token"]), float(top["logprob"])) for top in first["top_logprobs"]]
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration):
        return []


def _tokens(completion: dict[str, Any], kind: str) -> int:
    usage = completion.get("usage")
    count = usage.get(kind) if isinstance(usage, dict) else 0
    return count if isinstance(count, int) else 0
