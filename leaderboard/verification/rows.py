"""Verifies rows: against their stored outputs, the test set, the built-in baselines, and each other."""

import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard.board.copies import (
    Fingerprint,
    Originals,
    describe_original,
    find_baseline,
    fingerprint,
    is_baseline,
    is_lexicon_row,
    only_deletes,
)
from leaderboard.board.reading import stored_verification
from leaderboard.board.recomputed import Recomputed
from leaderboard.rows.published import published_rows
from leaderboard.rows.results import expected_fields
from leaderboard.rows.row import TOLERANCE, Row, Status, TestSetInfo
from leaderboard.rows.sentences import VALUES, Sentences, summarise
from leaderboard.stores.base import Snapshot
from metrics import __version__
from metrics.data.sources import HUB_DATASETS
from metrics.data.test_sets import TestSet, UnknownTestSetError, load_named_test_set, load_test_set
from metrics.profiles import Profile, load_profile, profile_names
from metrics.scoring import DECIMALS, METRICS
from metrics.scoring.cache import ScoreCache
from metrics.scoring.evaluator import Evaluator
from metrics.scoring.signature import Signature
from metrics.systems.baselines import BASELINES
from metrics.systems.lexicons import read_lexicon
from metrics.systems.names import ENDPOINT
from metrics.systems.resolve import resolve_system
from metrics.util.characters import printable
from metrics.util.errors import InputError
from metrics.util.files import cache_dir

# For a mean of stored values, which every machine computes alike.
_EXACT = 1e-9
# Share of the faults that may differ: the judge's likeliest fault may hang on a rounding error.
_FAULTS_APART = 0.01
# The revision of a test set, by its origin: hashes of the files of a data folder, or a data set with its commit.
_REVISIONS = {
    "folder": re.compile(r"sha256:[0-9a-f]{16}(\+[0-9a-f]{16})*"),
    "hub": re.compile(f"({'|'.join(map(re.escape, HUB_DATASETS.values()))})@[0-9a-f]{{40}}"),
}
_OLD_SAMPLE = re.compile(r"sha256:[0-9a-f]{16}\+[0-9a-f]{16}\+[0-9a-f]{16}")
# Findings in a note. A forged row may have thousands.
_MAX_FINDINGS = 5


@dataclass
class Outcome:
    """What the verification of a file found.

    Attributes:
        row: The valid row in the file.
        letters: The stored outputs, as copies are found by them.
        baseline: The built-in baseline that has these outputs; "" for none.
        recomputed: The recomputed scores, as far as they were computed.
        findings: What is wrong, one line each.
        missing: What the verification lacks, one line each.
    """

    path: str
    row: Row | None = None
    letters: Fingerprint | None = None
    baseline: str = ""
    recomputed: Recomputed | None = None
    findings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """A mismatch if there is a finding, unverifiable if something is missing, else verified."""
        return "mismatch" if self.findings else "unverifiable" if self.missing else "verified"

    @property
    def note(self) -> str:
        """The first findings, or else what is missing, in one line."""
        lines = [printable(line) for line in self.findings[:_MAX_FINDINGS] or self.missing]
        more = len(self.findings) - _MAX_FINDINGS
        return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")

    def compare(self, name: str, stored: Any, recomputed: Any, tolerance: float = 0) -> None:
        """Add a finding if the field `name` does not have the recomputed value, a number within `tolerance`."""
        close = bool(tolerance) and stored is not None and abs(stored - recomputed) <= tolerance
        if stored != recomputed and not close:
            self.findings.append(f"{name}: stored {_short(stored)}, recomputed {_short(recomputed)}")


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else printable(" ".join(str(value).split()), 120)


