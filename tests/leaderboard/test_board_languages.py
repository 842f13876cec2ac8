"""Rows in several languages: published, verified, ranked by language and averaged."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from leaderboard import publish, show, verify
from leaderboard.board.languages import families
from leaderboard.board.reading import load_board
from leaderboard.board.tables import TABLES, derive
from leaderboard.space.data import LATEST, open_leaderboard
from leaderboard.space.page import _groups_in
from leaderboard.space.views.reproduce import reproduce_command
from leaderboard.space.views.selection import ANY
from leaderboard.stores import open_store
from metrics import score
from metrics.data.languages import PARALLEL
from metrics.util.errors import InputError
from tests.leaderboard.boards import board, entry
from tests.tiny_scorers import write_model, write_profile


def test_delete_in_german_is_published_verified_and_cannot_be_forged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("metrics.systems.lexicons.hub_files", lambda *_: None)
    models = {
        "sta": str(write_model(tmp_path / "classifier", "BertForSequenceClassification")),
        "sim": str(write_model(tmp_path / "encoder", "BertModel")),
    }
    profile = write_profile(tmp_path, "clef2024", **models)
    lines = [f"{lang} Depp {i}\t{lang} {i}\t{lang}" for lang in ("de", "es") for i in range(3)]
    (tmp_path / "own.tsv").write_text("\n".join(["toxic_sentence\treference\tlang", *lines, ""]))
    (tmp_path / "rude.txt").write_text("Depp\n")
    own, out, local = (str(tmp_path / name) for name in ("own.tsv", "out.json", "board"))
    lexicon, files = ["--lexicon", str(tmp_path / "rude.txt")], ["--test-set", own, "--profile", str(profile)]
    score.main(["delete", "duplicate", *files, *lexicon, "--json", out])
    publish.main([out, "--local", local])
    capsys.readouterr()
    verify.main(["--local", local, *files, *lexicon])
    assert "4 verified, 0 mismatch, 0 unverifiable" in capsys.readouterr().out
    verify.main(["--local", local, *files])
    assert capsys.readouterr().out.count("give a file of rude words with --lexicon FILE") == 2
    table = pq.read_table(Path(local, TABLES["latest"])).to_pylist()
    assert sorted((row["system"], row["lang"], row["test_set"], row["rank"] is not None) for row in table) == [
        (system, lang, "own.tsv", True) for system in ("delete", "duplicate") for lang in ("de", "es")
    ]
    show.main([local])
    shown = capsys.readouterr().out
    assert "own.tsv, clef2024.v1: J by language" in shown and "| system | de | es |" in shown
    show.main([local, "--lang", "de"])
    shown = capsys.readouterr().out
    assert "own.tsv:de (file)" in shown and "own.tsv:es" not in shown
    with pytest.raises(InputError, match="--lang: no row in fr; there are rows in de, es"):
        show.main([local, "--lang", "fr"])
    # A good rewrite under the name of the baseline adds letters.
    documents = json.loads(Path(out).read_text())["results"]
    forged = next(d for d in documents if d["system"]["name"] == "delete" and d["test_set"]["lang"] == "de")
    forged["system"]["revision"] = "lexicon-0123456789ab"
    forged["sentences"][0]["output"] = "ein guter Satz"
    Path(out).write_text(json.dumps(forged))
    with pytest.raises(InputError, match="delete: reserved for this program's baseline"):
        publish.main([out, "--local", local])
    assert len(load_board(open_store(local=local).snapshot()).rows) == 4


def test_systems_are_ranked_by_the_averages_of_complete_groups() -> None:
    """J = STA / 2. b has no row in Chinese, and so no average."""
    j = {"a": 0.25, "b": 0.5, "c": 0.75}
    pairs = [(name, lang) for lang in PARALLEL for name in j if (name, lang) != ("b", "zh")]
    entries = [entry(name, [j[name]] * 3, lang=lang) for name, lang in [*pairs, ("a", "fr")]]
    (family,) = families(board(*entries))
    assert family.title == "t, s1" and family.langs == tuple(sorted((*PARALLEL, "fr")))
    assert [system.name for system in family.systems] == ["c", "a", "b"]
    best, last, partial = family.systems
    assert {name: (round(place.j, 6), place.rank) for name, place in best.averages.items()} == {"AvgP": (0.375, 1)}
    assert {name: (round(place.j, 6), place.rank) for name, place in last.averages.items()} == {"AvgP": (0.125, 2)}
    assert not partial.averages and (partial.j["de"].rank, last.j["de"].rank, last.j["zh"].rank) == (2, 3, 2)


def test_the_page_keeps_languages_apart(tmp_path: Path) -> None:
    """A group per language, a menu that chooses among them, and commands that name the language."""
    decoding = {"translation": "de-fr-de"}
    german, english = entry("a", [0.5] * 3, lang="de"), entry("a", [0.5] * 3)
    path = tmp_path / LATEST
    path.parent.mkdir()
    path.write_bytes(derive(board(german, english))[LATEST])
    page = open_leaderboard(local=tmp_path)
    assert sorted((group.label, group.lang) for group in page.groups.values()) == [
        ("t (3 sentences), s1", "en"),
        ("t:de (3 sentences), s1", "de"),
    ]
    keys = {group.lang: key for key, group in page.groups.items()}
    frame = SimpleNamespace(board=page)
    assert _groups_in(frame, "de", keys["en"]).value == keys["de"]
    assert _groups_in(frame, ANY, keys["en"]).choices == [(g.label, key) for key, g in page.groups.items()]
    made = {r["lang"]: {**r, "kind": "model", "decoding": json.dumps(decoding)} for r in page.records.values()}
    assert " --test-set t --lang de --pivot fr " in reproduce_command(made["de"]) + " "
    assert "--lang" not in reproduce_command(made["en"])


def test_a_table_without_languages_is_english_and_one_without_tokens_has_none(tmp_path: Path) -> None:
    """As programs wrote it before rows had them."""
    later = ["lang", "prompt_tokens", "completion_tokens", "token_cost"]
    table = pq.read_table(BytesIO(derive(board(entry("a", [0.5] * 3)))[LATEST])).drop(later)
    (tmp_path / LATEST).parent.mkdir()
    pq.write_table(table, tmp_path / LATEST)
    page = open_leaderboard(local=tmp_path)
    assert [group.lang for group in page.groups.values()] == ["en"]
    (record,) = page.records.values()
    assert [record[name] for name in later] == ["en", None, None, None]
