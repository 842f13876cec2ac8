"""Corpora and test sets by name, each with its origin, revision, row count and hash.

A name is looked for in a data folder (`--data-dir` or SRO_DATA_DIR), then on the Hub, then in the built-in sample; what
was found says where it came from, and nothing is mixed silently: the sample's test set is always called `sample`.
"""

from __future__ import annotations

import csv
import functools
import io
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError
from metrics.util.files import content_hash, read_lines, read_text, sha256_bytes, sha256_file

# The sample lives with the training code; it is read as data, not imported.
SAMPLE = Path(__file__).resolve().parents[2] / "repro" / "sample"
TEST_SETS = ("paradetox-500", "paradetox-dev", "paradetox-test", "jigsaw-10k", "sample")
CORPORA = ("jigsaw-toxic", "jigsaw-sentences", "paraphrase-pairs", "paradetox-train", "sample")
SIZES = {"paradetox-500": 500, "paradetox-dev": 400, "paradetox-test": 2000}
SAMPLE_DEV = 80
FILES = {
    "paradetox": ("paradetox/paradetox.tsv",),
    "jigsaw-toxic": ("jigsaw/jigsaw_toxic.csv",),
    "jigsaw-sentences": ("jigsaw/dev_toxic.txt", "jigsaw/dev_normal.txt"),
    "jigsaw-10k": ("jigsaw/test_10k_toxic.txt",),
    "paraphrase-pairs": ("paraphrase/msr_paraphrase_train.txt", "paraphrase/pit2015.csv"),
}
HUB = {"paradetox": "s-nlp/paradetox", "jigsaw": "Arsive/toxicity_classification_jigsaw"}
# First 4 KiB (SHA-256) and size of the public files: one that begins like them and is shorter is a damaged copy.
_KNOWN_FILES = {
    "paradetox/paradetox.tsv": ("3bd353325b12dae6f09e91f69515f369", 1_627_340),
    "jigsaw/jigsaw_toxic.csv": ("2c079d7a7f78311556ba1bad14457cc4", 3_563_542),
    "jigsaw/dev_toxic.txt": ("fe32884e4fabce87acb0d92a67f2b441", 521_806),
    "jigsaw/dev_normal.txt": ("d789ed0167666872ccc9d7c6980577af", 531_913),
}
_NEAR_DUPLICATE = 0.6


@dataclass(frozen=True)
class Corpus:
    """Training texts: toxic and neutral sentences that are not parallel, or (text, paraphrase) pairs.

    origin: "folder", "hub" or "sample". revision pins the content; `sha256` is over the texts themselves.
    """

    name: str
    origin: str
    revision: str
    toxic: tuple[str, ...] = ()
    neutral: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def rows(self) -> int:
        return len(self.toxic) + len(self.neutral) + len(self.pairs)

    @property
    def sha256(self) -> str:
        return content_hash([self.toxic, self.neutral, self.pairs])


@dataclass(frozen=True)
class TestSet:
    """Toxic sentences and, for each, its human rewrites (perhaps none).

    near_duplicates: how many candidates were left out because training texts contain them.
    whole: how many sentences the set has where these are its first ones; 0 where they are all.
    """

    __test__ = False  # not a pytest class

    name: str
    origin: str
    revision: str
    sources: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    near_duplicates: int = 0
    whole: int = 0

    @property
    def sha256(self) -> str:
        return content_hash([self.sources, self.references])

    def limit(self, n: int | None) -> TestSet:
        """The first n sentences; all for None. Errors: fewer than n there, n < 1."""
        if n is None or n == len(self.sources):
            return self
        if not 0 < n <= len(self.sources):
            raise InputError(f"{self.name}: {n} sentences asked for, it has {len(self.sources)}")
        whole = self.whole or len(self.sources)
        return replace(self, sources=self.sources[:n], references=self.references[:n], whole=whole)


def data_folder(given: str | Path | None) -> Path | None:
    """The data folder in force: `given`, else SRO_DATA_DIR, else None. Errors: a folder that is not there."""
    name = str(given) if given else os.environ.get("SRO_DATA_DIR", "")
    if not name:
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise InputError(f"data folder {folder}: no such folder (--data-dir or SRO_DATA_DIR)")
    return folder.resolve()


