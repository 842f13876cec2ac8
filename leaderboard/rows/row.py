"""A row of the leaderboard: one system, one test set, one profile. This file is the schema, and the only place of it.

`python -m leaderboard.rows.row` prints it as JSON Schema. A row is stored as JSON with its sentences in Parquet beside
it:

    results/<org>__<model>/<run_id>.json
    results/<org>__<model>/<run_id>.parquet

`run_id` is the hash of what was run (system, revision, decoding, signature), so that the same run is the same file
wherever it is published from. Rows of older schema versions are lifted to this one when they are read.
"""

from __future__ import annotations

import datetime
import json
import re
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from metrics.scoring import METRICS
from metrics.scoring.signature import Signature
from metrics.util.errors import InputError
from metrics.util.files import content_hash

SCHEMA_VERSION = 2
RUN_ID_DIGITS = 16
# No rewrite of a sentence is longer; a text that is was not meant to be read.
MAX_TEXT = 10_000
# The lock of a recipe takes about 5,000.
MAX_SETTINGS = 200_000
RESULTS = "results"
# Of a score: other processors and batches round differently, and a label that flips differs by 1.
TOLERANCE = 1e-4
_HASH = re.compile(r"^sha256:[0-9a-f]{64}$", re.ASCII)
# A system's weights, pinned: a Hub commit (with its base's, for an adapter), hashes of files, a built-in name's wheel.
_WEIGHTS = r"(sha256:[0-9a-f]{64}(-dequantised)?|[0-9a-f]{40}|[\w.-]+-[0-9a-f]{12}(-dequantised)?)"
_PINNED = re.compile(rf"^{_WEIGHTS}(\+base:{_WEIGHTS})?$", re.ASCII)


# Letters and marks that leave no ink: fillers of scripts, joiners, variation selectors, the empty Braille cell.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code) for start, end in ((0x180B, 0x1810), (0xFE00, 0xFE10), (0xE0100, 0xE01F0)) for code in range(start, end)
}


def hidden(character: str) -> bool:
    """Whether a reader cannot see a character, or it turns a line around: control, format, unassigned, blank."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or character in _BLANK


def visible(text: str, limit: int = 500) -> str:
    """`text` for a terminal: what a reader would not see, or would steer the terminal, as U+ and its number; cut."""
    shown = "".join(f"⟨U+{ord(c):04X}⟩" if hidden(c) else c for c in text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def _readable(text: str) -> str:
    for character in text:
        if hidden(character):
            raise ValueError(f"character U+{ord(character):04X} is not allowed here")
    if text != text.strip():
        raise ValueError("blanks at an end")
    return text


def _small(values: dict[str, Any]) -> dict[str, Any]:
    """Refuses what nobody reads in settings: hidden characters (but line breaks, in prompts), very much of anything."""
    # NaN and infinity are no JSON: a row that holds one could not be read again.
    if len(json.dumps(values, allow_nan=False)) > MAX_SETTINGS:
        raise ValueError(f"more than {MAX_SETTINGS:,} characters")
    waiting: list[Any] = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            _readable(re.sub(r"\s", " ", value).strip() or "-")
        elif isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
    return values


Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_readable)]
Line = Annotated[str, StringConstraints(max_length=1_000), AfterValidator(_readable)]
Settings = Annotated[dict[str, Any], AfterValidator(_small)]
RunId = Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{{RUN_ID_DIGITS}}}$")]
Share = Annotated[float, Field(ge=0, le=1)]
# Checked as a pattern: with Literal, every reader by a name from METRICS would have to be cast.
Metric = Annotated[str, StringConstraints(pattern=f"^({'|'.join(METRICS)})$")]
Status = Literal["verified", "mismatch", "unverifiable", "unchecked"]


class NewerSchemaError(InputError):
    """A row that a later version of this program wrote."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Score(_Part):
    """A mean over the sentences with its 95 % bootstrap interval; a published figure has no interval."""

    mean: float
    low: float | None = None
    high: float | None = None


class About(_Part):
    """What is known of a system, as stated by its card or its submitter; None or empty: unknown.

    size: parameters. base: the model it was tuned from. training_data: names of corpora. parallel_data: whether it saw
    toxic sentences with their rewrites. contamination: whether it was trained on sentences of the test set; "clean" is
    claimed only where somebody looked.
    """

    size: Annotated[int, Field(ge=0)] | None = None
    licence: Line = ""
    base: Line = ""
    training_data: tuple[Line, ...] = ()
    parallel_data: bool | None = None
    contamination: Literal["clean", "contaminated", "unknown"] = "unknown"
    note: Line = ""


