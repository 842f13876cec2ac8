"""Test sets by name.

A test set is read from the data folder (`--data-dir`, SRO_DATA_DIR) if there is one, else from the Hub, else it is the
built-in sample, whose test set is always called `sample`, so that nobody takes one for the other.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from metrics.data import sources
from metrics.data.corpora import DEVELOPMENT, OFFICIAL, TEST, split, training_texts
from metrics.data.formats import Row, read_paradetox
from metrics.util.errors import InputError
from metrics.util.files import content_hash, read_lines

TEST_SETS = ("paradetox-500", "paradetox-dev", "paradetox-test", "jigsaw-10k", "sample")
_SIZES = {"paradetox-500": OFFICIAL, "paradetox-dev": DEVELOPMENT, "paradetox-test": TEST}
_JIGSAW_10K = "jigsaw/test_10k_toxic.txt"


@dataclass(frozen=True)
class TestSet:
    """Toxic sentences and the human rewrites of each.

    Attributes:
        origin: "folder", "hub" or "sample".
        revision: A hash of the files, or the Hub data set with its commit.
        references: [n] tuples of human rewrites, which may be empty.
        near_duplicates: How many candidates were left out because training texts contain them.
        total: The number of sentences before `limit`; 0 if there was no limit.
    """

    __test__ = False  # not a pytest class

    name: str
    origin: str
    revision: str
    sources: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    near_duplicates: int = 0
    total: int = 0

    @property
    def sha256(self) -> str:
        """The hash of sources and references."""
        return content_hash([self.sources, self.references])

    def limit(self, n: int | None) -> Self:
        """Return the first `n` sentences, or all if `n` is None; raise an `InputError` if there are not `n`."""
        if n is None or n == len(self.sources):
            return self
        if not 0 < n <= len(self.sources):
            raise InputError(f"{self.name}: {n} sentences asked for, it has {len(self.sources)}")
        total = self.total or len(self.sources)
        return replace(self, sources=self.sources[:n], references=self.references[:n], total=total)


def load_test_set(name: str, data_dir: str | Path | None = None) -> TestSet:
    """Load the test set `name`, one of `TEST_SETS`; `data_dir` is by default SRO_DATA_DIR.

    Without a data folder and the Hub print a warning and load the sample.

    Raises:
        InputError: The name is unknown, or a file is missing or damaged.
    """
    if name not in TEST_SETS:
        raise InputError(f"test set {name}: unknown; one of {', '.join(TEST_SETS)}")
    if name == "sample":
        return _test_set("sample", "sample", sources.sample_revision(), read_paradetox(sources.SAMPLE / "test.tsv"))
    if name == "jigsaw-10k":  # of Dale et al. (EMNLP 2021), without references
        folder = sources.data_folder(data_dir)
        if folder is None:
            raise InputError("jigsaw-10k: not on the Hub; give a data folder (--data-dir or SRO_DATA_DIR)")
        toxic = read_lines(sources.data_file(folder, _JIGSAW_10K))
        return _test_set(name, "folder", sources.folder_revision(folder, [_JIGSAW_10K]), [(text, ()) for text in toxic])
    parallel = sources.read_parallel(data_dir)
    if parallel is None:
        print(f"{name}: no data folder and no Hub; the built-in sample is used instead", file=sys.stderr)
        if name != "paradetox-dev":
            return load_test_set("sample")
        held_out, _, _ = sources.sample_texts()
        return _test_set("sample-dev", "sample", sources.sample_revision(), [(text, ()) for text in held_out])
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
    return TestSet(name, origin, revision, tuple(r[0] for r in rows), tuple(r[1] for r in rows), near_duplicates)