def load_corpus(name: str, data_dir: str | Path | None = None) -> Corpus:
    """The training corpus called `name`. Errors: unknown name, a missing or damaged file."""
    if name not in CORPORA:
        raise InputError(f"corpus {name}: unknown; one of {', '.join(CORPORA)}")
    if name == "sample":
        return _sample_corpus("sample")
    if name == "paradetox-train":
        return _paradetox_train(data_dir)
    folder = data_folder(data_dir)
    if folder is not None:
        return _folder_corpus(name, folder)
    return _hub_corpus(name) or _sample_corpus(name)


def load_test_set(name: str, data_dir: str | Path | None = None) -> TestSet:
    """The test set called `name`. Without a data folder or the Hub it is the sample's, and says so."""
    if name not in TEST_SETS:
        raise InputError(f"test set {name}: unknown; one of {', '.join(TEST_SETS)}")
    if name == "sample":
        return _sample_tests(development=False)
    if name == "jigsaw-10k":
        return _jigsaw_10k(data_folder(data_dir))
    found = _paradetox(data_dir)
    if found is None:
        print(f"{name}: no data folder and no Hub; the built-in sample is used instead", file=sys.stderr)
        return _sample_tests(development=name.endswith("-dev"))
    return _draw(name, *found, data_dir)


def _jigsaw_10k(folder: Path | None) -> TestSet:
    """The 10,000 sentences of Dale et al. (EMNLP 2021), without references; only a data folder has them."""
    if folder is None:
        raise InputError("jigsaw-10k: not on the Hub; give a data folder (--data-dir or SRO_DATA_DIR)")
    names = FILES["jigsaw-10k"]
    sources = tuple(read_lines(_file(folder, names[0])))
    return TestSet("jigsaw-10k", "folder", _revision(folder, names), sources, ((),) * len(sources))


# -- drawing test sets ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Parallel:
    revision: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def _paradetox(data_dir: str | Path | None) -> tuple[str, _Parallel] | None:
    """(origin, rows), or None without a data folder and the Hub."""
    folder = data_folder(data_dir)
    rows = _folder_paradetox(folder) if folder is not None else _hub_paradetox()
    return None if rows is None else ("folder" if folder is not None else "hub", rows)


def _draw(name: str, origin: str, parallel: _Parallel, data_dir: str | Path | None) -> TestSet:
    size = SIZES[name]
    if name == "paradetox-500":
        chosen, dropped = list(parallel.rows[:size]), 0
    else:
        development, test, dropped = _split(parallel, _training_texts(data_dir))
        chosen = development if name == "paradetox-dev" else test
    if len(chosen) < size:
        raise InputError(f"{name}: needs {size} sentences, the corpus gives {len(chosen)}; is paradetox.tsv complete?")
    return TestSet(name, origin, parallel.revision, tuple(r[0] for r in chosen), tuple(r[1] for r in chosen), dropped)


def _training_texts(data_dir: str | Path | None) -> tuple[str, ...]:
    sentences = load_corpus("jigsaw-sentences", data_dir)
    return load_corpus("jigsaw-toxic", data_dir).toxic + sentences.toxic + sentences.neutral


@functools.lru_cache(maxsize=4)
def _split(parallel: _Parallel, training: tuple[str, ...]) -> tuple[list[Any], list[Any], int]:
    """(development rows, test rows, near-duplicates dropped) by the SHA-256 of the toxic sentence.

    The first 500 rows are SRO's own test and stay out of both. Sentences that stand twice count once.
    """
    head = {row[0] for row in parallel.rows[: SIZES["paradetox-500"]]}
    unique = {row[0]: row for row in reversed(parallel.rows) if row[0] not in head}
    rows = sorted(unique.values(), key=lambda row: sha256_bytes(row[0].encode()))
    need = SIZES["paradetox-dev"] + SIZES["paradetox-test"]
    kept: list[Any] = []
    dropped = 0
    index = NearDuplicates(training, asked=(row[0] for row in rows))
    for row in rows:
        if len(kept) == need:
            break
        if index.contains(row[0]):
            dropped += 1
        else:
            kept.append(row)
            # Later sentences must not repeat this one either, or development would leak into the test.
            index.add(row[0])
    return kept[: SIZES["paradetox-dev"]], kept[SIZES["paradetox-dev"] :], dropped


