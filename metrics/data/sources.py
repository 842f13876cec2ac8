"""Where texts come from: a data folder, the Hub, or the built-in sample."""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import huggingface_hub as hub

from metrics.data.formats import Row, read_comments, read_paradetox
from metrics.data.languages import NON_PARALLEL, PARALLEL
from metrics.data.own_texts import OwnTexts, read_own_texts
from metrics.util.errors import InputError
from metrics.util.files import read_lines, sha256_bytes, sha256_file
from metrics.util.hub import is_hub_failure, require_sendable_token

# The sample belongs to the training code; it is read as data, not imported.
SAMPLE = Path(__file__).resolve().parents[2] / "repro" / "sample"
_PAIRS, _TEST_PAIRS = "textdetox/multilingual_paradetox", "textdetox/multilingual_paradetox_test"
# The test sets of TextDetox at CLEF -> the file in the data folder, the languages. In 2025 the phases of 2024 changed
# places, and the languages without parallel training texts were added to the first one.
SHARED_TASKS = {
    "clef2024-dev": ("clef_inputs/clef2024_dev.tsv", PARALLEL),
    "clef2024-test": ("clef_inputs/clef2024_test.tsv", PARALLEL),
    "clef2025-dev": ("clef_inputs/clef2025_dev.tsv", (*PARALLEL, *NON_PARALLEL)),
    "clef2025-test": ("clef_inputs/clef2025_test.tsv", PARALLEL),
}
# The Hub data sets of the public corpora and of the shared tasks.
HUB_DATASETS = {
    "paradetox": "s-nlp/paradetox", "jigsaw": "Arsive/toxicity_classification_jigsaw",
    "clef2024-dev": _PAIRS, "clef2024-test": _TEST_PAIRS, "clef2025-dev": _TEST_PAIRS, "clef2025-test": _PAIRS,
}  # fmt: skip
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


def read_shared_task(name: str, data_dir: str | Path | None) -> tuple[str, OwnTexts]:
    """Read a test set of `SHARED_TASKS`; the Hub has human rewrites, the inputs in a data folder have none.

    Returns:
        "folder" or "hub", and the sentences with their languages.

    Raises:
        InputError: There is neither a data folder nor the Hub, or a file is missing or damaged.
    """
    file, langs = SHARED_TASKS[name]
    folder = data_folder(data_dir)
    if folder is not None:
        texts = read_own_texts(data_file(folder, file))
        return "folder", replace(texts, revision=folder_revision(folder, [file]))
    dataset = HUB_DATASETS[name]
    parts: list[tuple[str, OwnTexts]] = []
    revision = ""
    for lang in langs:
        found = hub_files(dataset, f"{lang}-")
        if found is None:
            missing = f"the Hub gave no {lang} of {dataset}" if revision else f"nor did the Hub give {dataset}"
            raise InputError(f"{name}: no data folder (--data-dir or SRO_DATA_DIR), {missing}; try again later")
        paths, revision = found
        parts += [(lang, read_own_texts(path)) for path in paths]
    return "hub", OwnTexts(
        name, revision,
        tuple(source for _, part in parts for source in part.sources),
        tuple(references for _, part in parts for references in part.references),
        tuple(lang for lang, part in parts for _ in part.sources),
    )  # fmt: skip


@functools.lru_cache(maxsize=64)
def hub_files(dataset: str, prefix: str) -> tuple[list[Path], str] | None:
    """Return the Parquet files of a Hub data set whose name begins with `prefix`, downloaded, and the set's revision.

    None if the Hub cannot be reached or has no such file.
    """
    return _download(dataset, lambda name: Path(name).name.startswith(prefix) and name.endswith(".parquet"))


@functools.lru_cache(maxsize=8)
def _hub_file(dataset: str, suffixes: tuple[str, ...], contains: str) -> tuple[Path, str] | None:
    """Return a file of a Hub data set and its revision, or None if the Hub cannot be reached or has no such file."""
    found = _download(dataset, lambda name: name.endswith(suffixes) and contains in name, most=1)
    return found and (found[0][0], found[1])


@functools.lru_cache(maxsize=8)
def _hub_listing(dataset: str) -> tuple[tuple[str, ...], str] | None:
    """The files of a Hub data set and its commit; None if the Hub does not give it."""
    require_sendable_token()
    try:
        info = hub.HfApi().dataset_info(dataset, timeout=15)
    except Exception as error:
        if not is_hub_failure(error):
            raise
        return None
    return tuple(sorted(file.rfilename for file in info.siblings or [])), str(info.sha)


def _download(dataset: str, wanted: Callable[[str], bool], most: int | None = None) -> tuple[list[Path], str] | None:
    listing = _hub_listing(dataset)
    if listing is None:
        return None
    names, commit = [name for name in listing[0] if wanted(name)][:most], listing[1]
    try:
        paths = [hub.hf_hub_download(dataset, name, repo_type="dataset", revision=commit) for name in names]
    except Exception as error:
        if not is_hub_failure(error):
            raise
        return None
    return ([Path(path) for path in paths], f"{dataset}@{commit}") if paths else None


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
