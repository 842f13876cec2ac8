"""Test sets by name, or in a file of the user's own.

A test set with a name is read from the data folder (`--data-dir`, SRO_DATA_DIR) if there is one, else from the Hub.
Without either, the English ones are the built-in sample, whose test set is always called `sample`, so that nobody takes
one for the other.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from metrics.data import sources
from metrics.data.columns import Columns
from metrics.data.corpora import DEVELOPMENT, OFFICIAL, TEST, split, training_texts
from metrics.data.formats import Row, read_paradetox
from metrics.data.languages import ENGLISH, require_code
from metrics.data.own_texts import USUAL, own_file, read_own_texts
from metrics.util.errors import InputError, suggest
from metrics.util.files import content_hash, read_lines

TEST_SETS = ("paradetox-500", "paradetox-dev", "paradetox-test", "jigsaw-10k", *sources.SHARED_TASKS, "sample")
_SIZES = {"paradetox-500": OFFICIAL, "paradetox-dev": DEVELOPMENT, "paradetox-test": TEST}
# Names that a file of the user's own must not bear: rows name the test set.
_RESERVED = (*TEST_SETS, "sample-dev")
_JIGSAW_10K = "jigsaw/test_10k_toxic.txt"


class UnknownTestSetError(InputError):
    """No test set has this name."""


@dataclass(frozen=True)
class TestSet:
    """Toxic sentences and the human rewrites of each.

    Attributes:
        origin: "folder", "hub", "sample", or "file" for one of the user's own.
        revision: A hash of the files, or the Hub data set with its commit.
        references: [n] tuples of human rewrites, which may be empty.
        near_duplicates: How many candidates were left out because training texts contain them.
        total: The number of sentences before `limit`; 0 if there was no limit.
        langs: [n] codes of the languages; empty if the file states none.
        ids: [n] ids of the sentences; empty if they have none.
        left_out: (id, source, language) of the sentences that `limit` and `by_language` left out: files of outputs may
            have outputs for them.
        places: [n] places of the sentences among all, those left out included; empty if none is.
    """

    __test__ = False  # not a pytest class

    name: str
    origin: str
    revision: str
    sources: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    near_duplicates: int = 0
    total: int = 0
    langs: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str, str], ...] = field(default=(), compare=False, repr=False)
    places: tuple[int, ...] = field(default=(), compare=False, repr=False)

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of its languages, sorted; English if none is stated."""
        return tuple(sorted(set(self.langs))) or (ENGLISH,)

    @property
    def lang(self) -> str:
        """The code of its language; an `InputError` if there are several: scores are of one language."""
        if len(self.languages) > 1:
            languages = ", ".join(self.languages)
            raise InputError(f"{self.name}: has sentences in {languages}; choose one with --lang, or as NAME:LANG")
        return self.languages[0]

    @property
    def sha256(self) -> str:
        """The hash of sources and references."""
        return content_hash([self.sources, self.references])

    def limit(self, n: int | None) -> Self:
        """Return the first `n` sentences, or all if `n` is None; raise an `InputError` if there are not `n`."""
        if n is None or n == len(self.sources):
            return self
        if not 0 < n <= len(self.sources):
            own = "" if self.languages == (ENGLISH,) else f" in {', '.join(self.languages)}"
            raise InputError(f"{self.name}: {n} sentences asked for, it has {len(self.sources)}{own}")
        total = self.total or len(self.sources)
        return replace(self._only(range(n)), total=total)

    def by_language(self, chosen: str | None = None) -> list[Self]:
        """Return one test set per language, in the order of the codes.

        Args:
            chosen: Codes joined by commas; "all" or None for each language. Where none is stated, one code states it.

        Raises:
            InputError: A code is not well formed, or there are no sentences in the language.
        """
        if chosen in (None, "all"):
            codes = list(self.languages)
        else:
            codes = sorted({require_code(code, "--lang") for code in str(chosen).split(",")})
        if not self.langs and len(codes) == 1:
            return [self if codes == [ENGLISH] else replace(self, langs=tuple(codes) * len(self.sources))]
        if missing := [code for code in codes if code not in self.languages]:
            there = f"it has {', '.join(self.languages)}" if self.langs else "it states no languages"
            raise InputError(f"{self.name}: no sentence in the language {', '.join(missing)}; {there}")
        if codes == list(self.languages) and len(codes) == 1:
            return [self]
        return [self._only([i for i, own in enumerate(self.langs) if own == code]) for code in codes]

    def keys(self) -> tuple[tuple[str, str, str], ...]:
        """Return (id, source, language) [n], "" for what a sentence has not."""
        nothing = ("",) * len(self.sources)
        return tuple(zip(self.ids or nothing, self.sources, self.langs or nothing, strict=True))

    def _only(self, chosen: Sequence[int]) -> Self:
        keys, numbers = self.keys(), set(chosen)
        columns: dict[str, Any] = {name: getattr(self, name) for name in ("sources", "references", "langs", "ids")}
        parts: dict[str, Any] = {name: tuple(values[i] for i in chosen) for name, values in columns.items() if values}
        left_out = tuple(keys[i] for i in range(len(keys)) if i not in numbers)
        places = tuple(self.places[i] if self.places else i for i in chosen)
        return replace(self, **parts, left_out=self.left_out + left_out, places=places)


