"""A model behind an OpenAI-compatible endpoint: chat completions, with retries, limits, and several at a time.

The only module that speaks to endpoints. Nothing that a server sends is trusted: a body has a greatest size and time,
and the key is removed from every text in case the server repeats it.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

from metrics.data.text import well_formed
from metrics.util.errors import InputError, missing_package, one_line
from metrics.util.hub import require_sendable

Message = dict[str, str]
Item = TypeVar("Item")
Value = TypeVar("Value")
OPENAI_KEY = "OPENAI_API_KEY"
# An answer here is a sentence; with the candidates for its first tokens it has some 10 kB.
_MAX_BYTES = 2**20
# How often a body that is no chat completion is asked for; failed requests are retried by the client.
_TRIES = 3
_NEWER_LIMIT = "max_completion_tokens"
_LOCAL = ("localhost", "127.0.0.1", "::1")


class RefusedRequestError(InputError):
    """The endpoint refuses the request itself (400 or 422), for example a parameter that it does not know.

    Attributes:
        code: The endpoint's own name of the reason, such as "content_filter"; "" if it gives none.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Completion:
    """One chat completion.

    Attributes:
        text: The answer; "" if there is none.
        problem: Why the body is no chat completion; "" if it is one.
        finish_reason: "stop"; "length" for an answer that the token limit cut off; "content_filter"; and others.
        model: The name of the model that answered, as the server states it.
        fingerprint: The server's name for its present weights and program; "" if it gives none.
        prompt_tokens, completion_tokens: As the server counts them; 0 if it does not.
        logprobs: The log-probabilities of the answer as the server sent them.
    """

    text: str = ""
    problem: str = ""
    finish_reason: str = ""
    model: str = ""
    fingerprint: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    logprobs: Any = field(default=None, repr=False)


class Endpoint:
    """A model of an endpoint.

    Args:
        label: How messages name the model, such as "judge gpt-4.1".
        model: The model's name at the endpoint.
        url: The endpoint's base URL, such as http://localhost:8000/v1; the default path is /v1.
        key_variable: The variable that holds the key; if it is not set, OPENAI_API_KEY does.
        timeout: Seconds until a request counts as failed.
        retries: How often a request is retried that fails by a timeout, a dropped connection, 429 or 5xx.
        workers: Requests at a time.

    Raises:
        InputError: The URL is unusable.
    """

    def __init__(
        self, label: str, model: str, url: str, *, key_variable: str, timeout: float = 60, retries: int = 6,
        workers: int = 16,
    ) -> None:  # fmt: skip
        try:
            import openai
        except ModuleNotFoundError:
            raise missing_package("openai", label) from None
        self._label, self._model, self._own_variable = label, model, key_variable
        self._timeout, self._workers = timeout, workers
        self.url = base_url(label, url, key_variable)
        self.host = str(urlsplit(self.url).hostname)
        self._key_name = key_name(self.url, key_variable)
        self._key = os.environ.get(self._key_name, "")
        require_sendable(self._key, self._key_name)
        # The client insists on a key; servers of one's own ignore it.
        self._client = openai.OpenAI(
            base_url=self.url, api_key=self._key or "none", timeout=timeout, max_retries=retries
        )
        self._limit_name = "max_tokens"

    def complete(self, messages: Sequence[Message], *, max_tokens: int, **settings: Any) -> Completion:
        """Ask for one chat completion of at most `max_tokens` tokens; `settings` are further fields of the request.

        Raises:
            RefusedRequestError: The endpoint refuses the request itself.
            InputError: The endpoint cannot be reached or fails, refuses the key, or has no such model.
        """
        completion = Completion()
        for _ in range(_TRIES):
            completion = self._request_limited(messages, max_tokens, settings)
            if not completion.problem:
                break
        return completion

    def map(self, function: Callable[[Item], Value], items: Sequence[Item]) -> Iterator[tuple[int, Value]]:
        """Yield (index, function(item)) of each item as they come; `function` runs in several threads.

        An exception of `function` ends the iteration.
        """
        pending: SimpleQueue[tuple[int, Item]] = SimpleQueue()
        results: SimpleQueue[tuple[int, Value | Exception]] = SimpleQueue()
        stopped = Event()
        for item in enumerate(items):
            pending.put(item)

        def work() -> None:
            with suppress(Empty):
                while not stopped.is_set():
                    i, item = pending.get_nowait()
                    try:
                        results.put((i, function(item)))
                    except Exception as error:
                        results.put((i, error))

        # Not a ThreadPoolExecutor: an interrupted program would wait for a server that hangs.
        for _ in range(min(self._workers, len(items))):
            Thread(target=work, daemon=True).start()
        try:
            for _ in items:
                i, result = results.get()
                if isinstance(result, Exception):
                    raise result
                yield i, result
        finally:
            # After an error, or when the reader stops, no further request is sent.
            stopped.set()

    def _request_limited(self, messages: Sequence[Message], max_tokens: int, settings: dict[str, Any]) -> Completion:
        try:
            return self._request(messages, **{self._limit_name: max_tokens}, **settings)
        except RefusedRequestError as error:
            if _NEWER_LIMIT not in str(error):
                raise
        # Newer models of OpenAI refuse the older name, which most other servers know.
        self._limit_name = _NEWER_LIMIT
        return self._request(messages, **{_NEWER_LIMIT: max_tokens}, **settings)

    def _request(self, messages: Sequence[Message], **settings: Any) -> Completion:
        import httpx2
        import openai

        body = bytearray()
        try:
            with self._client.chat.completions.with_streaming_response.create(
                model=self._model,
                messages=messages,  # type: ignore[arg-type]
                **settings,
            ) as response:
                deadline = time.monotonic() + self._timeout
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > _MAX_BYTES:
                        return Completion(problem=f"an answer of more than {_MAX_BYTES:,} bytes")
                    if time.monotonic() > deadline:
                        return Completion(problem=f"an answer that takes more than {self._timeout:g} s")
        except openai.OpenAIError as error:
            raise self._error(error) from None
        # The client retries only what fails before the body.
        except httpx2.HTTPError as error:
            return Completion(problem=f"an answer that breaks off ({type(error).__name__})")
        return self._read(bytes(body))

    def _read(self, body: bytes) -> Completion:
        text = self._redact(body.decode("utf-8", "replace"))
        try:
            parsed = json.loads(text)
            choice = parsed["choices"][0]
            content = choice["message"].get("content") or ""
            if not isinstance(content, str):
                raise TypeError
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return Completion(problem=f"not a chat completion: {one_line(text)[:80]}")
        usage = parsed.get("usage")
        # Once more: JSON can spell the key with escapes.
        content, finish, model, fingerprint = (
            self._redact(well_formed(value)) if isinstance(value, str) else ""
            for value in (content, choice.get("finish_reason"), parsed.get("model"), parsed.get("system_fingerprint"))
        )
        return Completion(
            content, "", finish, model, fingerprint, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"),
            choice.get("logprobs"),
        )  # fmt: skip

    def _redact(self, text: str) -> str:
        return text.replace(self._key, "…") if self._key else text

    def _error(self, error: Any) -> InputError:
        """What the user can do, in one line."""
        import openai

        label, status = self._label, getattr(error, "status_code", None)
        if isinstance(error, openai.APITimeoutError):
            return InputError(f"{label}: {self.url} does not answer in time; run the same command again to resume")
        if isinstance(error, openai.APIConnectionError):
            reason = self._redact(one_line(error.__cause__ or error))
            return InputError(f"{label}: {self.url} cannot be reached ({reason}); check the host and the server")
        if status in (401, 403):
            refused = f"refused the key in {self._key_name}"
            action = refused if self._key_name else f"needs a key; set {self._own_variable}"
            return InputError(f"{label}: {self.host} {action} ({status})")
        if status == 404:
            return InputError(f"{label}: {self.url} has no model of this name, or is not the API's base URL (404)")
        if status == 429:
            variable = self._own_variable.removesuffix("_KEY") + "_CONCURRENCY"
            action = f"run the same command again later to resume, or lower {variable}"
            return InputError(f"{label}: {self.host} accepts no more requests (429); {action}")
        if status is not None and status >= 500:
            return InputError(f"{label}: {self.host} fails ({status}); run the same command again to resume")
        message = f"{label}: {self.host}: {self._redact(one_line(error))}"
        if status in (400, 422):
            return RefusedRequestError(message, str(getattr(error, "code", None) or ""))
        return InputError(message)


