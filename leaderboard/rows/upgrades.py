"""Upgrades of stored rows from older schema versions to the current one."""

from typing import Any

from leaderboard.rows.formats import read_json
from metrics.scoring import METRICS
from metrics.scoring.signature import Signature
from metrics.util.errors import InputError


def upgrade_v1(document: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a version 1 row, a flat record, in the shape of version 2; a field that it lacks raises InputError.

    The error begins with `where`.
    """
    try:
        provenance = read_json(document["provenance"].encode(), "provenance")
        decoding = read_json(document["decoding"].encode(), "decoding")
        scores = {m: {"mean": document[m], "low": document[f"{m}_low"], "high": document[f"{m}_high"]} for m in METRICS}
        digest, n = document["test_set_sha256"], document["n"]
        test_set = {"name": document["test_set"], "origin": document["test_set_origin"], "sha256": digest}
        stored = {name: provenance.get(name) for name in ("recipe", "packages", "git_commit")}
        return {
            "schema_version": 2,
            "run_id": document["row_id"],
            "system": {name: document["system" if name == "name" else name] for name in ("name", "kind", "revision")},
            "test_set": {**test_set, "revision": f"sha256:{digest[:16]}", "n": n, "of": n},
            "profile": document["signature"].split("|")[0].removeprefix("profile:"),
            "signature": _with_decoding(document["signature"], decoding),
            "decoding": decoding,
            "scores": scores,
            **{name: document[name] for name in ("length_ratio", "copies")},
            "provenance": {name: value for name, value in stored.items() if value is not None},
            "submitter": "unknown",
            # Version 1 rows were never published. This is the last day on which this program wrote one.
            "date": "2026-11-24T00:00:00Z",
        }
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where}: a row of schema version 1 that lacks a field ({error})") from None


def _with_decoding(key: str, decoding: dict[str, Any]) -> str:
    """Return the long signature for version 1's key, which left the decoding out."""
    measure = dict(part.partition(":")[::2] for part in key.split("|"))
    try:
        return Signature.of(measure, decoding).long
    except ValueError:
        return key
