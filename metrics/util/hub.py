"""The Hugging Face Hub: the form of its ids, and errors that mean it gave no answer."""

import re

# `name` or `owner/name`.
HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*(/[\w.-]+)?$", re.ASCII)


def is_hub_failure(error: BaseException) -> bool:
    """Return whether `error` means that the Hub cannot be reached or refused the request."""
    # The errors of the HTTP libraries have no common base class.
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore")
