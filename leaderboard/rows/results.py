"""From a result of `metrics.score` to a row with its sentences, and the sentences' own Parquet."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from leaderboard.rows.formats import read_records, write_parquet
from leaderboard.rows.row import MAX_TEXT, About, Row, first_problem, folder_name, load_row, run_id
from leaderboard.rows.systems import known
from metrics.data.text import is_copy, length_ratio
from metrics.scoring import DECIMALS, METRICS
from metrics.scoring.signature import Signature, describe_decoding
from metrics.scoring.statistics import mean_interval
from metrics.util.errors import InputError
from metrics.util.files import content_hash
from metrics.util.hub import HUB_ID

TEXTS = ("source", "output")
# Far above what 10,000 sentences take.
MAX_UNPACKED = 64_000_000
VALUES = (*METRICS, "soft_sta", "soft_fl")


@dataclass(frozen=True)
class Sentences:
    """What a system wrote and what it scored, per sentence: columns `TEXTS` and `VALUES`, all of one length."""

    source: tuple[str, ...]
    output: tuple[str, ...]
    values: Mapping[str, np.ndarray[Any, Any]]

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]], where: str) -> Sentences:
        """From one mapping per sentence.

        Errors: none, missing or wrong values, texts that are too long to be sentences or no text at all.
        """
        if not records:
            raise InputError(f"{where}: no sentences")
        for number, item in enumerate(records):
            for name in TEXTS:
                text = item.get(name)
                if not isinstance(text, str) or len(text) > MAX_TEXT:
                    raise InputError(f"{where}: sentence {number}: no {name} of at most {MAX_TEXT:,} characters")
                if any("\ud800" <= character <= "\udfff" for character in text):
                    raise InputError(f"{where}: sentence {number}: {name} is not text that UTF-8 can hold")
            for name in VALUES:
                if type(item.get(name)) not in (int, float) or not math.isfinite(item[name]):
                    raise InputError(f"{where}: sentence {number}: {name} is not a finite number")
        values = {name: np.array([item[name] for item in records], dtype=np.float64) for name in VALUES}
        return cls(tuple(item["source"] for item in records), tuple(item["output"] for item in records), values)

    @property
    def sha256(self) -> str:
        """Of the content, so that it does not depend on who wrote the Parquet."""
        return content_hash([self.source, self.output, {n: v.round(DECIMALS).tolist() for n, v in self.values.items()}])

    @property
    def outputs_sha256(self) -> str:
        """Of letters and digits alone: equal for a system and its copy, however either was scored or spaced."""
        bare = [[re.sub(r"\W+", "", text.casefold()) for text in texts] for texts in (self.source, self.output)]
        return content_hash(bare)

    def to_parquet(self) -> bytes:
        import pyarrow as pa

        return write_parquet(pa.table({"source": list(self.source), "output": list(self.output), **self.values}))

    @classmethod
    def from_parquet(cls, data: bytes, where: str) -> Sentences:
        """Errors: not such a file."""
        return cls.of(read_records(data, where, MAX_UNPACKED), where)


def summarise(sentences: Sentences) -> dict[str, Any]:
    """The fields of a row that follow from its sentences."""
    pairs = list(zip(sentences.source, sentences.output, strict=True))
    return {
        "scores": {name: vars(mean_interval(sentences.values[name])) for name in METRICS},
        "soft_sta": float(sentences.values["soft_sta"].mean()),
        "soft_fl": float(sentences.values["soft_fl"].mean()),
        "length_ratio": sum(length_ratio(*pair) for pair in pairs) / len(pairs),
        "copies": sum(is_copy(*pair) for pair in pairs) / len(pairs),
        "empty": sum(not output.strip() for output in sentences.output),
        "sentences": sentences.sha256,
        "outputs": sentences.outputs_sha256,
    }


class _Document(BaseModel):
    """What is read of a result document (`metrics.scoring.evaluator.Result.to_json`); it may hold more."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class _System(_Document):
    name: str
    kind: Literal["baseline", "human", "outputs", "model"]
    revision: str
    decoding: dict[str, Any]
    cost: dict[str, Any] = {}
    card: dict[str, Any] = {}


