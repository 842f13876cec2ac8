"""Published figures have their source, equal it, and are not ranked with measured rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from leaderboard.board.reading import load_board
from leaderboard.board.tables import TABLES
from leaderboard.publish import main
from leaderboard.rows.published import published_rows
from leaderboard.stores.local import LocalStore
from tests.leaderboard.test_publish import result_file


def test_published_figures() -> None:
    """Some figures of each source, copied from the publications' tables."""
    found = {
        (row.system.name, row.source.title.split(",")[0], row.test_set.n): [s.mean for s in row.scores.values()]
        for row in published_rows()
        if row.source is not None
    }
    assert len(found) == 27
    assert found["CondBERT", "Dale et al.", 10_000] == [0.94, 0.69, 0.77, 0.50]
    assert found["STRAP", "Dale et al.", 10_000] == [0.29, 0.69, 0.80, 0.15]
    assert found["ParaGeDi", "Dale et al.", 200] == [0.9341, 0.6475, 0.9125, 0.5534]
    assert found["mBART", "s-nlp/multilingual_detox", 671] == [0.887, 0.889, 0.866, 0.640]
    assert found["MetaDetox", "TextDetox at CLEF 2025", None] == [0.685]


def test_published_figures_have_no_rank_or_interval(tmp_path: Path) -> None:
    path = result_file(tmp_path, "condbert", [1, 0, 1])
    main([str(path), "--published", "--local", str(tmp_path / "board")])
    latest = pd.read_parquet(tmp_path / "board" / TABLES["latest"])
    measured, published = latest[latest["record"] == "measured"], latest[latest["record"] == "published"]
    assert len(measured) == 1 and len(published) == 27
    assert published["rank"].isna().all() and published["j_low"].isna().all() and (published["ties"] == "").all()
    assert published["source_url"].str.startswith("https://").all() and (published["signature"] == "").all()
    assert not set(measured["comparable"]) & set(published["comparable"])
    # A second call adds nothing.
    main(["--published", "--local", str(tmp_path / "board")])
    assert len(load_board(LocalStore(tmp_path / "board").snapshot()).rows) == 28


def test_without_texts_publishes_no_sentences(tmp_path: Path) -> None:
    path = result_file(tmp_path, "x", [1, 0, 1])
    main([str(path), "--without-texts", "--local", str(tmp_path / "board")])
    assert not list((tmp_path / "board" / "results").rglob("*.parquet"))
    (row,) = load_board(LocalStore(tmp_path / "board").snapshot()).rows.values()
    assert row.sentences and row.scores["j"].mean > 0
