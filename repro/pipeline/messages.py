"""Warnings and log messages of other libraries, which a run writes to its log."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from metrics.util.console import LIBRARIES


class _LogHandler(logging.Handler):
    def __init__(self, log: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log({"library": record.name, "level": record.levelname.lower(), "message": record.getMessage()})


@contextmanager
def logged_messages(log: Callable[[dict[str, Any]], None], *, verbose: bool) -> Iterator[None]:
    """Pass other libraries' messages to `log` while the block runs.

    Args:
        log: Receives each message as an event.
        verbose: Whether Python warnings appear on the terminal too. Log messages do if their logger's level allows it.
    """
    handler = _LogHandler(log)
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    levels = [logger.level for logger in loggers]
    for logger, level in zip(loggers, levels, strict=True):
        for other in logger.handlers:
            other.setLevel(max(other.level, level))
        logger.addHandler(handler)
        logger.setLevel(min(level or logging.WARNING, logging.WARNING))
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_and_log(
            message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
        ) -> None:
            log({"library": filename, "level": "warning", "message": f"{category.__name__}: {message}"})
            if verbose:
                show(message, category, filename, lineno, file, line)

        warnings.simplefilter("default")
        warnings.showwarning = show_and_log
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(handler)
                logger.setLevel(level)
