"""Fits the fluency head of the `offline` profile on CoLA: `python -m metrics.heads [--data-dir DIR]`.

CoLA (Warstadt et al. 2019): in-domain training sentences fit the head, the two development files measure it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from metrics.errors import InputError, run_command

TRAIN = "cola/in_domain_train.tsv"
DEVELOPMENT = ("cola/in_domain_dev.tsv", "cola/out_of_domain_dev.tsv")


def read_cola(path: Path) -> tuple[list[str], list[int]]:
    """(sentences, labels with 1 = acceptable) of a CoLA TSV. Errors: a line without four columns."""
    from metrics.files import read_lines

    rows = [line.split("\t") for line in read_lines(path)]
    for number, row in enumerate(rows, start=1):
        if len(row) != 4 or row[1] not in ("0", "1"):
            raise InputError(f"{path}: line {number} is not source, label, mark, sentence")
    return [row[3] for row in rows], [int(row[1]) for row in rows]


def fit(folder: Path) -> dict[str, Any]:
    """The head as written to `fluency_head.json`, with the development AUCs it reaches."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    from metrics.files import sha256_file
    from metrics.scorers import LMAcceptability

    scorer = LMAcceptability("smollm2-135m-q4")
    texts, labels = read_cola(folder / TRAIN)
    model = LogisticRegression(C=1.0, max_iter=1000).fit(scorer.features(texts), labels)
    auc = {}
    for name in DEVELOPMENT:
        texts, labels = read_cola(folder / name)
        auc[name] = round(float(roc_auc_score(labels, model.predict_proba(scorer.features(texts))[:, 1])), 4)
    return {
        "schema": 1,
        "features": ["mean log p", "minimum log p", "tokens"],
        "weights": [round(float(w), 6) for w in model.coef_[0]],
        "bias": round(float(model.intercept_[0]), 6),
        "language_model": scorer.revision,
        "trained_on": f"{TRAIN} sha256:{sha256_file(folder / TRAIN)[:16]}",
        "auc": auc,
    }


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m metrics.heads", description=__doc__)
    parser.add_argument("--data-dir", help="folder with cola/ (default: SRO_DATA_DIR)")
    options = parser.parse_args(argv)
    from metrics.corpora import data_folder
    from metrics.files import write_json
    from metrics.scorers import FLUENCY_HEAD

    folder = data_folder(options.data_dir)
    if folder is None:
        raise InputError("no data folder; give --data-dir or SRO_DATA_DIR")
    head = fit(folder)
    write_json(FLUENCY_HEAD, head)
    print(f"{FLUENCY_HEAD.name}: AUC {head['auc']}")


if __name__ == "__main__":
    run_command(main)
