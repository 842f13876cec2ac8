"""Which columns of a table hold ids, sources, outputs, references and languages: by their usual names, or as given."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from metrics.data.tables import Table
from metrics.util.errors import InputError

_SOURCES = ("toxic_sentence", "source", "toxic", "en_toxic_comment")
_OUTPUTS = ("neutral_sentence", "output")
# The column of the shared tasks' JSON Lines: sources in one file, outputs in another.
_TEXT = "text"
_LANGUAGES = ("lang", "language")
_REFERENCES = re.compile(r"(neutral|neutral_sentence|neutral_sentences|reference|references|en_neutral_comment)_?\d*")
# What --columns may name, with the usual columns as synonyms.
_ROLES = {
    "id": "id", "source": "source", "toxic_sentence": "source", "output": "output", "neutral_sentence": "both",
    "reference": "reference", "lang": "lang",
}  # fmt: skip
_POSITIONS = ("toxic_sentence", "neutral_sentence", "lang")
SYNTAX = "ROLE=COLUMN,… with the roles id, source, output, reference, lang; or SOURCE,OUTPUT,LANG"


@dataclass(frozen=True)
class Columns:
    """Names of columns that the user gives; "" and () stand for the usual names."""

    id: str = ""
    source: str = ""
    output: str = ""
    lang: str = ""
    references: tuple[str, ...] = ()

    @classmethod
    def parse(cls, settings: Sequence[str], option: str = "--columns") -> Self:
        """Read `ROLE=COLUMN,…`, or the columns in place of toxic_sentence, neutral_sentence and lang, in this order.

        Raises:
            InputError: A role is unknown or given twice, or there are too many columns.
        """
        given: dict[str, list[str]] = {}
        parts = [part.strip() for setting in settings for part in setting.split(",")]
        plain = [part for part in parts if "=" not in part]
        if any(not part for part in parts) or (plain and len(plain) != len(parts)) or len(plain) > len(_POSITIONS):
            raise InputError(f"{option} {' '.join(settings)}: write {SYNTAX}")
        pairs = zip(_POSITIONS, plain, strict=False) if plain else (part.split("=", 1) for part in parts)
        for name, column in pairs:
            if name not in _ROLES or not column:
                raise InputError(f"{option} {name}={column}: write {SYNTAX}")
            roles = ("output", "reference") if _ROLES[name] == "both" else (_ROLES[name],)
            for role in roles:
                given.setdefault(role, []).append(column)
        twice = [role for role, columns in given.items() if role != "reference" and len(columns) > 1]
        if twice:
            raise InputError(f"{option}: two columns for {', '.join(twice)}")
        single = {role: columns[0] for role, columns in given.items() if role != "reference"}
        return cls(references=tuple(given.get("reference", ())), **single)

    def find_id(self, table: Table) -> str:
        """Return the column of the ids, "" if there is none."""
        return _find(table, self.id, ("id",), "id")

    def find_lang(self, table: Table) -> str:
        """Return the column of the languages, "" if there is none."""
        return _find(table, self.lang, _LANGUAGES, "lang")

    def find_source(self, table: Table) -> str:
        """Return the column of the sources beside outputs, "" if there is none."""
        return _find(table, self.source, _SOURCES, "source")

    def find_output(self, table: Table) -> str:
        """Return the column of the outputs; raise an `InputError` if there is none."""
        found = _find(table, self.output, _OUTPUTS, "output") or _find(table, "", (_TEXT,), "output")
        return found or _missing(table, "neutral_sentence or text", "output")

    def find_test_source(self, table: Table) -> str:
        """Return the column of a test set's sources; raise an `InputError` if there is none."""
        found = self.find_source(table) or _find(table, "", (_TEXT,), "source")
        return found or _missing(table, "toxic_sentence or text", "source")

    def find_references(self, table: Table) -> tuple[str, ...]:
        """Return the columns of a test set's references, in their order."""
        for name in self.references:
            _find(table, name, (), "reference")
        return self.references or tuple(name for name in table.columns if _REFERENCES.fullmatch(name.lower()))


def _find(table: Table, given: str, usual: Sequence[str], role: str) -> str:
    if given:
        return given if given in table.columns else _missing(table, given, role)
    found = [name for name in table.columns if name.lower() in usual]
    if len(found) > 1:
        raise InputError(
            f"{table.path}: {' and '.join(found)} could each be its {role}; choose with --columns {role}=…"
        )
    return found[0] if found else ""


def _missing(table: Table, wanted: str, role: str) -> str:
    there = ", ".join(table.columns)[:200] or "none"
    raise InputError(f"{table.path}: no column {wanted}; it has {there}; give the one with --columns {role}=…")
