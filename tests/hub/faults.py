"""Faults between a client and the local Hub: refusals, cut connections, slow bodies, races.

    hub.faults.answer("POST", "/commit/", 429, {"Retry-After": "1"})     the next such request is refused
    hub.faults.drop_before("PUT", "/storage/", times=None)               all are cut off, and nothing was done
    hub.faults.drop_after("POST", "/commit/")                            done, but the client never hears of it
    hub.faults.cut_body("GET", "/resolve/", keep=10)                     ten bytes of the answer, then nothing
    hub.faults.slow_body("GET", "/resolve/", pieces=5, pause=0.01)       the answer trickles
    hub.faults.call_before("POST", "/commit/", function)                 another publisher wins the race
    hub.faults.call_after("POST", "/preupload/", function)               the repository is made private meanwhile

A path is a regular expression that is searched in the path with its query. `times` is how many requests a fault hits
(None: all), `skip` how many it lets pass first; each fault counts its own `hits`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

# The requests of create_commit with a README.md and one large file, in their order: method and path.
UPLOAD_STEPS = {
    "validate-yaml": ("POST", "/api/validate-yaml"),
    "preupload": ("POST", "/preupload/"),
    "batch": ("POST", r"\.git/info/lfs/objects/batch"),
    "put": ("PUT", "/storage/"),
    "verify": ("POST", r"\.git/info/lfs/verify"),
    "commit": ("POST", "/commit/"),
}


@dataclass
class Fault:
    kind: str
    method: str
    path: str
    times: int | None = 1
    skip: int = 0
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    message: str = ""
    keep: int = 0
    pieces: int = 1
    pause: float = 0.0
    call: Callable[[], object] | None = None
    hits: int = 0

    def strikes(self, method: str, url: str) -> bool:
        """Return whether the fault applies to this request, and count it."""
        if method != self.method or not re.search(self.path, url):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def answer(
        self,
        method: str,
        path: str,
        status: int,
        headers: dict[str, str] | None = None,
        message: str = "",
        times: int | None = 1,
        skip: int = 0,
    ) -> Fault:
        """Respond with an error instead of handling; `headers` may have X-Error-Code and others."""
        return self._add(
            Fault("answer", method, path, times, skip, status=status, headers=headers or {}, message=message)
        )

    def drop_before(self, method: str, path: str, times: int | None = 1, skip: int = 0) -> Fault:
        """Close the connection before the request is handled."""
        return self._add(Fault("drop before", method, path, times, skip))

    def drop_after(self, method: str, path: str, times: int | None = 1, skip: int = 0) -> Fault:
        """Handle the request, then close the connection without a response."""
        return self._add(Fault("drop after", method, path, times, skip))

    def cut_body(self, method: str, path: str, keep: int, times: int | None = 1, skip: int = 0) -> Fault:
        """Respond with all headers and the first `keep` bytes of the body, then close the connection."""
        return self._add(Fault("cut body", method, path, times, skip, keep=keep))

    def slow_body(
        self, method: str, path: str, pieces: int = 5, pause: float = 0.01, times: int | None = 1, skip: int = 0
    ) -> Fault:
        """Send the body in `pieces`, with a pause in seconds before each."""
        return self._add(Fault("slow body", method, path, times, skip, pieces=pieces, pause=pause))

    def call_before(
        self, method: str, path: str, call: Callable[[], object], times: int | None = 1, skip: int = 0
    ) -> Fault:
        """Call a function before the request is handled; it may use the server itself."""
        return self._add(Fault("call before", method, path, times, skip, call=call))

    def call_after(
        self, method: str, path: str, call: Callable[[], object], times: int | None = 1, skip: int = 0
    ) -> Fault:
        """Call a function after the request is handled and before the response."""
        return self._add(Fault("call after", method, path, times, skip, call=call))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def strike(self, method: str, url: str) -> list[Fault]:
        """Return the faults of one request: all functions to call, and the first of the others."""
        struck: list[Fault] = []
        with self._lock:
            for fault in self._faults:
                taken = any(other.call is None for other in struck)
                if (fault.call is not None or not taken) and fault.strikes(method, url):
                    struck.append(fault)
        return struck

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault
