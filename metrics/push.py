"""`metrics.score --push`: calls the publisher that the leaderboard, which the metrics do not import, registers."""

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

import huggingface_hub as hub

from metrics.util.errors import InputError
from metrics.util.hub import HUB_ID


def check_target(repo: str, *, send: bool) -> None:
    """Raise an `InputError`, before the scoring, for what would make `push` with the same arguments fail after it."""
    if not HUB_ID.match(repo) or "/" not in repo:
        raise InputError("--push: needs the id of a Hub data set, ORG/NAME")
    if send and not hub.get_token():
        raise InputError("--push --yes: no Hub token; set HF_TOKEN or run `hf auth login`")
    _publisher()


def push(documents: Sequence[dict[str, Any]], repo: str, *, send: bool) -> None:
    """Open a pull request with result documents to the Hub data set `repo`, or without `send` only show it.

    Raises:
        InputError: The publisher refused the results, or the Hub did.
    """
    try:
        _publisher()(documents, repo, send=send)
    except InputError as error:
        problem = f"{repo}: {'the Hub took nothing' if send else 'not shown'} ({error})"
        raise InputError(
            f"{problem}; run the same command again, or leaderboard.publish with the file of --json"
        ) from None
    if not send:
        print("nothing was sent; add --yes to open a pull request")


def _publisher() -> Any:
    """Load the entry point: a function of (documents, repo, *, send)."""
    for entry_point in entry_points(group="detox_suite.publishers", name="leaderboard"):
        return entry_point.load()
    raise InputError("--push: no publisher is installed; install the suite: pip install -c constraints.txt -e .")
