"""A recipe on texts of one's own: test set, development set and toxic corpus are files, and a model has examples."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pandas as pd

from leaderboard.board.tables import TABLES
from tests.leaders import SMALL
from tests.repro.test_pipeline import bad, run

# Doubled quotes and line breaks in cells, and one row per reference.
TEST = [('he said "damn"', "he said it"), ("you fool\nand idiot", "you\nare wrong"), ("what crap", "what a pity"),
        ("what crap", "how sad"), ("shut up , moron", "be quiet")]  # fmt: skip
DEVELOPMENT = [("stupid rain again", "rain again"), ("damn , it is late", "it is late")]
TOXIC = [f"what the hell is {word} , you idiot" for word in ("this", "that", "here", "there", "wrong", "new")]


def write_table(path: Path, rows: list[tuple[str, str]]) -> Path:
    pd.DataFrame(rows, columns=["toxic_sentence", "reference"]).to_csv(path, sep="\t", index=False)
    return path


def settings(folder: Path, model: Path, **more: str) -> list[str]:
    """Settings of the recipe smoke: nothing is trained, and a model from a folder rewrites."""
    examples = folder / "examples.tsv"
    examples.write_text("you idiot\tyou\n")
    (folder / "toxic.txt").write_text("".join(f"{text}\n" for text in TOXIC))
    values = {
        "method": "none", "warmup": "none", "systems": f"[{model}, delete, reference]", "leader": str(model),
        "test_set": str(write_table(folder / "mine.tsv", TEST)), "toxic_corpus": str(folder / "toxic.txt"),
        "development_set": str(write_table(folder / "development.tsv", DEVELOPMENT)),
        "system": "Stay kind", "few_shot": str(examples), **more,
    }  # fmt: skip
    return [part for name, value in values.items() for part in ("--set", f"{name}={value}")]


def test_a_run_on_texts_of_ones_own_is_verified(tiny_t5: Path, tiny_llama: Path, tmp_path: Path) -> None:
    """With warm-up, training and the choice of a checkpoint."""
    more = dict(value.split("=", 1) for value in SMALL)
    more |= {"method": "sro", "warmup": "denoise", "toxic_min_content": "0", "prompt": '"rude : {text}"'}
    more |= {"systems": f"[{tiny_t5}, sro, delete, reference]", "leader": str(tiny_llama)}
    out = tmp_path / "out"
    done = run("repro.run", "smoke", *settings(tmp_path, tiny_t5, **more), "--out", str(out))
    assert done.returncode == 0, done.stderr[-3000:]
    outcome = json.loads((out / "stages" / "training" / "outcome.json").read_text())
    assert outcome["texts"] == len(TOXIC) and [scores["step"] for scores in outcome["history"]] == [0, 2, 4]
    rewrites = pd.read_parquet(out / "rewrites.parquet")
    assert rewrites.loc[rewrites["system"] == "reference", "output"].tolist() == [
        "he said it", "you\nare wrong", "what a pity", "be quiet",
    ]  # fmt: skip
    texts = (out / "report.md").read_text("utf-8").splitlines()[0]
    assert (
        "toxic.txt from the user's file (6 rows" in texts and "test set mine.tsv from the user's file (4 sen" in texts
    )
    verify = ["--local", str(out / "leaderboard"), "--test-set", str(tmp_path / "mine.tsv"), "--write"]
    done = run("leaderboard.verify", *verify)
    assert "4 verified, 0 mismatch, 0 unverifiable" in done.stdout, done.stdout
    latest = pd.read_parquet(out / "leaderboard" / TABLES["latest"])
    own = latest[latest["record"] == "measured"].set_index("system")
    assert set(own["test_set"]) == {"mine.tsv"} and set(own["n"]) == {4}
    decoding = {name: json.loads(text) for name, text in own["decoding"].items()}
    assert decoding.pop(tiny_t5.name)["system"] == "Stay kind" and not any("system" in one for one in decoding.values())
    again = run("repro.run", "smoke", *settings(tmp_path, tiny_t5, **more, system="Be brief"), "--out", str(out))
    assert again.returncode == 0 and "rewriting: done before" not in again.stderr, again.stderr[-3000:]
    assert "training: done before" in again.stderr


def test_a_second_run_in_a_folder_and_texts_that_do_not_fit_are_refused(tiny_t5: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = run("repro.run", "smoke", *settings(tmp_path, tiny_t5), "--out", str(out))
    assert done.returncode == 2 and "out: another run works in this folder" in done.stderr.splitlines()[-1]
    assert [path.name for path in out.iterdir()] == [".lock"]
    limits = {"method": "sro", "toxic_max_words": "3", "toxic_min_content": "1"}
    message = bad(tmp_path, "smoke", *settings(tmp_path, tiny_t5, **limits))
    assert "none of its 6 toxic texts has 3 words and is within toxic_max_words=3 and toxic_min_content=1" in message


def test_settings_without_a_model_are_refused(tiny_t5: Path, tmp_path: Path) -> None:
    more = settings(tmp_path, tiny_t5, systems="[delete]")
    assert "system and few_shot are for models from the Hub, a folder or an endpoint" in bad(tmp_path, "smoke", *more)
    more = settings(tmp_path, tiny_t5, few_shot=str(tmp_path / "toxic.txt"))
    assert "line 1: write a source, a tab and its rewrite" in bad(tmp_path, "smoke", *more)
