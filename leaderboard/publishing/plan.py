"""Plans a publication: checks new rows against a board, and computes the files that change."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from leaderboard.board.board import Board, Entry
from leaderboard.board.copies import (
    Originals,
    describe_original,
    find_baseline,
    fingerprint,
    is_baseline,
    is_lexicon_row,
    only_deletes,
)
from leaderboard.board.markdown import table
from leaderboard.board.reading import load_board, read_sentences, with_latest_j
from leaderboard.board.replaced import REPLACED, is_replacement, replaced_file, with_replaced
from leaderboard.board.tables import table_changes
from leaderboard.publishing.card import missing_files
from leaderboard.rows.row import Row
from leaderboard.rows.sentences import Sentences
from leaderboard.stores.base import Snapshot
from metrics.data.test_sets import TestSet, load_test_set
from metrics.systems.baselines import BASELINES
from metrics.util.errors import InputError
from metrics.util.files import content_hash


@dataclass(frozen=True)
class Plan:
    """The effect of a publication on the board.

    Attributes:
        additions: New rows, and rows that get their sentences, by run id.
        row_files: Path and content of the additions, and of what they replace.
        changes: Path and content of each file that changes.
    """

    before: Board
    after: Board
    additions: dict[str, Entry]
    row_files: dict[str, bytes]
    changes: dict[str, bytes]

    @property
    def title(self) -> str:
        """Title of the commit."""
        match [row for row, _ in self.additions.values()]:
            case []:
                return "Replace rows" if self.row_files else "Rebuild the derived tables"
            case [row]:
                return f"Add {row.system.name} ({row.run_id})"
            case rows:
                return f"Add {len(rows)} results ({content_hash(sorted(row.run_id for row in rows))[:8]})"

    def describe(self) -> str:
        """Return the files with their sizes, and a diff of the rankings that the new rows enter."""
        lines = [f"+ {path} ({len(data):,} bytes)" for path, data in sorted(self.changes.items())]
        groups = {row.comparable for row, _ in self.additions.values()}
        old = {ranking[0].comparable: table(ranking, self.before).split("\n") for ranking in self.before.rankings}
        for ranking in self.after.rankings:
            first = ranking[0]
            if first.comparable in groups:
                lines.append(f"{first.test_set.title} (n = {first.test_set.n or 'unknown'}), {first.profile}:")
                new = table(ranking, self.after).split("\n")
                diff = difflib.unified_diff(old.get(first.comparable, []), new, n=1, lineterm="")
                lines += [line for line in diff if line[:2] not in ("--", "++", "@@")]
        return "\n".join(lines + [line for row, _ in self.additions.values() for line in self._others(row)])

    def _others(self, row: Row) -> list[str]:
        """Lines about the row whose place a new one takes, and those that stay beside it."""
        old = self.before.rows.get(row.run_id, row)
        taken = f"{row.system.name}: takes the place of {old.submitter}'s row {old.run_id}, which has no sentences"
        return ([] if old.agrees(row) else [taken]) + [
            f"{row.system.name}: row {old.run_id} of {old.date:%Y-%m-%d} stays in the ranking; "
            f"--replaces {old.run_id} takes it out if it is yours"
            for old in self.after.latest
            if old.run_id in self.before.rows and is_replacement(old, row)
        ]


def plan(snapshot: Snapshot, entries: Sequence[Entry], replaces: Sequence[str] = ()) -> Plan:
    """Return the effect of publishing `entries` in a leaderboard, in place of the rows with the run ids `replaces`.

    Raises:
        InputError: The leaderboard has another result for a run, unless only the new one has its sentences; or a row is
            a copy of another system's, uses a baseline's name or kind, or is dated in the future, or cannot replace a
            row of `replaces`.
    """
    board = load_board(snapshot)
    present = {run for run, row in board.rows.items() if row.sentences_path in snapshot.files}
    # `load_board` read the sentences of the latest rows, and left damaged ones out of `board.j`.
    stored = present - (board.latest_ids - board.j.keys())
    new = any(row.run_id not in board.rows or not board.rows[row.run_id].agrees(row) for row, _ in entries)
    originals = _originals([board.rows[run] for run in sorted(stored)], snapshot) if new else Originals()
    additions: dict[str, Entry] = {}
    for row, sentences in entries:
        existing = board.rows.get(row.run_id)
        # Nobody can recompute the scores of a row without its sentences: it would keep this run for good.
        claimed = existing is not None and not existing.agrees(row) and existing.sentences_path not in snapshot.files
        if existing is None or (claimed and sentences is not None):
            _check_identity(row, sentences)
            _check_copy(row, sentences, originals)
            additions[row.run_id] = row, sentences
        elif not existing.agrees(row):
            values = f"J {_j(existing)}, yours {_j(row)}"
            taken = f"{existing.submitter} published another result for this run ({values})"
            action = "rows with sentences are never overwritten"
            if claimed:
                action = "it has no sentences: publish yours with its own, without --without-texts"
            raise InputError(f"{row.path}: {taken}; {action}")
        elif sentences is not None and row.run_id not in stored:
            # An interrupted publisher, or --without-texts, left a row without its sentences.
            if existing.sentences != sentences.sha256:
                lacking = "the stored row lacks its sentences, and yours differ by rounding"
                raise InputError(f"{row.path}: {lacking}; publish it from the machine that scored it")
            additions[row.run_id] = existing, sentences
    row_files = {row.path: row.to_json().encode() for row, _ in additions.values()}
    row_files |= {row.sentences_path: s.to_parquet() for row, s in additions.values() if s is not None}
    after = board.with_entries(additions)
    replaced = board.replaced | with_replaced(after.rows, [row for row, _ in entries], replaces)
    if replaced != board.replaced:
        row_files[REPLACED] = replaced_file(replaced)
    after = with_latest_j(replace(after, replaced=replaced), snapshot, board.latest_ids)
    changes = {**row_files, **missing_files(snapshot), **table_changes(after, snapshot)}
    return Plan(board, after, additions, row_files, changes)


def _originals(rows: Sequence[Row], snapshot: Snapshot) -> Originals:
    """Rows of which a new one may be a copy. Those on the Hub are not read one by one: their hashes are compared."""
    originals = Originals()
    for row in rows:
        try:
            originals.add(row, None if snapshot.oids else fingerprint(read_sentences(snapshot, row)))
        except InputError:
            # Damaged sentences of a row that another one has replaced; `load_board` reads the latest ones, and warns.
            originals.add(row, None)
    return originals


def _check_copy(row: Row, sentences: Sentences | None, originals: Originals) -> None:
    """Refuse a row that has the outputs of another system, or of a baseline."""
    original = originals.find(row, fingerprint(sentences) if sentences else None)
    if original is not None:
        copied = f"its outputs are those of {describe_original(row, original)} ({original.path}), sentence by sentence"
        raise InputError(f"{row.system.name}: {copied}; a copy under another name gets no row")
    # A training run is not lost because its model copies the source; verification tells what the model is.
    if sentences is None or is_baseline(row) or row.provenance.recipe:
        return
    n = len(sentences.source)
    known = load_test_set("sample").sources[:n] == sentences.source
    unknown = TestSet(row.test_set.name, "", "", sentences.source, ((),) * n, langs=(row.test_set.lang,) * n)
    baseline = find_baseline(sentences.output, load_test_set("sample").limit(n) if known else unknown)
    if baseline:
        copied = f"its outputs are those of this program's baseline {baseline}, sentence by sentence"
        raise InputError(f"{row.system.name}: {copied}; score the system {baseline} instead")


def _check_identity(row: Row, sentences: Sentences | None) -> None:
    """Refuse a baseline's name or kind for another system, and a date in the future."""
    deletes = is_lexicon_row(row) and sentences is not None and only_deletes(sentences)
    if row.record == "measured" and not is_baseline(row) and not deletes:
        if row.system.name in BASELINES:
            raise InputError(f"{row.system.name}: reserved for this program's baseline of that name; give another name")
        if row.system.kind in ("baseline", "human"):
            raise InputError(f"{row.system.name}: kind {row.system.kind} is reserved for this program's baselines")
    if row.postdated:
        raise InputError(f"{row.system.name}: dated {row.date:%Y-%m-%d}, in the future; set the clock")


def _j(row: Row) -> str:
    return f"{row.scores['j'].mean:.3f}" if "j" in row.scores else "none"
