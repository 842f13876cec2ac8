"""Sentence by sentence over all systems: which sentences pass the explorer's filters, and what each system wrote."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from leaderboard.rows.sentences import Sentences
from leaderboard.space.data import Leaderboard, Record
from leaderboard.space.views.selection import ANY
from metrics.scoring import FACTORS
from metrics.scoring.slices import NONE, SLICINGS, SUNK, lowest_metric
from metrics.util.errors import InputError

_Array = np.ndarray[Any, Any]
# Whose rewrites are read and shown for one sentence.
MAX_SYSTEMS = 24
# Files that are read at once; on the Hub each is a request.
_READERS = 8
_CACHED = 64
MAX_WORDS = 100
TOXICITY = (ANY, *SLICINGS["toxicity"].names)
LENGTHS = (ANY, *SLICINGS["length"].names)
SUNK_BY = (ANY, NONE, *map(str.upper, FACTORS))
AGREE, DISAGREE = "profiles agree", "profiles disagree"
PROFILES = (ANY, AGREE, DISAGREE)
LOWEST = "Lowest J first"
SYSTEMS_DIFFER, PROFILES_DIFFER = "Systems differ most", "Profiles differ most"
ORDERS = (LOWEST, "Highest J first", "As in the test set", SYSTEMS_DIFFER, PROFILES_DIFFER)


@dataclass(frozen=True)
class Choice:
    """Which sentences to list, and in which order; any text is allowed in each field, and unknown ones choose all.

    Attributes:
        toxicity: A kind of toxicity of the source.
        length: A length of the source.
        sunk: The metric that sank the system's rewrite, or "none".
        profiles: Whether another profile puts J on the other side of one half.
        words: Text that stands in the source or the rewrite.
        order: One of `ORDERS`.
    """

    toxicity: str = ANY
    length: str = ANY
    sunk: str = ANY
    profiles: str = ANY
    words: str | None = ""
    order: str = LOWEST


class Explorer:
    """The sentences of a leaderboard's groups; what does not depend on the filters is computed once."""

    def __init__(self, board: Leaderboard) -> None:
        self.board = board
        self._labels = lru_cache(_CACHED)(self._label)
        # Kept: to start threads takes longer than to show sentences that are in memory.
        self._readers = ThreadPoolExecutor(_READERS)

    def systems(self, records: Sequence[Record], key: str | None) -> list[tuple[Record, Sentences]]:
        """Return the records of `key`'s sentences with theirs: the first ones in the order of `records`, and `key`.

        Raises:
            InputError: No sentences of `key` are stored.
        """
        own = self._own(key)
        first = [r for r in records if r["key"] != key][: MAX_SYSTEMS - 1]
        place = next((i for i, r in enumerate(records) if r["key"] == key), 0)
        chosen = [*first[:place], self.board.records[key or ""], *first[place:]]
        found = list(self._readers.map(self._read, [record["key"] for record in chosen]))
        # Files under one signature may hold other sentences; those cannot stand beside these.
        return [(r, s) for r, s in zip(chosen, found, strict=True) if s is not None and s.source == own.source]

    def _read(self, key: str) -> Sentences | None:
        try:
            return self.board.sentences(key)
        except InputError:
            return None

    def _own(self, key: str | None) -> Sentences:
        if not key or key not in self.board.records:
            raise InputError("no system is chosen")
        return self.board.sentences(key)

    def _label(self, key: str) -> dict[str, list[str]]:
        """The kind of toxicity and the length of each source, and the metric that sank each rewrite, by field."""
        scored = self.board.sentences(key).scored
        labels = {name: list(SLICINGS[slicing].label(scored)) for name, slicing in
                  (("toxicity", "toxicity"), ("length", "length"))}  # fmt: skip
        return {**labels, "sunk": lowest_metric(scored.values)}

    def labels(self, key: str) -> dict[str, list[str]]:
        """Return the labels [n] of the record's sentences by field: toxicity, length, sunk."""
        return self._labels(key)

    def other_profiles(self, key: str) -> dict[str, _Array]:
        """Return J [n] of the same outputs by the other profiles that scored them, by the profile's name."""
        record, own = self.board.records[key], self.board.sentences(key)
        found: dict[str, _Array] = {}
        for other in self._siblings(record):
            sentences = self._read(other["key"])
            if sentences is not None and (sentences.source, sentences.output) == (own.source, own.output):
                found.setdefault(str(other["profile"]), sentences.values["j"])
        return found

    def _siblings(self, record: Record) -> list[Record]:
        """Rows of the same system on the same sentences in other groups, one per group."""
        group = self.board.group_of(record["key"])
        same = ("system", "kind", "revision", "test_set_sha256", "n")
        others = (g for g in self.board.groups.values() if g is not group)
        rows = (next((r for r in g.records if all(r[name] == record[name] for name in same)), None) for g in others)
        return [row for row in rows if row is not None]

    def choose(self, key: str, choice: Choice, everybody: Callable[[], list[tuple[Record, Sentences]]]) -> list[int]:
        """Return the places of the sentences that pass, in the order chosen.

        Args:
            key: The system whose rewrites are filtered and sorted.
            choice: The filters and the order.
            everybody: Reads the sentences of all systems; called only if the order needs them.

        Raises:
            InputError: No sentences of `key` are stored.
        """
        own, labels = self._own(key), self.labels(key)
        passing = np.ones(len(own.source), dtype=bool)
        for field, choices in (("toxicity", TOXICITY), ("length", LENGTHS), ("sunk", SUNK_BY)):
            wanted = getattr(choice, field)
            if wanted != ANY and wanted in choices:
                passing &= np.array(labels[field]) == wanted
        if words := (choice.words or "")[:MAX_WORDS].casefold().strip():
            texts = zip(own.source, own.output, strict=True)
            passing &= np.array([words in source.casefold() or words in output.casefold() for source, output in texts])
        others = self.other_profiles(key) if choice.profiles in PROFILES[1:] or choice.order == PROFILES_DIFFER else {}
        j = own.values["j"]
        if choice.profiles in PROFILES[1:]:
            apart = np.zeros(len(j), dtype=bool)
            for values in others.values():
                apart |= (values < SUNK) != (j < SUNK)
            passing &= apart if choice.profiles == DISAGREE else ~apart if others else np.zeros(len(j), dtype=bool)
        # Where many J are 0, the worst rewrite comes first.
        factors = np.mean([own.values[metric] for metric in FACTORS], axis=0)
        second = factors if choice.order == LOWEST else np.zeros(len(j))
        order = np.lexsort((second, self._order(choice.order, j, others, everybody)))
        return [int(i) for i in order if passing[i]]

    def _order(self, order: str, j: _Array, others: dict[str, _Array], everybody: Callable[[], Any]) -> _Array:
        """The values by which sentences are sorted, lowest first."""
        if order == SYSTEMS_DIFFER:
            return -np.ptp(np.stack([sentences.values["j"] for _, sentences in everybody()]), axis=0)
        if order == PROFILES_DIFFER and others:
            return -np.max([np.abs(values - j) for values in others.values()], axis=0)
        return {LOWEST: j, "Highest J first": -j}.get(order, np.arange(len(j)))
