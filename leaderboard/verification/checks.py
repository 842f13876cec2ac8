"""What `leaderboard.verify` checks: rows against their outputs, and the rest of a leaderboard against its rows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from leaderboard.board.board import (
    find_copy,
    is_trivial,
    load_board,
    read_verification,
    row_files,
    run_of,
    verification_path,
)
from leaderboard.board.tables import TABLES, derive
from leaderboard.publishing.card import SAMPLE, sample_parquet
from leaderboard.rows.formats import read_parquet
from leaderboard.rows.results import VALUES, Sentences, stated, summarise
from leaderboard.rows.row import RESULTS, TOLERANCE, visible
from metrics import __version__
from metrics.scoring import DECIMALS, METRICS
from metrics.scoring.signature import Signature
from metrics.systems.baselines import BASELINES
from metrics.systems.resolve import resolve_system
from metrics.util.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from leaderboard.rows.row import Row, Status
    from leaderboard.stores.store import Snapshot
    from metrics.data.test_sets import TestSet
    from metrics.scoring.evaluator import Evaluator

# Of a mean over stored values, which any machine computes alike.
EXACT = 1e-9
# Findings printed per row; what was altered throughout needs no longer list.
SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """A value of a row that does not follow from its outputs."""

    field: str
    stored: Any
    recomputed: Any

    def __str__(self) -> str:
        return f"{self.field}: stored {_short(self.stored)}, recomputed {_short(self.recomputed)}"


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else visible(" ".join(str(value).split()), 120)


@dataclass
class Outcome:
    """findings: mismatches. missing: what the row cannot be checked without, here. row: None for no row at its place.

    outputs: the hash of the texts that are stored.
    """

    path: str
    row: Row | None = None
    outputs: str = ""
    findings: list[Finding] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def status(self) -> Status:
        return "mismatch" if self.findings else "unverifiable" if self.missing else "verified"

    @property
    def note(self) -> str:
        lines = [str(finding) for finding in self.findings[:SHOWN]] or [visible(line) for line in self.missing]
        more = len(self.findings) - SHOWN
        return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


class Bench:
    """The test sets and evaluators that rows are checked with, each loaded once."""

    def __init__(self, data_dir: str | None, profiles: dict[str, Any]) -> None:
        self._data_dir = data_dir
        self._profiles = profiles
        self._test_sets: dict[str, TestSet] = {}
        self._evaluators: dict[str, Evaluator] = {}

    def test_set(self, name: str) -> TestSet:
        """Errors: not here."""
        from metrics.data.test_sets import load_test_set

        if name not in self._test_sets:
            self._test_sets[name] = load_test_set(name, self._data_dir)
        if self._test_sets[name].name != name:
            raise InputError(f"test set {name} is not here; give --data-dir or SRO_DATA_DIR")
        return self._test_sets[name]

    def evaluator(self, spelled: str) -> Evaluator:
        """Of the profile that a signature spells `name.vN`. Errors: no such profile or version, models not here."""
        from metrics.profiles import load_profile, profile_names
        from metrics.scoring.cache import ScoreCache
        from metrics.scoring.evaluator import Evaluator
        from metrics.util.files import cache_dir

        if spelled not in self._evaluators:
            name = spelled.rpartition(".v")[0]
            # A row must not make the program read a file of its choice.
            if spelled not in self._profiles and name not in profile_names():
                raise InputError(f"profile {spelled}: not built in; give its file with --profile")
            profile = self._profiles.get(spelled) or load_profile(name)
            if f"{profile.name}.v{profile.version}" != spelled:
                raise InputError(f"profile {spelled}: this program has version {profile.version} of it")
            # A cache of its own: scores that were computed for publishing must not confirm themselves.
            self._evaluators[spelled] = Evaluator(profile, ScoreCache(cache_dir() / "verified-scores.sqlite"))
        return self._evaluators[spelled]


# -- one row -----------------------------------------------------------------------------------------------------------
def check_row(row: Row, snapshot: Snapshot, bench: Bench, outcome: Outcome) -> None:
    """Fills `outcome` with all that can be said of one row."""
    if not row.sentences:
        outcome.missing.append("no stored outputs")
        return
    if row.sentences_path not in snapshot.files:
        outcome.missing.append("its sentences are not stored here")
        return
    try:
        sentences = Sentences.from_parquet(snapshot.read(row.sentences_path), row.sentences_path)
    except InputError as error:
        outcome.findings.append(Finding("sentences", str(error), "readable sentences"))
        return
    outcome.outputs = sentences.outputs_sha256
    if row.postdated:
        outcome.findings.append(Finding("date", row.date, "a day that has been"))
    _check_summary(row, sentences, outcome)
    try:
        _check_scores(row, sentences, bench, outcome)
    except InputError as error:
        outcome.missing.append(str(error))


def _check_summary(row: Row, sentences: Sentences, outcome: Outcome) -> None:
    """Counts, means and intervals against the stored sentences; no model and no test set is needed."""
    import numpy as np

    n = len(sentences.source)
    if row.test_set.n != n:
        outcome.findings.append(Finding("test_set.n", row.test_set.n, n))
    signed: dict[str, str] = {}
    try:
        signed = Signature.parse(row.signature).fields()
    except InputError as error:
        outcome.findings.append(Finding("signature", row.signature, str(error)))
    if signed and signed["n"] != str(n):
        outcome.findings.append(Finding("signature.n", signed["n"], n))
    expected = {"profile": row.profile, **stated(signed, row.test_set.name, str(n), row.decoding)}
    for name in ("profile", "test", "decoding"):
        if signed and expected[name] != signed[name]:
            outcome.findings.append(Finding(name, expected[name], f"{signed[name]} in its signature"))
    values = sentences.values
    wrong = np.abs(values["sta"] * values["sim"] * values["fl"] - values["j"]) > 10**-DECIMALS
    for i in np.flatnonzero(wrong).tolist():
        product = float(values["sta"][i] * values["sim"][i] * values["fl"][i])
        outcome.findings.append(Finding(f"sentence {i}: j", float(values["j"][i]), product))
    summary = summarise(sentences)
    for metric in METRICS:
        score = row.scores.get(metric)
        for part in ("mean", "low", "high"):
            stored, computed = getattr(score, part, None), summary["scores"][metric][part]
            if stored is None or abs(stored - computed) > EXACT:
                outcome.findings.append(Finding(f"scores.{metric}.{part}", stored, computed))
    for name in ("soft_sta", "soft_fl", "length_ratio", "copies", "empty"):
        stored, computed = getattr(row, name), summary[name]
        if stored is None or abs(stored - computed) > EXACT:
            outcome.findings.append(Finding(name, stored, computed))
    for name in ("sentences", "outputs"):
        if getattr(row, name) != summary[name]:
            outcome.findings.append(Finding(name, getattr(row, name)[:16], summary[name][:16]))


def _check_scores(row: Row, sentences: Sentences, bench: Bench, outcome: Outcome) -> None:
    """Inputs against the test set, the signature, and every score of every sentence. Errors: what is not here."""
    import numpy as np

    signed = Signature.parse(row.signature).fields()
    version = signed["version"]
    if version != __version__:
        raise InputError(f"measured by version {version} of this program, this is {__version__}; install that one")
    found = bench.test_set(row.test_set.name)
    n, whole = len(sentences.source), len(found.sources)
    for i, (stored, source) in enumerate(zip(sentences.source, found.sources, strict=False)):
        if stored != source:
            outcome.findings.append(Finding(f"sentence {i}: source", stored, source))
    if row.test_set.of != whole:
        outcome.findings.append(Finding("test_set.of", row.test_set.of, whole))
    if row.test_set.origin == found.origin and row.test_set.revision != found.revision:
        outcome.findings.append(Finding("test_set.revision", row.test_set.revision, found.revision))
    if n > whole:
        outcome.findings.append(Finding("test_set.n", n, f"at most {whole}"))
        return
    test_set = found.limit(n)
    if row.test_set.sha256 != test_set.sha256:
        outcome.findings.append(Finding("test_set.sha256", row.test_set.sha256, test_set.sha256))
    if row.system.name in BASELINES or row.system.kind in ("baseline", "human"):
        _check_baseline(row, sentences, test_set, outcome)
    evaluator = bench.evaluator(signed["profile"])
    for name, value in evaluator.signature(test_set, row.decoding).fields().items():
        if signed[name] != value:
            outcome.findings.append(Finding(f"signature.{name}", signed[name], value))
    scores = evaluator.score(test_set.sources, sentences.output, test_set.references)
    for name in VALUES:
        computed, stored_values = scores.metric(name), sentences.values[name]
        for i in np.flatnonzero(np.abs(computed - stored_values) > TOLERANCE).tolist():
            outcome.findings.append(Finding(f"sentence {i}: {name}", float(stored_values[i]), float(computed[i])))


def _check_baseline(row: Row, sentences: Sentences, test_set: TestSet, outcome: Outcome) -> None:
    """What a trivial system must have written follows from the test set; its name and kind belong together."""
    trivial = row.system.name in BASELINES
    if trivial != (row.system.kind in ("baseline", "human")):
        right = "baseline or human" if trivial else "model or outputs"
        outcome.findings.append(Finding("system.kind", row.system.kind, right))
        return
    expected = resolve_system(row.system.name).revision
    if row.system.revision != expected:
        if row.system.revision.startswith("lexicon-") and expected.startswith("lexicon-"):
            raise InputError(f"{row.system.name} {row.system.revision}: this program has {expected}")
        outcome.findings.append(Finding("system.revision", row.system.revision, expected))
    for i, (stored, output) in enumerate(zip(sentences.output, BASELINES[row.system.name](test_set), strict=True)):
        if stored != output:
            outcome.findings.append(Finding(f"sentence {i}: output", stored, output))


# -- the leaderboard ---------------------------------------------------------------------------------------------------
def check_copies(snapshot: Snapshot, outcomes: Sequence[Outcome]) -> None:
    """Of systems that wrote the same, all but the first are copies.

    The first is a trivial baseline, else one that was verified before, else the oldest; a row that is wrong by itself
    is nobody's original.
    """
    sound = [(o, o.row) for o in outcomes if o.row and o.outputs and not o.findings]
    sound.sort(
        key=lambda pair: (
            not is_trivial(pair[1]),
            not _was_verified(pair[1], snapshot),
            pair[1].date,
            pair[1].run_id,
        )
    )
    originals: dict[str, list[Row]] = {}
    for outcome, row in sound:
        first = find_copy(row, originals)
        if first is None:
            originals.setdefault(row.outputs, []).append(row)
        else:
            outcome.findings.append(
                Finding("system.name", row.system.name, f"{first.system.name}, whose outputs these are")
            )


def _was_verified(row: Row, snapshot: Snapshot) -> bool:
    path = verification_path(row.run_id)
    try:
        found = read_verification(snapshot, path)
    except InputError:
        return False
    return found.status == "verified" and found.row == row.sha256


def check_tables(snapshot: Snapshot) -> list[Outcome]:
    """The derived tables that are not what the rows they list give. Rows that they do not list yet are only told."""
    full = TABLES["full"]
    if full not in snapshot.files:
        return []
    try:
        listed = set(map(str, read_parquet(snapshot.read(full), full).column("run_id").to_pylist()))
    except (InputError, KeyError, ValueError) as error:
        return [Outcome(full, findings=[Finding("table", str(error), "a readable table")])]
    unlisted = {path for path in row_files(snapshot) if run_of(path) not in listed}
    if unlisted:
        print(f"{full}: lacks {len(unlisted)} rows that are there; run python -m leaderboard.rebuild", file=sys.stderr)
    board = load_board(replace(snapshot, files=snapshot.files - unlisted, oids={}))
    outcomes = []
    for path, data in derive(board).items():
        outcome = Outcome(path)
        try:
            stored = read_parquet(snapshot.read(path), path)
            _compare_tables(stored, read_parquet(data, path), outcome)
        except (InputError, KeyError, ValueError) as error:
            outcome.findings.append(Finding("table", str(error), "a readable table"))
        if outcome.findings:
            outcomes.append(outcome)
    return outcomes


def _compare_tables(stored: pa.Table, rebuilt: pa.Table, outcome: Outcome) -> None:
    if stored.column_names != rebuilt.column_names:
        outcome.findings.append(Finding("columns", ", ".join(stored.column_names), ", ".join(rebuilt.column_names)))
        return
    records, there = stored.to_pylist(), {record["run_id"]: record for record in rebuilt.to_pylist()}
    for record in records:
        if record["run_id"] not in there:
            name = record.get("system", "")
            outcome.findings.append(Finding(f"run {record['run_id']}", f"a row {name}", "no such row"))
    if len(records) != len(there):
        outcome.findings.append(Finding("rows", len(records), len(there)))
    for record in records:
        for column, value in there.get(record["run_id"], {}).items():
            if record[column] != value:
                outcome.findings.append(Finding(f"run {record['run_id']}: {column}", record[column], value))
    if not outcome.findings and not stored.equals(rebuilt):
        outcome.findings.append(Finding("table", "another order or other types", "as rebuilt"))


def check_files(snapshot: Snapshot) -> list[Outcome]:
    """Files that readers of the data set would load and that belong to no row, and a test set that is not built in."""
    rows = row_files(snapshot)
    known = {*TABLES.values(), *rows, *(path.removesuffix(".json") + ".parquet" for path in rows)}
    strays = [
        Outcome(path, findings=[Finding("file", "there", "belongs to no row")])
        for path in sorted(snapshot.files - known)
        if path.startswith(("data/", f"{RESULTS}/"))
    ]
    if SAMPLE in snapshot.files:
        try:
            same = read_parquet(snapshot.read(SAMPLE), SAMPLE).equals(read_parquet(sample_parquet(), SAMPLE))
        except InputError:
            same = False
        if not same:
            strays.append(Outcome(SAMPLE, findings=[Finding("sentences", "others", "the built-in test set")]))
    return strays


def check_published(row: Row, outcome: Outcome) -> None:
    """A published figure against this program's list, which was typed from the publications."""
    from leaderboard.rows.published import published_rows

    known = {figure.run_id: figure for figure in published_rows()}.get(row.run_id)
    if known is None:
        outcome.missing.append("a published figure that leaderboard/published.yaml does not list")
        return
    for name in ("scores", "source", "test_set"):
        if getattr(row, name) != getattr(known, name):
            outcome.findings.append(Finding(name, getattr(row, name), getattr(known, name)))
