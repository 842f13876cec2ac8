"""A server of chat completions on this machine, for the tests of judges: what it answers is a function of the test."""

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
    """A status, a body, and what goes wrong with the connection: seconds of silence, or only half of the body."""

    def __init__(self, body: dict[str, Any] | str, status: int = 200, *, silent: float = 0, half: bool = False) -> None:
        self.text = body if isinstance(body, str) else json.dumps(body)
        self.status, self.silent, self.half = status, silent, half


def failure(status: int) -> Reply:
    """An error in the words of this interface."""
    return Reply({"error": {"message": f"failure {status}", "type": "error", "code": None}}, status)


def completion(text: str, candidates: list[tuple[str, float]] | None = None) -> Reply:
    """A chat completion of ten prompt tokens and one completion token; `candidates`: (token, log-probability)."""
    top = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in candidates or []]
    logprobs = {"content": [{**top[0], "top_logprobs": top}]} if top else None
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": logprobs}
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    named = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
    return Reply({**named, "choices": [choice], "usage": usage})


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
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if reply.half else data)
        self.close_connection = reply.half

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a test's output is its result."""