class VerificationContext:
    """The test sets of `data_dir` and evaluators, each loaded once; also files of profiles and of test sets.

    `judge` is the model of the judged metrics.
    """

    def __init__(
        self, data_dir: str | None = None, profiles: Iterable[str] = (), test_sets: Iterable[str] = (),
        lexicon: Path | None = None, judge: str | None = None,
    ) -> None:  # fmt: skip
        self._data_dir = data_dir
        # The file of rude words of `delete`.
        self.lexicon = lexicon
        # `load_profile` also reads files: a row must not name one, so it names one of these.
        loaded = (load_profile(name).with_judge(judge) for name in (*profile_names(), *profiles))
        self._profiles: dict[str, Profile] = {f"{p.name}.v{p.version}": p for p in loaded}
        # A row must not name a file here either.
        files = (load_test_set(name, data_dir) for name in test_sets)
        self._test_sets: dict[tuple[str, str], TestSet] = {}
        for part in (part for test_set in files for part in test_set.by_language()):
            self._test_sets[part.name, part.lang] = part
            # Before rows had a language, FILE:LANG was the name of one language of a file.
            older = replace(part, name=f"{part.name}:{part.lang}", langs=())
            self._test_sets[older.name, older.lang] = older
        self._evaluators: dict[str, Evaluator] = {}

    def test_set(self, name: str, lang: str) -> TestSet:
        """Return a test set in a language; one that is neither built in nor in the data folder raises InputError."""
        if (name, lang) not in self._test_sets:
            try:
                whole = load_named_test_set(name, self._data_dir)
            except UnknownTestSetError:
                raise InputError(f"test set {name} is not one of the suite's; give its file with --test-set") from None
            if whole.name != name:
                raise InputError(f"test set {name} is not here; give --data-dir or SRO_DATA_DIR")
            for part in whole.by_language():
                self._test_sets[name, part.lang] = part
        if (name, lang) not in self._test_sets:
            raise InputError(f"test set {name} has no sentence in the language {lang} here")
        return self._test_sets[name, lang]

    def evaluator(self, profile: str) -> Evaluator:
        """Return the evaluator of a profile (`name.vN`); one that is not available here raises InputError."""
        if profile not in self._evaluators:
            if profile not in self._profiles:
                name = profile.rpartition(".v")[0]
                here = [str(p.version) for p in self._profiles.values() if p.name == name]
                problem = f"this program has version {' and '.join(here)} of it" if here else "not built in"
                raise InputError(f"profile {profile}: {problem}; give its file with --profile")
            # A separate cache: scores that were computed for publishing must not confirm themselves.
            cache = ScoreCache(cache_dir() / "verified-scores.sqlite")
            self._evaluators[profile] = Evaluator(self._profiles[profile], cache)
        return self._evaluators[profile]


def check_row(row: Row, snapshot: Snapshot, context: VerificationContext) -> Outcome:
    """Verify a measured row of a leaderboard against its stored sentences."""
    if not row.sentences and row.sentences_path in snapshot.files:
        return Outcome(row.path, row, findings=[f"sentences: stored none, but {row.sentences_path} is here"])
    if not row.sentences:
        return Outcome(row.path, row, missing=["no stored outputs"])
    if row.sentences_path not in snapshot.files:
        return Outcome(row.path, row, missing=["its sentences are not stored here"])
    try:
        sentences = Sentences.from_parquet(snapshot.read(row.sentences_path), row.sentences_path)
    except InputError as error:
        return Outcome(row.path, row, findings=[f"sentences: {error}"])
    outcome = Outcome(row.path, row, fingerprint(sentences), _baseline_of(row, sentences, context))
    if row.postdated:
        outcome.findings.append(f"date: {row.date} is in the future")
    _check_summary(row, sentences, outcome)
    try:
        _check_scores(row, sentences, context, outcome)
    except InputError as error:
        outcome.missing.append(str(error))
    return outcome


def _baseline_of(row: Row, sentences: Sentences, context: VerificationContext) -> str:
    """The built-in baseline whose outputs a row of another system has; "" for none."""
    if row.system.kind in ("baseline", "human"):
        return ""
    n = len(sentences.source)
    name, lang = row.test_set.name, row.test_set.lang
    unknown = TestSet(name, "", "", sentences.source, ((),) * n, langs=(lang,) * n)
    try:
        known = context.test_set(name, lang)
    except InputError:
        known = unknown
    # Without the test set, or with other sentences, two baselines still follow from the sources.
    same = known.sources[:n] == sentences.source
    return find_baseline(sentences.output, known.limit(n) if same else unknown)


