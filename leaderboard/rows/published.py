"""Published figures as rows of their own kind: with their source, without interval, signature or rank."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml

from leaderboard.rows.row import SCHEMA_VERSION, Row, load_row, run_id
from leaderboard.rows.systems import known
from metrics.scoring import METRICS

PUBLISHED = Path(__file__).parent / "published.yaml"


@functools.cache
def published_rows() -> tuple[Row, ...]:
    """The rows of `published.yaml`."""
    table = yaml.safe_load(PUBLISHED.read_text("utf-8"))
    return tuple(
        _row(group, system, scores, table["entered"].isoformat() + "T00:00:00Z")
        for group in table["groups"]
        for system, scores in group["rows"].items()
    )


def _row(group: dict[str, Any], system: str, scores: list[float | None], date: str) -> Row:
    given = {name: {"mean": value} for name, value in zip(METRICS, scores, strict=True) if value is not None}
    comparable = f"{group['url']} {group['test_set']} {group['profile']}"
    kind = "human" if system == "Human references" else "baseline" if system in ("Delete", "Duplicate") else "model"
    document = {
        "schema_version": SCHEMA_VERSION,
        "record": "published",
        "run_id": run_id(system, "", {}, comparable),
        "system": {
            "name": system, "kind": kind, "revision": "",
            "about": known(system.partition(",")[0] if system.startswith("s-nlp/") else system, group["test_set"], {})
            .model_dump(mode="json"),
        },
        "test_set": {"name": group["test_set"], "origin": "published", "revision": "", "sha256": "", "n": group["n"]},
        "profile": group["profile"],
        "signature": "",
        "decoding": {},
        "scores": given,
        "submitter": "published",
        "date": date,
        "source": {"title": group["source"], "url": group["url"]},
    }  # fmt: skip
    return load_row(document, f"{PUBLISHED.name}: {system}")
