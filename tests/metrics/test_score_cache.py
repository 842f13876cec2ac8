"""The cache of sentence scores: what was scored before an interruption is not scored again; nothing else changes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrics.profiles import load_profile
from metrics.scorers import FAULTS
from metrics.scoring import COLUMNS
from metrics.scoring.cache import ScoreCache
from metrics.scoring.evaluator import Evaluator
from metrics.scoring.measures import Item

OUTPUTS = [f"output number {i} says {'so ' * i}".strip() for i in range(11)]
SOURCES = [f"source number {i}" for i in range(11)]


class Measures:
    """Stands before the three real measures, counts what they score, and may be stopped at a call."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.seen: list[Item] = []
        self.calls = 0

    def wrap(self, measure: Any) -> Any:
        outer = self

        class Counted:
            columns = measure.columns
            needs_references = measure.needs_references
            signature_field = measure.signature_field

            def __call__(self, items: Sequence[Item]) -> Any:
                if self.columns[0] == "sta":
                    outer.calls += 1
                    if outer.calls == outer.stop_at:
                        raise KeyboardInterrupt
                    outer.seen.extend(items)
                return measure(items)

        return Counted()


def evaluator(path: Path | None, counting: Measures) -> Evaluator:
    made = Evaluator(load_profile("offline"), None if path is None else ScoreCache(path))
    made._measures = {name: counting.wrap(measure) for name, measure in made._measures.items()}
    return made


def test_interrupted_scoring_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metrics.scoring.items.CHUNK", 3)
    path = tmp_path / "scores.sqlite"
    stopped, resumed, plain = Measures(stop_at=3), Measures(), Measures()
    with pytest.raises(KeyboardInterrupt):
        evaluator(path, stopped).score(SOURCES, OUTPUTS)
    scores = evaluator(path, resumed).score(SOURCES, OUTPUTS)
    assert len(stopped.seen) == 6 and len(resumed.seen) == 5
    assert not set(stopped.seen) & set(resumed.seen)
    expected = evaluator(None, plain).score(SOURCES, OUTPUTS)
    for column in COLUMNS:
        np.testing.assert_allclose(scores.metric(column), expected.metric(column), atol=2e-6)
    again = Measures()
    same = evaluator(path, again).score(SOURCES[::-1], OUTPUTS[::-1])
    assert again.seen == [] and same.sim[::-1].tolist() == scores.sim.tolist()


def test_profile_source_and_version_are_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scores.sqlite"
    first, second, third = Measures(), Measures(), Measures()
    evaluator(path, first).score(SOURCES[:2], OUTPUTS[:2])
    evaluator(path, second).score(SOURCES[2:4], OUTPUTS[:2])
    assert len(second.seen) == 2
    strict = Evaluator(load_profile("offline").model_copy(update={"sta_threshold": 0.9}), ScoreCache(path))
    strict._measures = {name: third.wrap(measure) for name, measure in strict._measures.items()}
    strict.score(SOURCES[:2], OUTPUTS[:2])
    assert len(third.seen) == 2
    # The version counts changes of how texts are split, which no signature shows.
    monkeypatch.setattr("metrics.scoring.evaluator.CACHE_VERSION", 0)
    fourth = Measures()
    evaluator(path, fourth).score(SOURCES[:2], OUTPUTS[:2])
    assert len(fourth.seen) == 2


def _corrupt_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    # The first page holds the header and the tables' names; the root pages of the tables come next.
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)