def _check_summary(row: Row, sentences: Sentences, outcome: Outcome) -> None:
    """Check counts, means and intervals against the stored sentences; needs no model and no test set."""
    n = len(sentences.source)
    outcome.compare("test_set.n", row.test_set.n, n)
    _check_signature(row, n, outcome)
    values = sentences.values
    _compare_sentences("j", values["j"], values["sta"] * values["sim"] * values["fl"], 10**-DECIMALS, outcome)
    summary = summarise(sentences)
    pairs = {
        f"scores.{metric}.{part}": (getattr(row.scores.get(metric), part, None), summary["scores"][metric][part])
        for metric in METRICS
        for part in ("mean", "low", "high")
    }
    names = ("soft_sta", "soft_fl", "length_ratio", "copies", "empty")
    pairs |= {name: (getattr(row, name), summary[name]) for name in names}
    for name, (stored, recomputed) in pairs.items():
        outcome.compare(name, stored, recomputed, _EXACT)
    for name in ("sentences", "outputs"):
        outcome.compare(name, getattr(row, name)[:16], summary[name][:16])


def _compare_sentences(name: str, stored: Any, recomputed: Any, tolerance: float, outcome: Outcome) -> None:
    for i in np.flatnonzero(np.abs(recomputed - stored) > tolerance).tolist():
        outcome.compare(f"sentence {i}: {name}", float(stored[i]), float(recomputed[i]))


def _check_signature(row: Row, n: int, outcome: Outcome) -> None:
    try:
        signed = Signature.parse(row.signature).fields()
    except InputError as error:
        outcome.findings.append(f"signature: {error}")
        return
    outcome.compare("signature.n", signed["n"], str(n))
    if row.system.kind != "model" and not _may_have_decoding(row):
        outcome.compare("decoding", signed["decoding"], "none")
    expected = {"profile": row.profile, **expected_fields(signed, row.test_set, str(n), row.decoding)}
    for name in ("profile", "test", "lang", "decoding"):
        if expected[name] != signed[name]:
            outcome.compare(name, expected[name], f"{signed[name]} in its signature")


def _may_have_decoding(row: Row) -> bool:
    """Whether outputs have decoding settings: those of an endpoint's model have, and files whose reasoning was cut."""
    settings: tuple[dict[str, str], ...] = ({}, {"reasoning": "cut"})
    # Rewriters of a recipe may ask an endpoint under a name of their own.
    at_endpoint = "endpoint" in row.decoding or bool(ENDPOINT.fullmatch(row.system.name))
    return row.system.kind == "outputs" and (row.decoding in settings or at_endpoint)


def _check_scores(row: Row, sentences: Sentences, context: VerificationContext, outcome: Outcome) -> None:
    """Check sources, signature and the scores of each sentence; InputError if the verification lacks something."""
    signed = Signature.parse(row.signature).fields()
    version = signed["version"]
    if version != __version__:
        raise InputError(f"measured by version {version} of this program, this is {__version__}; install that one")
    full = context.test_set(row.test_set.name, row.test_set.lang)
    n, total = len(sentences.source), len(full.sources)
    for i, (stored, source) in enumerate(zip(sentences.source, full.sources, strict=False)):
        outcome.compare(f"sentence {i}: source", stored, source)
    outcome.compare("test_set.of", row.test_set.of, total)
    _check_origin(row.test_set, full, outcome)
    if n > total:
        outcome.compare("test_set.n", n, f"at most {total}")
        return
    test_set = full.limit(n)
    if row.test_set.origin != full.origin and not any(full.references) and row.test_set.sha256 != test_set.sha256:
        problem = f"its test set {row.test_set.name} has human references, those here have none"
        raise InputError(f"{problem}; read it from the Hub, without a data folder")
    outcome.compare("test_set.sha256", row.test_set.sha256, test_set.sha256)
    if row.system.name in BASELINES or row.system.kind in ("baseline", "human"):
        _check_baseline(row, sentences, test_set, context.lexicon, outcome)
    evaluator = context.evaluator(signed["profile"])
    for name, value in evaluator.signature(test_set, row.decoding).fields().items():
        outcome.compare(f"signature.{name}", signed[name], value)
    scores = evaluator.score(test_set.sources, sentences.output, test_set.references)
    values = {name: scores.metric(name) for name in VALUES}
    for name in VALUES:
        _compare_sentences(name, sentences.values[name], values[name], TOLERANCE, outcome)
    outcome.recomputed = Recomputed.of(row, replace(sentences, values=values))
    if sentences.faults:
        expected = evaluator.faults(test_set.sources, sentences.output) or ("not told by this profile",) * n
        apart = [i for i in range(n) if sentences.faults[i] != expected[i]]
        for i in apart if len(apart) > max(1, _FAULTS_APART * n) else []:
            outcome.compare(f"sentence {i}: fault", sentences.faults[i], expected[i])


