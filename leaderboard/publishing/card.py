"""The files of a leaderboard besides rows: its card, eval.yaml, the row schema and the sample test set."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from leaderboard.rows.row import SCHEMA_FILE
from leaderboard.stores.base import Snapshot
from metrics.data.parquet import write_parquet
from metrics.data.test_sets import load_test_set
from metrics.inspect_ai.eval_yaml import eval_yaml

SAMPLE, CARD, EVAL = "tests/sample.parquet", "README.md", "eval.yaml"
# Of its configurations, a viewer opens `latest` first; `sentences` has the outputs and scores of all rows.
_CARD = Path(__file__).parent / "card.md"


def missing_files(snapshot: Snapshot) -> dict[str, bytes]:
    """Return the path and content of the files that a leaderboard lacks; its owner's changes to others stay."""
    return {path: make() for path, make in MAKERS.items() if path not in snapshot.files}


def _sample_parquet() -> bytes:
    """Return the built-in test set as Parquet: source, reference (the first human rewrite), references."""
    test_set = load_test_set("sample")
    references = [list(rewrites) for rewrites in test_set.references]
    first = [rewrites[0] for rewrites in references]
    return write_parquet(pa.table({"source": list(test_set.sources), "reference": first, "references": references}))


# Path -> what returns the content that this program writes there.
MAKERS: dict[str, Callable[[], bytes]] = {
    CARD: _CARD.read_bytes,
    SCHEMA_FILE.name: SCHEMA_FILE.read_bytes,
    SAMPLE: _sample_parquet,
    EVAL: lambda: eval_yaml().encode(),
}
