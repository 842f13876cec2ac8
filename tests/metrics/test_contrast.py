"""The contrast set: its file, its halves, and the preferences worked out by hand."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from metrics.data.contrast import load_contrast
from metrics.data.near_duplicates import NearDuplicates
from metrics.scoring.contrast import TOTAL, preference_table, preferences
from metrics.scoring.items import SentenceScores
from metrics.util.errors import InputError
from tests.warm_python import run_module


def test_the_set_has_25_contrasts_of_each_kind_and_no_duplicate() -> None:
    contrasts = load_contrast()
    assert Counter(Counter(c.kind for c in contrasts).values()) == {25: 13}
    assert len({c.source for c in contrasts}) == len({c.bad for c in contrasts}) == len(contrasts) == 325
    for c in contrasts:
        texts = (c.source, c.good, c.bad)
        assert len(set(texts)) == 3 and all(text == " ".join(text.split()) != "" for text in texts), c
    for i, c in enumerate(contrasts):
        # Two that share most of their words would say the same twice.
        assert not NearDuplicates(o.source for j, o in enumerate(contrasts) if j != i).contains(c.source), c.source


def test_the_halves_follow_from_the_hash_of_the_source() -> None:
    """A text that changes its half would be tuned on and measured on."""
    contrasts = load_contrast()
    for kind in {c.kind for c in contrasts}:
        own = [c for c in contrasts if c.kind == kind]
        ranked = sorted(own, key=lambda c: hashlib.sha256(c.source.encode()).hexdigest())
        assert [c.part for c in ranked] == ["held-out", "development"] * 12 + ["held-out"], kind
    assert (len(load_contrast("development")), len(load_contrast("held-out"))) == (156, 169)
    with pytest.raises(InputError, match="part test: the contrast set has development, held-out and all"):
        load_contrast("test")


def test_no_source_stands_in_the_corpora(data_dir: Path) -> None:
    sources = [c.source for c in load_contrast()]
    texts = (data_dir / "paradetox" / "paradetox.tsv").read_text("utf-8").replace("\t", "\n").splitlines()
    texts += (data_dir / "jigsaw" / "jigsaw_toxic.csv").read_text("utf-8").splitlines()
    corpus = NearDuplicates(texts, sources)
    assert [source for source in sources if corpus.contains(source)] == []


def test_preferences_by_hand() -> None:
    """Kind a: one pair of each order; kind b: a tie at J = 0, though SIM prefers the good one."""
    one = np.ones(3)
    good = SentenceScores(sta=np.array([1, 1, 0.0]), sim=np.array([0.8, 0.4, 0.6]), fl=one, soft_sta=one, soft_fl=one)
    bad = SentenceScores(sta=np.array([1, 1, 0.0]), sim=np.array([0.2, 0.5, 0.3]), fl=one, soft_sta=one, soft_fl=one)
    rows = {(r["kind"], r["metric"]): r for r in preferences(["a", "a", "b"], good, bad)}
    assert rows["a", "sim"]["preferred"] == 0.5 and rows["b", "sim"]["preferred"] == 1.0
    assert rows["a", "sim"]["difference"] == pytest.approx((0.6 - 0.1) / 2)
    assert rows["a", "sim"]["ratio"] == pytest.approx(0.35 / 0.6)
    assert (rows["b", "j"]["preferred"], rows["b", "j"]["ratio"]) == (0.5, None)
    total = rows[TOTAL, "j"]
    assert (total["n"], total["preferred"]) == (3, pytest.approx(0.5))
    assert total["low"] <= total["preferred"] <= total["high"]
    # All ties: an interval without width.
    assert (rows[TOTAL, "sta"]["low"], rows[TOTAL, "sta"]["high"]) == (0.5, 0.5)
    table = preference_table(list(rows.values()))
    cells = "0.50 (+0.00) | 0.50 (+0.00) | 0.50 (+0.25) | 0.50 (+0.00) | 0.50 (+0.25) | 0.60 | 0.35 | 0.58 |"
    assert f"| a | 2 | {cells}\n" in table and "- SIM prefers the good rewrite: 0.667 [" in table


def test_the_command_prints_the_documented_total_and_writes_the_numbers(tmp_path: Path) -> None:
    done = run_module("metrics.contrast", "--part", "development", "--json", str(tmp_path / "out.json"), timeout=300)
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "out.json").read_text())
    total = next(r for r in document["profiles"][0]["preferences"] if (r["kind"], r["metric"]) == (TOTAL, "j"))
    assert total["n"] == 156 and total["preferred"] >= 0.75
    assert f"- J prefers the good rewrite: {total['preferred']:.3f} [" in done.stdout
