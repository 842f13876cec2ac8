"""The files of a leaderboard besides rows: its card, eval.yaml, the row schema and the sample test set."""

from __future__ import annotations

import json

import pyarrow as pa

from leaderboard.rows.formats import write_parquet
from leaderboard.rows.row import SCHEMA_VERSION, json_schema
from leaderboard.stores.base import Snapshot
from metrics.data.test_sets import load_test_set
from metrics.inspect_ai.eval_yaml import eval_yaml

SAMPLE = "tests/sample.parquet"
# A viewer opens `latest` first; `sentences` has the outputs and scores of all rows.
_CARD = """\
---
license: apache-2.0
language: en
pretty_name: Text detoxification leaderboard
tags: [leaderboard, text-detoxification, evaluation]
configs:
  - config_name: latest
    default: true
    data_files: [{split: rows, path: data/latest-00000-of-00001.parquet}]
  - config_name: full
    data_files: [{split: rows, path: data/full-00000-of-00001.parquet}]
  - config_name: sentences
    data_files: [{split: rows, path: results/*/*.parquet}]
  - config_name: sample
    data_files: [{split: test, path: tests/sample.parquet}]
---
# Text detoxification leaderboard

Toxic sentences, their rewrites by each system, and the scores: STA (the rewrite is not toxic), SIM (it means the same),
FL (it is fluent), J (the mean of their products per sentence). **The texts are offensive.**

- `results/<org>__<model>/<run_id>.json` is a row, immutable; `run_id` is the hash of the configuration that was run.
  The `.parquet` beside it has the outputs and scores of each sentence.
- `data/latest-*` (the newest row of a system under a signature, with ranks and ties) and `data/full-*` (all rows) are
  derived from the rows; `python -m leaderboard.rebuild` rebuilds them.
- `verification/<run_id>.json` is the result of re-computing the row from its stored outputs.
- `row-v2.schema.json` is the schema of a row.
- `tests/sample.parquet` is the built-in test set, and `eval.yaml` the benchmark that inspect-ai runs on it:
  `inspect eval hf/ORG/NAME --model hf/MODEL`.

Two rows are comparable exactly when their `comparable` is equal: the signature of profile, models, thresholds, test
set and version. Rows whose `record` is `published` repeat figures from papers, with their source and no interval; other
protocols measured them, and they have no rank. A row is `verified` if every score follows from its outputs, `mismatch`
if one does not, `unverifiable` if the verifier lacks an input, and `unchecked` before verification.

    from datasets import load_dataset
    load_dataset("ORG/NAME", "latest", split="rows")

To add a row: `python -m metrics.score MODEL_ID --json result.json`, then
`python -m leaderboard.publish result.json --repo ORG/NAME`, which opens a pull request if you have no write access.
"""


def missing_files(snapshot: Snapshot) -> dict[str, bytes]:
    """Return the path and content of the files that a leaderboard lacks; its owner's changes to others stay."""
    makers = {
        "README.md": lambda: _CARD.encode(),
        f"row-v{SCHEMA_VERSION}.schema.json": lambda: (json.dumps(json_schema(), indent=1) + "\n").encode(),
        SAMPLE: sample_parquet,
        "eval.yaml": lambda: eval_yaml().encode(),
    }
    return {path: make() for path, make in makers.items() if path not in snapshot.files}


def sample_parquet() -> bytes:
    """Return the built-in test set as Parquet: source, reference (the first human rewrite), references."""
    test_set = load_test_set("sample")
    references = [list(rewrites) for rewrites in test_set.references]
    first = [rewrites[0] for rewrites in references]
    return write_parquet(pa.table({"source": list(test_set.sources), "reference": first, "references": references}))
