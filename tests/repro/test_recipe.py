"""Recipes: every one parses, and mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from metrics.util.errors import InputError
from repro.config.recipe import load_recipe, recipe_names

EXPECTED = {"smoke", "smollm2", "smollm2-cpu", "t5-as-released", "t5-paper"}


def test_every_recipe_parses() -> None:
    assert set(recipe_names()) >= EXPECTED
    for name in recipe_names():
        assert load_recipe(name).name == name


def test_as_released_is_as_published_with_four_switches() -> None:
    paper, released = (vars(load_recipe(name)) for name in ("t5-paper", "t5-as-released"))
    assert {key: (paper[key], released[key]) for key in paper if paper[key] != released[key]} == {
        "name": ("t5-paper", "t5-as-released"),
        "shift_right": (True, False),
        "rejected_with_prompt": (False, True),
        "flip_rate": (0.0, 0.1),
        "rollout_dropout": (0.0, 0.1),
    }


@pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU decides here")
@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx2": True, "avx512_bf16": False, "num_sockets": 1}, "float32"),
        ({"avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ({"neon": True, "bf16": True}, "bfloat16"),
    ],
)
def test_auto_is_the_dtype_that_the_processor_has_products_of(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, object], dtype: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    recipe = load_recipe("smollm2-cpu", ["rollout_dtype=float32"])
    assert (recipe.train_dtype, recipe.rollout_dtype) == (dtype, "float32")


def test_the_released_set_up_is_the_documented_one() -> None:
    recipe = load_recipe("t5-paper")
    assert (recipe.beta, recipe.epsilon, recipe.learning_rate, recipe.weight_decay) == (0.1, 0.1, 2e-5, 0.01)
    assert (recipe.batch_size, recipe.epochs, recipe.rollout_max_new_tokens) == (1, 15, 20)
    assert (recipe.test_set, recipe.sample, recipe.train) == ("paradetox-500", False, "full")


def test_overrides_are_parsed_as_yaml_and_converted() -> None:
    recipe = load_recipe(
        "smoke", ["beta=1e-1", "train=lora", "toxic_limit=5", "prompt=null", "sample=false", "rollouts=1"]
    )
    assert (recipe.beta, recipe.train, recipe.toxic_limit) == (0.1, "lora", 5)
    assert recipe.prompt is None and recipe.sample is False


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("beeta=0.1", "unknown field beeta; did you mean beta?"),
        ("beta=much", "beta is 'much'; it must be a number above 0"),
        ("toxic_limit=1.5", "toxic_limit is 1.5; it must be a whole number of at least 0"),
        ("beta", "--set beta: write key=value"),
        ("epsilon=2", "epsilon is 2; it must be a number of at least 0 and below 0.5"),
        ("warmup=yes please", "it must be one of denoise, none"),
        ("systems=[duplicate, mirror]", "system mirror is unknown"),
        ("prompt=Rewrite this", "must contain {text} exactly once"),
        ("method=ppo", "method is 'ppo'; it must be one of sro, dpo, kto, grpo, online-dpo, sft, none"),
        ("sample=false", "2 greedy rollouts of a text are all alike"),
        ("systems=[dpo]", "system dpo is unknown"),
        ("systems=[]", "at least one, and none twice"),
        ("systems=[sro, sro]", "at least one, and none twice"),
        ("epsilon=0.7", "epsilon is 0.7; it must be a number of at least 0 and below 0.5"),
        ("warmup_max_words=3", "warmup_max_words >= 4"),
        ("rollout_dtype=float16", "rollout_dtype is 'float16'; it must be one of auto, float32, bfloat16"),
        ("rollout_engine=sglang", "rollout_engine is 'sglang'; it must be one of none, vllm"),
        ("train_dtype=half", "train_dtype is 'half'; it must be one of auto, float32, bfloat16"),
        ("flip_rate=-0.1", "flip_rate is -0.1; it must be a number from 0 to 1"),
        ("temperature=0", "temperature is 0; it must be a number above 0"),
        ("train=half", "train is 'half'; it must be one of full, lora or a whole number of at least 1"),
        ("warmup_changes=0", "warmup_changes is 0; it must be a whole number of at least 1"),
    ],
)
def test_invalid_overrides_are_refused_with_the_reason(override: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        load_recipe("smoke", [override])
    assert message in str(error.value)


def test_vllm_rolls_out_in_one_process_and_without_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_recipe("smoke", ["rollout_engine=vllm"]).rollout_engine == "vllm"
    with pytest.raises(InputError, match="vllm rolls out in one process and without dropout"):
        load_recipe("smoke", ["rollout_engine=vllm", "rollout_dropout=0.1"])
    monkeypatch.setattr("repro.config.recipe.num_processes", lambda: 2)
    with pytest.raises(InputError, match="vllm rolls out in one process and without dropout"):
        load_recipe("smoke", ["rollout_engine=vllm"])


def test_grpo_needs_two_rollouts_per_text() -> None:
    with pytest.raises(InputError, match="set rollouts to at least 2"):
        load_recipe("smoke", ["method=grpo", "systems=[grpo]", "rollouts=1"])


def test_unknown_recipe_and_key_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean smollm2-cpu"):
        load_recipe("smollm-cpu")
    (tmp_path / "mine.yaml").write_text("base: smoke\nepocs: 3\n")
    with pytest.raises(InputError, match="unknown field epocs; did you mean epochs"):
        load_recipe(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_builds_against_the_pinned_libraries(name: str, tmp_path: Path) -> None:
    """Recipes rot when libraries move: each makes the library's arguments, SRO's and the warm-up's."""
    from transformers import TrainingArguments

    from repro.methods import METHODS
    from repro.methods.config import SROConfig
    from repro.methods.context import training_method
    from repro.training.trainer import training_arguments

    recipe = load_recipe(name)
    assert recipe.narrow(SROConfig).beta == recipe.beta
    for rate, size in (
        (recipe.learning_rate, recipe.batch_size),
        (recipe.warmup_learning_rate, recipe.warmup_batch_size),
    ):
        arguments = training_arguments(
            tmp_path, max_steps=recipe.steps, num_train_epochs=recipe.epochs, per_device_train_batch_size=size,
            gradient_accumulation_steps=recipe.accumulation, learning_rate=rate, weight_decay=recipe.weight_decay,
            save_steps=recipe.evaluate_every, seed=recipe.seed, lr_scheduler_type="constant_with_warmup",
        )  # fmt: skip
        assert TrainingArguments(**arguments).learning_rate == rate
    if recipe.method in METHODS:
        assert callable(training_method(recipe.method))


def test_bases_that_lead_back_are_refused(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(f"base: {second}\n")
    second.write_text(f"base: {first}\n")
    with pytest.raises(InputError, match=r"second\.yaml: its base .*first\.yaml is based on it again"):
        load_recipe(str(first))
    second.write_text("base: [smoke]\n")
    with pytest.raises(InputError, match=r"second\.yaml: base must be the name of a recipe"):
        load_recipe(str(first))