def _change(*statements: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database, database:
            for statement in statements:
                database.execute(statement)

    return damage


DAMAGE = {
    "no database": lambda path: path.write_bytes(b"not a database at all" * 100),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "corrupt pages": _corrupt_pages,
    "unknown format": lambda path: path.write_bytes((d := path.read_bytes())[:44] + b"\x00\x00\x00\x63" + d[48:]),
    "other columns": _change("DROP TABLE scores", "CREATE TABLE scores (key TEXT PRIMARY KEY, sta REAL)"),
    "other types": _change("ALTER TABLE scores RENAME COLUMN sim TO similarity"),
    "a view": _change("DROP TABLE scores", "CREATE VIEW scores AS SELECT 1 AS key"),
    "text for a number": _change("UPDATE scores SET sta = 'high'"),
    "text that is not UTF-8": _change("UPDATE scores SET sim = CAST(x'ff' AS TEXT)"),
    "bytes for a number": _change("UPDATE scores SET fl = x'00'"),
    "infinity": _change("UPDATE scores SET soft_fl = 9e999"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("opened", ["before the damage", "after the damage"])
def test_a_damaged_cache_is_set_aside_and_rebuilt(
    damage: str, opened: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, values = tmp_path / "scores.sqlite", {"a": (1.0, 0.5, 0.25, 0.0, 1.0), "b": (0.0, 0.5, 0.25, 0.0, 1.0)}
    cache = ScoreCache(path)
    cache.write(values.items())
    DAMAGE[damage](path)
    if opened == "after the damage":
        cache = ScoreCache(path)
    assert cache.read(["a", "b"]) == {}
    cache.write(values.items())
    assert cache.read(["a", "b"]) == ScoreCache(path).read(["a", "b"]) == values
    message = capsys.readouterr().err.splitlines()
    assert len(message) == 1 and "not a usable score cache" in message[0] and "set aside as" in message[0]
    assert (tmp_path / "scores.sqlite.damaged").is_file()


def test_a_fault_that_does_not_exist_is_damage(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path / "scores.sqlite")
    for number in (len(FAULTS), -1, 0.5):
        cache.faults.write([("a", [number])])
        assert cache.faults.read(["a"]) == {}
    cache.faults.write([("a", [len(FAULTS) - 1])])
    assert cache.faults.read(["a"]) == {"a": (len(FAULTS) - 1,)}


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "fifo"])
def test_what_is_no_file_is_set_aside(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written where a link leads, and nothing waits for a FIFO's other end."""
    path, elsewhere = tmp_path / "home/scores.sqlite", tmp_path / "elsewhere"
    path.parent.mkdir()
    if kind == "link":
        elsewhere.write_bytes(b"")
    if "link" in kind:
        path.symlink_to(elsewhere)
    elif kind == "folder":
        path.mkdir()
        # An earlier one.
        (tmp_path / "home/scores.sqlite.damaged").mkdir()
    else:
        os.mkfifo(path)
    cache = ScoreCache(path)
    cache.write([("a", (1, 1, 1, 1, 1))])
    assert ScoreCache(path).read(["a"]) == {"a": (1, 1, 1, 1, 1)}
    assert not elsewhere.exists() or elsewhere.read_bytes() == b""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: not a usable score cache (no file, but a link") and "scores.sqlite.damaged" in line


def test_a_locked_cache_is_not_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command goes on without it, and says so once."""
    path = tmp_path / "scores.sqlite"
    cache = ScoreCache(path)
    cache.write([("a", (1, 1, 1, 1, 1))])
    monkeypatch.setattr("metrics.util.number_cache._PATIENCE", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert cache.read(["a"]) == {}
        cache.write([("b", (1, 1, 1, 1, 1))])
    message = f"{path}: another process keeps the score cache locked; going on without it"
    assert capsys.readouterr().err.splitlines() == [message]
    assert cache.read(["a", "b"]).keys() == {"a"} and not (tmp_path / "scores.sqlite.damaged").exists()


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    program = (
        "import sys; from pathlib import Path; from metrics.scoring.cache import ScoreCache\n"
        "cache = ScoreCache(Path(sys.argv[1]))\n"
        "for i in range(40): cache.write([(f'{sys.argv[2]}-{i}', (i, 0, 0, 0, 0.5))])\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), str(k)]) for k in range(4)]
    assert [writer.wait(timeout=120) for writer in writers] == [0] * 4
    keys = [f"{k}-{i}" for k in range(4) for i in range(40)]
    found = ScoreCache(path).read([*keys, "absent"])
    assert sorted(found) == sorted(keys) and found["3-7"] == (7, 0, 0, 0, 0.5)
