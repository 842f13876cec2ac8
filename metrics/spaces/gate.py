"""The gate before the server of a page: which requests gradio gets to see, how large, and how many at once.

Gradio's own server takes files from anybody and serves them back, answers bodies of any size, and has routes for
recordings, proxies and components that these pages do not use. `launch_options` closes them, wherever the page runs.
"""

import asyncio
import os
import re
import sys
import time
from collections import OrderedDict
from typing import Any
from urllib.parse import parse_qsl

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metrics.util.characters import printable

# A route that is missing here does not exist: those of a later version of gradio are closed until somebody adds them.
_STREAMS = r"/gradio_api/(heartbeat/[^/]+|queue/data|call/(v2/)?[^/]+/[^/]+)"
_READ = re.compile(
    r"/|/(config|theme\.css|robots\.txt|favicon\.ico|manifest\.json|pwa_icon(/\d+)?)/?|/(static|assets|svelte)/.+"
    rf"|/gradio_api/(info|openapi\.json|app_id|startup-events|theme\.css|queue/status)/?|{_STREAMS}"
)
_STREAM = re.compile(_STREAMS)
_QUEUED = re.compile(r"/gradio_api/(queue/join|call/(v2/)?[^/]+)/?")
_WRITE = re.compile(rf"/gradio_api/((run|api)/[^/]+|cancel|reset)/?|{_QUEUED.pattern}")
# Of one address. Six people behind it can use the page at once; a browser holds two streams and sends one body.
MAX_REQUESTS, MAX_STREAMS = 32, 100
# Calls of one address that wait in the queue, such as a comparison: how many at once, and how many per second.
BURST, RATE = 60, 10.0
# Seconds in which a body must arrive.
_PATIENCE = 20
_ADDRESSES = 10_000


class Gate:
    """An ASGI middleware that answers 404, 413 or 429 in place of `app`; `max_body` is in bytes."""

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self._app, self._max_body = app, max_body
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        # The pages have no web sockets.

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, writes = str(scope["path"]), scope["method"] == "POST"
        allowed = _WRITE if writes else _READ if scope["method"] in ("GET", "HEAD") else None
        # By `page`, gradio looks for a second page, which these apps do not have, and fails.
        pages = any(name == b"page" for name, _ in parse_qsl(scope["query_string"]))
        if allowed is None or not allowed.fullmatch(path) or pages:
            return await _refuse(send, 404, "this page has no such address")
        client = self._client(scope)
        if (writes and _QUEUED.fullmatch(path) and not client.may_queue()) or not client.enter(writes, path):
            return await _refuse(send, 429, "too many requests at once; try again in a few seconds")
        answer = _Answer(send, writes)
        try:
            if writes:
                try:
                    body = await asyncio.wait_for(self._body(receive), _PATIENCE)
                except TimeoutError:
                    return await _refuse(send, 408, "the request did not arrive in time")
                if body is None:
                    return await _refuse(send, 413, f"at most {self._max_body:,} bytes")
                receive = _replay(body, receive)
            await self._app(scope, receive, answer)
        except Exception as error:
            if answer.started:
                raise
            # gradio fails on calls of events that do not exist.
            print(f"refused {scope['method']} {printable(path, 100)}: {type(error).__name__}", file=sys.stderr)
            await _refuse(send, 400, "this page has no such call")
        finally:
            client.leave(writes, path)

    async def _body(self, receive: Receive) -> bytes | None:
        """The body of a request; None if it is too large, of which no more is read."""
        parts, size = [], 0
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max_body:
                return None
            if not message.get("more_body"):
                return b"".join(parts)

    def _client(self, scope: Scope) -> "_Client":
        address = (scope.get("client") or ("",))[0]
        # A Space is reached through its platform's proxy, which appends the address that it saw.
        if "SPACE_ID" in os.environ:
            forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
            address = forwarded.decode("latin-1").rpartition(",")[2].strip() or address
        client = self._clients.setdefault(address, _Client())
        self._clients.move_to_end(address)
        while len(self._clients) > _ADDRESSES:
            self._clients.popitem(last=False)
        return client


class _Client:
    """What one address does: its open requests and streams, and how many calls it may add to the queue."""

    def __init__(self) -> None:
        self.requests = self.streams = 0
        self._calls, self._checked = float(BURST), time.monotonic()

    def may_queue(self) -> bool:
        now = time.monotonic()
        self._calls = min(float(BURST), self._calls + (now - self._checked) * RATE)
        self._checked = now
        if self._calls < 1:
            return False
        self._calls -= 1
        return True

    def enter(self, writes: bool, path: str) -> bool:
        if writes and self.requests < MAX_REQUESTS:
            self.requests += 1
        elif not writes and _STREAM.fullmatch(path) and self.streams < MAX_STREAMS:
            self.streams += 1
        else:
            return not writes and not _STREAM.fullmatch(path)
        return True

    def leave(self, writes: bool, path: str) -> None:
        if writes:
            self.requests -= 1
        elif _STREAM.fullmatch(path):
            self.streams -= 1


def launch_options(max_body: int) -> dict[str, Any]:
    """Return the arguments of `gr.Blocks.launch` that put the gate before a page whose inputs take `max_body` bytes."""
    return {
        "app_kwargs": {"middleware": [Middleware(Gate, max_body=max_body)]},
        # The server of Node would stand before the gate.
        "ssr_mode": False, "mcp_server": False, "enable_monitoring": False, "run_history": False,
        "state_session_capacity": 1_000,
    }  # fmt: skip


class _Answer:
    """A `send` that answers a failed call with 400: gradio says 500 for values that no event of the page takes."""

    def __init__(self, send: Send, writes: bool) -> None:
        self.started = False
        self._send, self._writes = send, writes

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self._writes and message["status"] == 500:
                message = {**message, "status": 400}
        await self._send(message)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, and then what comes after it."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


async def _refuse(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"detail": "%s"}' % reason.encode()})
