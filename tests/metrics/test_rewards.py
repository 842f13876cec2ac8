"""Reward functions for trl: values by hand, trl's three trainers, and data sets that lack a column."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

import metrics
from metrics.models.resolve import resolve_model
from metrics.rewards import Reward, fl_reward, j_reward, metric_reward, sim_reward, sta_reward
from metrics.scorers.judge.judge import open_judge
from metrics.util.errors import InputError
from tests.judge_server import Reply, completion, judge_server
from tests.warm_python import ROOT

SOURCES = ["you are a stupid liar", "what the hell is this crap"]
OUTPUTS = ["you are not honest", ""]
PROMPTS = [f"Rude: {source}\nPolite:\n" for source in SOURCES]


def test_rewards_are_the_metrics_and_j_their_product() -> None:
    sta, sim, fl = (
        f(prompts=PROMPTS, completions=OUTPUTS, source=SOURCES) for f in (sta_reward, sim_reward, fl_reward)
    )
    assert sta == metrics.style_accuracy(OUTPUTS, sources=SOURCES).tolist() and sta[1] == 0
    assert sim == metrics.similarity(SOURCES, OUTPUTS).tolist()
    assert fl == metrics.fluency(OUTPUTS, sources=SOURCES).tolist()
    joint = j_reward(prompts=PROMPTS, completions=OUTPUTS, source=SOURCES)
    assert joint == pytest.approx([a * b * c for a, b, c in zip(sta, sim, fl, strict=True)]) and joint[0] > 0
    # Conversations: the last message is the rewrite, and white space says nothing.
    chats = [[{"role": "assistant", "content": f" {output}\n"}] for output in OUTPUTS]
    assert j_reward(prompts=[[{"role": "user", "content": p}] for p in PROMPTS], completions=chats, source=SOURCES,
                    completion_ids=[[1], []], trainer_state=None) == joint  # fmt: skip
    assert metric_reward("j", source="prompt")(SOURCES, OUTPUTS) == joint


def test_the_judge_rewards_p_yes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SRO_HOME", str(tmp_path))
    open_judge.cache_clear()

    def answer(body: dict[str, Any], number: int) -> Reply:
        # P(yes) = .6 / (.6 + .2) for fluency, .9 / (.9 + .1) for the others.
        yes, no = (0.6, 0.2) if "fluent" in body["messages"][-1]["content"] else (0.9, 0.1)
        return completion("Yes", [("Yes", math.log(yes)), ("No", math.log(no))])

    with judge_server(answer) as server:
        judged = metric_reward("j", judge=f"m@{server.url}")
        assert judged(PROMPTS, OUTPUTS, source=SOURCES) == pytest.approx([0.9 * 0.9 * 0.75, 0])
    open_judge.cache_clear()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InputError, match=r"reward j_reward: the data set has no column source \(it has prompt, text\)"):
        j_reward(PROMPTS, OUTPUTS, text=SOURCES, trainer_state=None)
    with pytest.raises(InputError, match="reward bleu: unknown; use one of sta, sim, fl, j"):
        metric_reward("bleu")
    with pytest.raises(InputError, match="--judge: none of the profiles asks a judge"):
        metric_reward("sta", profile="offline", judge="m")


@pytest.mark.parametrize("method", ["GRPO", "RLOO", "OnlineDPO"])
def test_trl_trains_with_a_reward(method: str, tiny_llama: Path, sentences: list[str], tmp_path: Path) -> None:
    """The reward is the share of a rewrite's words that its source has; trl passes on the column `source`."""
    import trl
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl.experimental import online_dpo

    seen: list[tuple[str, str]] = []

    def score(sources: list[str], outputs: list[str], columns: Any) -> list[float]:
        seen.extend(zip(sources, outputs, strict=True))
        return [
            len({*o.split()} & {*s.split()}) / max(1, len(o.split())) for s, o in zip(sources, outputs, strict=True)
        ]

    library = online_dpo if method == "OnlineDPO" else trl
    length = {"max_new_tokens": 6} if method == "OnlineDPO" else {"max_completion_length": 6, "num_generations": 2}
    args = getattr(library, f"{method}Config")(
        output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=4, bf16=False, use_cpu=True, report_to=[],
        save_strategy="no", gradient_checkpointing=False, **length,
    )  # fmt: skip
    folder = resolve_model(str(tiny_llama)).name
    trainer = getattr(library, f"{method}Trainer")(
        model=AutoModelForCausalLM.from_pretrained(folder), args=args, reward_funcs=[Reward("overlap", score)],
        processing_class=AutoTokenizer.from_pretrained(folder),
        train_dataset=Dataset.from_dict({"prompt": [f"rude : {s} !" for s in sentences], "source": sentences}),
    )  # fmt: skip
    trainer.train()
    # Two rewrites of each source.
    drawn = [source for source, _ in seen]
    assert drawn and {drawn.count(source) for source in drawn} == {2} and {*drawn} <= {*sentences}


@pytest.mark.full
def test_the_example_of_the_guide_runs(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "guides" / "reward-functions.md").read_text("utf-8")
    (tmp_path / "example.py").write_text(guide.split("```python\n")[1].split("```")[0], "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "example.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    means = json.loads(done.stdout.strip().split("\n")[-1])
    assert len(means) == 2 and all(0 <= mean <= 1 for mean in means)
