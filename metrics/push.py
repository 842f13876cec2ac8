"""`metrics.score --push`: hands results to the command that publishes; by default only shows what it would do.

A process of its own: this room knows nothing of leaderboards.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError
from metrics.util.files import write_json


def check_target(repo: str, *, send: bool) -> None:
    """Finds before hours of work what would stop `push` after them. Errors: not ORG/NAME; no token, with `send`."""
    import huggingface_hub as hub

    from metrics.util.hub import HUB_ID

    if not HUB_ID.match(repo) or "/" not in repo:
        raise InputError("--push: needs the id of a Hub data set, ORG/NAME")
    if send and not hub.get_token():
        raise InputError("--push --yes: no Hub token; set HF_TOKEN or run `hf auth login`")


def push(documents: Sequence[dict[str, Any]], repo: str, *, send: bool) -> None:
    """Runs `python -m leaderboard.publish` on the results, with `send` for real. Errors: it failed, and said why."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "results.json"
        write_json(path, {"results": list(documents)})
        command = [sys.executable, "-m", "leaderboard.publish", str(path), "--repo", repo]
        sys.stdout.flush()
        done = subprocess.run([*command, "--pr"] if send else [*command, "--dry-run"])
    if done.returncode != 0:
        said = "the Hub took nothing" if send else "not shown"
        raise InputError(f"{repo}: {said}; the same command goes on, or leaderboard.publish with the file of --json")
    if not send:
        print("nothing was sent; add --yes to open a pull request")