class System(_Part):
    """Who wrote. revision: a commit or a content hash, never a branch. kind: as `metrics.systems.resolve.System`."""

    name: Name
    kind: Literal["baseline", "human", "outputs", "model"]
    revision: Line
    about: About = About()


class TestSetInfo(_Part):
    """Which sentences. n: how many were rewritten, of: of how many. sha256: of sources and references.

    None and "" for what a publication does not say.
    """

    __test__ = False  # not a pytest class

    name: Name
    origin: Line
    revision: Line
    sha256: Line
    n: Annotated[int, Field(ge=1)] | None = None
    of: Annotated[int, Field(ge=1)] | None = None


class Cost(_Part):
    """What rewriting took. seconds: None where it was not measured (baselines, files of outputs)."""

    seconds: Annotated[float, Field(ge=0)] | None = None
    device: Line = ""


class Provenance(_Part):
    """How to make the row again. recipe: the lock of a training run, None for systems that came from elsewhere."""

    recipe: Settings | None = None
    packages: Annotated[dict[str, str], AfterValidator(_small)] = {}
    git_commit: Line = ""


class Source(_Part):
    """Where a published figure was published."""

    title: Line
    url: Annotated[Line, StringConstraints(pattern=r"^https://")]


class Row(_Part):
    """record: "measured" by this project's code on stored outputs, or "published" by others, with their `source`.

    signature: the long spelling, "" for published figures, whose `profile` names their protocol instead. scores: by
    metric; a row that lacks one is incomplete and gets no rank. sentences: the content hash of its sentences and their
    scores, outputs: that of the texts alone, by which copies are found; "" for published figures and version 1. date:
    when the row was made, UTC.
    """

    schema_version: Literal[2] = 2
    record: Literal["measured", "published"] = "measured"
    run_id: RunId
    system: System
    test_set: TestSetInfo
    profile: Name
    signature: Annotated[str, StringConstraints(max_length=5_000), AfterValidator(_readable)]
    decoding: Settings
    scores: dict[Metric, Score]
    soft_sta: Share | None = None
    soft_fl: Share | None = None
    length_ratio: Annotated[float, Field(ge=0)] | None = None
    copies: Share | None = None
    empty: Annotated[int, Field(ge=0)] | None = None
    cost: Cost = Cost()
    provenance: Provenance = Provenance()
    sentences: Line = ""
    outputs: Line = ""
    submitter: Name
    date: AwareDatetime
    source: Source | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Row:
        if self.record == "published":
            if self.source is None or self.signature or any(score.low is not None for score in self.scores.values()):
                raise ValueError("a published figure has a source, no signature and no interval")
        else:
            if not self.signature or self.test_set.n is None:
                raise ValueError("a measured row has a signature and a number of sentences")
            revision = self.system.revision
            pin = {"model": _PINNED, "outputs": _HASH}.get(self.system.kind)
            if pin and not pin.match(revision):
                raise ValueError(f'system.revision "{revision[:60]}" names no commit or content; a branch may move')
        for metric, score in self.scores.items():
            lowest, highest = (-1.0, 1.0) if metric in ("sim", "j") else (0.0, 1.0)
            # A cosine may be 1 and a rounding error.
            if not lowest - 1e-6 <= score.mean <= highest + 1e-6:
                raise ValueError(f"scores.{metric}: {score.mean} is not between {lowest:g} and {highest:g}")
            if score.low is not None and score.high is not None and score.low > score.high:
                raise ValueError(f"scores.{metric}: interval [{score.low}, {score.high}]")
        return self

    @property
    def complete(self) -> bool:
        return set(self.scores) == set(METRICS)

    @property
    def comparable(self) -> str:
        """Equal exactly when two rows can be compared: the signature but for the decoding, or the publication."""
        if self.source is not None:
            return f"{self.source.url} {self.test_set.name} {self.profile}"
        try:
            return Signature.parse(self.signature).key
        except InputError:
            # Of a version that spelled signatures differently: it is comparable with its own kind only.
            return self.signature

    @property
    def path(self) -> str:
        """Where the row is stored; its sentences are beside it, in `.parquet`."""
        return f"{RESULTS}/{folder_name(self.system.name)}/{self.run_id}.json"

    @property
    def sentences_path(self) -> str:
        return self.path.removesuffix(".json") + ".parquet"

    @property
    def postdated(self) -> bool:
        """Dated more than a day from now, which no clock that is right does."""
        return self.date > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)

    def agrees(self, other: Row) -> bool:
        """Whether two rows of one run say the same: the same outputs, and scores that differ by rounding alone."""
        mine, theirs = ({m: row.scores[m].mean for m in row.scores} for row in (self, other))
        close = mine.keys() == theirs.keys() and all(abs(mine[m] - theirs[m]) <= TOLERANCE for m in mine)
        return close and (self.outputs, self.test_set.sha256) == (other.outputs, other.test_set.sha256)

    @property
    def sha256(self) -> str:
        """Of all that the row says: what a verification is of."""
        return content_hash(self.model_dump(mode="json"))

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def run_id(system: str, revision: str, decoding: dict[str, Any], comparable: str) -> str:
    """The hash of the resolved configuration. It depends on what was run, not on when, where or by whom."""
    decoding_json = json.dumps(decoding, sort_keys=True)
    return content_hash([system, revision, decoding_json, comparable])[:RUN_ID_DIGITS]


