"""Submissions to the shared tasks: outputs in the formats of TextDetox at CLEF 2024 and 2025."""

import io
import json
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

from metrics.data.test_sets import TestSet
from metrics.systems.resolve import Rewrites
from metrics.util.errors import InputError
from metrics.util.files import atomic_file

SUFFIXES = (".tsv", ".zip", ".jsonl")


def write_submission(path: Path, whole: TestSet, written: Iterable[tuple[Rewrites, TestSet]]) -> None:
    """Write a system's outputs as a submission; prints to stderr how many of its rows repeat the source.

    The tasks take .tsv with the columns toxic_sentence, neutral_sentence and lang, alone or in a .zip, and .jsonl with
    id and text. A submission has a row for each sentence. One that was not rewritten repeats its source, as the tasks
    ask, and so does one whose output the tasks' evaluators read as missing: empty, or a word such as "null".

    Args:
        path: The file, with one of `SUFFIXES`.
        whole: The test set of the submission.
        written: The outputs for parts of it.

    Raises:
        InputError: The suffix is another one, or the test set lacks the ids that .jsonl needs.
    """
    require_submission(path, whole)
    row = {place: i for i, place in enumerate(whole.places or range(len(whole.sources)))}
    outputs: list[str] = [""] * len(whole.sources)
    n = 0
    for rewrites, part in written:
        n += len(rewrites.outputs)
        for place, output in zip(part.places or range(len(part.sources)), rewrites.outputs, strict=True):
            outputs[row[place]] = output
    missing = _read_as_missing(outputs)
    texts = [
        source if i in missing else output
        for i, (source, output) in enumerate(zip(whole.sources, outputs, strict=True))
    ]
    with atomic_file(path) as temporary:
        temporary.write_bytes(_encode(path, whole, texts))
    untouched = len(whole.sources) - n
    parts = [f"{len(missing) - untouched} have no output that the task reads"] if len(missing) > untouched else []
    parts += [f"{untouched} were not rewritten"] if untouched else []
    if parts:
        print(f"{path}: of {len(texts)} rows, {' and '.join(parts)}; these repeat the source", file=sys.stderr)


def require_submission(path: Path, test_set: TestSet) -> None:
    """Raise an `InputError` if `write_submission` cannot write this file for the test set."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a submission is a file {', '.join(SUFFIXES)}")
    if path.suffix.lower() == ".jsonl" and not test_set.ids:
        raise InputError(f"{path}: {test_set.name} has no ids, which .jsonl needs; write .tsv")


def _encode(path: Path, test_set: TestSet, texts: list[str]) -> bytes:
    if path.suffix.lower() == ".jsonl":
        pairs = zip(test_set.ids, texts, strict=True)
        lines = (json.dumps({"id": id_, "text": text}, ensure_ascii=False) for id_, text in pairs)
        return "".join(f"{line}\n" for line in lines).encode()
    langs = test_set.langs or (test_set.lang,) * len(texts)
    columns = {"toxic_sentence": list(test_set.sources), "neutral_sentence": texts, "lang": list(langs)}
    table = _to_tsv(columns).encode()
    if path.suffix.lower() == ".tsv":
        return table
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        # With a fixed date, equal submissions are equal files.
        archive.writestr(zipfile.ZipInfo(f"{path.stem}.tsv"), table, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _to_tsv(columns: dict[str, list[str]]) -> str:
    """Write as pandas does, with which the tasks read."""
    import pandas as pd

    return str(pd.DataFrame(columns).to_csv(sep="\t", index=False, lineterminator="\n"))


def _read_as_missing(outputs: list[str]) -> set[int]:
    """The rows whose output pandas reads as missing: empty, or one of the words that it takes for "not available"."""
    import pandas as pd

    table = _to_tsv({"neutral_sentence": outputs, "row": [str(i) for i in range(len(outputs))]})
    read = pd.read_csv(io.StringIO(table), sep="\t", dtype={"row": str})
    missing = read["neutral_sentence"].isna() | (read["neutral_sentence"].astype(str).str.strip() == "")
    return set(read["row"][missing].astype(int))
