"""The command `python -m leaderboard.verify`: recomputes every row of a leaderboard from its stored outputs.

Per row it checks the schema, the place and run id, the sentences against the test set, the signature, the counts, every
score of every sentence, the means and intervals, what trivial baselines must have written, and that no row is a copy
under another name. A row is then

    verified       everything followed from the outputs
    mismatch       something did not: field, stored value, recomputed value
    unverifiable   something that it takes is not here: outputs, the test set, the profile's models, that version

--write stores what was found beside the rows. A killed run goes on where it stopped.

Exit codes: 0 no mismatch, 1 at least one, 2 something given cannot be used (one line says what), 130 interrupted.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.errors import InputError, run_command

if TYPE_CHECKING:
    from leaderboard.results import Sentences
    from leaderboard.row import Row, Status
    from leaderboard.store import Snapshot
    from leaderboard.tables import Board, Verification
    from metrics.corpora import TestSet
    from metrics.scoring import Evaluator

# Of one sentence's score: other processors and batches round differently, and a label that flips differs by 1.
TOLERANCE = 1e-4
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
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= 120 else f"{text[:117]}…"


@dataclass
class Outcome:
    """findings: mismatches. missing: what the row cannot be checked without, here."""

    path: str
    findings: list[Finding] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def status(self) -> Status:
        return "mismatch" if self.findings else "unverifiable" if self.missing else "verified"

    @property
    def note(self) -> str:
        lines = [str(finding) for finding in self.findings[:SHOWN]] or self.missing
        more = len(self.findings) - SHOWN
        return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m leaderboard.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--local", metavar="DIR", help="a leaderboard folder (default: the one tox -e reproduce left)")
    p.add_argument("--repo", metavar="ORG/NAME", help="a leaderboard on the Hub")
    p.add_argument("--only", action="append", metavar="RUN_ID", help="check this row only; may be repeated")
    p.add_argument("--profile", action="append", default=[], metavar="FILE", help="a profile that is not built in")
    p.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    p.add_argument("--write", action="store_true", help="store the findings in the leaderboard")
    return p


def main(argv: list[str]) -> None:
    options = parser().parse_args(argv)
    from leaderboard.show import DEFAULT
    from leaderboard.store import open_store
    from metrics.profiles import load_profile

    local = options.local or (None if options.repo else DEFAULT)
    store = open_store(repo=options.repo, local=local)
    profiles = {f"{p.name}.v{p.version}": p for p in map(load_profile, options.profile)}
    snapshot = store.snapshot()
    outcomes = verify(snapshot, Bench(options.data_dir, profiles), options.only)
    if options.write:
        _write(store, outcomes)
    counts = {status: sum(o.status == status for o in outcomes) for status in ("verified", "mismatch", "unverifiable")}
    print(f"{store.name}: " + ", ".join(f"{n} {status}" for status, n in counts.items()))
    if counts["mismatch"]:
        sys.exit(1)


class Bench:
    """The test sets and evaluators that rows are checked with, each loaded once."""

    def __init__(self, data_dir: str | None, profiles: dict[str, Any]) -> None:
        self._data_dir = data_dir
        self._profiles = profiles
        self._test_sets: dict[str, TestSet] = {}
        self._evaluators: dict[str, Evaluator] = {}

    def test_set(self, name: str, n: int) -> TestSet:
        """The first n sentences of the test set. Errors: not here, or fewer."""
        from metrics.corpora import load_test_set

        if name not in self._test_sets:
            self._test_sets[name] = load_test_set(name, self._data_dir)
        found = self._test_sets[name]
        if found.name != name:
            raise InputError(f"test set {name} is not here; give --data-dir or SRO_DATA_DIR")
        return found.limit(n)

    def evaluator(self, spelled: str) -> Evaluator:
        """Of the profile that a signature spells `name.vN`. Errors: no such profile or version, models not here."""
        from metrics.files import home
        from metrics.profiles import load_profile
        from metrics.score_cache import ScoreCache
        from metrics.scoring import Evaluator

        if spelled not in self._evaluators:
            profile = self._profiles.get(spelled) or load_profile(spelled.rpartition(".v")[0])
            if f"{profile.name}.v{profile.version}" != spelled:
                raise InputError(f"profile {spelled}: this program has version {profile.version} of it")
            # A cache of its own: scores that were computed for publishing must not confirm themselves.
            self._evaluators[spelled] = Evaluator(profile, ScoreCache(home() / "verified-scores.sqlite"))
        return self._evaluators[spelled]


def verify(snapshot: Snapshot, bench: Bench, only: Sequence[str] | None = None) -> list[Outcome]:
    """Checks all measured rows of a snapshot (or those with the run ids `only`), printing each; sorted by path."""
    from leaderboard.board import find_copies, load_board, read_row, row_files
    from leaderboard.row import NewerSchemaError
    from metrics.progress import progress

    board = load_board(snapshot, anew=True)
    copies = find_copies(board)
    paths = [path for path in sorted(row_files(snapshot)) if not only or _run_of(path) in only]
    if only and len(paths) != len(set(only)):
        raise InputError(f"--only: no row with run id {', '.join(set(only) - {_run_of(path) for path in paths})}")
    outcomes = []
    for path in progress(paths, "verifying"):
        outcome = Outcome(path)
        try:
            row = read_row(snapshot, path)
        except NewerSchemaError as error:
            outcome.missing.append(f"{str(error).removeprefix(f'{path}: ')}; install a newer one")
        except InputError as error:
            outcome.findings.append(Finding("row", str(error), "a row that its place and content agree on"))
        else:
            if row.record == "published":
                continue
            _check(row, snapshot, bench, outcome)
            if row.run_id in copies:
                name = board.rows[copies[row.run_id]].system.name
                outcome.findings.append(Finding("system.name", row.system.name, f"{name}, whose outputs these are"))
        outcomes.append(outcome)
    if not only:
        outcomes += _check_tables(board, snapshot)
    for outcome in outcomes:
        print(f"{outcome.status}\t{outcome.path}\t{outcome.note}")
    return outcomes


def _check_tables(board: Board, snapshot: Snapshot) -> list[Outcome]:
    """Derived tables that list the rows there are, and say something else of them."""
    from io import BytesIO

    import pyarrow as pa
    from pyarrow import parquet

    from leaderboard.tables import TABLES, derive

    outcomes = []
    for path, data in derive(board).items():
        if path not in snapshot.files:
            continue
        outcome = Outcome(path)
        rebuilt = parquet.read_table(BytesIO(data))
        try:
            stored = parquet.read_table(BytesIO(snapshot.read(path)))
            listed = sorted(stored.column("run_id").to_pylist()) == sorted(rebuilt.column("run_id").to_pylist())
        except (pa.ArrowException, KeyError, ValueError) as error:
            outcome.findings.append(Finding("table", " ".join(str(error).split()), "a readable table"))
        else:
            if not listed and path == TABLES["full"]:
                print(f"{path}: does not list the rows there are; run python -m leaderboard.rebuild", file=sys.stderr)
            elif listed and not stored.equals(rebuilt):
                columns = [c for c in rebuilt.column_names if c not in stored.column_names
                           or not stored.column(c).equals(rebuilt.column(c))]  # fmt: skip
                outcome.findings.append(
                    Finding(f"columns {', '.join(columns)}", "other values", "from the rows' files")
                )
        if outcome.findings:
            outcomes.append(outcome)
    return outcomes


def _run_of(path: str) -> str:
    return Path(path).stem


def _check(row: Row, snapshot: Snapshot, bench: Bench, outcome: Outcome) -> None:
    """Fills `outcome` with all that can be said of one row."""
    from leaderboard.board import read_sentences
    from leaderboard.results import Sentences

    if not row.sentences:
        outcome.missing.append("no stored outputs")
        return
    if row.sentences_path not in snapshot.files:
        outcome.missing.append(f"{row.sentences_path} is not there")
        return
    try:
        sentences = Sentences.from_parquet(snapshot.read(row.sentences_path), row.sentences_path)
    except InputError as error:
        outcome.findings.append(Finding("sentences", str(error), "readable sentences"))
        return
    _check_summary(row, sentences, outcome)
    try:
        read_sentences(snapshot, row)
    except InputError:
        outcome.findings.append(Finding("sentences", row.sentences[:16], sentences.sha256[:16]))
    try:
        _check_scores(row, sentences, bench, outcome)
    except InputError as error:
        outcome.missing.append(str(error))


def _check_summary(row: Row, sentences: Sentences, outcome: Outcome) -> None:
    """Counts, means and intervals against the stored sentences; no model and no test set is needed."""
    import numpy as np

    from leaderboard.results import summarise
    from metrics.measures import DECIMALS
    from metrics.scoring import METRICS
    from metrics.signature import Signature

    n = len(sentences.source)
    for name, count in (("test_set.n", str(row.test_set.n)), ("signature.n", _signed(row, "n"))):
        if count != str(n):
            outcome.findings.append(Finding(name, count, n))
    try:
        Signature.parse(row.signature)
    except InputError as error:
        outcome.findings.append(Finding("signature", row.signature, str(error)))
    if _signed(row, "profile") != row.profile:
        outcome.findings.append(Finding("profile", row.profile, _signed(row, "profile")))
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


def _signed(row: Row, name: str) -> str:
    from metrics.signature import Signature

    try:
        return Signature.parse(row.signature).fields()[name]
    except InputError:
        return ""


def _check_scores(row: Row, sentences: Sentences, bench: Bench, outcome: Outcome) -> None:
    """Inputs against the test set, the signature, and every score of every sentence. Errors: what is not here."""
    import numpy as np

    from leaderboard.results import VALUES
    from metrics import __version__
    from metrics.signature import Signature
    from metrics.systems import BASELINES, resolve_system

    version = _signed(row, "version")
    if version != __version__:
        raise InputError(f"measured by version {version} of this program, this is {__version__}; install that one")
    test_set = bench.test_set(row.test_set.name, len(sentences.source))
    for i, (stored, source) in enumerate(zip(sentences.source, test_set.sources, strict=True)):
        if stored != source:
            outcome.findings.append(Finding(f"sentence {i}: source", stored, source))
    if row.test_set.sha256 != test_set.sha256:
        outcome.findings.append(Finding("test_set.sha256", row.test_set.sha256, test_set.sha256))
    whole = test_set.whole or len(test_set.sources)
    if row.test_set.of != whole:
        outcome.findings.append(Finding("test_set.of", row.test_set.of, whole))
    trivial = row.system.name in BASELINES
    if trivial != (row.system.kind in ("baseline", "human")):
        outcome.findings.append(
            Finding("system.kind", row.system.kind, "baseline or human" if trivial else "model or outputs")
        )
    elif trivial:
        expected = resolve_system(row.system.name)
        if row.system.revision != expected.revision:
            outcome.missing.append(f"{row.system.name} {row.system.revision}; this program has {expected.revision}")
        else:
            written = BASELINES[row.system.name](test_set)
            for i, (stored, output) in enumerate(zip(sentences.output, written, strict=True)):
                if stored != output:
                    outcome.findings.append(Finding(f"sentence {i}: output", stored, output))
    evaluator = bench.evaluator(_signed(row, "profile"))
    stored_fields = Signature.parse(row.signature).fields()
    for name, value in evaluator.signature(test_set, row.decoding).fields().items():
        if stored_fields[name] != value:
            outcome.findings.append(Finding(f"signature.{name}", stored_fields[name], value))
    scores = evaluator.score(test_set.sources, sentences.output, test_set.references)
    for name in VALUES:
        computed, stored_values = scores.metric(name), sentences.values[name]
        for i in np.flatnonzero(np.abs(computed - stored_values) > TOLERANCE).tolist():
            outcome.findings.append(Finding(f"sentence {i}: {name}", float(stored_values[i]), float(computed[i])))


def _write(store: Any, outcomes: Sequence[Outcome]) -> None:
    """Stores the findings, and the tables that show them, in one commit."""
    from dataclasses import replace

    from leaderboard.board import load_board, table_changes, verification_file
    from leaderboard.store import patiently
    from leaderboard.tables import Verification
    from metrics import __version__

    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    found: dict[str, Verification] = {
        _run_of(o.path): Verification(o.status, o.note, today, __version__)
        for o in outcomes
        if not o.path.startswith("data/")
    }

    def act() -> None:
        snapshot = store.snapshot()
        board = load_board(snapshot)
        board = replace(board, verifications={**board.verifications, **found})
        changes = dict(verification_file(run, verification) for run, verification in found.items())
        store.commit({**changes, **table_changes(board, snapshot)}, snapshot.revision, "Verify rows")

    patiently(act, store)


if __name__ == "__main__":
    run_command(main)