def load_test_set(name: str, data_dir: str | Path | None = None, columns: Columns = USUAL) -> TestSet:
    """Load a test set: a name of `TEST_SETS` or a file (`read_own_texts`), or one of its languages as NAME:LANG.

    Args:
        name: What to load; names precede files.
        data_dir: The data folder, by default SRO_DATA_DIR.
        columns: The columns of a file.

    Raises:
        InputError: The name is unknown, or a file is missing or damaged.
    """
    head, _, lang = name.rpartition(":")
    if head in TEST_SETS:
        return load_named_test_set(head, data_dir).by_language(lang)[0]
    found = own_file(name) if name not in TEST_SETS else None
    if found is None:
        return load_named_test_set(name, data_dir)
    path, lang = found
    texts = read_own_texts(path, columns)
    if texts.name in _RESERVED:
        raise InputError(f"{path}: has the name of a test set of the suite; rename the file")
    own = TestSet(
        texts.name, "file", texts.revision, texts.sources, texts.references, langs=texts.langs, ids=texts.ids
    )  # fmt: skip
    return own.by_language(lang)[0] if lang else own


def load_named_test_set(name: str, data_dir: str | Path | None = None) -> TestSet:
    """Load the test set `name`, one of `TEST_SETS`; `data_dir` is by default SRO_DATA_DIR.

    Without a data folder and the Hub print a warning and load the sample, which is English; those of the shared tasks
    raise an `InputError` instead.

    Raises:
        InputError: The name is unknown, or a file is missing or damaged.
    """
    if name not in TEST_SETS:
        hint = suggest(name, TEST_SETS) or f"; one of {', '.join(TEST_SETS)}, or a file"
        raise UnknownTestSetError(f"test set {name}: unknown, and no such file in {Path.cwd()}{hint}")
    if name == "sample":
        return _test_set(
            "sample", "sample", sources.sample_revision("test.tsv"), read_paradetox(sources.SAMPLE / "test.tsv")
        )
    if name == "jigsaw-10k":  # of Dale et al. (EMNLP 2021), without references
        folder = sources.data_folder(data_dir)
        if folder is None:
            raise InputError("jigsaw-10k: not on the Hub; give a data folder (--data-dir or SRO_DATA_DIR)")
        toxic = read_lines(sources.data_file(folder, _JIGSAW_10K))
        return _test_set(name, "folder", sources.folder_revision(folder, [_JIGSAW_10K]), [(text, ()) for text in toxic])
    if name in sources.SHARED_TASKS:
        origin, texts = sources.read_shared_task(name, data_dir)
        return TestSet(name, origin, texts.revision, texts.sources, texts.references, langs=texts.langs)
    parallel = sources.read_parallel(data_dir)
    if parallel is None:
        print(f"{name}: no data folder and no Hub; the built-in sample is used instead", file=sys.stderr)
        if name != "paradetox-dev":
            return load_named_test_set("sample")
        held_out, _, _ = sources.sample_texts()
        return _test_set(
            "sample-dev", "sample", sources.sample_revision("toxic.tsv"), [(text, ()) for text in held_out]
        )
    if name == "paradetox-500":
        rows, dropped = list(parallel.rows[:OFFICIAL]), 0
    else:
        development, test, dropped = split(parallel, training_texts(data_dir))
        rows = development if name == "paradetox-dev" else test
    size = _SIZES[name]
    if len(rows) < size:
        raise InputError(f"{name}: needs {size} sentences, the corpus gives {len(rows)}; is paradetox.tsv complete?")
    return _test_set(name, parallel.origin, parallel.revision, rows, dropped)


def _test_set(name: str, origin: str, revision: str, rows: Sequence[Row], near_duplicates: int = 0) -> TestSet:
    texts, references = tuple(r[0] for r in rows), tuple(r[1] for r in rows)
    return TestSet(name, origin, revision, texts, references, near_duplicates, langs=(ENGLISH,) * len(rows))
