"""Sends results to a Hub data set: one file per run, as a pull request; by default only shows what would be sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from metrics.errors import InputError
from metrics.files import content_hash


def result_path(document: dict[str, Any]) -> str:
    """`results/<org>__<model>/<run id>.json`; the run id depends on what was run, not on when."""
    system = document["system"]
    name = system["name"].strip("/").split("/")[-2:] if system["kind"] == "model" else [system["name"].split("/")[-1]]
    run = content_hash([system["name"], system["revision"], document["signature"]])[:16]
    return f"results/{'__'.join(name)}/{run}.json"


def check_target(repo: str, *, send: bool) -> None:
    """Finds before hours of work what would stop `push` after them. Errors: not ORG/NAME; no token, with `send`."""
    import huggingface_hub as hub

    from metrics.models import HUB_ID

    if not HUB_ID.match(repo) or "/" not in repo:
        raise InputError("--push: needs the id of a Hub data set, ORG/NAME")
    if send and not hub.get_token():
        raise InputError("--push --yes: no Hub token; set HF_TOKEN or run `hf auth login`")


def push(documents: Sequence[dict[str, Any]], repo: str, *, send: bool) -> None:
    """Prints each file with its size; with `send` opens one pull request that adds them all.

    The token is the one of the environment or of the client's login. Errors: a Hub that refuses or cannot be reached.
    """
    files = {result_path(d): json.dumps(d, ensure_ascii=False, sort_keys=True).encode() for d in documents}
    for path, data in files.items():
        print(f"{'sending' if send else 'would send'} {path} ({len(data):,} bytes) to {repo}")
    if not send:
        print("nothing was sent; add --yes to open a pull request")
        return
    import huggingface_hub as hub

    from metrics.models import is_hub_failure

    operations = [hub.CommitOperationAdd(path, data) for path, data in files.items()]
    try:
        commit = hub.HfApi().create_commit(
            repo, operations, repo_type="dataset", commit_message=f"Add {len(files)} results", create_pr=True
        )
    except Exception as error:
        if not is_hub_failure(error):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{repo}: the Hub took nothing ({reason}); run the same command again") from None
    print(f"pull request: {commit.pr_url}")