class _TestSet(_Document):
    name: str
    origin: str
    revision: str
    sha256: str
    n: int
    of: int | None = None


class _Mean(_Document):
    mean: float


class _Result(_Document):
    system: _System
    test_set: _TestSet
    signature: str
    summary: dict[str, _Mean]
    sentences: list[dict[str, Any]]
    versions: dict[str, str] = {}
    git_commit: str = ""


def row_from_result(
    document: Mapping[str, Any],
    where: str,
    *,
    submitter: str,
    date: datetime.datetime,
    name: str | None = None,
    about: About | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> tuple[Row, Sentences]:
    """The row of a result document (`metrics.compare.read_result`, or `metrics.scoring.evaluator.Result.to_json`).

    name: of the system on the board; by default its own, without the folders that only its author has. about: what the
    submitter says of it; where that is silent, what is known here or stands in its card.
    Errors: a document that lacks something or contradicts itself, values that no row may hold.
    """
    try:
        result = _Result.model_validate(dict(document))
    except (ValidationError, RecursionError) as error:
        what = first_problem(error) if isinstance(error, ValidationError) else "nested too deeply"
        raise InputError(f"{where}: {what}; score the system again") from None
    system = result.system
    signature = Signature.parse(result.signature)
    sentences = Sentences.of(result.sentences, where)
    summary = summarise(sentences)
    for metric, score in summary["scores"].items():
        stated = result.summary[metric].mean if metric in result.summary else None
        if stated is None or abs(stated - score["mean"]) > 10**-DECIMALS:
            raise InputError(f"{where}: summary.{metric} is {stated}, its sentences give {score['mean']:.6f}")
    _require_signed(result, signature, where)
    name = public_name(system.name, system.revision, system.kind) if name is None else name
    row = {
        "schema_version": 2,
        "run_id": run_id(name, system.revision, system.decoding, signature.key),
        "system": {
            "name": name,
            "kind": system.kind,
            "revision": system.revision,
            "about": known(name, result.test_set.name, system.card, about).model_dump(mode="json"),
        },
        "test_set": {**result.test_set.model_dump(), "of": result.test_set.of or result.test_set.n},
        "profile": signature.fields()["profile"],
        "signature": signature.long,
        "decoding": system.decoding,
        **summary,
        "cost": system.cost,
        "provenance": {"recipe": recipe, "packages": result.versions, "git_commit": result.git_commit},
        "submitter": submitter,
        "date": date.isoformat(),
    }
    return load_row(row, where), sentences


def _require_signed(result: _Result, signature: Signature, where: str) -> None:
    """Errors: a result that says something else than its signature of what was run."""
    signed, test_set = signature.fields(), result.test_set
    for name, value in stated(signed, test_set.name, str(test_set.n), result.system.decoding).items():
        if value != signed[name]:
            raise InputError(f"{where}: {name} is {value[:100]}, its signature says {signed[name][:100]}")


def stated(signed: Mapping[str, str], test_set: str, n: str, decoding: dict[str, Any]) -> dict[str, str]:
    """What a signature's fields must be for this test set, number of sentences and decoding.

    The hash of the test set is taken from `signed` itself: only who has the sentences can tell it.
    """
    digest = signed.get("test", "").rpartition("@")[2]
    return {"test": f"{test_set}@{digest}", "n": n, "decoding": describe_decoding(decoding)}


def public_name(name: str, revision: str, kind: str) -> str:
    """A system's name for others: folders of its author's machine mean nothing to them.

    A Hub id is known by its revision, which is a commit; whatever else is a model or a file keeps its last part.
    """
    if kind not in ("model", "outputs") or (HUB_ID.match(name) and not revision.startswith("sha256:")):
        return name
    last = name.rstrip("/").split("/")[-1]
    return last.rpartition(".")[0] or last if kind == "outputs" else last or folder_name(name)
