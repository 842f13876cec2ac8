"""What a leaderboard's data set carries besides rows: its card with `configs`, eval.yaml, the schema, the test set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from leaderboard.rows.formats import write_parquet
from leaderboard.rows.row import SCHEMA_VERSION, json_schema
from metrics.inspect_ai.eval_yaml import eval_yaml

if TYPE_CHECKING:
    from leaderboard.stores.store import Snapshot

SAMPLE = "tests/sample.parquet"
SCHEMA = f"row-v{SCHEMA_VERSION}.schema.json"
# `latest` is what a viewer opens first; `sentences` are the outputs and scores of every row.
CARD = """\
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

Toxic sentences, what systems made of them, and what that scores: STA (not toxic any more), SIM (still means the same),
FL (fluent), J (their product, averaged over sentences). **The texts are offensive.**

- `results/<org>__<model>/<run_id>.json` is a row, immutable; `run_id` is the hash of the configuration that was run.
  Its outputs and scores, sentence by sentence, are beside it in `.parquet`.
- `data/latest-*` (the newest row of a system under a signature, with ranks and ties) and `data/full-*` (all rows) are
  derived from them; `python -m leaderboard.rebuild` makes them anew.
- `verification/<run_id>.json` is what a re-computation from the stored outputs found.
- `row-v2.schema.json` is the schema of a row.
- `tests/sample.parquet` is the built-in test set, and `eval.yaml` the benchmark that inspect-ai runs on it:
  `inspect eval hf/ORG/NAME --model hf/MODEL`.

Two rows can be compared exactly when their `comparable` is equal: the signature of profile, models, thresholds, test
set and version. Rows whose `record` is `published` repeat figures from papers, with their source and no interval; they
were measured by other protocols and have no rank. A row is `verified` when every score followed from its outputs,
`mismatch` when one did not, `unverifiable` when something that it takes is missing, `unchecked` before.

    from datasets import load_dataset
    load_dataset("ORG/NAME", "latest", split="rows")

To add a row: `python -m metrics.score MODEL_ID --json result.json`, then
`python -m leaderboard.publish result.json --repo ORG/NAME`, which opens a pull request where you may not write.
"""


def scaffold(snapshot: Snapshot) -> dict[str, bytes]:
    """The files of a leaderboard that are not there yet; what its owner changed in them stays."""
    makers = {
        "README.md": lambda: CARD.encode(),
        SCHEMA: lambda: (json.dumps(json_schema(), indent=1) + "\n").encode(),
        SAMPLE: sample_parquet,
        "eval.yaml": lambda: eval_yaml().encode(),
    }
    return {path: make() for path, make in makers.items() if path not in snapshot.files}


def sample_parquet() -> bytes:
    """The built-in test set: source, reference (the first human rewrite), references."""
    import pyarrow as pa

    from metrics.data.test_sets import load_test_set

    test_set = load_test_set("sample")
    references = [list(own) for own in test_set.references]
    columns = {"source": list(test_set.sources), "reference": [own[0] for own in references], "references": references}
    return write_parquet(pa.table(columns))
