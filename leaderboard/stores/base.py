"""The interface of a store, and optimistic locking: read, plan, commit against the revision that was read, or retry."""

import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from metrics.util.errors import InputError

T = TypeVar("T")
PATIENCE_SECONDS = 600
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 8.0
_MAX_UNANSWERED = 5
# The pauses before this many attempts add up to 74 s: a replica of the Hub may lag by a minute.
MAX_UNMOVED = 13


class LostRaceError(Exception):
    """The store says that it changed after `parent` was read; nothing was written."""

    def __init__(self, parent: str = "") -> None:
        super().__init__(parent)
        self.parent = parent


class UnmovedHeadError(InputError):
    """The store refuses each commit as outdated, and yet still shows the revision that the commit was planned on."""


class BusyError(Exception):
    """The store asks to wait `pause` seconds, or (not `answered`) gave no response; a change may have been written."""

    def __init__(self, reason: str, pause: float = 0, answered: bool = True) -> None:
        super().__init__(reason)
        self.pause = pause
        self.answered = answered


class ForbiddenError(InputError):
    """The token lacks the permission; nothing was written."""


@dataclass(frozen=True)
class Snapshot:
    """One state of a store: a revision, the paths of its files, and git's hashes of them if the store has them.

    `unread` names what lies where files should: its kind ("a symbolic link") by path. Nothing reads it.
    """

    revision: str
    files: frozenset[str]
    _read: Callable[[str], bytes]
    oids: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)

    def read(self, path: str) -> bytes:
        """Return the bytes of a file, which may have changed since the snapshot of a folder."""
        if path not in self.files:
            raise InputError(f"{path}: not in this leaderboard")
        return self._read(path)


# Has no files, so its reader is never called.
EMPTY = Snapshot("", frozenset(), lambda path: b"")


class Store(Protocol):
    """A leaderboard that can be read and changed."""

    name: str

    def snapshot(self, *, prefetch: bool = False) -> Snapshot:
        """Return the store's current state; `prefetch` downloads all files at once, for callers that read them all."""

    def commit(self, changes: Mapping[str, bytes], parent: str, message: str) -> str:
        """Write all files of `changes` (path → content), or none, and return the new revision.

        Raises:
            LostRaceError: The store is no longer at `parent`.
            BusyError: The store gave no usable response.
            ForbiddenError: The token may not write.
        """


def retry(act: Callable[[], T], name: str, patience: float | None = None, max_unmoved: int = MAX_UNMOVED) -> T:
    """Return `act()`, called again after pauses while it raises `LostRaceError` or `BusyError`; say each time why.

    Args:
        act: Reads the store, plans and commits. If only the response to a commit was lost, it finds the change there.
        name: Name of the store.
        patience: Seconds after which retries end (default: `PATIENCE_SECONDS`).
        max_unmoved: After how many commits in a row that are refused as outdated on the same revision retries end.

    Raises:
        UnmovedHeadError: `max_unmoved` is reached.
        InputError: The time is over, or five attempts in a row had no response.
    """
    unanswered = unmoved = lost = 0
    parent: str | None = None
    end = time.monotonic() + (PATIENCE_SECONDS if patience is None else patience)
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return act()
        except LostRaceError as error:
            lost, unanswered = lost + 1, 0
            unmoved = unmoved + 1 if error.parent == parent else 1
            parent = error.parent
            # A rival pauses at random, so that two publishers do not meet again. A head that stays has no rival.
            wait = random.uniform(0, pause) if unmoved == 1 else pause
            reason = f"other publishers were faster in {lost} attempts"
            if unmoved > 1:
                reason = f"refused {unmoved} commits as outdated, and still shows revision {parent[:12]}"
            if unmoved == max_unmoved:
                raise UnmovedHeadError(f"{name}: {reason}") from None
            first = "a change came between reading and this commit" if lost == 1 else reason
            message = f"{first}; reading it again in {wait:.1f} s"
        except BusyError as error:
            reason = str(error)
            wait = random.uniform(0, pause) + error.pause
            unanswered = 0 if error.answered else unanswered + 1
            message = f"{reason}; retrying in {wait:.0f} s"
        if time.monotonic() + wait > end or unanswered == _MAX_UNANSWERED:
            raise InputError(f"{name}: gave up ({reason}); run the same command again")
        print(f"{name}: {message}", file=sys.stderr)
        time.sleep(wait)
        pause = min(3 * pause, _LONGEST_PAUSE_SECONDS)
