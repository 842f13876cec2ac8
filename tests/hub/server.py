"""A local server that speaks the Hub's HTTP interface, for the unmodified huggingface_hub client.

    with HubServer() as hub:
        hub.add_user("alice", orgs={"lab": "write"}, write="hf_alice")
        api = hub.api("hf_alice")                   # in this process
        env = hub.environment("hf_alice", folder)   # for another: load_dataset, evaluate.load, a command
        hub.faults.drop_after("POST", "/commit/")
        hub.count("POST", "/commit/")

`python -m tests.hub.server --port 8000` starts a server for manual trials. It is real HTTP over real sockets, two
origins (127.0.0.1 for the Hub, localhost for the storage of large files, to which no token may go), all in memory.

Left out: Xet, so clients need HF_HUB_DISABLE_XET=1 and Xet itself is untested; multipart uploads (the real Hub asks for
them above 5 GB); git over HTTP; searching, listing, renaming and duplicating repositories; editing comments; kernels,
buckets, jobs and webhooks; rate limits other than those set as a fault; the Hub's checks of a card, of eval.yaml and of
.eval_results beyond their YAML. Guessed, because the client's source does not tell: the status of a merge in conflict
(409), what the ref of a pull request is called (use `ref`, not `name`), that an LFS object counts once it is verified.

In `tests/hub/`: git.py (content), repos.py (accounts, refs, pull requests), routes.py (endpoints), faults.py, here the
sockets, and fixtures.py for pytest.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.hub import git, routes
from tests.hub.faults import Fault, Faults
from tests.hub.repos import Hub
from tests.hub.routes import Call, Reply

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass
class Request:
    """A logged request; `status` is None if the client got no response."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    status: int | None = None


class HubServer:
    """A running server with its state in `hub`, faults in `faults` and a log of requests in `requests`."""

    def __init__(self, port: int = 0) -> None:
        self.hub = Hub()
        self.faults = Faults()
        self.requests: list[Request] = []
        self.errors: list[str] = []  # tracebacks of this server's own mistakes
        self.page_size = 1000
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", port), self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.storage = f"http://localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __enter__(self) -> HubServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server and close every connection."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()

    def add_user(self, name: str, orgs: dict[str, str] | None = None, **tokens: str) -> None:
        """Add a user with tokens by role: add_user("alice", {"lab": "write"}, write="hf_a", read="hf_b")."""
        self.hub.add_user(name, orgs, **tokens)

    def api(self, token: str | None) -> HfApi:
        """Return a client of this process with a token, or anonymous; offline tests also need the fixture `hub`."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.url, token=token or False)

    def environment(self, token: str | None, home: Path) -> dict[str, str]:
        """Return the environment of another process that uses this Hub only, with its caches in `home`."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        # The client reads these variables when it is imported.
        env |= {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "TRANSFORMERS_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            # datasets and evaluate count downloads in a bucket outside.
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        return {**env, "HF_TOKEN": token} if token else env

    def log(self, method: str, url: str = "") -> list[Request]:
        """Return the logged requests with this method whose path and query match the regular expression `url`."""
        return [r for r in list(self.requests) if r.method == method and re.search(url, r.url)]

    def count(self, method: str, url: str = "") -> int:
        return len(self.log(method, url))

    def files(self, kind: str, id: str, revision: str = "main") -> dict[str, bytes]:
        """Return the files of a revision by path, from the server's state."""
        with self.hub.lock:
            repo = self.hub.repos[kind, id]
            return {path: repo.content(file) for path, file in repo.commit(revision).tree.items()}

    def handle(self, request: Request, faults: list[Fault]) -> Reply | None:
        """Return the response, None for a cut connection."""
        for fault in faults:
            if fault.kind == "call before" and fault.call:
                fault.call()
        kinds = {fault.kind: fault for fault in faults}
        if "drop before" in kinds:
            return None
        if "answer" in kinds:
            fault = kinds["answer"]
            message = fault.message or HTTPStatus(fault.status).phrase
            refusal = git.HubError(fault.status, message)
            reply = routes.refused(refusal, urlsplit(request.url).path)
            reply.headers |= fault.headers
        else:
            reply = self._route(request)
        for fault in faults:
            if fault.kind == "call after" and fault.call:
                fault.call()
        return None if "drop after" in kinds else reply

    def _route(self, request: Request) -> Reply:
        url = urlsplit(request.url)
        query = parse_qs(url.query, keep_blank_values=True)
        call = Call(
            self.hub, request.method, url.path, query, request.headers, request.body, self.url, self.storage,
            self.page_size,
        )  # fmt: skip
        try:
            return routes.handle(call)
        except Exception:
            self.errors.append(traceback.format_exc())
            return routes.answer({"error": "Internal Error - We're working hard to fix this as soon as possible!"}, 500)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], hub: HubServer) -> None:
        super().__init__(address, _Handler)
        self.hub = hub
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Close connections that clients keep open, on which a stopped server would still respond."""
        for connection in list(self._open):
            _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnected."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    # A short answer would otherwise wait for the client's acknowledgement of the headers.
    disable_nagle_algorithm = True

    def answer(self) -> None:
        hub = self.server.hub
        body = self._read_body()
        if body is None:
            # The connection was cut while the client was sending.
            self.close_connection = True
            return
        headers = {key.lower(): value for key, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        hub.requests.append(request)
        faults = hub.faults.strike(self.command, self.path)
        reply = hub.handle(request, faults)
        if reply is None:
            self._cut()
            return
        request.status = reply.status
        self._send(reply, {fault.kind: fault for fault in faults})

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def _read_body(self) -> bytes | None:
        """Return the body, sent in one piece or in chunks; None if it ends early."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline().strip() or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            return body if self.rfile.readline() else None
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def _send(self, reply: Reply, faults: Mapping[str, Fault]) -> None:
        self.send_response(reply.status)
        headers = {
            "Content-Length": str(len(reply.body)),
            "X-Request-Id": f"Root=1-{len(self.server.hub.requests):08x}",
            "RateLimit": '"api";r=499;t=300',
            "RateLimit-Policy": '"fixed window";"api";q=500;w=300',
            **reply.headers,
        }
        for name, value in headers.items():
            self.send_header(name, " ".join(value.encode("latin-1", "replace").decode("latin-1").split("\n")))
        self.end_headers()
        body = b"" if self.command == "HEAD" else reply.body
        if "cut body" in faults:
            self.wfile.write(body[: faults["cut body"].keep])
            self._cut()
        elif "slow body" in faults:
            fault = faults["slow body"]
            size = max(1, -(-len(body) // fault.pieces))
            for start in range(0, len(body), size):
                self.server.hub.stopping.wait(fault.pause)
                self.wfile.write(body[start : start + size])
        else:
            self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        _cut(self.connection)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the log is in `requests`."""


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The client was faster.
        return


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hub.server", description="A local Hub, in memory.")
    parser.add_argument("--port", type=int, default=0, help="a free one by default")
    options = parser.parse_args()
    with HubServer(options.port) as hub:
        hub.add_user("alice", {"lab": "write"}, write="hf_alice", read="hf_alice_read")
        hub.add_user("bob", write="hf_bob")
        print(hub.url, flush=True)
        try:
            hub.stopping.wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
