"""The inspect-ai task and the Hub's eval.yaml: prompts and scores equal those of `metrics.score`."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from metrics import score
from metrics.data.test_sets import load_test_set
from metrics.generation.decoding import decoding_settings
from metrics.generation.rewriting import rewrite_all
from metrics.inspect_ai.eval_yaml import eval_yaml
from metrics.models.loading import load_model
from metrics.models.prompts import CHAT_PROMPT, KNOWN_PROMPTS, write_prompt
from metrics.models.resolve import resolve_model
from metrics.profiles import load_profile
from metrics.util.errors import InputError
from metrics.util.files import cache_dir
from tests.hub.server import HubServer
from tests.warm_python import run_script

ROOT = Path(__file__).resolve().parent.parent.parent
TASK = ROOT / "metrics" / "inspect_ai" / "task.py"
NAMES = ("sta", "sim", "fl", "j")
# Empty outputs, white space of every kind, a copy, two equal ones.
OUTPUTS = ["who cooks rice like this", "", " two\nlines\u2028and\tmore ", "get your hands off, you pig", " \n", "who\n"]
# One in the sixth decimal, the last that a score has: so much may hang on the sentences that shared its batch.
ROUNDING = 2e-6
# The sentence last: a random model goes on with the word that it read last.
TEMPLATE = "{{ 'so ' if add_generation_prompt }}{% for m in messages %}{{ m.role }} : {{ m.content }}{% endfor %}"
# The tiny tokenizer ends every text that it encodes, as T5's does; a causal model would have nothing to say then.
OPEN_END = "-M tokenizer_call_args={add_special_tokens: false}"
CARD = """---
configs:
- config_name: sample
  data_files:
  - split: test
    path: tests/sample.parquet
