"""Verifies rows: against their stored outputs, the test set, the built-in baselines, and each other."""

from collections.abc import Sequence

import numpy as np

from leaderboard.board.copies import find_copy, is_baseline
from leaderboard.board.reading import read_verification, verification_path
from leaderboard.rows.published import published_rows
from leaderboard.rows.results import expected_fields
from leaderboard.rows.row import TOLERANCE, Row
from leaderboard.rows.sentences import VALUES, Sentences, summarise
from leaderboard.stores.base import Snapshot
from leaderboard.verification.context import VerificationContext
from leaderboard.verification.outcome import Outcome
from metrics import __version__
from metrics.data.test_sets import TestSet
from metrics.scoring import DECIMALS, METRICS
from metrics.scoring.signature import Signature
from metrics.systems.baselines import BASELINES
from metrics.systems.resolve import resolve_system
from metrics.util.errors import InputError

# For a mean of stored values, which every machine computes alike.
_EXACT = 1e-9


def check_row(row: Row, snapshot: Snapshot, context: VerificationContext) -> Outcome:
    """Verify a measured row of a leaderboard against its stored sentences."""
    outcome = Outcome(row.path, row)
    if not row.sentences:
        outcome.missing.append("no stored outputs")
        return outcome
    if row.sentences_path not in snapshot.files:
        outcome.missing.append("its sentences are not stored here")
        return outcome
    try:
        sentences = Sentences.from_parquet(snapshot.read(row.sentences_path), row.sentences_path)
    except InputError as error:
        outcome.findings.append(f"sentences: {error}")
        return outcome
    outcome.outputs = sentences.outputs_sha256
    if row.postdated:
        outcome.findings.append(f"date: {row.date} is in the future")
    _check_summary(row, sentences, outcome)
    try:
        _check_scores(row, sentences, context, outcome)
    except InputError as error:
        outcome.missing.append(str(error))
    return outcome


def _check_summary(row: Row, sentences: Sentences, outcome: Outcome) -> None:
    """Check counts, means and intervals against the stored sentences; needs no model and no test set."""
    n = len(sentences.source)
    if row.test_set.n != n:
        outcome.differ("test_set.n", row.test_set.n, n)
    _check_signature(row, n, outcome)
    values = sentences.values
    products = values["sta"] * values["sim"] * values["fl"]
    for i in np.flatnonzero(np.abs(products - values["j"]) > 10**-DECIMALS).tolist():
        outcome.differ(f"sentence {i}: j", float(values["j"][i]), float(products[i]))
    summary = summarise(sentences)
    pairs = {
        f"scores.{metric}.{part}": (getattr(row.scores.get(metric), part, None), summary["scores"][metric][part])
        for metric in METRICS
        for part in ("mean", "low", "high")
    }
    names = ("soft_sta", "soft_fl", "length_ratio", "copies", "empty")
    pairs |= {name: (getattr(row, name), summary[name]) for name in names}
    for name, (stored, recomputed) in pairs.items():
        if stored is None or abs(stored - recomputed) > _EXACT:
            outcome.differ(name, stored, recomputed)
    for name in ("sentences", "outputs"):
        if getattr(row, name) != summary[name]:
            outcome.differ(name, getattr(row, name)[:16], summary[name][:16])


def _check_signature(row: Row, n: int, outcome: Outcome) -> None:
    try:
        signed = Signature.parse(row.signature).fields()
    except InputError as error:
        outcome.findings.append(f"signature: {error}")
        return
    if signed["n"] != str(n):
        outcome.differ("signature.n", signed["n"], n)
    expected = {"profile": row.profile, **expected_fields(signed, row.test_set.name, str(n), row.decoding)}
    for name in ("profile", "test", "decoding"):
        if expected[name] != signed[name]:
            outcome.differ(name, expected[name], f"{signed[name]} in its signature")


