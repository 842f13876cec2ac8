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

from leaderboard.board import row_files
from metrics.errors import InputError, run_command

if TYPE_CHECKING:
    from leaderboard.results import Sentences
    from leaderboard.row import Row, Status
    from leaderboard.store import Snapshot, Store
    from metrics.corpora import TestSet
    from metrics.scoring import Evaluator

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
    text = f"{value:.6g}" if isinstance(value, float) else visible(" ".join(str(value).split()))
    return text if len(text) <= 120 else f"{text[:117]}…"


def visible(text: str) -> str:
    """`text` on a terminal: what a reader would not see, or what would steer the terminal, as U+ and its number."""
    from leaderboard.row import hidden

    return "".join(f"⟨U+{ord(c):04X}⟩" if hidden(c) else c for c in text)


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
    snapshot = store.snapshot(whole=True)
    outcomes = verify(snapshot, Bench(options.data_dir, profiles), options.only)
    tables = [] if options.only else check_tables(snapshot)
    for outcome in [*outcomes, *tables]:
        print(f"{outcome.status}\t{visible(outcome.path)}\t{outcome.note}")
    if options.write:
        _write(store, outcomes)
    counts = {status: sum(o.status == status for o in outcomes) for status in ("verified", "mismatch", "unverifiable")}
    published = len(row_files(snapshot)) - len(outcomes) if not options.only else 0
    more = f"; {published} published figures, of which nothing is computed" if published else ""
    print(f"{store.name}: " + ", ".join(f"{n} {status}" for status, n in counts.items()) + more)
    if counts["mismatch"] or tables:
        sys.exit(1)


class Bench:
    """The test sets and evaluators that rows are checked with, each loaded once."""

    def __init__(self, data_dir: str | None, profiles: dict[str, Any]) -> None:
        self._data_dir = data_dir
        self._profiles = profiles
        self._test_sets: dict[str, TestSet] = {}
        self._evaluators: dict[str, Evaluator] = {}

    def test_set(self, name: str) -> TestSet:
        """Errors: not here."""
        from metrics.corpora import load_test_set

        if name not in self._test_sets:
            self._test_sets[name] = load_test_set(name, self._data_dir)
        if self._test_sets[name].name != name:
            raise InputError(f"test set {name} is not here; give --data-dir or SRO_DATA_DIR")
        return self._test_sets[name]

    def evaluator(self, spelled: str) -> Evaluator:
        """Of the profile that a signature spells `name.vN`. Errors: no such profile or version, models not here."""
        from metrics.files import home
        from metrics.profiles import load_profile, profile_names
        from metrics.score_cache import ScoreCache
        from metrics.scoring import Evaluator

        if spelled not in self._evaluators:
            name = spelled.rpartition(".v")[0]
            # A row must not make the program read a file of its choice.
            if spelled not in self._profiles and name not in profile_names():
                raise InputError(f"profile {spelled}: not built in; give its file with --profile")
            profile = self._profiles.get(spelled) or load_profile(name)
            if f"{profile.name}.v{profile.version}" != spelled:
                raise InputError(f"profile {spelled}: this program has version {profile.version} of it")
            # A cache of its own: scores that were computed for publishing must not confirm themselves.
            self._evaluators[spelled] = Evaluator(profile, ScoreCache(home() / "verified-scores.sqlite"))
        return self._evaluators[spelled]


def verify(snapshot: Snapshot, bench: Bench, only: Sequence[str] | None = None) -> list[Outcome]:
    """Checks all measured rows of a snapshot, or those with the run ids `only`; sorted by path."""
    from leaderboard.board import OLD_ROWS, read_row
    from leaderboard.row import NewerSchemaError
    from metrics.progress import progress

    paths = [path for path in sorted(row_files(snapshot)) if not only or _run_of(path) in only]
    missing = set(only or ()) - {_run_of(path) for path in paths}
    if missing:
        raise InputError(f"--only: no row with run id {', '.join(sorted(missing))}")
    outcomes = []
    for path in progress(paths, "verifying"):
        outcome = Outcome(path)
        try:
            row = outcome.row = read_row(snapshot, path)
        except NewerSchemaError as error:
            outcome.missing.append(f"{str(error).removeprefix(f'{path}: ')}; install a newer one")
        except InputError as error:
            outcome.findings.append(Finding("row", str(error), "a row that its place and content agree on"))
        else:
            if row.record == "published":
                continue
            _check(row, snapshot, bench, outcome)
        outcomes.append(outcome)
    _check_copies(snapshot, outcomes)
    if OLD_ROWS in snapshot.files and not only:
        outcomes.append(Outcome(OLD_ROWS, missing=["rows of schema version 1 have no stored outputs"]))
    return outcomes


