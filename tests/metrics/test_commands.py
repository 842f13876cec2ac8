"""The command `python -m metrics.score`: its tables and files, and one clear line for input that it cannot use."""

from __future__ import annotations

import json
import os
import re
import subprocess
import venv
from pathlib import Path

import pytest

from metrics.util.errors import run_command
from tests.test_structure import commands
from tests.warm_python import run_module

ROOT = Path(__file__).resolve().parent.parent.parent


def run_score(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m metrics.score` without the real texts; extra: environment variables."""
    env = {key: value for key, value in os.environ.items() if key != "SRO_DATA_DIR"}
    return run_module("metrics.score", *arguments, env={**env, "HF_HUB_OFFLINE": "1", **extra}, timeout=300)


# Enough arguments for a command to get past its parser; the others need none.
ARGUMENTS = {
    "leaderboard.export": ("--local", "board", "out"),
    "leaderboard.judgements": ("export", "x.tsv", "--local", "board"),
    "leaderboard.publish": ("x.json", "--local", "board"),
    "metrics.agreement": ("x.tsv",),
    "metrics.compare": ("a.json", "b.json"),
    "metrics.heads": ("train",),
    "metrics.many": ("delete",),
    "metrics.mbr": ("delete", "--out", "chosen.txt"),
    "metrics.score": ("delete",),
    "metrics.stage": ("j", "space"),
    "repro.run": ("smoke",),
}


def test_without_packages_every_command_says_what_to_install(tmp_path: Path) -> None:
    """In an environment with nothing but the standard library."""
    venv.create(tmp_path / "bare", symlinks=True)
    env = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "SRO_HOME": str(tmp_path / "home")}
    for module in commands():
        command = [str(tmp_path / "bare" / "bin" / "python"), "-m", module]
        usage = subprocess.run([*command, "--help"], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert usage.returncode == 0 and "usage:" in usage.stdout, module
        arguments = ARGUMENTS.get(module, ())
        done = subprocess.run([*command, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True)
        if module == "metrics.stage":  # it copies files, and needs no package
            assert done.returncode == 0, done.stderr
            continue
        assert done.returncode == 2, (module, done.stderr)
        package = r"error: this command needs the package \w+; install it with: pip install -c constraints\.txt -e "
        assert re.fullmatch(rf"{package}(\.|'\.\[[\w-]+\]')\n", done.stderr), (module, done.stderr)


@pytest.mark.parametrize(("package", "target"), [("gradio", "'.[space]'"), ("ray", "'.[ray]'"), ("numpy", ".")])
def test_the_install_command_names_the_extra(package: str, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    def command(argv: list[str]) -> None:
        raise ModuleNotFoundError(f"No module named '{package}.x'", name=f"{package}.x")

    with pytest.raises(SystemExit) as exit_code:
        run_command(command, [])
    assert exit_code.value.code == 2
    assert capsys.readouterr().err == (
        f"error: this command needs the package {package}; "
        f"install it with: pip install -c constraints.txt -e {target}\n"
    )


def _wieting_profile(tmp_path: Path) -> str:
    """own.yaml: the offline profile with Wieting's similarity, whose files nobody has here."""
    text = (ROOT / "metrics" / "profiles" / "offline-v2.yaml").read_text()
    text = text.replace("sim_scorer: heads-similarity", "sim_scorer: wieting")
    (tmp_path / "own.yaml").write_text(text)
    return str(tmp_path / "own.yaml")


def one_line(tmp_path: Path, *arguments: str, **extra: str) -> str:
    report = tmp_path / "never.json"
    done = run_score(*arguments, "--test-set", "sample", "--json", str(report), **extra)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().split("\n")
    assert lines[-1].startswith("error: ") and "Traceback" not in done.stderr
    assert not report.exists() and done.stdout == ""
    return lines[-1]


def test_unusable_models_are_refused_in_one_line(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "not a model folder" in one_line(tmp_path, str(empty))
    (empty / "config.json").write_text("{}")
    assert "no weights" in one_line(tmp_path, str(empty))
    (empty / "pytorch_model.bin").write_bytes(b"")
    assert "only pickle weights (pytorch_model.bin)" in one_line(tmp_path, str(empty))
    (empty / "model.safetensors").write_bytes(b"garbage")
    assert "cannot be loaded" in one_line(tmp_path, str(empty))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "./gone"}')
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    assert "./gone: no such folder" in one_line(tmp_path, str(adapter))
    nowhere = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}
    assert "nobody/nothing: not a local folder, and the Hub cannot be reached" in one_line(
        tmp_path, "nobody/nothing", **nowhere
    )


def test_unusable_options_are_refused_in_one_line(tmp_path: Path) -> None:
    assert "did you mean num_beams" in one_line(tmp_path, "smollm2-135m-q4", "--decoding", "num_beam=3")
    assert "does not generate" in one_line(tmp_path, "delete", "--decoding", "num_beams=3")
    assert "profile offlin: unknown; did you mean offline?" in one_line(tmp_path, "delete", "--profile", "offlin")
    assert "999 sentences asked for, it has 234" in one_line(tmp_path, "delete", "--limit", "999")
    assert "did you mean clef2024?" in one_line(tmp_path, "delete", "--profile", "clef204")
    assert "sim.pt and sim.sp.30k.model not found; set SRO_WIETING" in one_line(
        tmp_path, "delete", "--profile", "offline", "--profile", _wieting_profile(tmp_path)
    )
    assert "does not generate" in one_line(tmp_path, "delete", "duplicate", "--revision", "abc")
    for setting, message in (
        ("max_new_tokens=-4", "must be a whole number of at least 1"),
        ("temperature=0", "must be a number above 0"),
        ("num_beams=2.5", "num_beams=2.5: must be a whole number of at least 1"),
        ("top_k=[1]", "number"),
    ):
        assert message in one_line(tmp_path, "smollm2-135m-q4", "--decoding", setting)
    done = run_score("delete", "--test-set", "sample", "--json", str(tmp_path))
    assert done.returncode == 2 and "a folder; give the name of a file" in done.stderr
    nowhere = run_score("delete", "--test-set", "sample", "--json", "/proc/x/y.json")
    assert nowhere.returncode == 2 and "/proc/x/y.json: cannot be written" in nowhere.stderr
    assert "give --push" in one_line(tmp_path, "delete", "--yes")
    assert "needs the id of a Hub data set" in one_line(tmp_path, "delete", "--push", "../rows")
    no_token = {"HF_TOKEN": "", "HF_HOME": str(tmp_path)}
    assert "no Hub token" in one_line(tmp_path, "delete", "--push", "nobody/rows", "--yes", **no_token)
    short = tmp_path / "outputs.txt"
    short.write_text("only one\n")
    assert "1 lines for 234 test sentences" in one_line(tmp_path, str(short))


def test_an_outputs_file_is_scored_with_its_empty_lines(tmp_path: Path) -> None:
    from metrics.data.test_sets import load_test_set

    outputs = tmp_path / "outputs.txt"
    outputs.write_text("\nthat is a good question\n" + load_test_set("sample").sources[2] + "\n")
    report = tmp_path / "out.json"
    arguments = ["--test-set", "sample", "--limit", "3", "--json", str(report)]
    done = run_score(str(outputs), *arguments)
    assert done.returncode == 0, done.stderr
    for name in ("STA", "SIM", "FL", "J", "decoding:", "signature: profile:offline"):
        assert name in done.stdout
    result = json.loads(report.read_text())
    assert result["test_set"]["n"] == len(result["sentences"]) == 3
    first, _, third = result["sentences"]
    assert [first[m] for m in ("sta", "sim", "fl", "j")] == [0, 0, 0, 0]
    assert third["sim"] == pytest.approx(1.0, abs=1e-3)


def test_several_systems_and_profiles_in_one_call(tmp_path: Path) -> None:
    """Rewrites are shared between profiles, scores come from the cache the second time, and a dry run sends nothing."""
    own = tmp_path / "strict.yaml"
    text = (ROOT / "metrics" / "profiles" / "offline-v2.yaml").read_text()
    own.write_text(text.replace("name: offline", "name: strict").replace("sta_threshold: 0.5", "sta_threshold: 0.99"))
    report = tmp_path / "out.json"
    arguments = ["duplicate", "delete", "--profile", "offline-v2", "--profile", str(own), "--test-set", "sample"]
    arguments += ["--limit", "8", "--json", str(report), "--push", "nobody/rows"]
    outcomes = []
    for _ in range(2):
        done = run_score(*arguments, SRO_HOME=_own_home(tmp_path))
        assert done.returncode == 0, done.stderr
        # What would be sent holds the time of day, and so may be a byte longer.
        shown = [line for line in done.stdout.split("\n") if not line.startswith("+ ")]
        outcomes.append((shown, report.read_text()))
    assert outcomes[0] == outcomes[1]
    assert "nothing was sent" in done.stdout and "\n+ results/delete/" in done.stdout
    assert done.stdout.count("system\tSTA\tSIM\tFL\tJ\tn\tdecoding") == 2
    results = json.loads(report.read_text())["results"]
    assert [(r["system"]["name"], r["signature"].split("|")[0]) for r in results] == [
        ("duplicate", "profile:offline.v2"), ("delete", "profile:offline.v2"),
        ("duplicate", "profile:strict.v2"), ("delete", "profile:strict.v2"),
    ]  # fmt: skip
    lax, strict = results[1], results[3]
    assert all(a["soft_sta"] == b["soft_sta"] for a, b in zip(lax["sentences"], strict["sentences"], strict=True))
    assert strict["summary"]["sta"]["mean"] <= lax["summary"]["sta"]["mean"]


def test_a_terminal_shows_a_table_without_reading_names_as_markup(tmp_path: Path) -> None:
    """On a pseudo-terminal; the outputs file has a name that rich would take for markup."""
    import pty

    outputs = tmp_path / "[bold]x.txt"
    outputs.write_text("that is a good question\n")
    controller, terminal = pty.openpty()
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "160"}
    arguments = [outputs.name, "--test-set", "sample", "--limit", "1"]
    done = run_module("metrics.score", *arguments, env=env, cwd=tmp_path, stdout=terminal)
    os.close(terminal)
    shown = b""
    while True:
        try:
            part = os.read(controller, 65_536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(controller)
    assert done.returncode == 0, done.stderr
    text = shown.decode()
    assert "━" in text and "[bold]x.txt" in text and "sample (sample), profile offline.v3" in text


def test_results_are_kept_when_the_hub_cannot_be_reached(tmp_path: Path) -> None:
    """The Hub cannot be reached when it comes to sending: one line, exit code 2, the results are on disk."""
    report = tmp_path / "out.json"
    secret = "hf_" + "secret" * 5
    arguments = ["delete", "--test-set", "sample", "--limit", "2", "--json", str(report)]
    done = run_score(
        *arguments, "--push", "nobody/rows", "--yes",
        HF_TOKEN=secret, HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9",
    )  # fmt: skip
    assert done.returncode == 2 and report.is_file()
    assert done.stderr.strip().split("\n")[-1].startswith("error: nobody/rows: the Hub took nothing")
    assert secret not in done.stdout + done.stderr and "Traceback" not in done.stderr


def test_a_zero_adapter_gives_the_outputs_of_its_base_model(tmp_path: Path, tiny_llama: Path) -> None:
    """The same tiny model as a folder, as a PEFT adapter on it: both rewrite; the zero adapter writes the same."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_llama), LoraConfig(task_type="CAUSAL_LM"))
    model.peft_config["default"].base_model_name_or_path = str(tiny_llama)
    model.save_pretrained(tmp_path / "adapter")
    outputs = []
    for name in (tiny_llama, tmp_path / "adapter"):
        report = tmp_path / "out.json"
        arguments = ["--test-set", "sample", "--limit", "4", "--json", str(report), "--decoding", "max_new_tokens=5"]
        done = run_score(str(name), *arguments, SRO_HOME=_own_home(tmp_path))
        assert done.returncode == 0, done.stderr
        assert "max_new_tokens=5" in done.stdout and "prompt=" in done.stdout
        outputs.append([sentence["output"] for sentence in json.loads(report.read_text())["sentences"]])
    assert outputs[0] == outputs[1]


def _own_home(tmp_path: Path) -> str:
    """Models are shared with the real cache, rewrites are not."""
    from metrics.util.files import cache_dir

    own = tmp_path / "home"
    if not own.exists():
        own.mkdir()
        (own / "models").symlink_to(cache_dir() / "models")
    return str(own)
