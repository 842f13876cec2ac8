"""The lm-eval tasks: prompts and scores equal those of `metrics.score`, with one scoring call per metric."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics import score
from metrics.data.test_sets import load_test_set
from metrics.generation.decoding import decoding_settings
from metrics.generation.rewriting import rewrite_all
from metrics.models.loading import load_model
from metrics.models.prompts import CHAT_PROMPT, write_prompt
from metrics.models.resolve import resolve_model
from metrics.profiles import load_profile
from metrics.scoring import functions
from metrics.util.errors import InputError
from tests.warm_python import run_module

ROOT = Path(__file__).resolve().parent.parent.parent
TASKS = ROOT / "metrics" / "lm_eval"
NAMES = ("sta", "sim", "fl", "j")
MESSAGE = CHAT_PROMPT.removeprefix("chat:")
# Empty outputs, white space of every kind, a copy, two equal ones.
OUTPUTS = ["who cooks rice like this", "", " two\nlines\u2028and\tmore ", "get your hands off, you pig", " \n", "who\n"]


def manager(**metadata: Any) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(TASKS), include_defaults=False, metadata=metadata)


def evaluated(model: Any, metadata: dict[str, Any], **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The results of detox_sample, and its logged documents."""
    import lm_eval

    results = lm_eval.simple_evaluate(model=model, tasks=["detox_sample"], task_manager=manager(**metadata), **options)
    assert results is not None
    return results["results"]["detox_sample"], results["samples"]["detox_sample"]


def means(outputs: list[str], folder: Path, *arguments: str) -> dict[str, float]:
    """The STA, SIM, FL and J that `metrics.score --json` gives these outputs."""
    (folder / "outputs.txt").write_text("".join(f"{output}\n" for output in outputs), encoding="utf-8")
    report = folder / "scores.json"
    score.main([
        str(folder / "outputs.txt"), "--test-set", "sample", "--limit", str(len(outputs)), "--no-cache",
        "--json", str(report), *arguments,
    ])  # fmt: skip
    return {name: interval["mean"] for name, interval in json.loads(report.read_text())["summary"].items()}


def quick_profile(folder: Path) -> str:
    """A profile file of fast scorers that uses the human references."""
    profile = load_profile("offline-v2").model_dump() | {
        "name": "quick", "sta_scorer": "profanity-check", "sta_model": "alt-profanity-check",
        "sim_anchor": "references", "fl_scorer": "chrf", "fl_model": "sacrebleu", "fl_rule": "soft",
    }  # fmt: skip
    (folder / "quick.yaml").write_text(yaml.safe_dump(profile))
    return str(folder / "quick.yaml")


