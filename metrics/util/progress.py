"""Progress bars with a time estimate, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

T = TypeVar("T")


def bar_settings() -> dict[str, Any]:
    """tqdm's settings: a log file gets a line every ten seconds instead of ten a second."""
    return {"mininterval": 0.1 if sys.stderr.isatty() else 10.0, "dynamic_ncols": True}


def progress(items: Iterable[T], description: str, *, leave: bool = True) -> Iterator[T]:
    """Yields `items` under a tqdm bar; leave=False: one inside another bar, which goes when it is full."""
    from tqdm import tqdm

    total = len(items) if isinstance(items, Sized) else None
    yield from tqdm(items, desc=description, total=total, leave=leave, **bar_settings())