def _paradetox_train(data_dir: str | Path | None) -> Corpus:
    """Each toxic sentence that no test set has, with its first rewrite; the sample has no such pairs.

    Left out is a pair of which either sentence stands nearly word for word in one of a test set's, sources and
    references, or the other way round.
    """
    found = _paradetox(data_dir)
    if found is None:
        return Corpus("paradetox-train", "sample", _sample_revision())
    origin, parallel = found
    return Corpus("paradetox-train", origin, parallel.revision, pairs=_rest(parallel, _training_texts(data_dir)))


@functools.lru_cache(maxsize=4)
def _rest(parallel: _Parallel, training: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The pairs of `_paradetox_train`, in the order of the rows."""
    development, test, _ = _split(parallel, training)
    held_out = [*parallel.rows[: SIZES["paradetox-500"]], *development, *test]
    pairs = list({source: references[0] for source, references in reversed(parallel.rows)}.items())[::-1]
    texts = [text for source, references in held_out for text in (source, *references)]
    index = NearDuplicates(texts)
    own = NearDuplicates(text for pair in pairs for text in pair)
    leaking = {number // 2 for text in texts for number in own.matches(text)}
    return tuple(
        pair for i, pair in enumerate(pairs) if i not in leaking and not any(index.contains(text) for text in pair)
    )


class NearDuplicates:
    """Finds sentences that stand, nearly word for word, inside one text of a collection.

    A sentence is a near-duplicate when at least 60 % of its word trigrams occur in a single text, or when it is a text;
    case and punctuation do not count. One of fewer than five words must be a text whole: its trigrams are too few.
    asked: the only sentences that will be looked for, where they are known. What none of them has is then not kept of
    the texts, which takes most of the time and nearly all of the memory.
    """

    def __init__(self, texts: Iterable[str], asked: Iterable[str] | None = None) -> None:
        self._size = 0
        self._asked: set[tuple[str, ...]] | None = None
        if asked is not None:
            sentences = [_words(sentence) for sentence in asked]
            self._asked = {gram for words in sentences for gram in _trigrams(words)} | set(map(tuple, sentences))
        self._trigrams: dict[tuple[str, ...], list[int]] = {}
        self._whole: dict[tuple[str, ...], list[int]] = {}
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        words = _words(text)
        whole, grams = tuple(words), _trigrams(words)
        if self._asked is not None:
            grams &= self._asked
        if self._asked is None or whole in self._asked:
            self._whole.setdefault(whole, []).append(self._size)
        for gram in grams:
            self._trigrams.setdefault(gram, []).append(self._size)
        self._size += 1

    def contains(self, sentence: str) -> bool:
        return bool(self.matches(sentence))

    def matches(self, sentence: str) -> set[int]:
        """The texts it is a near-duplicate of, numbered as they were added."""
        words = _words(sentence)
        found = set(self._whole.get(tuple(words), ()))
        grams = _trigrams(words)
        if len(words) >= 5:
            hits = Counter(number for gram in grams for number in self._trigrams.get(gram, ()))
            found.update(number for number, count in hits.items() if count >= _NEAR_DUPLICATE * len(grams))
        return found


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _trigrams(words: Sequence[str]) -> set[tuple[str, ...]]:
    return set(zip(words, words[1:], words[2:], strict=False))


# -- the data folder ------------------------------------------------------------------------------------------------
def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise InputError(f"data folder {folder}: no {name}; it must hold this file (see the README, Data)")
    head, size = _KNOWN_FILES.get(name, ("", 0))
    if head and path.stat().st_size < size:
        with path.open("rb") as file:
            if sha256_bytes(file.read(4096)).startswith(head):
                raise InputError(f"{path}: truncated ({path.stat().st_size} of {size} bytes); copy it again")
    return path


def _revision(folder: Path, names: Sequence[str]) -> str:
    return "sha256:" + "+".join(sha256_file(_file(folder, name))[:16] for name in names)


def _folder_paradetox(folder: Path) -> _Parallel:
    name = FILES["paradetox"][0]
    path = _file(folder, name)
    return _Parallel(_revision(folder, [name]), tuple(parse_paradetox(path)))


def parse_paradetox(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Rows (toxic, neutral rewrites) of a ParaDetox TSV under the csv module's default quoting.

    Seven rewrites of the public file hold quoted line breaks, which become spaces: 11,927 rows in 11,935 lines.
    Errors: other encodings, another header, a row with missing columns, a file cut off in mid-line.
    """
    text = read_text(path)
    if not text.endswith("\n"):
        raise InputError(f"{path}: truncated: the last line has no end; copy the file again")
    try:
        header, *table = csv.reader(io.StringIO(text, newline=""), delimiter="\t")
    except csv.Error as error:
        raise InputError(f"{path}: not a TSV ({error}); copy the file again") from None
    if header[:2] != ["toxic", "neutral1"]:
        raise InputError(f"{path}: the first line is not toxic<TAB>neutral1…; is this ParaDetox's TSV?")
    rows = []
    for number, row in enumerate(table, start=1):
        if len(row) != len(header):
            raise InputError(f"{path}: row {number} has {len(row)} columns, not {len(header)}; copy the file again")
        cells = [" ".join(cell.split()) for cell in row]
        references = tuple(cell for cell in cells[1:] if cell)
        if not cells[0] or not references:
            raise InputError(f"{path}: row {number} has no {'toxic sentence' if references else 'rewrite'}")
        rows.append((cells[0], references))
    return rows


def _folder_corpus(name: str, folder: Path) -> Corpus:
    paths = [_file(folder, file) for file in FILES[name]]
    revision = _revision(folder, FILES[name])
    if name == "jigsaw-toxic":
        return Corpus(name, "folder", revision, toxic=tuple(parse_comments(paths[0], toxic=True)))
    if name == "jigsaw-sentences":
        toxic, neutral = (tuple(t for t in read_lines(path) if t.strip()) for path in paths)
        for path, texts in zip(paths, (toxic, neutral), strict=True):
            if not texts:
                raise InputError(f"{path}: holds no sentence")
        return Corpus(name, "folder", revision, toxic=toxic, neutral=neutral)
    return Corpus(name, "folder", revision, pairs=tuple(_parse_pairs(*paths)))


def parse_comments(path: Path, *, toxic: bool) -> list[str]:
    """The comments of a Jigsaw CSV whose `toxic` column is 1 (or, for toxic=False, with no label set at all)."""
    labels = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
    comments = []
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
        missing = {"comment_text", "toxic"} - set(reader.fieldnames or ())
        if missing:
            raise InputError(f"{path}: no column {', '.join(sorted(missing))}; is this Jigsaw's CSV?")
        for row in reader:
            if None in row.values() or row["toxic"] not in ("0", "1"):
                raise InputError(f"{path}: line {reader.line_num} is cut off or not CSV; copy the file again")
            if row["toxic"] == "1" if toxic else not any(row.get(label) == "1" for label in labels):
                comments.append(" ".join(row["comment_text"].split()))
    except csv.Error as error:
        raise InputError(f"{path}: not a whole CSV ({error}); copy the file again") from None
    return [c for c in comments if c]


def _parse_pairs(msr: Path, pit: Path) -> list[tuple[str, str]]:
    """Sentence pairs that people called paraphrases (MSR: label 1; PIT-2015: 4 or 5 of 5)."""
    pairs = []
    for line in read_lines(msr)[1:]:
        cells = line.split("\t")
        if len(cells) != 5:
            raise InputError(f"{msr}: a line with {len(cells)} columns, not 5; copy the file again")
        if cells[0] == "1":
            pairs.append((cells[3], cells[4]))
    reader = csv.DictReader(io.StringIO(read_text(pit), newline=""))
    if not {"text1", "text2", "human"} <= set(reader.fieldnames or ()):
        raise InputError(f"{pit}: no columns text1, text2, human")
    try:
        pairs += [(row["text1"], row["text2"]) for row in reader if float(row["human"]) >= 4]
    except (TypeError, ValueError):
        raise InputError(
            f"{pit}: line {reader.line_num} has no number in its last column; copy the file again"
        ) from None
    return pairs


# -- the Hub --------------------------------------------------------------------------------------------------------
@functools.lru_cache(maxsize=8)
def _hub_file(dataset: str, suffixes: tuple[str, ...], contains: str) -> tuple[Path, str] | None:
    """One file of a Hub data set and the commit it was read at; None when the Hub cannot be reached."""
    import huggingface_hub as hub

    from metrics.util.hub import is_hub_failure

    try:
        info = hub.HfApi().dataset_info(dataset, timeout=15)
        names = [s.rfilename for s in info.siblings or [] if s.rfilename.endswith(suffixes) and contains in s.rfilename]
        if not names:
            return None
        path = hub.hf_hub_download(dataset, sorted(names)[0], repo_type="dataset", revision=info.sha)
    except Exception as error:
        if not is_hub_failure(error):
            raise
        return None
    return Path(path), f"{dataset}@{info.sha}"


def _hub_paradetox() -> _Parallel | None:
    found = _hub_file(HUB["paradetox"], (".parquet", ".tsv", ".csv"), "train")
    if found is None:
        return None
    import pandas as pd

    path, revision = found
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, sep=None, engine="python")
    rows: dict[str, list[str]] = {}
    for toxic, neutral in zip(frame["en_toxic_comment"], frame["en_neutral_comment"], strict=True):
        rows.setdefault(str(toxic), []).append(str(neutral))
    return _Parallel(revision, tuple((toxic, tuple(neutral)) for toxic, neutral in rows.items()))