def _check_origin(stored: TestSetInfo, here: TestSet, outcome: Outcome) -> None:
    """Check where a test set is said to come from: as here, or from the other of the two places that have it."""
    if stored.origin == here.origin:
        revision = stored.revision
        if here.origin == "sample" and _OLD_SAMPLE.fullmatch(revision):
            # Older rows also name the sample's training files; the test set's own hash stands last.
            revision = f"sha256:{revision.rpartition('+')[2]}"
        outcome.compare("test_set.revision", revision, here.revision)
        return
    pattern = _REVISIONS.get(stored.origin) if here.origin in _REVISIONS else None
    if pattern is None:
        outcome.compare("test_set.origin", stored.origin, here.origin)
    elif not pattern.fullmatch(stored.revision):
        finding = f"test_set.revision: stored {_short(stored.revision)}, which is none of a {stored.origin}"
        outcome.findings.append(finding)


def _check_baseline(row: Row, sentences: Sentences, test_set: TestSet, lexicon: Path | None, outcome: Outcome) -> None:
    """Check a baseline's kind, revision and outputs, which follow from its name and the test set."""
    built_in = row.system.name in BASELINES
    if built_in != (row.system.kind in ("baseline", "human")):
        outcome.compare("system.kind", row.system.kind, "baseline or human" if built_in else "model or outputs")
        return
    expected = resolve_system(row.system.name).revision
    if is_lexicon_row(row) and row.system.revision != expected:
        if not only_deletes(sentences):
            outcome.findings.append("outputs: they have letters that deletion does not give")
            return
        words = read_lexicon(test_set.lang, lexicon)
        if words.revision != row.system.revision:
            problem = f"here is {words.revision}" if lexicon else "give its lexicon with --lexicon FILE"
            raise InputError(f"{row.system.name} {row.system.revision}: {problem}")
        outputs = [words.delete(source) for source in test_set.sources]
    else:
        outcome.compare("system.revision", row.system.revision, expected)
        outputs = BASELINES[row.system.name](test_set)
    for i, (stored, output) in enumerate(zip(sentences.output, outputs, strict=True)):
        outcome.compare(f"sentence {i}: output", stored, output)


def check_published(row: Row) -> Outcome:
    """Verify a published figure against this program's list, which was copied from the publications."""
    listed = {figure.run_id: figure for figure in published_rows()}.get(row.run_id)
    if listed is None:
        missing = "a published figure that leaderboard/rows/published.yaml does not list"
        return Outcome(row.path, row, missing=[missing])
    outcome = Outcome(row.path, row)
    stored, expected = (one.model_dump(mode="json") for one in (row, listed))
    for name in Row.model_fields:
        outcome.compare(name, stored.get(name), expected.get(name))
    return outcome


def check_copies(snapshot: Snapshot, outcomes: Sequence[Outcome]) -> None:
    """Add a finding to each row whose outputs are those of another system.

    Among systems with the same outputs, the original is a baseline, else a row that was verified earlier, else the
    oldest row. A row with findings is no original.
    """

    def precedence(pair: tuple[Row, Outcome]) -> tuple[bool, bool, datetime.datetime, str]:
        row = pair[0]
        return not is_baseline(row), not _was_verified(row, snapshot), row.date, row.run_id

    valid = [(o.row, o) for o in outcomes if o.row and o.letters is not None and not o.findings]
    originals = Originals()
    for row, outcome in sorted(valid, key=precedence):
        original = originals.find(row, outcome.letters)
        name = describe_original(row, original) if original else outcome.baseline
        if name:
            outcome.findings.append(f"system.name: {row.system.name} has the outputs of {name}")
        else:
            originals.add(row, outcome.letters)


def _was_verified(row: Row, snapshot: Snapshot) -> bool:
    verification = stored_verification(snapshot, row)
    return verification is not None and verification.status == "verified"
