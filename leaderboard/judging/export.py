"""Judgements as one file for other programs."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from metrics.data.judgement_files import Judgement, to_parquet
from metrics.util.errors import InputError
from metrics.util.files import atomic_file


def export_judgements(judgements: Sequence[Judgement], out: Path) -> str:
    """Write judgements as Parquet, JSON Lines, TSV or CSV, by the name of `out`, and return a line about it.

    A cell of a TSV or CSV holds a text as it is; a spreadsheet may read one that begins with = as a formula.

    Raises:
        InputError: The name ends in anything else.
    """
    suffix = out.suffix.lower()
    if suffix not in (".parquet", ".jsonl", ".tsv", ".csv"):
        raise InputError(f"{out}: give a name that ends in .parquet, .jsonl, .tsv or .csv")
    records = [one.model_dump(mode="json") for one in judgements]
    with atomic_file(out) as temporary:
        if suffix == ".parquet":
            temporary.write_bytes(to_parquet(judgements))
        elif suffix == ".jsonl":
            lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            temporary.write_text(lines, encoding="utf-8")
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(Judgement.model_fields), delimiter="," if suffix == ".csv" else "\t")
                writer.writeheader()
                writer.writerows(records)
    return f"{out}: {len(judgements):,} answers of {len({one.annotator for one in judgements})} annotators"
