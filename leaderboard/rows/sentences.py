"""The sentences of a row: what the system read and wrote, and the scores of each, in Parquet beside the row."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from leaderboard.rows.row import MAX_TEXT
from metrics.data.parquet import read_parquet, to_records, write_parquet
from metrics.data.text import is_copy, length_ratio
from metrics.scoring import DECIMALS, METRICS, metric_range
from metrics.scoring.slices import ScoredSentences
from metrics.scoring.statistics import mean_interval
from metrics.util.errors import InputError
from metrics.util.files import content_hash

TEXTS = ("source", "output")
VALUES = (*METRICS, "soft_sta", "soft_fl")
# Characters in the name of a fault.
_MAX_FAULT = 40
# Bytes; 10,000 sentences take far less.
_MAX_UNPACKED = 64_000_000


@dataclass(frozen=True)
class Sentences:
    """Texts that the system read, texts that it wrote, and scores [n] by the names `VALUES`, of n sentences.

    `faults` [n] are those that the profile's judge sees in the outputs; empty for a profile without such a judge.
    """

    source: tuple[str, ...]
    output: tuple[str, ...]
    values: Mapping[str, np.ndarray[Any, Any]]
    faults: tuple[str, ...] = ()

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]], where: str) -> Self:
        """Return the sentences in mappings with the keys `TEXTS`, `VALUES` and, if at all, "fault" in each.

        Raises:
            InputError: There is no record, a value is not a number in its metric's range, or a text is missing, too
                long or not UTF-8; begins with `where`.
        """
        if not records:
            raise InputError(f"{where}: no sentences")
        ranges = {name: metric_range(name) for name in VALUES}
        for number, record in enumerate(records):
            for name in TEXTS:
                text = record.get(name)
                if not isinstance(text, str) or len(text) > MAX_TEXT:
                    raise InputError(f"{where}: sentence {number}: no {name} of at most {MAX_TEXT:,} characters")
                if any("\ud800" <= character <= "\udfff" for character in text):
                    raise InputError(f"{where}: sentence {number}: {name} has characters that UTF-8 cannot encode")
            for name in VALUES:
                if type(record.get(name)) not in (int, float) or not math.isfinite(record[name]):
                    raise InputError(f"{where}: sentence {number}: {name} is not a finite number")
                lowest, highest = ranges[name]
                if not lowest <= record[name] <= highest:
                    limits = f"{round(lowest)} and {round(highest)}"
                    raise InputError(f"{where}: sentence {number}: {name} is not between {limits}")
        values = {name: np.array([record[name] for record in records], dtype=np.float64) for name in VALUES}
        return cls(
            tuple(r["source"] for r in records), tuple(r["output"] for r in records), values, _faults(records, where)
        )

    @property
    def sha256(self) -> str:
        """Hash of the content, which does not depend on the Parquet writer."""
        values = {name: column.round(DECIMALS).tolist() for name, column in self.values.items()}
        # Without faults the hash is that of the sentences of earlier versions.
        return content_hash([self.source, self.output, values, *([self.faults] if self.faults else [])])

    @property
    def outputs_sha256(self) -> str:
        """Hash of the letters and digits of the texts: equal for a system and its re-scored or re-spaced copy."""
        bare = [[re.sub(r"\W+", "", text.casefold()) for text in texts] for texts in (self.source, self.output)]
        return content_hash(bare)

    def to_parquet(self) -> bytes:
        """Return the sentences as a Parquet file."""
        faults = {"fault": list(self.faults)} if self.faults else {}
        texts = {"source": list(self.source), "output": list(self.output)}
        return write_parquet(pa.table({**texts, **self.values, **faults}))

    @property
    def scored(self) -> ScoredSentences:
        """The sentences as slices read them."""
        return ScoredSentences(self.source, self.values, self.faults)

    @classmethod
    def from_parquet(cls, data: bytes, where: str) -> Self:
        """Return the sentences in a Parquet file; raises as `of` and `read_parquet` do, and for other columns."""
        table = read_parquet(data, where, _MAX_UNPACKED)
        _require_columns(table.schema, where)
        return cls.of(to_records(table, where), where)


def _require_columns(schema: pa.Schema, where: str) -> None:
    """Refuse a column that `to_parquet` does not write, which no check would read and every viewer would show."""
    expected = [*TEXTS, *VALUES, *(["fault"] if "fault" in schema.names else [])]
    if sorted(schema.names) != sorted(expected):
        names = ", ".join(schema.names)[:200]
        raise InputError(f"{where}: has the columns {names}; sentences have {', '.join(expected)}, each once")
    for column in schema:
        right = pa.types.is_float64 if column.name in VALUES else _is_text
        if not right(column.type):
            raise InputError(f"{where}: column {column.name} has the type {str(column.type)[:60]}")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _faults(records: Sequence[Mapping[str, Any]], where: str) -> tuple[str, ...]:
    """The fault of each record; () if none has one."""
    faults = [record.get("fault") for record in records]
    if all(fault is None for fault in faults):
        return ()
    for number, fault in enumerate(faults):
        # Not only the names that this program knows: later judges may see other faults.
        if not isinstance(fault, str) or not fault.isprintable() or not 0 < len(fault) <= _MAX_FAULT:
            raise InputError(f"{where}: sentence {number}: no fault of at most {_MAX_FAULT} characters")
    return tuple(map(str, faults))


def summarise(sentences: Sentences) -> dict[str, Any]:
    """Return the fields of a row that follow from its sentences."""
    pairs = list(zip(sentences.source, sentences.output, strict=True))
    return {
        "scores": {name: vars(mean_interval(sentences.values[name])) for name in METRICS},
        "soft_sta": float(sentences.values["soft_sta"].mean()),
        "soft_fl": float(sentences.values["soft_fl"].mean()),
        "length_ratio": sum(length_ratio(*pair) for pair in pairs) / len(pairs),
        "copies": sum(is_copy(*pair) for pair in pairs) / len(pairs),
        "empty": sum(not output.strip() for output in sentences.output),
        "sentences": sentences.sha256,
        "outputs": sentences.outputs_sha256,
    }
