"""From rewrites to scores: per sentence, per system, with a signature that pins every choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from metrics import __version__
from metrics.corpora import TestSet
from metrics.errors import InputError
from metrics.profiles import Profile
from metrics.scorers import FL_SCORERS, SIM_SCORERS, STA_SCORERS, Array
from metrics.statistics import Interval, mean_interval
from metrics.systems import Rewrites

SCHEMA = 1
METRICS = ("sta", "sim", "fl", "j")


@dataclass(frozen=True)
class SentenceScores:
    """Scores of each sentence, four arrays [n].

    sta: 1.0 (not toxic) or 0.0. sim: cosine in [−1, 1]. fl: in [0, 1]. j = sta · sim · fl. soft_sta: P(neutral).
    An empty output is a failure: all its scores are 0.
    """

    sta: Array
    sim: Array
    fl: Array
    soft_sta: Array

    @property
    def j(self) -> Array:
        return self.sta * self.sim * self.fl

    def metric(self, name: str) -> Array:
        return np.asarray(getattr(self, name))


class Evaluator:
    """The three scorers of a profile, loaded once and used for any number of systems."""

    def __init__(self, profile: Profile) -> None:
        if profile.sim_anchor != "source":
            raise InputError(f"profile {profile.name}: sim_anchor {profile.sim_anchor} is not supported, only source")
        self.profile = profile
        self._sta = STA_SCORERS[profile.sta_scorer](profile.sta_model)
        self._sim = SIM_SCORERS[profile.sim_scorer](profile.sim_model)
        self._fl = FL_SCORERS[profile.fl_scorer](profile.fl_model, profile.fl_detokenise)

    def score(self, sources: Sequence[str], outputs: Sequence[str]) -> SentenceScores:
        """Scores of each output for its source. Errors: unequal counts."""
        if len(sources) != len(outputs):
            raise InputError(f"{len(outputs)} outputs for {len(sources)} sentences")
        rows = [i for i, output in enumerate(outputs) if output.strip()]
        scores = np.zeros((4, len(outputs)))
        if rows:
            texts = [outputs[i] for i in rows]
            soft = self._sta(texts)
            scores[0, rows] = (1.0 - soft) <= self.profile.sta_threshold
            scores[1, rows] = self._sim.cosine([sources[i] for i in rows], texts)
            scores[2, rows] = self._fl(texts)
            scores[3, rows] = soft
        return SentenceScores(*scores)

    @cached_property
    def signature_fields(self) -> dict[str, str]:
        profile = self.profile
        head = self._fl.head if hasattr(self._fl, "head") else {}
        fluency = f"{profile.fl_model}@{self._fl.revision}"
        if head:
            fluency += f"+head:{head['weights']}{head['bias']}".replace(" ", "")
        return {
            "profile": f"{profile.name}.v{profile.version}",
            "sta": f"{profile.sta_model}@{self._sta.revision}<={profile.sta_threshold}",
            "sim": f"{profile.sim_model}@{self._sim.revision}~{profile.sim_anchor}",
            "fl": f"{fluency}~{profile.fl_detokenise}",
        }


def signature(evaluator: Evaluator, test_set: TestSet) -> str:
    """Everything that two J's must share to be comparable, in a fixed order, the version last.

    The decoding belongs to the system and is reported beside it.
    """
    fields = {
        **evaluator.signature_fields,
        "test": f"{test_set.name}@{test_set.sha256[:16]}",
        "n": str(len(test_set.sources)),
        "version": __version__,
    }
    return "|".join(f"{key}:{value}" for key, value in fields.items())


@dataclass(frozen=True)
class Result:
    """One system on one test set under one profile."""

    rewrites: Rewrites
    test_set: TestSet
    scores: SentenceScores
    signature: str

    @cached_property
    def summary(self) -> dict[str, Interval]:
        return {name: mean_interval(self.scores.metric(name)) for name in METRICS}

    def to_json(self) -> dict[str, Any]:
        """A JSON value that holds the result whole: outputs and scores per sentence included."""
        return {
            "schema": SCHEMA,
            "system": {
                "name": self.rewrites.system,
                "kind": self.rewrites.kind,
                "revision": self.rewrites.revision,
                "decoding": self.rewrites.decoding,
            },
            "test_set": {
                "name": self.test_set.name,
                "origin": self.test_set.origin,
                "revision": self.test_set.revision,
                "sha256": self.test_set.sha256,
                "n": len(self.test_set.sources),
                "near_duplicates_removed": self.test_set.near_duplicates,
            },
            "signature": self.signature,
            "summary": {name: vars(interval) for name, interval in self.summary.items()},
            "sentences": [
                {"source": source, "output": output, "sta": sta, "sim": sim, "fl": fl, "j": j}
                for source, output, sta, sim, fl, j in zip(
                    self.test_set.sources,
                    self.rewrites.outputs,
                    *(self.scores.metric(name).tolist() for name in METRICS),
                    strict=True,
                )
            ],
        }


def evaluate(evaluator: Evaluator, rewrites: Rewrites, test_set: TestSet) -> Result:
    scores = evaluator.score(test_set.sources, rewrites.outputs)
    return Result(rewrites, test_set, scores, signature(evaluator, test_set))


def versions() -> dict[str, str]:
    """The packages that a score may depend on."""
    names = (
        "torch", "transformers", "tokenizers", "peft", "accelerate", "numpy", "scipy", "scikit-learn", "gguf",
        "safetensors", "alt-profanity-check",
    )  # fmt: skip
    return {**{name: version(name) for name in names}, "detox-suite": __version__}
