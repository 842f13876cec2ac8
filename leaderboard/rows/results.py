"""Conversion of a result of `metrics.score` to a row with its sentences."""

import datetime
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from leaderboard.rows.row import About, Row, TestSetInfo, first_problem, folder_name, load_row, run_id, schema_version
from leaderboard.rows.sentences import Sentences, summarise
from leaderboard.rows.systems import system_facts
from metrics.scoring import DECIMALS
from metrics.scoring.signature import Signature, describe_decoding
from metrics.systems.names import BACK_TRANSLATION, ENDPOINT
from metrics.systems.resolve import without_folders
from metrics.util.errors import InputError
from metrics.util.hub import HUB_ID


class _Document(BaseModel):
    """The fields that a row takes from a result document (`metrics.scoring.result.Result.to_json`)."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class _System(_Document):
    name: str
    kind: Literal["baseline", "human", "outputs", "model"]
    revision: str
    decoding: dict[str, Any]
    cost: dict[str, Any] = {}
    usage: dict[str, Any] = {}
    card: dict[str, Any] = {}


class _TestSet(TestSetInfo, extra="ignore"):
    n: int


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
    """Return the row of a result document, and its sentences.

    Args:
        document: As `metrics.scoring.result.Result.to_json` writes it.
        where: Name of the file, with which errors begin.
        name: Name of the system on the board (default: `public_name` of its own).
        about: Facts from the submitter.
        recipe: Lock of the training run that made the system.

    Raises:
        InputError: A field is missing, contradicts the sentences or the signature, or is not valid in a row.
    """
    try:
        result = _Result.model_validate(dict(document))
    except (ValidationError, RecursionError) as error:
        raise InputError(f"{where}: {first_problem(error)}; score the system again") from None
    system, signature = result.system, Signature.parse(result.signature)
    sentences = Sentences.of(result.sentences, where)
    summary = summarise(sentences)
    _check(result, summary, signature.fields(), where)
    name = public_name(system.name, system.revision, system.kind) if name is None else name
    facts = system_facts(name, result.test_set.name, system.card, about).model_dump(mode="json")
    # A server that counts no tokens reports 0 of each.
    usage = system.usage if any(system.usage.get(f"{kind}_tokens") for kind in ("prompt", "completion")) else None
    row = {
        "schema_version": schema_version(result.test_set.lang, with_usage=usage is not None),
        "run_id": run_id(name, system.revision, system.decoding, signature.key),
        "system": {"name": name, "kind": system.kind, "revision": system.revision, "about": facts},
        "test_set": {**result.test_set.model_dump(), "of": result.test_set.of or result.test_set.n},
        "profile": signature.fields()["profile"],
        "signature": signature.long,
        "decoding": system.decoding,
        **summary,
        "cost": system.cost,
        "usage": usage,
        "provenance": {"recipe": recipe, "packages": result.versions, "git_commit": result.git_commit},
        "submitter": submitter,
        "date": date.isoformat(),
    }
    return load_row(row, where), sentences


def _check(result: _Result, summary: Mapping[str, Any], signed: Mapping[str, str], where: str) -> None:
    """Refuse a result that contradicts its sentences or its signature."""
    for metric, score in summary["scores"].items():
        mean = result.summary[metric].mean if metric in result.summary else None
        if mean is None or abs(mean - score["mean"]) > 10**-DECIMALS:
            raise InputError(f"{where}: summary.{metric} is {mean}, its sentences give {score['mean']:.6f}")
    n, decoding = str(result.test_set.n), result.system.decoding
    for name, value in expected_fields(signed, result.test_set, n, decoding).items():
        if value != signed[name]:
            raise InputError(f"{where}: {name} is {value[:100]}, its signature says {signed[name][:100]}")


def expected_fields(
    signed: Mapping[str, str], test_set: TestSetInfo, n: str, decoding: dict[str, Any]
) -> dict[str, str]:
    """Return what a signature must say of test set, language, number of sentences and decoding.

    The test set's hash comes from `signed`, the signature's own fields: only its sentences give it otherwise.
    """
    digest = signed.get("test", "").rpartition("@")[2]
    lang = test_set.lang
    return {"test": f"{test_set.name}@{digest}", "lang": lang, "n": n, "decoding": describe_decoding(decoding)}


def public_name(name: str, revision: str, kind: str) -> str:
    """Return a system's name without the folders of its author's machine.

    Hub ids at a commit and names of baselines stay; a model of an endpoint loses the URL; other models and files are
    named by the last part of their path.
    """
    if endpoint := ENDPOINT.fullmatch(name):
        return f"openai:{without_folders(endpoint['model'])}"
    if translated := BACK_TRANSLATION.fullmatch(name):
        parts = (part for part in translated.group("there", "back") if part)
        return f"back-translation:{','.join(public_name(part, revision, kind) for part in parts)}"
    if kind not in ("model", "outputs") or (HUB_ID.match(name) and not revision.startswith("sha256:")):
        return name
    last = name.rstrip("/").split("/")[-1]
    return last.rpartition(".")[0] or last if kind == "outputs" else last or folder_name(name)
