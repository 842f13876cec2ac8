"""Reads the files that `metrics.score --json` writes, and refuses altered ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from metrics.scoring import DECIMALS, METRICS
from metrics.scoring.result import SCHEMA
from metrics.scoring.signature import Signature
from metrics.util.errors import InputError
from metrics.util.files import read_text


def read_result(path: Path) -> dict[str, Any]:
    """Read a file with one result.

    Raises:
        InputError: As `read_results`, or the file holds several results.
    """
    documents = _documents(path)
    if len(documents) != 1:
        raise InputError(f"{path}: several results; score the systems one by one for a comparison")
    return _checked(documents[0], path)


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read a file with one result or several.

    Raises:
        InputError: The file is of another kind or an older schema, or was altered.
    """
    return [_checked(document, path) for document in _documents(path)]


def _documents(path: Path) -> list[Any]:
    try:
        document = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    several = isinstance(document, dict) and isinstance(document.get("results"), list)
    return list(document["results"]) if several else [document]


def _checked(document: Any, path: Path) -> dict[str, Any]:
    if not isinstance(document, dict) or not {"schema", "system", "signature", "sentences"} <= document.keys():
        raise InputError(f"{path}: not a result; write one with python -m metrics.score … --json FILE")
    if document["schema"] != SCHEMA:
        raise InputError(
            f"{path}: schema {str(document['schema'])[:40]}, this program reads {SCHEMA}; score the system again"
        )
    damage = _damage(document)
    if damage:
        raise InputError(f"{path}: {damage}; it was altered, score the system again")
    return document


def _damage(document: dict[str, Any]) -> str:
    """What is wrong with a result of this schema; "" for nothing."""
    system, sentences, signature = document["system"], document["sentences"], document["signature"]
    if not isinstance(system, dict) or not isinstance(system.get("name"), str) or not isinstance(signature, str):
        return "no system name or signature"
    n = Signature.parse(signature).fields()["n"]
    if not isinstance(sentences, list) or not sentences or str(len(sentences)) != n:
        return f"not the {n} sentences of its signature"
    for number, sentence in enumerate(sentences):
        if not isinstance(sentence, dict) or not isinstance(sentence.get("source"), str):
            return f"sentence {number} has no source"
        values: list[Any] = [sentence.get(metric) for metric in METRICS]
        if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
            return f"sentence {number} lacks a score that is a finite number"
        sta, sim, fl, j = values
        if abs(sta * sim * fl - j) > 10**-DECIMALS:
            return f"sentence {number}: j is not sta · sim · fl"
    return ""
