"""Copies: rows whose outputs are those of another system, or of a built-in baseline."""

import re
from collections.abc import Iterator, Sequence

from leaderboard.board.letters import letters
from leaderboard.rows.row import Row
from leaderboard.rows.sentences import Sentences
from metrics.data.test_sets import TestSet
from metrics.systems.baselines import BASELINES
from metrics.systems.lexicons import deletes_only
from metrics.systems.resolve import resolve_system
from metrics.util.errors import InputError

# Outputs of fewer sentences may be equal by chance.
_MIN_SENTENCES = 20
# Of each source the letters of the output in both forms, all as hashes: the texts of ten thousand rows take gigabytes.
Fingerprint = dict[int, tuple[int, int]]
_NOTHING = hash("")


class Originals:
    """Rows with their outputs, among which copies are sought."""

    def __init__(self) -> None:
        self._rows: list[tuple[Row, Fingerprint]] = []
        self._by_outputs: dict[str, list[Row]] = {}

    def add(self, row: Row, letters_of: Fingerprint | None) -> None:
        """Add a row; without its fingerprint, only a row with the same hash of the outputs is found to be its copy."""
        if letters_of:
            self._rows.append((row, letters_of))
        self._by_outputs.setdefault(row.outputs, []).append(row)

    def find(self, row: Row, letters_of: Fingerprint | None) -> Row | None:
        """Return a row of which `row` is a copy, or None.

        Two rows are copies if their outputs agree on all sentences that they share, 20 or more of them, whatever their
        scores; rows of the same revision also if they have fewer sentences, and the same ones. Exceptions are rows of
        one system (`is_one_system`), baselines, whose outputs follow from the test set, and rows of one training run,
        which coincide if it keeps step 0.
        """
        if is_baseline(row):
            return None
        alike = self._alike(row, letters_of or {})
        return next((other for other in alike if not is_one_system(row, other) and not _same_run(row, other)), None)

    def _alike(self, row: Row, own: Fingerprint) -> Iterator[Row]:
        """The rows with the outputs of `row`, by their hash and by comparison."""
        for other in self._by_outputs.get(row.outputs, []) if row.outputs else []:
            if (row.test_set.n or 0) >= _MIN_SENTENCES or row.system.revision == other.system.revision:
                yield other
        for other, theirs in self._rows:
            if _agree(own, theirs):
                yield other


def fingerprint(sentences: Sentences) -> Fingerprint:
    """Return what `Originals` compares of the sentences of a row."""
    found = {}
    for source, output in zip(sentences.source, sentences.output, strict=True):
        plain, looks = letters(output)
        found[hash(letters(source)[0])] = hash(plain), hash(looks)
    return found


def _agree(own: Fingerprint, theirs: Fingerprint) -> bool:
    """Whether two rows have the same outputs on all sentences that they share, enough of them not empty."""
    shared = 0
    for source, (plain, looks) in own.items():
        other = theirs.get(source)
        if other is not None:
            if plain != other[0] and looks != other[1]:
                return False
            shared += plain != _NOTHING
    return shared >= _MIN_SENTENCES


def is_one_system(first: Row, second: Row) -> bool:
    """Return whether two rows name one system: measured with other settings, profiles or on other sentences."""
    names = [(row.system.name, row.system.kind, row.system.revision) for row in (first, second)]
    return names[0] == names[1]


def describe_original(row: Row, original: Row) -> str:
    """Return the name of the row of which `row` is a copy, with its revision if the names are equal."""
    name = original.system.name
    return f"{name} at revision {original.system.revision[:19]}" if name == row.system.name else name


def find_baseline(outputs: Sequence[str], test_set: TestSet) -> str:
    """Return the built-in baseline whose outputs these are, for the sentences of `test_set`; "" for none.

    Each output of the baseline `reference` may be any of the human rewrites of its source.
    """
    own = [letters(output) for output in outputs]
    if sum(plain != "" for plain, _ in own) < _MIN_SENTENCES:
        return ""
    for name, rewrite in BASELINES.items():
        try:
            expected = [{output} for output in rewrite(test_set)]
        except InputError:
            # `reference`, where some sentence has no human rewrite.
            continue
        if name == "reference":
            expected = [set(rewrites) for rewrites in test_set.references]
        pairs = zip(own, expected, strict=True)
        if all(any(_read_alike(forms, letters(text)) for text in texts) for forms, texts in pairs):
            return name
    return ""


def _read_alike(first: tuple[str, str], second: tuple[str, str]) -> bool:
    return first[0] == second[0] or first[1] == second[1]


def is_baseline(row: Row) -> bool:
    """Return whether a row is of a built-in baseline at this program's revision, so that its outputs can be checked."""
    name = row.system.name
    built_in = row.system.kind in ("baseline", "human") and name in BASELINES
    return built_in and row.system.revision == resolve_system(name).revision


def is_lexicon_row(row: Row) -> bool:
    """Return whether a row claims to be the baseline `delete` with some lexicon; `only_deletes` tells if it can be."""
    named = row.system.kind == "baseline" and row.system.name == "delete"
    return named and re.fullmatch(r"lexicon-[0-9a-f]{12}", row.system.revision) is not None


def only_deletes(sentences: Sentences) -> bool:
    """Return whether every output can come from its source by deletion."""
    return all(map(deletes_only, sentences.source, sentences.output))


def _same_run(first: Row, second: Row) -> bool:
    """Return whether one training run made both rows.

    A recipe in common proves nothing, since anybody can copy one. Its lock in each row must state the other's revision
    and outputs, as `repro.pipeline.scoring` writes them: nobody can add them to a row of somebody else.
    """
    locks = [row.provenance.recipe or {} for row in (first, second)]
    return all(_states(lock, row) for lock in locks for row in (first, second))


def _states(lock: dict[str, object], row: Row) -> bool:
    """Whether the lock of a run lists the row's system with its revision and the hash of its outputs."""
    systems = lock.get("systems")
    stated = systems.get(row.system.name) if isinstance(systems, dict) else None
    return bool(row.outputs) and stated == {"revision": row.system.revision, "outputs": row.outputs}
