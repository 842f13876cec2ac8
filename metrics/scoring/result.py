"""The scores of one system on one test set, and the JSON document that `metrics.score --json` writes of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from metrics.data.test_sets import TestSet
from metrics.scoring import METRICS
from metrics.scoring.environment import git_commit, package_versions
from metrics.scoring.items import SentenceScores
from metrics.scoring.signature import Signature
from metrics.scoring.statistics import Interval, mean_interval
from metrics.systems.outputs import Rewrites

SCHEMA = 2


@dataclass(frozen=True)
class Result:
    """The scores of one system on one test set under one profile."""

    rewrites: Rewrites
    test_set: TestSet
    scores: SentenceScores
    signature: Signature

    @cached_property
    def summary(self) -> dict[str, Interval]:
        """Metric -> mean over the sentences, with its 95 % interval."""
        return {name: mean_interval(self.scores.metric(name)) for name in METRICS}

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON value, with the output and the scores of every sentence."""
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


def result_document(result: Result) -> dict[str, Any]:
    """Return the JSON document of a result: `Result.to_json`, the versions of packages, and the git commit."""
    return {**result.to_json(), "versions": package_versions(), "git_commit": git_commit()}
