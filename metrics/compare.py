"""The command `python -m metrics.compare A.json B.json`: is system A better than B, on the same sentences?

A.json and B.json are what `python -m metrics.score … --json FILE` wrote. Unequal signatures are refused: such scores
are not comparable. Prints, per metric, A − B with its paired-bootstrap interval and the p-value of an approximate
randomisation test (Noreen 1989; signs of the differences exchanged at random).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError, run_command


def read_result(path: Path) -> dict[str, Any]:
    """One result of `metrics.score --json`. Errors: as `read_results`, several results in one file."""
    documents = _documents(path)
    if len(documents) != 1:
        raise InputError(f"{path}: several results; score the systems one by one for a comparison")
    return _checked(documents[0], path)


def read_results(path: Path) -> list[dict[str, Any]]:
    """The results in a file of `metrics.score --json`. Errors: other files, an older schema, altered results."""
    return [_checked(document, path) for document in _documents(path)]


def _documents(path: Path) -> list[Any]:
    from metrics.util.files import read_text

    try:
        document = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    several = isinstance(document, dict) and isinstance(document.get("results"), list)
    return list(document["results"]) if several else [document]


def _checked(document: Any, path: Path) -> dict[str, Any]:
    from metrics.scoring.evaluator import SCHEMA

    if not isinstance(document, dict) or not {"schema", "system", "signature", "sentences"} <= document.keys():
        raise InputError(f"{path}: not a result; write one with python -m metrics.score … --json FILE")
    if document["schema"] != SCHEMA:
        raise InputError(
            f"{path}: schema {str(document['schema'])[:40]}, this program reads {SCHEMA}; score the system again"
        )
    wrong = _damage(document)
    if wrong:
        raise InputError(f"{path}: {wrong}; it was altered, score the system again")
    return document


def _damage(document: dict[str, Any]) -> str:
    """What is wrong with a result of this schema; "" for nothing."""
    from metrics.scoring import DECIMALS, METRICS
    from metrics.scoring.signature import Signature

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


def compare(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    """Per metric: mean of each, difference with interval, p. Errors: unequal signatures, naming the fields."""
    import numpy as np

    from metrics.scoring import METRICS
    from metrics.scoring.signature import Signature
    from metrics.scoring.statistics import paired_difference, randomisation_test

    a, b = Signature.parse(first["signature"]), Signature.parse(second["signature"])
    if a != b:
        raise InputError(f"these scores are not comparable; the signatures differ in {'; '.join(a.differences(b))}")
    sources = [[sentence["source"] for sentence in result["sentences"]] for result in (first, second)]
    if sources[0] != sources[1]:
        raise InputError("the two files hold different sentences under one signature: one of them was altered")
    rows = []
    for metric in METRICS:
        left, right = (np.array([s[metric] for s in r["sentences"]], dtype=np.float64) for r in (first, second))
        interval = paired_difference(left, right)
        means = {"first": float(left.mean()), "second": float(right.mean())}
        rows.append({"metric": metric, **means, "difference": interval, "p": randomisation_test(left, right)})
    return rows


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m metrics.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", metavar="A.json")
    parser.add_argument("second", metavar="B.json")
    options = parser.parse_args(argv)
    first, second = read_result(Path(options.first)), read_result(Path(options.second))
    rows = compare(first, second)
    from metrics.scoring.signature import Signature

    names = [result["system"]["name"] for result in (first, second)]
    signature = Signature.parse(first["signature"])
    print(f"A = {names[0]}, B = {names[1]}, n = {len(first['sentences'])}, signature {signature.short}")
    print("metric\tA\tB\tA − B [95 %, paired bootstrap]\tp (approximate randomisation)")
    for row in rows:
        values = f"{row['first']:.3f}\t{row['second']:.3f}\t{row['difference']}\t{row['p']:.4f}"
        print(f"{row['metric'].upper()}\t{values}")


if __name__ == "__main__":
    run_command(main)
