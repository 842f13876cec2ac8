"""Training corpora by name, each with its origin, revision, number of rows and hash.

A corpus is read from the data folder (`--data-dir` or SRO_DATA_DIR) if there is one, else from the Hub, else it is the
built-in sample; its `origin` says which.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from metrics.data import sources
from metrics.data.formats import read_comments, read_paraphrases
from metrics.data.near_duplicates import NearDuplicates
from metrics.data.splits import OFFICIAL, split
from metrics.util.errors import InputError
from metrics.util.files import content_hash, read_lines

CORPORA = ("jigsaw-toxic", "jigsaw-sentences", "paraphrase-pairs", "paradetox-train", "sample")
_FILES = {
    "jigsaw-toxic": ("jigsaw/jigsaw_toxic.csv",),
    "jigsaw-sentences": ("jigsaw/dev_toxic.txt", "jigsaw/dev_normal.txt"),
    "paraphrase-pairs": ("paraphrase/msr_paraphrase_train.txt", "paraphrase/pit2015.csv"),
}


@dataclass(frozen=True)
class Corpus:
    """Training texts: toxic and neutral sentences that are not parallel, or (text, paraphrase) pairs.

    Attributes:
        name: One of `CORPORA`.
        origin: "folder", "hub" or "sample".
        revision: A hash of the files, or the Hub data set with its commit.
        toxic, neutral: Sentences.
        pairs: (text, paraphrase) pairs.
    """

    name: str
    origin: str
    revision: str
    toxic: tuple[str, ...] = ()
    neutral: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def rows(self) -> int:
        """The number of sentences and pairs."""
        return len(self.toxic) + len(self.neutral) + len(self.pairs)

    @property
    def sha256(self) -> str:
        """The hash of the texts."""
        return content_hash([self.toxic, self.neutral, self.pairs])


def load_corpus(name: str, data_dir: str | Path | None = None) -> Corpus:
    """Load the training corpus called `name`.

    Args:
        name: One of `CORPORA`.
        data_dir: The data folder; SRO_DATA_DIR by default.

    Raises:
        InputError: The name is unknown, or a file is missing or damaged.
    """
    if name not in CORPORA:
        raise InputError(f"corpus {name}: unknown; one of {', '.join(CORPORA)}")
    if name == "sample":
        return _sample_corpus(name)
    if name == "paradetox-train":
        return _paradetox_train(data_dir)
    folder = sources.data_folder(data_dir)
    if folder is not None:
        return _folder_corpus(name, folder)
    found = None if name == "paraphrase-pairs" else sources.hub_comments(sentences=name == "jigsaw-sentences")
    if found is None:
        return _sample_corpus(name)
    revision, toxic, neutral = found
    return Corpus(name, "hub", revision, toxic=toxic, neutral=neutral)


def training_texts(data_dir: str | Path | None) -> tuple[str, ...]:
    """Return all texts that systems are trained on, which test sets must not repeat."""
    sentences = load_corpus("jigsaw-sentences", data_dir)
    return load_corpus("jigsaw-toxic", data_dir).toxic + sentences.toxic + sentences.neutral


def _folder_corpus(name: str, folder: Path) -> Corpus:
    paths = [sources.data_file(folder, file) for file in _FILES[name]]
    revision = sources.folder_revision(folder, _FILES[name])
    if name == "jigsaw-toxic":
        return Corpus(name, "folder", revision, toxic=tuple(read_comments(paths[0], toxic=True)))
    if name == "jigsaw-sentences":
        toxic, neutral = (tuple(t for t in read_lines(path) if t.strip()) for path in paths)
        for path, texts in zip(paths, (toxic, neutral), strict=True):
            if not texts:
                raise InputError(f"{path}: contains no sentence")
        return Corpus(name, "folder", revision, toxic=toxic, neutral=neutral)
    return Corpus(name, "folder", revision, pairs=tuple(read_paraphrases(*paths)))


def _sample_corpus(name: str) -> Corpus:
    if name == "paraphrase-pairs":
        return Corpus(name, "sample", sources.sample_revision())
    toxic, neutral = sources.sample_training()
    return Corpus(name, "sample", sources.sample_revision(), toxic, () if name == "jigsaw-toxic" else neutral)


def _paradetox_train(data_dir: str | Path | None) -> Corpus:
    """Pairs of a toxic sentence and its first rewrite that share nothing with a test set; the sample has none."""
    parallel = sources.read_parallel(data_dir)
    if parallel is None:
        return Corpus("paradetox-train", "sample", sources.sample_revision())
    pairs = _training_pairs(parallel, training_texts(data_dir))
    return Corpus("paradetox-train", parallel.origin, parallel.revision, pairs=pairs)


@functools.lru_cache(maxsize=4)
def _training_pairs(parallel: sources.ParallelTexts, training: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the pairs in which no sentence is a near-duplicate of a text of a test set, or the reverse."""
    development, test, _ = split(parallel, training)
    held_out = [*parallel.rows[:OFFICIAL], *development, *test]
    pairs = list({source: references[0] for source, references in reversed(parallel.rows)}.items())[::-1]
    texts = [text for source, references in held_out for text in (source, *references)]
    in_tests = NearDuplicates(texts)
    in_pairs = NearDuplicates(text for pair in pairs for text in pair)
    leaking = {number // 2 for text in texts for number in in_pairs.matches(text)}
    return tuple(
        pair for i, pair in enumerate(pairs) if i not in leaking and not any(in_tests.contains(text) for text in pair)
    )
