"""Progress bars with a time estimate, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], description: str, total: int | None = None, done: int = 0) -> Iterator[T]:
    """Yields `items` under a tqdm bar. total: how many there are, if `items` cannot say; done: already there."""
    from tqdm import tqdm

    if total is None and isinstance(items, Sized):
        total = done + len(items)
    # A log file gets a line every ten seconds instead of ten a second.
    interval = 0.1 if sys.stderr.isatty() else 10.0
    bar = tqdm(items, desc=description, total=total, initial=done, mininterval=interval, dynamic_ncols=True)
    yield from bar
