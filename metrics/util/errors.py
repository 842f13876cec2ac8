"""Errors a user can mend, and the frame of every command; imports no package that may not be installed."""

import difflib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from metrics.util.characters import printable
from metrics.util.console import VERBOSE, quieten_libraries

# Which extra of pyproject.toml installs a package that the base install does not.
_EXTRAS = {
    "anyio": "inspect", "ctranslate2": "ctranslate2", "gradio": "space", "inspect_ai": "inspect", "lm_eval": "lm-eval",
    "nltk": "wieting", "openai": "endpoint", "ray": "ray", "sentencepiece": "wieting", "tensorboard": "trackers",
    "trackio": "trackers", "vllm": "vllm",
}  # fmt: skip
_OWN_PACKAGES = ("bench", "leaderboard", "metrics", "repro", "tests")


class InputError(Exception):
    """Unusable input; the message is one line: what is wrong, where, and what to do; it is shown with no traceback."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" for the element of `known` that resembles `name` most, "" if none does."""
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else ""


@contextmanager
def name_option(option: str) -> Iterator[None]:
    """Begin the message of an `InputError` from inside the block with the option that led to it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{option}: {error}") from error


def one_line(error: object) -> str:
    """Return an error's text as one line of at most 300 characters, to be quoted in an `InputError`."""
    return " ".join(str(error).split())[:300]


def missing_package(package: str, needed_by: str = "this command") -> InputError:
    """Build the error for a `package` (as it is imported) that is not installed, with the command that installs it."""
    target = f"'.[{_EXTRAS[package]}]'" if package in _EXTRAS else "."
    command = f"pip install -c constraints.txt -e {target}"
    return InputError(f"{needed_by} needs the package {package}; install it with: {command}")


def run_command(main: Callable[[list[str]], None], argv: list[str] | None = None) -> None:
    """Run `main(argv)` and end the process where it fails: exit code 2 (bad input, full disk) or 130 (interrupted).

    Messages and progress bars of other libraries are switched off unless --verbose is among the arguments `argv`, by
    default the process's own, which `main` parses itself.
    """
    argv = sys.argv[1:] if argv is None else argv
    if VERBOSE not in argv:
        quieten_libraries()
    try:
        main(argv)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to resume", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of the pipe, such as head, has closed it; without this Python fails once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        message = _message(error)
        if not message:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)


def _message(error: Exception) -> str | None:
    """What the user can do about an error, in one line; None for a fault of the program."""
    if isinstance(error, InputError):
        # Input may hold control characters of terminals, or megabytes.
        return printable(" ".join(str(error).split()), 2_000)
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        known = package in ("", *_OWN_PACKAGES) or package in sys.stdlib_module_names
        return None if known else str(missing_package(package))
    return out_of_space(error)


def out_of_space(error: BaseException) -> str | None:
    """Return a one-line message if `error`, or one of its causes, reports a full disk, else None."""
    cause: BaseException | None = error
    while cause is not None:
        code = getattr(cause, "errno", None)
        # safetensors reports the operating system's error only as text, and torch not even that.
        texts = ("No space left on device", "PytorchStreamWriter failed writing")
        if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or any(text in str(cause) for text in texts):
            path = getattr(cause, "filename", None)
            at = f" at {path}" if path else ""
            return f"the disk is full{at}; free some space, or choose other folders with --out and SRO_HOME"
        cause = cause.__cause__ or cause.__context__
    return None
