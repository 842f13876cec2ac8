"""Published figures as rows: with their source; without an interval, signature or rank."""

import functools
from pathlib import Path
from typing import Any

import yaml

from leaderboard.rows.row import Row, load_row, run_id, schema_version
from leaderboard.rows.systems import system_facts
from metrics.data.languages import ENGLISH
from metrics.scoring import METRICS

_PUBLISHED = Path(__file__).parent / "published.yaml"


@functools.cache
def published_rows() -> tuple[Row, ...]:
    """Return the rows of `published.yaml`."""
    table = yaml.safe_load(_PUBLISHED.read_text("utf-8"))
    date = table["entered"].isoformat() + "T00:00:00Z"
    return tuple(
        _row(group, system, scores, date) for group in table["groups"] for system, scores in group["rows"].items()
    )


def _row(group: dict[str, Any], system: str, scores: list[float | None], date: str) -> Row:
    kind = "human" if system == "Human references" else "baseline" if system in ("Delete", "Duplicate") else "model"
    # "s-nlp/bart-base-detox, one decoding" is a Hub id with a remark.
    name = system.partition(",")[0] if system.startswith("s-nlp/") else system
    facts = system_facts(name, group["test_set"], {}).model_dump(mode="json")
    document = {
        "schema_version": schema_version(ENGLISH),
        "record": "published",
        "run_id": run_id(system, "", {}, f"{group['url']} {group['test_set']} {group['profile']}"),
        "system": {"name": system, "kind": kind, "revision": "", "about": facts},
        "test_set": {"name": group["test_set"], "origin": "published", "revision": "", "sha256": "", "n": group["n"]},
        "profile": group["profile"],
        "signature": "",
        "decoding": {},
        "scores": {name: {"mean": mean} for name, mean in zip(METRICS, scores, strict=True) if mean is not None},
        "submitter": "published",
        "date": date,
        "source": {"title": group["source"], "url": group["url"]},
    }
    return load_row(document, f"{_PUBLISHED.name}: {system}")
