"""Results: the scores of a system on a test set, their JSON document, its file, and the comparison of two of them."""

import math
import subprocess
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from metrics import __version__
from metrics.data.test_sets import TestSet
from metrics.scoring import DECIMALS, METRICS, metric_range
from metrics.scoring.items import SentenceScores
from metrics.scoring.signature import Signature
from metrics.scoring.slices import ScoredSentences, slice_scores
from metrics.scoring.statistics import Interval, mean_interval, paired_difference, randomisation_test
from metrics.systems.resolve import Rewrites
from metrics.util.errors import InputError
from metrics.util.files import read_text
from metrics.util.nesting import load_json

SCHEMA = 2


@dataclass(frozen=True)
class Result:
    """The scores of one system on one test set under one profile."""

    rewrites: Rewrites
    test_set: TestSet
    scores: SentenceScores
    signature: Signature
    # The fault that the profile's judge sees in each output; empty if the profile has no such judge.
    faults: tuple[str, ...] = ()

    @cached_property
    def summary(self) -> dict[str, Interval]:
        """Metric -> mean over the sentences, with its 95 % interval."""
        return {name: mean_interval(self.scores.metric(name)) for name in METRICS}

    @property
    def scored(self) -> ScoredSentences:
        """The sentences as slices read them."""
        values = {name: self.scores.metric(name) for name in METRICS}
        return ScoredSentences(self.test_set.sources, values, self.faults)

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON value, with the output and the scores of every sentence."""
        system, test = self.rewrites, self.test_set
        columns = (*METRICS, "soft_sta", "soft_fl")
        scores = zip(*(self.scores.metric(name).tolist() for name in columns), strict=True)
        faults = [{"fault": fault} for fault in self.faults] or [{}] * len(test.sources)
        return {
            "schema": SCHEMA,
            "system": {
                "name": system.system, "kind": system.kind, "revision": system.revision, "decoding": system.decoding,
                "cost": {"seconds": system.seconds, "device": system.device}, "card": system.card,
                **({"usage": system.usage} if system.usage else {}),
            },
            "test_set": {
                "name": test.name, "origin": test.origin, "revision": test.revision, "sha256": test.sha256,
                "lang": test.lang, "n": len(test.sources), "of": test.total or len(test.sources),
                "near_duplicates_removed": test.near_duplicates,
            },
            "signature": self.signature.long,
            "signature_short": self.signature.short,
            "summary": {name: vars(interval) for name, interval in self.summary.items()},
            "sentences": [
                {"source": source, "output": output, **dict(zip(columns, values, strict=True)), **fault}
                for source, output, values, fault in zip(test.sources, system.outputs, scores, faults, strict=True)
            ],
        }  # fmt: skip


def result_document(result: Result, *, slices: bool = False) -> dict[str, Any]:
    """Return the JSON document of a result: `Result.to_json`, the versions of packages, and the git commit.

    With `slices`, the document has the mean scores of each slice as well.
    """
    own = {"slices": [asdict(one) for one in slice_scores(result.scored)]} if slices else {}
    return {**result.to_json(), **own, "versions": package_versions(), "git_commit": git_commit()}


def package_versions() -> dict[str, str]:
    """Return package -> version of all packages that scores may depend on."""
    names = [
        "torch", "transformers", "tokenizers", "peft", "accelerate", "numpy", "scipy", "scikit-learn", "gguf",
        "safetensors", "alt-profanity-check", "sacrebleu", *filter(find_spec, ("nltk", "sentencepiece")),
    ]  # fmt: skip
    return {**{name: version(name) for name in names}, "detox-suite": __version__}


def git_commit() -> str:
    """Return the commit of this checkout, with "+changed" if files differ from it; "unknown" outside a repository."""
    commands = (["git", "rev-parse", "HEAD"], ["git", "status", "--porcelain"])
    try:
        commit, changed = (
            subprocess.check_output(command, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL, text=True).strip()
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+changed" if changed else commit


def read_result(path: Path) -> dict[str, Any]:
    """Read a file with one result; raise an `InputError` as `read_results`, or if there are several."""
    return read_results(path, single=True)[0]


def read_results(path: Path, *, single: bool = False) -> list[dict[str, Any]]:
    """Read a file with one result, or several unless it must be a `single` one.

    Raises:
        InputError: The file is of another kind or an older schema, or was altered.
    """
    try:
        content = load_json(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    several = isinstance(content, dict) and isinstance(content.get("results"), list)
    documents: list[Any] = content["results"] if several else [content]
    if single and len(documents) != 1:
        raise InputError(f"{path}: several results; score the systems one by one for a comparison")
    for document in documents:
        if not isinstance(document, dict) or not {"schema", "system", "signature", "sentences"} <= document.keys():
            raise InputError(f"{path}: not a result; write one with python -m metrics.score … --json FILE")
        if type(document["schema"]) is not int or document["schema"] != SCHEMA:
            schema = str(document["schema"])[:40]
            raise InputError(f"{path}: schema {schema}, this program reads {SCHEMA}; score the system again")
        if damage := _damage(document):
            raise InputError(f"{path}: {damage}; it was altered, score the system again")
    return documents


def _damage(document: dict[str, Any]) -> str:
    """What is wrong with a result of this schema; "" for nothing."""
    system, sentences, signature = document["system"], document["sentences"], document["signature"]
    if not isinstance(system, dict) or not isinstance(system.get("name"), str) or not isinstance(signature, str):
        return "no system name or signature"
    n = Signature.parse(signature).fields()["n"]
    if not isinstance(sentences, list) or not sentences or str(len(sentences)) != n:
        return f"not the {n} sentences of its signature"
    with_fault = sum(isinstance(sentence, dict) and "fault" in sentence for sentence in sentences)
    if with_fault not in (0, len(sentences)):
        return f"{with_fault} of {len(sentences)} sentences have a fault"
    for number, sentence in enumerate(sentences):
        if not isinstance(sentence, dict) or not all(isinstance(sentence.get(n), str) for n in ("source", "output")):
            return f"sentence {number} has no source or no output"
        if not isinstance(sentence.get("fault", ""), str):
            return f"sentence {number}: its fault is no text"
        values: list[Any] = [sentence.get(metric) for metric in METRICS]
        # A whole number of 400 digits is no float.
        if not all(type(value) is int or (type(value) is float and math.isfinite(value)) for value in values):
            return f"sentence {number} lacks a score that is a finite number"
        for metric, value in zip(METRICS, values, strict=True):
            lowest, highest = metric_range(metric)
            if not lowest <= value <= highest:
                return f"sentence {number}: {metric} is not between {round(lowest)} and {round(highest)}"
        sta, sim, fl, j = values
        if abs(sta * sim * fl - j) > 10**-DECIMALS:
            return f"sentence {number}: j is not sta · sim · fl"
    return ""


@dataclass(frozen=True)
class Difference:
    """The means of two systems under one metric; first − second, with the interval of a paired bootstrap.

    p is the p-value of an approximate randomisation test (Noreen 1989).
    """

    metric: str
    first: float
    second: float
    interval: Interval
    p: float


def scored_sentences(result: dict[str, Any]) -> ScoredSentences:
    """Return what slices read of a result document."""
    sentences = result["sentences"]
    values = {metric: np.array([s[metric] for s in sentences], dtype=np.float64) for metric in METRICS}
    faults = [s["fault"] for s in sentences if "fault" in s]
    return ScoredSentences([s["source"] for s in sentences], values, faults)


def compare(first: dict[str, Any], second: dict[str, Any]) -> list[Difference]:
    """Compare two result documents under every metric.

    Raises:
        InputError: The signatures differ, which makes the scores incomparable, or the sentences do.
    """
    a, b = Signature.parse(first["signature"]), Signature.parse(second["signature"])
    if a != b:
        raise InputError(f"these scores are not comparable; the signatures differ in {'; '.join(a.differences(b))}")
    sources = [[sentence["source"] for sentence in result["sentences"]] for result in (first, second)]
    if sources[0] != sources[1]:
        raise InputError("the two files hold different sentences under one signature: one of them was altered")
    differences = []
    for metric in METRICS:
        left, right = (np.array([s[metric] for s in r["sentences"]], dtype=np.float64) for r in (first, second))
        interval, p = paired_difference(left, right), randomisation_test(left, right)
        differences.append(Difference(metric, float(left.mean()), float(right.mean()), interval, p))
    return differences
