"""A system and a test set, rewritten and scored: what `metrics.many` has many of, and sends to its workers."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from metrics.data.test_sets import TestSet, load_test_set
from metrics.profiles import load_profile
from metrics.scoring.evaluator import Evaluator, document, evaluate
from metrics.systems.resolve import System, is_model, resolve_system
from metrics.systems.rewriting import load_system, rewrite
from metrics.util.errors import InputError
from metrics.util.files import content_hash

# JSON: `system`, its `content`, `test_set`, and how it is scored: `limit`, `profiles`, `data_dir`, `batch_size`, and
# the `dtype` of weights.
Pair = dict[str, Any]


def content_of(system: str) -> str:
    """What pins a system that lies here; of others, and of what cannot be used, nothing."""
    try:
        return resolve_system(system).revision if Path(system).exists() else ""
    except (InputError, OSError):
        return ""


def file_name(pair: Pair) -> str:
    """Of a pair's result: readable, and another one for everything that makes another result."""
    readable = re.sub(r"[^\w.-]+", "__", f"{pair['system']}--{pair['test_set']}")[-100:]
    return f"{readable}-{content_hash(pair)[:12]}.json"


@functools.cache
def _evaluator(profile: str) -> Evaluator:
    # Without the cache of scores: workers of a cluster would each have one of their own.
    return Evaluator(load_profile(profile))


@functools.cache
def _test_set(name: str, data_dir: str | None, limit: int | None) -> TestSet:
    return load_test_set(name, data_dir).limit(limit)


def _system(pair: Pair) -> System:
    """A dtype is for models; systems of other kinds stand in the same list."""
    name = pair["system"]
    return resolve_system(name, dtype=pair["dtype"]) if is_model(name) else resolve_system(name)


def answers(pairs: Sequence[Pair]) -> Iterator[dict[str, Any]]:
    """Rewrites and scores the pairs of one system, which is loaded once, one after the other.

    Of each: `file`, and `results` as of `metrics.score --json`, or an `error` that says why not. The scoring models and
    test sets stay in memory for the next system of this process.
    """
    system = loaded = None
    for pair in pairs:
        try:
            system = system or _system(pair)
            test_set = _test_set(pair["test_set"], pair["data_dir"], pair["limit"])
            loaded = loaded or load_system(system)
            written = rewrite(system, test_set, batch_size=pair["batch_size"], loaded=loaded)
            documents = [document(evaluate(_evaluator(name), written, test_set)) for name in pair["profiles"]]
        except InputError as error:
            yield failure(pair, " ".join(str(error).split()))
            continue
        results = documents[0] if len(documents) == 1 else {"results": documents}
        yield {**pair, "file": file_name(pair), "error": "", "results": results}


def all_answers(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """`answers`, all of them: what a worker sends back."""
    return list(answers(pairs))


def failure(pair: Pair, why: str) -> dict[str, Any]:
    """The answer to a pair that has no result."""
    return {**pair, "file": file_name(pair), "error": why, "results": {}}
