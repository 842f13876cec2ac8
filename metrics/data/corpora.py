"""Training corpora by name, and the split of ParaDetox into development, test and training rows.

A corpus is read from the data folder (`--data-dir` or SRO_DATA_DIR) if there is one, else from the Hub, else it is the
built-in sample; its `origin` says which.
"""

import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metrics.data import sources
from metrics.data.formats import Row, read_comments, read_paraphrases
from metrics.data.near_duplicates import NearDuplicates
from metrics.data.own_texts import own_file, read_own_texts
from metrics.util.errors import InputError
from metrics.util.files import content_hash, read_lines, sha256_bytes

CORPORA = ("jigsaw-toxic", "jigsaw-sentences", "paraphrase-pairs", "paradetox-train", "sample")
OFFICIAL = 500  # the first rows are the test set of the SRO paper
DEVELOPMENT = 400
TEST = 2000
_FILES = {
    "jigsaw-toxic": ("jigsaw/jigsaw_toxic.csv",),
    "jigsaw-sentences": ("jigsaw/dev_toxic.txt", "jigsaw/dev_normal.txt"),
    "paraphrase-pairs": ("paraphrase/msr_paraphrase_train.txt", "paraphrase/pit2015.csv"),
}


@dataclass(frozen=True)
class Corpus:
    """Training texts: toxic and neutral sentences that are not parallel, or (text, paraphrase) pairs.

    The origin is "folder", "hub", "sample", or "file" for one of the user's own; the revision hashes the files, or is
    the Hub data set with its commit.
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
    """Load the training corpus `name`, one of `CORPORA`, or toxic sentences of a file: FILE or FILE:LANG.

    The sentences of a file that have references are pairs too. `data_dir` is by default SRO_DATA_DIR.

    Raises:
        InputError: The name is unknown, or a file is missing or damaged.
    """
    own = own_file(name) if name not in CORPORA else None
    if own is not None:
        return _own_corpus(*own)
    if name not in CORPORA:
        raise InputError(f"corpus {name}: unknown, and no such file in {Path.cwd()}; one of {', '.join(CORPORA)}")
    parallel = sources.read_parallel(data_dir) if name == "paradetox-train" else None
    if parallel is not None:
        pairs = _training_pairs(parallel, training_texts(data_dir))
        return Corpus(name, parallel.origin, parallel.revision, pairs=pairs)
    folder = sources.data_folder(data_dir) if name in _FILES else None
    if folder is not None:
        return _folder_corpus(name, folder)
    found = sources.hub_comments(sentences=name == "jigsaw-sentences") if name.startswith("jigsaw") else None
    if found is not None:
        return Corpus(name, "hub", *found)
    if name in ("paraphrase-pairs", "paradetox-train"):
        return Corpus(name, "sample", sources.sample_revision())
    _, toxic, neutral = sources.sample_texts()
    return Corpus(name, "sample", sources.sample_revision(), toxic, () if name == "jigsaw-toxic" else neutral)


def training_texts(data_dir: str | Path | None) -> tuple[str, ...]:
    """Return all texts that systems are trained on, which test sets must not repeat."""
    sentences = load_corpus("jigsaw-sentences", data_dir)
    return load_corpus("jigsaw-toxic", data_dir).toxic + sentences.toxic + sentences.neutral


def without_held_out(corpus: Corpus, held_out: Iterable[str]) -> tuple[Corpus, int]:
    """Return a corpus without the texts that contain a held-out sentence nearly word for word, and their number."""
    sentences = list(held_out)

    def clean(texts: Sequence[str]) -> list[bool]:
        index = NearDuplicates(texts, queries=sentences)
        leaking = {number for sentence in sentences for number in index.matches(sentence)}
        return [i not in leaking for i in range(len(texts))]

    toxic = tuple(itertools.compress(corpus.toxic, clean(corpus.toxic)))
    neutral = tuple(itertools.compress(corpus.neutral, clean(corpus.neutral)))
    both = map(all, zip(*(clean([pair[i] for pair in corpus.pairs]) for i in (0, 1)), strict=True))
    kept = replace(corpus, toxic=toxic, neutral=neutral, pairs=tuple(itertools.compress(corpus.pairs, both)))
    return kept, corpus.rows - kept.rows


def _own_corpus(path: Path, lang: str) -> Corpus:
    texts = read_own_texts(path, may_repeat=True)
    chosen = [i for i in range(len(texts.sources)) if not lang or (texts.langs and texts.langs[i] == lang)]
    if not chosen:
        raise InputError(f"{path}: no sentence in the language {lang}; it has {sorted(set(texts.langs)) or 'none'}")
    name = f"{texts.name}:{lang}" if lang else texts.name
    if name in CORPORA:
        raise InputError(f"{path}: has the name of a corpus of the suite; rename the file")
    toxic = tuple(texts.sources[i] for i in chosen)
    pairs = tuple((texts.sources[i], texts.references[i][0]) for i in chosen if texts.references[i])
    return Corpus(name, "file", texts.revision, toxic, pairs=pairs)


def _folder_corpus(name: str, folder: Path) -> Corpus:
    paths = [sources.data_file(folder, file) for file in _FILES[name]]
    revision = sources.folder_revision(folder, _FILES[name])
    if name == "jigsaw-toxic":
        return Corpus(name, "folder", revision, toxic=tuple(read_comments(paths[0], toxic=True)))
    if name == "paraphrase-pairs":
        return Corpus(name, "folder", revision, pairs=tuple(read_paraphrases(*paths)))
    toxic, neutral = (tuple(t for t in read_lines(path) if t.strip()) for path in paths)
    for path, texts in zip(paths, (toxic, neutral), strict=True):
        if not texts:
            raise InputError(f"{path}: contains no sentence")
    return Corpus(name, "folder", revision, toxic, neutral)


@functools.lru_cache(maxsize=4)
def split(parallel: sources.ParallelTexts, training: tuple[str, ...]) -> tuple[list[Row], list[Row], int]:
    """Split ParaDetox in the order of the SHA-256 of the toxic sentences.

    The first 500 rows are the SRO paper's test set and belong to neither part. Repeated sentences count once.

    Args:
        parallel: All rows.
        training: Texts that systems are trained on; their near-duplicates are left out.

    Returns:
        (development rows, test rows, number of near-duplicates left out); fewer rows if there are not enough.
    """
    head = {row[0] for row in parallel.rows[:OFFICIAL]}
    unique = {row[0]: row for row in reversed(parallel.rows) if row[0] not in head}
    rows = sorted(unique.values(), key=lambda row: sha256_bytes(row[0].encode()))
    selected: list[Row] = []
    dropped = 0
    index = NearDuplicates(training, queries=(row[0] for row in rows))
    for row in rows:
        if len(selected) == DEVELOPMENT + TEST:
            break
        if index.contains(row[0]):
            dropped += 1
        else:
            selected.append(row)
            # Later sentences must not repeat this one either, or development rows would leak into the test.
            index.add(row[0])
    return selected[:DEVELOPMENT], selected[DEVELOPMENT:], dropped


@functools.lru_cache(maxsize=4)
def _training_pairs(parallel: sources.ParallelTexts, training: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Pairs of a sentence and its first rewrite: no near-duplicate of a text of a test set, nor the reverse."""
    development, test, _ = split(parallel, training)
    pairs = list({source: references[0] for source, references in reversed(parallel.rows)}.items())[::-1]
    held_out = [*parallel.rows[:OFFICIAL], *development, *test]
    texts = [text for source, references in held_out for text in (source, *references)]
    in_tests, in_pairs = NearDuplicates(texts), NearDuplicates(text for pair in pairs for text in pair)
    leaking = {number // 2 for text in texts for number in in_pairs.matches(text)}
    kept = (pair for i, pair in enumerate(pairs) if i not in leaking)
    return tuple(pair for pair in kept if not any(in_tests.contains(text) for text in pair))