def expected_run_id(row: Row) -> str:
    return run_id(row.system.name, row.system.revision, row.decoding, row.comparable)


def folder_name(system: str) -> str:
    """`<org>__<model>` in letters, digits, ".", "_" and "-" that no path takes for anything but a name.

    The folder is for readers; what tells rows apart is the run id.
    """
    parts = [re.sub(r"[^\w.-]+", "-", part, flags=re.ASCII).strip(".-") for part in system.split("/")[-2:]]
    return "__".join(part[:90] for part in parts if part) or "unnamed"


def load_row(document: Any, where: str) -> Row:
    """The row in a JSON value. Errors: what is wrong with it, in one line that begins with `where`."""
    version = document.get("schema_version") if isinstance(document, dict) else None
    number = version if type(version) is int else 0
    if number == 1:
        document = lift_v1(document)
    elif number != SCHEMA_VERSION:
        kind = NewerSchemaError if number > SCHEMA_VERSION else InputError
        raise kind(f"{where}: schema version {str(version)[:40]}, this program reads 1 to {SCHEMA_VERSION}")
    try:
        # Through JSON: strict Python types would refuse lists for tuples and text for dates.
        return Row.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error)}") from None
    except (RecursionError, ValueError) as error:
        raise InputError(f"{where}: not a row ({str(error)[:100]})") from None


def first_problem(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, as "field: what"."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'row'}: {first['msg'].removeprefix('Value error, ')}"[:300]


def lift_v1(document: dict[str, Any]) -> dict[str, Any]:
    """A row of schema version 1: a flat record of `rows.parquet`, without stored sentences, submitter or date."""
    try:
        provenance = json.loads(document["provenance"])
        decoding = json.loads(document["decoding"])
        scores = {m: {"mean": document[m], "low": document[f"{m}_low"], "high": document[f"{m}_high"]} for m in METRICS}
        test_set = {
            "name": document["test_set"], "origin": document["test_set_origin"],
            "revision": f"sha256:{document['test_set_sha256'][:16]}",
            "sha256": document["test_set_sha256"], "n": document["n"], "of": document["n"],
        }  # fmt: skip
        kept = {name: provenance.get(name) for name in ("recipe", "packages", "git_commit")}
        return {
            "schema_version": SCHEMA_VERSION,
            "run_id": document["row_id"],
            "system": {name: document["system" if name == "name" else name] for name in ("name", "kind", "revision")},
            "test_set": test_set,
            "profile": document["signature"].split("|")[0].removeprefix("profile:"),
            "signature": _with_decoding(document["signature"], decoding),
            "decoding": decoding,
            "scores": scores,
            "length_ratio": document["length_ratio"],
            "copies": document["copies"],
            "provenance": {name: value for name, value in kept.items() if value is not None},
            "submitter": "unknown",
            # Rows of version 1 were never published; this is the last day on which one could be made.
            "date": "2026-11-24T00:00:00Z",
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"a row of schema version 1 without what belongs to it ({error})") from None


def _with_decoding(key: str, decoding: dict[str, Any]) -> str:
    """The long signature of version 1's key, which left the decoding out."""
    measure = dict(part.partition(":")[::2] for part in key.split("|"))
    try:
        return Signature.of(measure, decoding).long
    except ValueError:
        return key


def json_schema() -> dict[str, Any]:
    return Row.model_json_schema()


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))