def _run_of(path: str) -> str:
    return Path(path).stem


def _check_copies(snapshot: Snapshot, outcomes: Sequence[Outcome]) -> None:
    """Of systems that wrote the same, all but the first are copies.

    The first is a trivial baseline, else one that was verified before, else the oldest; a row that is wrong by itself
    is nobody's original.
    """
    from leaderboard.board import find_copy, load_board
    from metrics.systems import BASELINES

    board = load_board(snapshot)
    sound = [(o, o.row) for o in outcomes if o.row and o.outputs and not o.findings]
    sound.sort(
        key=lambda pair: (
            pair[1].system.name not in BASELINES,
            board.status(pair[1]).status != "verified",
            pair[1].date,
            pair[1].run_id,
        )
    )  # fmt: skip
    originals: dict[str, Row] = {}
    for outcome, row in sound:
        first = find_copy(row, originals)
        if first is None:
            originals[row.run_id] = row
        else:
            outcome.findings.append(
                Finding("system.name", row.system.name, f"{first.system.name}, whose outputs these are")
            )


def check_tables(snapshot: Snapshot) -> list[Outcome]:
    """The derived tables that say of a row what its file does not; rows that they lack are only told."""
    from dataclasses import replace

    from leaderboard.board import load_board
    from leaderboard.results import read_parquet
    from leaderboard.tables import TABLES, derive

    outcomes = []
    runs = {_run_of(path) for path in row_files(snapshot)}
    for path, data in derive(load_board(replace(snapshot, oids={}))).items():
        if path not in snapshot.files:
            continue
        outcome = Outcome(path)
        rebuilt = {record["run_id"]: record for record in read_parquet(data, path).to_pylist()}
        try:
            stored = {record["run_id"]: record for record in read_parquet(snapshot.read(path), path).to_pylist()}
        except (InputError, KeyError) as error:
            outcome.findings.append(Finding("table", str(error), "a readable table"))
            stored = {}
        if path == TABLES["full"] and rebuilt.keys() - stored.keys():
            print(f"{path}: lacks rows that are there; run python -m leaderboard.rebuild", file=sys.stderr)
        # What stands beside others changes with them: where rows are missing, places are not compared.
        places = {"rank", "ties"} if rebuilt.keys() != stored.keys() else set()
        for run, record in stored.items():
            there = rebuilt.get(run)
            if there is None and run not in runs:
                outcome.findings.append(Finding(f"run {run}", record.get("system"), "no such row"))
            elif there is not None:
                for column in there.keys() - places:
                    if record.get(column) != there[column]:
                        outcome.findings.append(Finding(f"run {run}: {column}", record.get(column), there[column]))
        if outcome.findings:
            outcomes.append(outcome)
    return outcomes


def _check(row: Row, snapshot: Snapshot, bench: Bench, outcome: Outcome) -> None:
    """Fills `outcome` with all that can be said of one row."""
    from leaderboard.results import Sentences

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
    if row.date > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1):
        outcome.findings.append(Finding("date", row.date, "a day that has been"))
    _check_summary(row, sentences, outcome)
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
    for name in ("sentences", "outputs"):
        if getattr(row, name) != summary[name]:
            outcome.findings.append(Finding(name, getattr(row, name)[:16], summary[name][:16]))


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
    from leaderboard.row import TOLERANCE
    from metrics import __version__
    from metrics.signature import Signature
    from metrics.systems import BASELINES

    version = _signed(row, "version")
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


def _check_baseline(row: Row, sentences: Sentences, test_set: TestSet, outcome: Outcome) -> None:
    """What a trivial system must have written follows from the test set; its name and kind belong together."""
    from metrics.systems import BASELINES, resolve_system

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


def _write(store: Store, outcomes: Sequence[Outcome]) -> None:
    """Stores the findings, and the tables that show them, in one commit. Of rows that are no longer the same, none."""
    from dataclasses import replace

    from leaderboard.board import load_board, table_changes, verification_file
    from leaderboard.store import patiently
    from leaderboard.tables import Verification
    from metrics import __version__

    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    found = {
        o.row.run_id: Verification(o.status, o.note, today, __version__, o.row.sha256)
        for o in outcomes
        if o.row is not None and o.row.path == o.path
    }

    def act() -> None:
        snapshot = store.snapshot()
        board = load_board(snapshot)
        still = {run: v for run, v in found.items() if run in board.rows and board.rows[run].sha256 == v.row}
        board = replace(board, verifications={**board.verifications, **still})
        changes = dict(verification_file(run, verification) for run, verification in still.items())
        changes |= table_changes(board, snapshot)
        if changes:
            store.commit(changes, snapshot.revision, "Verify rows")

    patiently(act, store)


if __name__ == "__main__":
    run_command(main)
