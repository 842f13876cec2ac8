"""From rewrites to scores: per sentence, per system, with a signature that pins every choice."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from metrics import __version__
from metrics.data.test_sets import TestSet
from metrics.profiles import Profile
from metrics.scorers.batching import Array
from metrics.scoring import METRICS
from metrics.scoring.cache import COLUMNS, ScoreCache
from metrics.scoring.measures import CHUNK, MEASURES, Item, score_chunks, to_items
from metrics.scoring.signature import Signature
from metrics.scoring.statistics import Interval, mean_interval
from metrics.systems.outputs import Rewrites
from metrics.util.files import content_hash

SCHEMA = 2


@dataclass(frozen=True)
class SentenceScores:
    """Scores of each sentence, arrays [n].

    sta, fl: in [0, 1], by the profile's rules. sim: cosine in [−1, 1]. j = sta · sim · fl, may be negative.
    soft_sta, soft_fl: the probabilities behind sta and fl. An empty output is a failure: all its scores are 0.
    """

    sta: Array
    sim: Array
    fl: Array
    soft_sta: Array
    soft_fl: Array

    @property
    def j(self) -> Array:
        return self.sta * self.sim * self.fl

    def metric(self, name: str) -> Array:
        return np.asarray(getattr(self, name))


class Evaluator:
    """The measures of a profile, made once and used for any number of systems.

    cache: where scores are looked up first and kept (None: nowhere).
    """

    def __init__(self, profile: Profile, cache: ScoreCache | None = None) -> None:
        self.profile = profile
        self.cache = cache
        self._measures = {name: make(profile) for name, make in MEASURES.items()}

    def score(
        self, sources: Sequence[str], outputs: Sequence[str], references: Sequence[Sequence[str]] | None = None
    ) -> SentenceScores:
        """Scores of each output for its source; n never changes.

        references: the human rewrites of each source, for profiles that compare with them.
        Errors: unequal counts, a sentence without a reference where the profile needs one.
        """
        measures = list(self._measures.values())
        items = to_items(sources, outputs, references, measures)
        done: dict[Item, Sequence[float]] = {}
        keys: dict[Item, str] = {}
        if self.cache is not None:
            keys = {item: content_hash([self.measure, *item]) for item in items}
            known = self.cache.read(sorted(set(keys.values())))
            done = {item: known[key] for item, key in keys.items() if key in known}
        fresh: list[tuple[Item, Sequence[float]]] = []
        todo = [item for item in items if item not in done]
        for item, values in score_chunks(todo, measures, f"scoring, {self.profile.name}"):
            done[item] = values
            fresh.append((item, values))
            if self.cache is not None and len(fresh) % CHUNK == 0:
                self._keep(fresh, keys)
        self._keep(fresh, keys)
        failed = (0.0,) * len(COLUMNS)
        table = np.array([done.get(item, failed) for item in items], dtype=np.float64).reshape(-1, len(COLUMNS))
        return SentenceScores(**dict(zip(COLUMNS, table.T, strict=True)))

    def _keep(self, fresh: list[tuple[Item, Sequence[float]]], keys: dict[Item, str]) -> None:
        if self.cache is not None and fresh:
            self.cache.write((keys[item], values) for item, values in fresh)
            fresh.clear()

    @cached_property
    def measure(self) -> dict[str, str]:
        """The fields of the signature that depend on the profile and on the models that were really used."""
        fields = {name: measure.description for name, measure in self._measures.items()}
        profile = f"{self.profile.name}.v{self.profile.version}"
        return {"profile": profile, **fields, "joint": self.profile.joint, "version": __version__}

    def signature(self, test_set: TestSet, decoding: dict[str, Any]) -> Signature:
        content = [test_set.sources, test_set.references if self.profile.needs_references else []]
        test = f"{test_set.name}@{content_hash(content)[:16]}"
        return Signature.of({**self.measure, "test": test, "n": str(len(test_set.sources))}, decoding)


@dataclass(frozen=True)
class Result:
    """One system on one test set under one profile."""

    rewrites: Rewrites
    test_set: TestSet
    scores: SentenceScores
    signature: Signature

    @cached_property
    def summary(self) -> dict[str, Interval]:
        return {name: mean_interval(self.scores.metric(name)) for name in METRICS}

    def to_json(self) -> dict[str, Any]:
        """A JSON value that holds the result whole: outputs and scores per sentence included."""
        columns = (*METRICS, "soft_sta", "soft_fl")
        return {
            "schema": SCHEMA,
            "system": {
                "name": self.rewrites.system,
                "kind": self.rewrites.kind,
                "revision": self.rewrites.revision,
                "decoding": self.rewrites.decoding,
                "cost": {"seconds": self.rewrites.seconds, "device": self.rewrites.device},
                "card": self.rewrites.card,
            },
            "test_set": {
                "name": self.test_set.name,
                "origin": self.test_set.origin,
                "revision": self.test_set.revision,
                "sha256": self.test_set.sha256,
                "n": len(self.test_set.sources),
                "of": self.test_set.total or len(self.test_set.sources),
                "near_duplicates_removed": self.test_set.near_duplicates,
            },
            "signature": self.signature.long,
            "signature_short": self.signature.short,
            "summary": {name: vars(interval) for name, interval in self.summary.items()},
            "sentences": [
                {"source": source, "output": output, **dict(zip(columns, values, strict=True))}
                for source, output, *values in zip(
                    self.test_set.sources,
                    self.rewrites.outputs,
                    *(self.scores.metric(name).tolist() for name in columns),
                    strict=True,
                )
            ],
        }


def document(result: Result) -> dict[str, Any]:
    """What `--json` writes of a result, and what is published: its JSON value, and the program that made it."""
    return {**result.to_json(), "versions": versions(), "git_commit": git_commit()}


def evaluate(evaluator: Evaluator, rewrites: Rewrites, test_set: TestSet) -> Result:
    scores = evaluator.score(test_set.sources, rewrites.outputs, test_set.references)
    return Result(rewrites, test_set, scores, evaluator.signature(test_set, rewrites.decoding))


def versions() -> dict[str, str]:
    """The packages that a score may depend on; those of Wieting's similarity where they are installed."""
    names = [
        "torch", "transformers", "tokenizers", "peft", "accelerate", "numpy", "scipy", "scikit-learn", "gguf",
        "safetensors", "alt-profanity-check", "sacrebleu",
    ]  # fmt: skip
    names += [name for name in ("nltk", "sentencepiece") if find_spec(name)]
    return {**{name: version(name) for name in names}, "detox-suite": __version__}


def git_commit() -> str:
    """The commit of the program, "+changed" when the tree differs from it; "unknown" outside a repository."""
    root = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + ("+changed" if changed.stdout.strip() else "")
