"""A server of chat completions on this machine, for tests: what it answers is a function of the test."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# (body of the request, number of the request from 0) -> a reply.
Answer = Callable[[dict[str, Any], int], "Reply"]


class Reply:
    """A status, a body, headers, and what goes wrong with the connection.

    That is: seconds of silence, only half of the body, or seconds between its bytes.
    """

    def __init__(
        self, body: dict[str, Any] | str, status: int = 200, *, silent: float = 0, half: bool = False, drip: float = 0,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.text = body if isinstance(body, str) else json.dumps(body)
        self.status, self.silent, self.half, self.drip, self.headers = status, silent, half, drip, headers or {}


def failure(status: int) -> Reply:
    """An error in the words of this interface."""
    return Reply({"error": {"message": f"failure {status}", "type": "error", "code": None}}, status)


def completion(
    text: str | None, candidates: list[tuple[str, float]] | None = None, *, finish: str = "stop", **named: str
) -> Reply:
    """A chat completion of ten prompt tokens and one completion token; `candidates`: (token, log-probability)."""
    top = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in candidates or []]
    logprobs = {"content": [{**top[0], "top_logprobs": top}]} if top else None
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": logprobs}
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    fields = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", **named}
    return Reply({**fields, "choices": [choice], "usage": usage})


@contextmanager
def judge_server(answer: Answer) -> Iterator[Server]:
    """Serve until the block ends."""
    server = Server(answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Server(ThreadingHTTPServer):
    """The server; `requests` and `keys` are what it got."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.requests, self.keys = answer, [], set()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, address: Any) -> None:
        """No message if the client has gone, as after a timeout."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            number = len(self.server.requests)
            self.server.requests.append(body)
            self.server.keys.add(self.headers["Authorization"])
        reply = self.server.answer(body, number) if self.path == "/v1/chat/completions" else failure(404)
        time.sleep(reply.silent)
        data = reply.text.encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        data = data[: len(data) // 2] if reply.half else data
        for i in range(0, len(data), 1 if reply.drip else len(data)):
            self.wfile.write(data[i : i + 1] if reply.drip else data)
            time.sleep(reply.drip)
        self.close_connection = reply.half

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a test's output is its result."""
