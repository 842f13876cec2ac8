"""Where texts come from: a data folder, the Hub, or the built-in sample."""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub as hub

from metrics.data.formats import Row, read_comments, read_paradetox
from metrics.util.errors import InputError
from metrics.util.files import read_lines, sha256_bytes, sha256_file
from metrics.util.hub import is_hub_failure, require_sendable_token

# The sample belongs to the training code; it is read as data, not imported.
SAMPLE = Path(__file__).resolve().parents[2] / "repro" / "sample"
# The Hub data sets of the two public corpora.
HUB_DATASETS = {"paradetox": "s-nlp/paradetox", "jigsaw": "Arsive/toxicity_classification_jigsaw"}
# First 4 KiB (SHA-256) and size of the public files: one that begins like them and is shorter is a damaged copy.
_KNOWN_FILES = {
    "paradetox/paradetox.tsv": ("3bd353325b12dae6f09e91f69515f369", 1_627_340),
    "jigsaw/jigsaw_toxic.csv": ("2c079d7a7f78311556ba1bad14457cc4", 3_563_542),
    "jigsaw/dev_toxic.txt": ("fe32884e4fabce87acb0d92a67f2b441", 521_806),
    "jigsaw/dev_normal.txt": ("d789ed0167666872ccc9d7c6980577af", 531_913),
}
_PARADETOX = "paradetox/paradetox.tsv"
_SAMPLE_FILES = ("toxic.tsv", "neutral.txt", "test.tsv")
_SAMPLE_DEV = 80
_SHORT = 25  # words


@dataclass(frozen=True)
class ParallelTexts:
    """ParaDetox: rows of a toxic sentence and its rewrites, from "folder" or "hub", with the content's revision."""

    origin: str
    revision: str
    rows: tuple[Row, ...]


def data_folder(name: str | Path | None) -> Path | None:
    """Return the data folder: `name`, else SRO_DATA_DIR, else None; raise an `InputError` if it does not exist."""
    name = str(name) if name else os.environ.get("SRO_DATA_DIR", "")
    if not name:
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise InputError(f"data folder {folder}: no such folder (--data-dir or SRO_DATA_DIR)")
    return folder.resolve()


def data_file(folder: Path, name: str) -> Path:
    """Return a file's path; raise an `InputError` if it is missing, or a truncated copy of the public file."""
    path = folder / name
    if not path.is_file():
        raise InputError(f"data folder {folder}: no {name}; it must hold this file (see docs/guides/retrain.md, Data)")
    head, size = _KNOWN_FILES.get(name, ("", 0))
    if head and path.stat().st_size < size:
        with path.open("rb") as file:
            if sha256_bytes(file.read(4096)).startswith(head):
                raise InputError(f"{path}: truncated ({path.stat().st_size} of {size} bytes); copy it again")
    return path


def folder_revision(folder: Path, names: Sequence[str]) -> str:
    """Return the hashes of files of the data folder as a revision."""
    return "sha256:" + "+".join(sha256_file(data_file(folder, name))[:16] for name in names)


def read_parallel(data_dir: str | Path | None) -> ParallelTexts | None:
    """Read ParaDetox from the data folder or the Hub; return None if there is neither."""
    folder = data_folder(data_dir)
    if folder is None:
        return _hub_paradetox()
    rows = tuple(read_paradetox(data_file(folder, _PARADETOX)))
    return ParallelTexts("folder", folder_revision(folder, [_PARADETOX]), rows)


@functools.lru_cache(maxsize=8)
def _hub_file(dataset: str, suffixes: tuple[str, ...], contains: str) -> tuple[Path, str] | None:
    """Return a file of a Hub data set and its revision, or None if the Hub cannot be reached or has no such file."""
    require_sendable_token()
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


def _hub_paradetox() -> ParallelTexts | None:
    found = _hub_file(HUB_DATASETS["paradetox"], (".parquet", ".tsv", ".csv"), "train")
    if found is None:
        return None
    import pandas as pd

    path, revision = found
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, sep=None, engine="python")
    rows: dict[str, list[str]] = {}
    for toxic, neutral in zip(frame["en_toxic_comment"], frame["en_neutral_comment"], strict=True):
        rows.setdefault(str(toxic), []).append(str(neutral))
    return ParallelTexts("hub", revision, tuple((toxic, tuple(neutral)) for toxic, neutral in rows.items()))


def hub_comments(*, sentences: bool) -> tuple[str, tuple[str, ...], tuple[str, ...]] | None:
    """Return (revision, toxic comments, neutral comments) of Jigsaw, or None if the Hub cannot be reached.

    With `sentences` they have at most 25 words and stand in for the sentence files of s-nlp/detox, which are not on
    the Hub; else there are all toxic comments, and no neutral one.
    """
    found = _hub_file(HUB_DATASETS["jigsaw"], (".csv",), "train")
    if found is None:
        return None
    path, revision = found
    if not sentences:
        return revision, tuple(read_comments(path, toxic=True)), ()
    comments = (read_comments(path, toxic=toxic) for toxic in (True, False))
    toxic, neutral = (tuple(text for text in texts if len(text.split()) <= _SHORT) for texts in comments)
    return revision, toxic, neutral


def sample_revision(*names: str) -> str:
    """Return the hashes of files of the sample, by default of all."""
    return folder_revision(SAMPLE, names or _SAMPLE_FILES)


def sample_texts() -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the sample's toxic sentences for development, and its toxic and neutral ones for training.

    The first 80 toxic sentences in the order of their SHA-256 are for development.
    """
    toxic = [line.split("\t")[0] for line in read_lines(SAMPLE / "toxic.tsv")[1:]]
    development = tuple(sorted(toxic, key=lambda text: sha256_bytes(text.encode()))[:_SAMPLE_DEV])
    training = tuple(text for text in toxic if text not in development)
    return development, training, tuple(read_lines(SAMPLE / "neutral.txt"))