def _hub_corpus(name: str) -> Corpus | None:
    found = _hub_file(HUB["jigsaw"], (".csv",), "train")
    if found is None or name == "paraphrase-pairs":
        return None
    path, revision = found
    toxic = parse_comments(path, toxic=True)
    if name == "jigsaw-toxic":
        return Corpus(name, "hub", revision, toxic=tuple(toxic))
    # The sentence files of s-nlp/detox are not on the Hub; short comments of the same source stand in for them.
    neutral = parse_comments(path, toxic=False)
    short = [tuple(t for t in texts if len(t.split()) <= 25) for texts in (toxic, neutral)]
    return Corpus(name, "hub", revision, toxic=short[0], neutral=short[1])


# -- the built-in sample --------------------------------------------------------------------------------------------
def _sample_rows() -> tuple[list[str], list[str], list[tuple[str, tuple[str, ...]]]]:
    toxic = [line.split("\t")[0] for line in read_lines(SAMPLE / "toxic.tsv")[1:]]
    return toxic, read_lines(SAMPLE / "neutral.txt"), parse_paradetox(SAMPLE / "test.tsv")


def _sample_revision() -> str:
    return _revision(SAMPLE, ("toxic.tsv", "neutral.txt", "test.tsv"))


def _sample_corpus(name: str) -> Corpus:
    toxic, neutral, _ = _sample_rows()
    if name == "paraphrase-pairs":
        return Corpus(name, "sample", _sample_revision())
    held_out = set(_sample_tests(development=True).sources)
    toxic = [t for t in toxic if t not in held_out]
    return Corpus(name, "sample", _sample_revision(), tuple(toxic), () if name == "jigsaw-toxic" else tuple(neutral))


def _sample_tests(development: bool) -> TestSet:
    toxic, _, test = _sample_rows()
    if not development:
        sources, references = zip(*test, strict=True)
        return TestSet("sample", "sample", _sample_revision(), sources, references)
    held_out = sorted(toxic, key=lambda t: sha256_bytes(t.encode()))[:SAMPLE_DEV]
    return TestSet("sample-dev", "sample", _sample_revision(), tuple(held_out), tuple(() for _ in held_out))