---
"""


def chat_model(tiny_llama: Path, folder: Path, prompt: str | None = None) -> Path:
    shutil.copytree(tiny_llama, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    if prompt:
        write_prompt(folder, prompt)
    return folder


def scored(
    outputs: list[str], folder: Path, profile: str = "offline"
) -> tuple[list[dict[str, float]], dict[str, float]]:
    """The scores per sentence and the means that `metrics.score` gives these outputs."""
    (folder / "outputs.txt").write_text("".join(f"{output}\n" for output in outputs), encoding="utf-8")
    report = folder / "scores.json"
    score.main([
        str(folder / "outputs.txt"), "--test-set", "sample", "--limit", str(len(outputs)), "--no-cache",
        "--json", str(report),
    ])  # fmt: skip
    told = json.loads(report.read_text())
    sentences = [{name: sentence[name] for name in NAMES} for sentence in told["sentences"]]
    return sentences, {name: told["summary"][name]["mean"] for name in NAMES}


def folded(samples: list[Any]) -> list[str]:
    """The outputs of a log, each in one line, in the order of the test set."""
    return [" ".join(sample.output.completion.split()) for sample in sorted(samples, key=lambda sample: sample.id)]


def metric_means(log: Any, metric: str = "mean") -> dict[str, float]:
    return {part.name: part.metrics[metric].value for part in log.results.scores}


def run(tasks: Any, outputs: list[str], folder: Path, **options: Any) -> Any:
    """The log of `tasks`; the model answers with `outputs`, in order."""
    from inspect_ai import eval as inspect_eval
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    answers = [ModelOutput.from_content("mockllm", output) for output in outputs]
    for answer in answers:
        # Otherwise the tokens are counted, with a vocabulary from the network.
        answer.usage = ModelUsage()
    settings = {"max_connections": 1, "display": "none", "log_dir": str(folder / "logs"), "limit": len(outputs)}
    (log,) = inspect_eval(tasks, model=get_model("mockllm/model", custom_outputs=answers), **{**settings, **options})
    return log


def test_scores_equal_those_of_metrics_score(tmp_path: Path) -> None:
    log = run(f"{TASK}@detox", OUTPUTS, tmp_path, task_args={"test_set": "sample"})
    assert log.status == "success", log.error
    sentences, means = scored(folded(log.samples), tmp_path)
    values = [sample.scores["detoxification"].value for sample in log.samples]
    assert [sample.scores["detoxification"].answer for sample in log.samples] == folded(log.samples)
    assert values == [pytest.approx(sentence, abs=ROUNDING) for sentence in sentences]
    assert values[1] == values[4] == dict.fromkeys(NAMES, 0) and 0 < means["j"] < means["sta"] <= 4 / 6
    assert metric_means(log) == pytest.approx(means, abs=ROUNDING)
    sources = load_test_set("sample").sources[:6]
    assert [sample.input for sample in log.samples] == list(sources)
    message = CHAT_PROMPT.removeprefix("chat:")
    assert [sample.messages[0].text for sample in log.samples] == [message.replace("{text}", s) for s in sources]
    # The log says what the numbers hang on, as a signature does.
    signature = json.loads((tmp_path / "scores.json").read_text())["signature"]
    assert all(log.eval.metadata[name] in signature for name in ("sta", "sim", "fl"))
    assert log.eval.dataset.name == "sample" and load_test_set("sample").revision in log.eval.metadata["test_set"]


def test_a_test_set_of_ones_own_and_outputs_with_reasoning(tmp_path: Path) -> None:
    """Ids and several references of a file; the reasoning is cut, and an output of reasoning alone is empty."""
    path = tmp_path / "mine.jsonl"
    rows = [{"id": "x1", "text": "you pig", "references": ["you", "you there"]}, {"id": "x2", "text": "who damn cooks"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    outputs = ["<think>a pig</think>\nyou", "<think>no end"]
    log = run(f"{TASK}@detox", outputs, tmp_path, task_args={"test_set": str(path)})
    assert log.status == "success", log.error
    assert [(sample.id, sample.target) for sample in log.samples] == [("x1", ["you", "you there"]), ("x2", [])]
    scores = [sample.scores["detoxification"] for sample in log.samples]
    assert [score.answer for score in scores] == ["you", ""]
    assert scores[0].value["j"] > 0 and scores[1].value == dict.fromkeys(NAMES, 0)
    assert log.eval.dataset.name == "mine.jsonl"


def test_custom_prompt(tmp_path: Path) -> None:
    from metrics.inspect_ai.task import detox

    # What inspect-ai makes of `-T 'prompt="chat:Stay kind, and brief: {text}"'`.
    log = run(detox(test_set="sample", prompt=["chat:Stay kind", " and brief: {text}"]), ["so"], tmp_path)
    assert log.samples[0].messages[0].text == f"Stay kind, and brief: {log.samples[0].input}"


def test_rewrites_that_wait_are_scored_in_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import anyio

    from metrics.inspect_ai import scores

    batches: list[int] = []
    compute = scores.metric_values

    def counted(*arguments: Any) -> Any:
        batches.append(len(arguments[1]))
        return compute(*arguments)

    monkeypatch.setattr(scores, "metric_values", counted)
    fresh, found = scores.BatchScorer("offline"), {}
    test_set = load_test_set("sample")

    async def one(i: int) -> None:
        found[i] = await fresh.score(test_set.sources[i], test_set.references[i][0], test_set.references[i])

    async def all_of_them() -> None:
        async with anyio.create_task_group() as group:
            for i in range(12):
                group.start_soon(one, i)

    anyio.run(all_of_them)
    # The first is alone in its batch; those that arrive while it is scored share the next one.
    assert sum(batches) == 12 and len(batches) <= 2
    sentences, _ = scored([references[0] for references in test_set.references[:12]], tmp_path)
    assert [found[i] for i in range(12)] == [pytest.approx(sentence, abs=ROUNDING) for sentence in sentences]


def test_samples_without_references_are_nan_and_excluded_from_means(tmp_path: Path) -> None:
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.scorer import model_graded_qa

    from metrics.inspect_ai.scores import detoxification

    # The profile compares with human rewrites, and one sample has none.
    changes = {
        "name": "quick", "sta_scorer": "profanity-check", "sta_model": "alt-profanity-check", "fl_scorer": "chrf",
        "fl_model": "sacrebleu", "fl_rule": "soft",
    }  # fmt: skip
    quick = tmp_path / "quick.yaml"
    quick.write_text(yaml.safe_dump({**load_profile("offline").model_dump(), **changes}))
    references = ["""say: "no", 'please')"""], []
    samples = [
        Sample(id=i, input="you pig", target=list(texts), metadata={"references": texts})
        for i, texts in enumerate(references, 1)
    ]
    log = run(Task(MemoryDataset(samples), scorer=detoxification(str(quick))), [references[0][0], "no"], tmp_path)
    first, second = (sample.scores["detoxification"] for sample in log.samples)
    assert first.value["fl"] == 1 and math.isnan(second.value) and "this sample has none" in second.explanation
    assert [(part.scored_samples, part.unscored_samples) for part in log.results.scores] == [(1, 1)] * 4
    assert metric_means(log) == pytest.approx(first.value)

    # As the eval.yaml has it. Quotation marks and brackets stay in the text that they are in.
    arguments = yaml.safe_load(eval_yaml(profile=str(quick)))["tasks"][3]["scorers"][0]["args"]
    log = run(Task(MemoryDataset(samples), scorer=model_graded_qa(**arguments)), [references[0][0], "no"], tmp_path)
    first, second = (sample.scores["model_graded_qa"] for sample in log.samples)
    assert first.value == "1.0" and math.isnan(second.value)
    assert metric_means(log, "accuracy") == {"model_graded_qa": 1}


def test_errors_are_raised_before_rewriting_without_traceback() -> None:
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.model import get_model

    from metrics.inspect_ai.scores import Grader
    from metrics.inspect_ai.task import detox, user_message

    # inspect-ai prints a PrerequisiteError's message alone.
    for arguments, text in (
        ({"profile": "offlin"}, "profile offlin: unknown; did you mean offline?"),
        ({"test_set": "smple"}, "test set smple: unknown"),
        # What inspect-ai makes of `-T prompt=Detoxify: {text}`.
        ({"prompt": {"Detoxify": {"text": None}}}, "not a string; put double quotes around it"),
    ):
        with pytest.raises(PrerequisiteError, match=text) as caught:
            detox(**arguments)
        assert isinstance(caught.value, InputError) and str(caught.value).startswith("error: ")
    with pytest.raises(InputError, match=r"detox_suite/offline/bleu: no such grader"):
        Grader("offline/bleu")
    model = get_model("mockllm/model")
    assert (
        user_message(model, None) == CHAT_PROMPT.removeprefix("chat:")
        and user_message(model, "chat:{text}!") == "{text}!"
    )
    for prompt, text in (("Detoxify: {text}", "begin the prompt with chat:"), ("chat:polite", "exactly once")):
        with pytest.raises(InputError, match=text):
            user_message(model, prompt)


def test_prompts_that_inspect_would_change_are_refused(tiny_llama: Path, tiny_t5: Path, tmp_path: Path) -> None:
    from inspect_ai.model import get_model

    from metrics.inspect_ai.task import PLAIN_CHAT_TEMPLATE, user_message

    def hf(folder: Path, **arguments: Any) -> Any:
        return get_model("hf/local", model_path=str(folder), device="cpu", memoize=False, **arguments)

    as_it_is, no_special = (
        {"chat_template": PLAIN_CHAT_TEMPLATE},
        {"tokenizer_call_args": {"add_special_tokens": False}},
    )
    with pytest.raises(InputError) as caught:
        user_message(hf(tiny_llama), None)
    # What it advises is what helps.
    assert "chat_template=" in str(caught.value) and "add_special_tokens" in str(caught.value)
    assert user_message(hf(tiny_llama, **as_it_is, **no_special), None) == "{text}\n"
    chat = chat_model(tiny_llama, tmp_path / "chat")
    with pytest.raises(InputError) as caught:
        user_message(hf(chat), None)
    assert "chat_template=" not in str(caught.value) and "add_special_tokens" in str(caught.value)
    assert user_message(hf(chat, **no_special), None) == CHAT_PROMPT.removeprefix("chat:")
    write_prompt(chat, "polite : {text} .")
    with pytest.raises(InputError, match="chat_template="):
        user_message(hf(chat, **no_special), None)
    assert user_message(hf(chat, **as_it_is, **no_special), None) == "polite : {text} ."
    assert user_message(hf(chat, **no_special), "chat:be polite: {text}") == "be polite: {text}"
    with pytest.raises(InputError, match=r"encoder-decoder models; use metrics\.score"):
        user_message(hf(tiny_t5, auto_model_class="AutoModelForSeq2SeqLM"), None)


def test_eval_yaml_passes_the_validation_of_inspect() -> None:
    from inspect_ai._eval.task.hf import HFTask

    told = yaml.safe_load(eval_yaml("Board", "What: it measures", config="c", split="s", profile="clef2024"))
    assert told["name"] == "Board" and told["description"] == "What: it measures"
    assert told["evaluation_framework"] == "inspect-ai"
    tasks = [HFTask.model_validate(task) for task in told["tasks"]]
    assert [task.id for task in tasks] == ["j", "sta", "sim", "fl"]
    assert {(task.config, task.split, task.field_spec.input) for task in tasks} == {("c", "s", "source")}
    assert [task.scorers[0].args["model"] for task in tasks] == [f"detox_suite/clef2024/{task.id}" for task in tasks]
    assert "{text}" not in eval_yaml() and not any(known in eval_yaml() for known in KNOWN_PROMPTS.values())


def test_inspect_command_evaluates_a_hub_data_set(hub: HubServer, tiny_llama: Path, tmp_path: Path) -> None:
    """`inspect eval` with a model and the benchmark on a Hub: the registered task and the four of the eval.yaml."""
    from inspect_ai.log import list_eval_logs, read_eval_log

    own = "chat:be polite : {text}"
    model = chat_model(tiny_llama, tmp_path / "model", own)
    board = tmp_path / "board"
    (board / "tests").mkdir(parents=True)
    test_set = load_test_set("sample")
    columns = {"source": test_set.sources, "reference": [r[0] for r in test_set.references]}
    pq.write_table(pa.table({**columns, "references": test_set.references}), board / "tests" / "sample.parquet")
    (board / "README.md").write_text(CARD)
    (board / "eval.yaml").write_text(eval_yaml())
    command = ["eval", "detox_suite/detox", "hf/lab/board"]
    command += ["--model", "hf/lab/rewriter", "-M", "dtype=float32", "-M", "device=cpu", *OPEN_END.split(" ", 1)]
    command += ["-T", "test_set=sample", "--limit", "4", "--max-tasks", "5", "--display", "plain", "--log-dir", "logs"]
    api = hub.api("hf_alice")
    for kind, name, folder in (("model", "lab/rewriter", model), ("dataset", "lab/board", board)):
        api.create_repo(name, repo_type=kind)
        api.upload_folder(repo_id=name, repo_type=kind, folder_path=folder)
    env = hub.environment("hf_alice", tmp_path / "hf")
    env |= {"SRO_HOME": str(cache_dir()), "XDG_CACHE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    program = Path(sys.executable).with_name("inspect")
    done = run_script(program, *command, env=env, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    logs = {log.eval.task: log for log in map(read_eval_log, list_eval_logs(str(tmp_path / "logs")))}
    assert set(logs) == {"detox_suite/detox", *(f"hf/lab/board/{name}" for name in NAMES)}
    assert all(log.status == "success" for log in logs.values())

    loaded = load_model(resolve_model(str(model)), device="cpu")
    for name, prompt in (("detox_suite/detox", own), ("hf/lab/board/j", CHAT_PROMPT)):
        loaded.prompt = prompt
        outputs = rewrite_all(loaded, test_set.sources[:4], decoding_settings(loaded.model), description="")
        assert folded(logs[name].samples) == outputs and all(outputs) and len(set(outputs)) > 1

    sentences, means = scored(folded(logs["detox_suite/detox"].samples), tmp_path)
    values = [sample.scores["detoxification"].value for sample in logs["detox_suite/detox"].samples]
    assert values == [pytest.approx(sentence, abs=ROUNDING) for sentence in sentences]
    assert metric_means(logs["detox_suite/detox"]) == pytest.approx(means, abs=ROUNDING)
    sentences, means = scored(folded(logs["hf/lab/board/j"].samples), tmp_path)
    for name in NAMES:
        log = logs[f"hf/lab/board/{name}"]
        values = [float(sample.scores["model_graded_qa"].value) for sample in log.samples]
        assert values == pytest.approx([sentence[name] for sentence in sentences], abs=ROUNDING)
        assert metric_means(log, "accuracy") == {"model_graded_qa": pytest.approx(means[name], abs=ROUNDING)}