def lm_eval_command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `lm_eval run --tasks detox_sample …` in `folder`, outside the repository."""
    own = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = ["lm_eval", "run", "--tasks", "detox_sample", "--include_path", str(TASKS), "--limit", "6"]
    return run_module(*command, *arguments, env={**own, "HF_HUB_OFFLINE": "1"}, cwd=folder, timeout=300)


def scripted(outputs: list[str]) -> Any:
    """A model that returns these outputs in order."""
    from lm_eval.api.model import LM

    class Scripted(LM):
        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            return outputs[: len(requests)]

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    return Scripted()


def test_scores_equal_metrics_score_with_one_call_per_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    one_call: Callable[..., Any] = functions._score

    def counted(*arguments: Any) -> Any:
        calls.append(list(arguments[-1]))
        return one_call(*arguments)

    monkeypatch.setattr(functions, "_score", counted)
    results, documents = evaluated(scripted(OUTPUTS), {}, limit=6)
    # lm-eval's 100,000 bootstrap samples are not for these metrics: each would be a call.
    assert calls == [["sta"], ["sim"], ["fl"]]
    assert all(results[f"{name}_stderr,none"] == "N/A" for name in NAMES)
    logged = [document["j"][1] for document in documents]
    assert logged == [" ".join(output.split()) for output in OUTPUTS]
    expected = means(logged, tmp_path)
    assert {name: results[f"{name},none"] for name in NAMES} == pytest.approx(expected, abs=1e-6)
    assert results["sample_len"] == 6 and 0 < results["j,none"] < results["sta,none"] <= 4 / 6


def test_a_test_set_of_ones_own_and_outputs_with_reasoning(tmp_path: Path) -> None:
    """The reasoning is cut as in `metrics.score`; reasoning that does not end is an empty output."""
    path = tmp_path / "mine.tsv"
    path.write_text("toxic_sentence\tneutral_sentence\nyou pig\tyou\nwho damn cooks\twho cooks\nyou pig\tyou there\n")
    model = scripted(["<think>a pig</think>\nyou", "<think>no end"])
    results, documents = evaluated(model, {"test_set": str(path)})
    assert [document["j"][1] for document in documents] == ["you", ""]
    assert [document["doc"]["references"] for document in documents] == [["you", "you there"], ["who cooks"]]
    (tmp_path / "outputs.txt").write_text("<think>a pig</think> you\n<think>no end\n")
    report = tmp_path / "scores.json"
    files = [str(tmp_path / "outputs.txt"), "--test-set", str(path), "--json", str(report)]
    score.main([*files, "--no-cache", "--cut-reasoning"])
    expected = {name: part["mean"] for name, part in json.loads(report.read_text())["summary"].items()}
    assert {name: results[f"{name},none"] for name in NAMES} == pytest.approx(expected, abs=1e-6)
    assert results["j,none"] > 0


@pytest.mark.parametrize("chat", [False, True])
def test_prompts_and_outputs_equal_those_of_metrics_score(tiny_llama: Path, tmp_path: Path, chat: bool) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    if chat:
        # The sentence last: a random model goes on with the word that it read last.
        template = (
            "{{ 'so ' if add_generation_prompt }}{% for m in messages %}{{ m.role }} : {{ m.content }}{% endfor %}"
        )
        (folder / "chat_template.jinja").write_text(template)
    # The tiny tokenizer ends every text that it encodes, as T5's does; a causal model would have nothing to say then.
    arguments = {"pretrained": str(folder), "dtype": "float32", "add_bos_token": False}
    options = {"model_args": arguments, "device": "cpu", "batch_size": 4, "limit": 6, "apply_chat_template": chat}
    metadata = {**arguments, "profile": quick_profile(tmp_path)}
    results, documents = evaluated("hf", metadata, **options)
    sources = list(load_test_set("sample").sources[:6])
    prompts = [document["arguments"][0][0] for document in documents]
    assert prompts == [f"so user : {MESSAGE.replace('{text}', s)}" if chat else f"{s}\n" for s in sources]
    outputs = [document["sta"][1] for document in documents]
    loaded = load_model(resolve_model(str(folder)), device="cpu")
    assert outputs == rewrite_all(loaded, sources, decoding_settings(loaded.model), description="")
    assert all(outputs) and len(set(outputs)) > 1
    expected = means(outputs, tmp_path, "--profile", metadata["profile"])
    assert {name: results[f"{name},none"] for name in NAMES} == pytest.approx(expected, abs=1e-6)


def test_command_line(tiny_llama: Path, tmp_path: Path) -> None:
    profile = quick_profile(tmp_path)
    done = lm_eval_command(
        tmp_path, "--model", "hf", "--model_args", f"pretrained={tiny_llama},dtype=float32,add_bos_token=False",
        "--device", "cpu", "--batch_size", "4", "--metadata", f"profile={profile}", "--output_path", "out",
        "--log_samples",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (report,) = tmp_path.glob("out/*/results_*.json")
    (samples,) = tmp_path.glob("out/*/samples_detox_sample_*.jsonl")
    told = json.loads(report.read_text())
    results, metadata = told["results"]["detox_sample"], told["configs"]["detox_sample"]["metadata"]
    test_set = load_test_set("sample")
    assert metadata["profile"] == profile and metadata["test_set"] == f"sample (sample, {test_set.revision})"
    documents = sorted(map(json.loads, samples.read_text().splitlines()), key=lambda document: document["doc_id"])
    assert [document["doc"]["source"] for document in documents] == list(test_set.sources[:6])
    expected = means([document["j"][1] for document in documents], tmp_path, "--profile", profile)
    assert {name: results[f"{name},none"] for name in NAMES} == pytest.approx(expected, abs=1e-6)
    assert told["n-samples"]["detox_sample"] == {"original": 234, "effective": 6}


def test_invalid_input_ends_with_one_line(tmp_path: Path) -> None:
    done = lm_eval_command(tmp_path, "--model", "dummy", "--metadata", "profile=offlin")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.strip().split("\n")[-1].startswith("error: profile offlin: unknown; did you mean offline?")
    # For programs it is an exception like any other.
    with pytest.raises(InputError, match="profile offlin: unknown"):
        manager(profile="offlin").load(["detox_sample"])


def test_prompts(tiny_t5: Path, tiny_llama: Path, tmp_path: Path) -> None:
    from metrics.lm_eval.tasks import prompt

    assert prompt({}, chat=False) == "{text}\n" and prompt({}, chat=True) == MESSAGE
    assert prompt({"pretrained": str(tiny_llama)}, chat=False) == "{text}\n"
    assert prompt({"pretrained": tiny_t5}, chat=False) == "{text}"
    assert prompt({"pretrained": "humarin/chatgpt_paraphraser_on_T5_base"}, chat=False) == "paraphrase: {text}"
    write_prompt(tmp_path, "polite : {text} .")
    own = {"pretrained": str(tmp_path)}
    assert prompt(own, chat=False) == prompt({"pretrained": str(tiny_llama), "peft": str(tmp_path)}, chat=False)
    assert prompt(own, chat=False) == "polite : {text} ."
    assert prompt({**own, "prompt": "chat:be polite: {text}"}, chat=True) == "be polite: {text}"
    for metadata, chat, message in (
        (own, True, "leave out --apply_chat_template"),
        ({"prompt": "chat:{text}"}, False, "add --apply_chat_template"),
        ({"prompt": "polite"}, False, "exactly once"),
    ):
        with pytest.raises(InputError, match=message):
            prompt(metadata, chat)


def test_paradetox_is_read_from_the_data_folder(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRO_DATA_DIR", str(data_dir))
    test_set = load_test_set("paradetox-test")
    task = manager().load(["detox_paradetox"])["tasks"]["detox_paradetox"]
    assert task.eval_docs["source"][:] == list(test_set.sources)
    assert [tuple(references) for references in task.eval_docs["references"]] == list(test_set.references)
    assert task.config.task_alias is None and test_set.revision in task.config.metadata["test_set"]


def test_results_on_the_sample_are_not_labelled_paradetox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SRO_DATA_DIR", raising=False)
    monkeypatch.setattr("metrics.data.sources._hub_paradetox", lambda: None)
    task = manager().load(["detox_paradetox"])["tasks"]["detox_paradetox"]
    assert task.config.task_alias == "detox_paradetox (sample)" and len(task.eval_docs) == 234
