"""Lexicons of rude words, by language, and the deletion of their entries from texts."""

import functools
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import regex

from metrics.data.columns import Columns
from metrics.data.languages import require_code
from metrics.data.sources import hub_files
from metrics.data.tables import is_table, read_table, read_texts
from metrics.util.characters import printable
from metrics.util.errors import InputError
from metrics.util.files import cache_dir, content_hash, read_text

# One file per language, with the column text; the delete baseline of the shared tasks reads it.
HUB_LEXICON = "textdetox/multilingual_toxic_lexicon"
_COLUMNS = ("text", "word", "toxic")
# Unlike re, regex counts vowel signs and accents that follow a letter as parts of words: Hindi, Hebrew, Arabic.
_WORD = regex.compile(r"[\w'*@$\u200c\u200d]+")
# Signs of a line with several entries, or with a comment after its entry; no word or phrase contains them.
_SEPARATORS = (",", ";", "\t", " #", "、", "，", "；")
# Packages that split the languages without blanks between words.
_TOKENISERS = {"zh": ("jieba",), "ja": ("sudachipy", "sudachidict_small")}
# Written without blanks between words, and served by no tokeniser here.
_UNSERVED = frozenset({"bo", "dz", "km", "lo", "my", "th"})


@dataclass(frozen=True)
class Lexicon:
    """The rude words and phrases of a language, in lower case, single blanks between the words of a phrase."""

    lang: str
    entries: frozenset[str]

    @functools.cached_property
    def revision(self) -> str:
        """What pins the outputs: a hash of language, entries and tokeniser, whatever file the entries come from."""
        tokeniser = [f"{name}-{version(name)}" for name in _TOKENISERS.get(self.lang.partition("-")[0], ())]
        return f"lexicon-{content_hash([self.lang, sorted(self.entries), *tokeniser])[:12]}"

    @functools.cached_property
    def _lengths(self) -> tuple[int, ...]:
        return tuple(sorted({len(entry) for entry in self.entries}, reverse=True))

    def delete(self, text: str) -> str:
        """Return `text` without the entries that begin and end at boundaries of words; the longest one counts.

        Runs of white space become one blank, as in the English baseline.

        Raises:
            InputError: No tokeniser of the language is known or installed.
        """
        text = " ".join(text.split())
        spans = list(_words(self.lang)(text))
        ends = {end for _, end in spans}
        kept, done = [], 0
        for start, _ in spans:
            if start < done:
                continue
            for length in self._lengths:
                end = start + length
                if end in ends and text[start:end].lower() in self.entries:
                    kept.append(text[done:start])
                    done = end
                    break
        return " ".join("".join([*kept, text[done:]]).split())


def read_lexicon(lang: str, file: Path | None = None) -> Lexicon:
    """Read the lexicon of a language: from a file, else from `HUB_LEXICON`.

    A file is text with one entry per line, a JSON array of entries, or a table with the column text (or word) and, for
    several languages, lang.

    Raises:
        InputError: The file is damaged or has no entry in the language, or the Hub does not give it.
    """
    lang = require_code(lang, "lexicon")
    found = _from_file(file, lang) if file is not None else _from_hub(lang)
    entries = frozenset(" ".join(entry.lower().split()) for entry in found if entry.strip())
    if not entries:
        raise InputError(f"{file or HUB_LEXICON}: has no entry in the language {lang}")
    # A missing tokeniser ends the command here, before the first text.
    words = _words(lang)
    words("")
    if words is _spaced and (useless := sorted(entry for entry in entries if not _is_phrase(entry))):
        problem = "entries match nothing, because they begin or end with a sign that is no part of a word"
        shown = printable(", ".join(useless), 80)
        print(f"{file or HUB_LEXICON}: these {problem}: {shown}", file=sys.stderr)
    return Lexicon(lang, entries)


def _is_phrase(entry: str) -> bool:
    """Whether an entry begins with a word and ends with one."""
    spans = list(_spaced(entry))
    return bool(spans) and spans[0][0] == 0 and spans[-1][1] == len(entry)


def _from_file(path: Path, lang: str) -> list[str]:
    if path.suffix.lower() == ".json":
        try:
            values = json.loads(read_text(path))
        except (ValueError, RecursionError):
            values = None
        if isinstance(values, list) and all(isinstance(value, str) for value in values):
            return values
    if not is_table(path):
        return [_entry(path, number, line) for number, line in enumerate(read_texts(path), 1) if line[:1] != "#"]
    table = read_table(path)
    column = next((name for wanted in _COLUMNS for name in table.columns if name.lower() == wanted), "")
    if not column:
        raise InputError(f"{path}: no column text; it has {', '.join(table.columns)[:200]}")
    lang_column = Columns().find_lang(table)
    langs = [table.key(i, lang_column).strip().lower() if lang_column else lang for i in range(len(table.rows))]
    return [table.text(i, column) for i, own in enumerate(langs) if own == lang]


def _entry(path: Path, number: int, line: str) -> str:
    if any(sign in line.strip() for sign in _SEPARATORS):
        problem = f'line {number}, "{line.strip()[:60]}", looks like several entries or a remark'
        raise InputError(f"{path}: {problem}; write one word or phrase per line, or a JSON array")
    return line


def _from_hub(lang: str) -> list[str]:
    found = hub_files(HUB_LEXICON, f"{lang}-")
    if found is None:
        problem = f"the Hub gave no lexicon of {lang} ({HUB_LEXICON})"
        raise InputError(f"delete: {problem}; give a file of rude words with --lexicon FILE")
    return [entry for path in found[0] for entry in _from_file(path, lang)]


def _words(lang: str) -> Any:
    """The function that gives the (start, end) of each word of a text in the language."""
    base = lang.partition("-")[0]
    if base == "zh":
        return _chinese
    if base == "ja":
        return _japanese
    if base in _UNSERVED:
        raise InputError(f"delete: {lang} is written without blanks between words, and no tokeniser here splits it")
    return _spaced


def _spaced(text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in _WORD.finditer(text))


def _chinese(text: str) -> Iterator[tuple[int, int]]:
    return ((start, end) for _, start, end in _jieba().tokenize(text))


def _japanese(text: str) -> Iterator[tuple[int, int]]:
    return ((morpheme.begin(), morpheme.end()) for morpheme in _sudachi().tokenize(text))


@functools.cache
def _jieba() -> Any:
    library = _require("jieba", "Chinese")
    library.setLogLevel("ERROR")
    tokenizer = library.Tokenizer()
    # Otherwise it reads its cached dictionary from the folder of temporary files, where anybody may put one.
    cache_dir().mkdir(parents=True, exist_ok=True)
    tokenizer.tmp_dir = str(cache_dir())
    tokenizer.initialize()
    return tokenizer


@functools.cache
def _sudachi() -> Any:
    library = _require("sudachipy", "Japanese")
    # Mode A gives the shortest units.
    return library.Dictionary(dict="small").create(mode=library.SplitMode.A)


def _require(name: str, language: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        problem = f"{language} has no blanks between words, and its tokeniser is missing"
        raise InputError(f"delete: {problem}; pip install -c constraints.txt -e '.[languages]'") from None


def deletes_only(source: str, output: str) -> bool:
    """Whether an output can come from its source by deletion: its letters are there in the same order."""
    rest: Iterable[str] = iter("".join(source.split()))
    return all(letter in rest for letter in "".join(output.split()))
