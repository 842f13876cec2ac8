"""The Hugging Face Hub: the form of its ids, its token, and errors that mean it gave no answer."""

import re

from metrics.util.errors import InputError

# `name` or `owner/name`.
HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*(/[\w.-]+)?$", re.ASCII)


def require_sendable(secret: str | None, name: str) -> None:
    """Raise an `InputError`, which does not show it, if a token or key has a character that no HTTP header can hold."""
    if secret and not (secret.isascii() and secret.isprintable()):
        raise InputError(f"{name} has a character that no HTTP header can hold; copy it again")


def require_sendable_token(token: str | None = None) -> None:
    """Check `token`, or else the user's Hub token, as `require_sendable` does."""
    from huggingface_hub import get_token

    require_sendable(token or get_token(), "the Hub token (HF_TOKEN, or that of `hf auth login`)")


def is_hub_failure(error: BaseException) -> bool:
    """Return whether `error` means that the Hub cannot be reached or refused the request."""
    # The errors of the HTTP libraries have no common base class.
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore")
