"""Errors a user can mend: one line that says what was wrong, where, and what to do."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable


class InputError(Exception):
    """Something given from outside cannot be used. The message is one line for the user; no traceback is needed."""


def run_command(main: Callable[[list[str]], None], argv: list[str] | None = None) -> None:
    """Runs `main(argv)` and ends the process with exit code 0, 2 (bad input, full disk) or 130 (interrupted).

    Other exceptions keep their traceback: they are faults of the program.
    """
    try:
        main(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        # Input may hold what steers a terminal, or a megabyte of it.
        shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in " ".join(str(error).split())[:2_000])
        print(f"error: {shown}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe, such as head, has seen enough; what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        line = out_of_space(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def out_of_space(error: BaseException) -> str | None:
    """One line if `error`, or what caused it, is a disk that takes no more; None for any other error."""
    seen: BaseException | None = error
    while seen is not None:
        code = getattr(seen, "errno", None)
        # safetensors reports the operating system's error only as text, and torch not even that.
        texts = ("No space left on device", "PytorchStreamWriter failed writing")
        full = code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or any(text in str(seen) for text in texts)
        if full:
            where = getattr(seen, "filename", None)
            at = f" at {where}" if where else ""
            return f"the disk is full{at}; free some space, or choose other folders with --out and SRO_HOME"
        seen = seen.__cause__ or seen.__context__
    return None