def base_url(label: str, url: str, key_variable: str) -> str:
    """Return an endpoint's base URL; a URL without a host, or one that holds a key, raises an `InputError`."""
    form = "http://HOST[:PORT][/PATH] or https://…, without a key"
    problem = InputError(f"{label}: the URL must be {form}; {key_variable} holds the key")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        raise problem from None
    if not usable or "@" in parts.netloc or parts.query or parts.fragment or url.split() != [url]:
        raise problem
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"


def key_name(url: str, key_variable: str) -> str:
    """Return the variable that holds the key for a URL: `key_variable`, else OPENAI_API_KEY; "" if neither is set."""
    parts = urlsplit(url)
    # A key that was not set for this program must not cross a network unencrypted.
    private = parts.scheme == "https" or parts.hostname in _LOCAL
    variables = (key_variable, OPENAI_KEY) if private else (key_variable,)
    return next((name for name in variables if os.environ.get(name)), "")


def read_price(variable: str) -> tuple[float, float] | None:
    """Read the cost of a million prompt and of a million completion tokens from a variable; None if it is not set.

    Raises:
        InputError: The variable holds anything else.
    """
    text = os.environ.get(variable, "")
    if not text:
        return None
    try:
        prompt, completion = map(float, text.split(","))
    except ValueError:
        prompt = completion = -1.0
    if not (0 <= prompt < math.inf and 0 <= completion < math.inf):
        raise InputError(f"{variable}={text}: must be two prices per million tokens, prompt,completion: 0.15,0.60")
    return prompt, completion


def read_number(variable: str, default: int, most: int = 1024) -> int:
    """Read a whole number from 1 to `most` from a variable; raise an `InputError` if it holds anything else."""
    text = os.environ.get(variable, "")
    if text and not (text.isdecimal() and 1 <= int(text) <= most):
        raise InputError(f"{variable}={text}: must be a whole number from 1 to {most}")
    return int(text or default)


def cost_of(tokens: tuple[int, int], price: tuple[float, float]) -> float:
    """Return the cost of (prompt, completion) tokens at a price per million of each."""
    return (tokens[0] * price[0] + tokens[1] * price[1]) / 1e6


def cost_text(tokens: tuple[int, int], price: tuple[float, float] | None, variable: str) -> str:
    """Return the end of a message about (prompt, completion) tokens: their cost, or which variable to set for it."""
    if price is None:
        return f"; cost unknown (set {variable}=PROMPT,COMPLETION per million tokens)"
    return f"; cost {cost_of(tokens, price):.4f} at {price[0]:g} and {price[1]:g} per million"


def _count(usage: Any, kind: str) -> int:
    count = usage.get(kind) if isinstance(usage, dict) else 0
    return count if type(count) is int and 0 <= count < 2**40 else 0