def _check_scores(row: Row, sentences: Sentences, context: VerificationContext, outcome: Outcome) -> None:
    """Check sources, signature and the scores of each sentence; InputError if the verification lacks something."""
    signed = Signature.parse(row.signature).fields()
    version = signed["version"]
    if version != __version__:
        raise InputError(f"measured by version {version} of this program, this is {__version__}; install that one")
    full = context.test_set(row.test_set.name)
    n, total = len(sentences.source), len(full.sources)
    for i, (stored, source) in enumerate(zip(sentences.source, full.sources, strict=False)):
        if stored != source:
            outcome.differ(f"sentence {i}: source", stored, source)
    if row.test_set.of != total:
        outcome.differ("test_set.of", row.test_set.of, total)
    if row.test_set.origin == full.origin and row.test_set.revision != full.revision:
        outcome.differ("test_set.revision", row.test_set.revision, full.revision)
    if n > total:
        outcome.differ("test_set.n", n, f"at most {total}")
        return
    test_set = full.limit(n)
    if row.test_set.sha256 != test_set.sha256:
        outcome.differ("test_set.sha256", row.test_set.sha256, test_set.sha256)
    if row.system.name in BASELINES or row.system.kind in ("baseline", "human"):
        _check_baseline(row, sentences, test_set, outcome)
    evaluator = context.evaluator(signed["profile"])
    for name, value in evaluator.signature(test_set, row.decoding).fields().items():
        if signed[name] != value:
            outcome.differ(f"signature.{name}", signed[name], value)
    scores = evaluator.score(test_set.sources, sentences.output, test_set.references)
    for name in VALUES:
        recomputed, stored_values = scores.metric(name), sentences.values[name]
        for i in np.flatnonzero(np.abs(recomputed - stored_values) > TOLERANCE).tolist():
            outcome.differ(f"sentence {i}: {name}", float(stored_values[i]), float(recomputed[i]))


def _check_baseline(row: Row, sentences: Sentences, test_set: TestSet, outcome: Outcome) -> None:
    """Check a baseline's kind, revision and outputs, which follow from its name and the test set."""
    built_in = row.system.name in BASELINES
    if built_in != (row.system.kind in ("baseline", "human")):
        outcome.differ("system.kind", row.system.kind, "baseline or human" if built_in else "model or outputs")
        return
    expected = resolve_system(row.system.name).revision
    if row.system.revision != expected:
        if row.system.revision.startswith("lexicon-") and expected.startswith("lexicon-"):
            raise InputError(f"{row.system.name} {row.system.revision}: this program has {expected}")
        outcome.differ("system.revision", row.system.revision, expected)
    for i, (stored, output) in enumerate(zip(sentences.output, BASELINES[row.system.name](test_set), strict=True)):
        if stored != output:
            outcome.differ(f"sentence {i}: output", stored, output)


def check_published(row: Row) -> Outcome:
    """Verify a published figure against this program's list, which was copied from the publications."""
    outcome = Outcome(row.path, row)
    listed = {figure.run_id: figure for figure in published_rows()}.get(row.run_id)
    if listed is None:
        outcome.missing.append("a published figure that leaderboard/rows/published.yaml does not list")
        return outcome
    for name in ("scores", "source", "test_set"):
        if getattr(row, name) != getattr(listed, name):
            outcome.differ(name, getattr(row, name), getattr(listed, name))
    return outcome


def check_copies(snapshot: Snapshot, outcomes: Sequence[Outcome]) -> None:
    """Add a finding to each row whose outputs are those of another system.

    Among systems with the same outputs, the original is a baseline, else a row that was verified earlier, else the
    oldest row. A row with findings is no original.
    """
    valid = [(o, o.row) for o in outcomes if o.row and o.outputs and not o.findings]
    valid.sort(
        key=lambda pair: (not is_baseline(pair[1]), not _was_verified(pair[1], snapshot), pair[1].date, pair[1].run_id)
    )
    originals: dict[str, list[Row]] = {}
    for outcome, row in valid:
        original = find_copy(row, originals)
        if original is None:
            originals.setdefault(row.outputs, []).append(row)
        else:
            outcome.findings.append(f"system.name: {row.system.name} has the outputs of {original.system.name}")


def _was_verified(row: Row, snapshot: Snapshot) -> bool:
    try:
        verification = read_verification(snapshot, verification_path(row.run_id))
    except InputError:
        return False
    return verification.status == "verified" and verification.row == row.sha256
