"""The objective against values worked out by hand, finite differences, and trl's DPO."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repro.leader.logprobs import head_logprobs, token_logprobs
from repro.training.objective import sro_loss

BETA, EPSILON = 0.1, 0.1
margins = st.floats(-60, 60)


def test_loss_by_hand() -> None:
    """βz = ±ln 3 makes σ exactly 3/4 and 1/4."""
    step = math.log(3) / BETA
    delta_y = torch.tensor([step + 2.0, -step, step], dtype=torch.float64)
    delta_x = torch.tensor([2.0, 99.0, 99.0], dtype=torch.float64)
    passed = torch.tensor([True, False, False])
    # Pass: z = step. Fail with Δ(y) = −step: z = step. Fail with Δ(y) = step: z = −step. Δ(x) of a fail plays no part.
    good = -0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4)
    bad = -0.9 * math.log(1 / 4) - 0.1 * math.log(3 / 4)
    loss = sro_loss(delta_y, delta_x, passed, BETA, EPSILON)
    assert loss.tolist() == pytest.approx([good, good, bad], abs=1e-12)


def test_start_of_training_costs_ln_2() -> None:
    zeros = torch.zeros(2, dtype=torch.float64)
    loss = sro_loss(zeros, zeros, torch.tensor([True, False]), BETA, EPSILON)
    assert loss.tolist() == pytest.approx([math.log(2)] * 2, abs=1e-12)


@given(margins, margins, st.booleans(), st.floats(0.05, 1.0), st.floats(0.0, 0.4))
def test_gradient_against_finite_differences(y: float, x: float, passed: bool, beta: float, epsilon: float) -> None:
    delta = torch.tensor([[y], [x]], dtype=torch.float64, requires_grad=True)
    verdict = torch.tensor([passed])

    def loss(dy: torch.Tensor, dx: torch.Tensor) -> torch.Tensor:
        return sro_loss(dy, dx, verdict, beta, epsilon)

    (gradient,) = torch.autograd.grad(loss(delta[0], delta[1]).sum(), delta)
    h = 1e-4
    for i in range(2):
        step = torch.zeros(2, 1, dtype=torch.float64)
        step[i] = h
        up, down = delta.detach() + step, delta.detach() - step
        numeric = (loss(up[0], up[1]) - loss(down[0], down[1])) / (2 * h)
        assert gradient[i].item() == pytest.approx(numeric.item(), abs=1e-6)


@given(margins, st.floats(0.05, 1.0), st.floats(0.01, 0.4))
def test_gradient_on_a_fail_is_the_papers(y: float, beta: float, epsilon: float) -> None:
    """∂loss/∂log π(y) = β[(1−ε)σ(−βz) − ε σ(βz)] with z = −Δ(y)."""
    delta = torch.tensor([y], dtype=torch.float64, requires_grad=True)
    sro_loss(delta, torch.zeros(1, dtype=torch.float64), torch.tensor([False]), beta, epsilon).sum().backward()
    z = -y
    expected = beta * ((1 - epsilon) / (1 + math.exp(beta * z)) - epsilon / (1 + math.exp(-beta * z)))
    assert delta.grad is not None
    assert delta.grad.item() == pytest.approx(expected, abs=1e-9)


def test_a_fail_pushes_down_until_the_margin_where_it_vanishes() -> None:
    still = -math.log((1 - EPSILON) / EPSILON) / BETA
    delta = torch.tensor([0.0, still], dtype=torch.float64, requires_grad=True)
    fails = torch.tensor([False, False])
    sro_loss(delta, torch.zeros(2, dtype=torch.float64), fails, BETA, EPSILON).sum().backward()
    assert delta.grad is not None
    assert delta.grad[0] > 0  # descent lowers π(y|x)
    assert delta.grad[1].item() == pytest.approx(0, abs=1e-12)


def test_verdicts_must_be_bool() -> None:
    with pytest.raises(TypeError, match="bool"):
        sro_loss(torch.zeros(1), torch.zeros(1), torch.ones(1), BETA, EPSILON)


def test_token_logprobs_are_log_softmax() -> None:
    # p = 1/2, 1/4, 1/4 for the first row, uniform for the second.
    logits = torch.tensor([[2.0, 1.0, 1.0], [1.0, 1.0, 1.0]]).log()
    assert token_logprobs(logits, torch.tensor([0, 2])).exp().tolist() == pytest.approx([0.5, 1 / 3], abs=1e-6)


def test_all_pass_batches_are_trl_dpo(tiny_llama: Path, sentences: list[str], tmp_path: Path) -> None:
    """On passes alone SRO is DPO with label smoothing, for the pairs (rollout preferred to input).

    trl's "sigmoid" loss s has no smoothing; its "robust" loss is r = ((1−ε)s − εf)/(1−2ε), f the loss of the flipped
    pair. SRO's smoothing is (1−ε)s + εf = 2(1−ε)s − (1−2ε)r, so that the two of trl's give it.
    """
    from metrics.models.loading import load_model
    from metrics.models.resolve import resolve_model
    from repro.leader.leader import Leader
    from repro.leader.logprobs import sequence_logprobs

    leader = Leader(load_model(resolve_model(str(tiny_llama)), prompt=DPO_PROMPT), train="full")
    torch.manual_seed(1)
    with torch.no_grad():  # otherwise policy and reference agree and every loss is ln 2
        for parameter in leader.model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    texts, rewrites = sentences[:6], sentences[6:12]
    prompts = leader.prompt_ids(texts)
    y, x = (
        torch.sub(*sequence_logprobs(leader, prompts, leader.target_ids(targets))).detach()
        for targets in (rewrites, texts)
    )
    passed = torch.ones(6, dtype=torch.bool)
    plain, smoothed = (sro_loss(y, x, passed, BETA, e).mean().item() for e in (0.0, EPSILON))

    sigmoid = trl_dpo_loss(leader.model, tiny_llama, texts, rewrites, "sigmoid", tmp_path)
    robust = trl_dpo_loss(leader.model, tiny_llama, texts, rewrites, "robust", tmp_path)
    assert abs(plain - math.log(2)) > 1e-3
    assert plain == pytest.approx(sigmoid, abs=1e-5)
    assert smoothed == pytest.approx(2 * (1 - EPSILON) * sigmoid - (1 - 2 * EPSILON) * robust, abs=1e-5)


DPO_PROMPT = "rude : {text} polite :"


def trl_dpo_loss(
    model: torch.nn.Module, folder: Path, texts: list[str], rewrites: list[str], loss: str, scratch: Path
) -> float:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    rows = [
        {"prompt": DPO_PROMPT.replace("{text}", text), "chosen": " " + good, "rejected": " " + text}
        for text, good in zip(texts, rewrites, strict=True)
    ]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # trl adds the end of sequence itself; the tokenizer's own template would put one after the prompt too.
    tokenizer.backend_tokenizer.post_processor = None
    config = DPOConfig(
        output_dir=str(scratch), beta=BETA, label_smoothing=EPSILON, loss_type=[loss], per_device_train_batch_size=6,
        report_to=[], bf16=False, gradient_checkpointing=False, use_cpu=True,
    )  # fmt: skip
    trainer = DPOTrainer(
        model=model,
        ref_model=AutoModelForCausalLM.from_pretrained(folder),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    with torch.no_grad():
        return trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader()))).item()


@pytest.mark.parametrize("n", [1, 128, 300])
def test_logprobs_by_chunks_of_the_head_are_those_of_all_its_logits(n: int) -> None:
    torch.manual_seed(n)
    hidden = torch.randn(n, 6, dtype=torch.float64, requires_grad=True)
    weight, tokens = 3 * torch.randn(40, 6, dtype=torch.float64), torch.randint(40, (n,))
    upstream = torch.randn(n, dtype=torch.float64)
    plain, chunked = token_logprobs(hidden @ weight.T, tokens), head_logprobs(hidden, weight, tokens)
    assert torch.allclose(plain, chunked)
    gradients = [torch.autograd.grad((values * upstream).sum(), hidden)[0] for values in (plain, chunked)]
    assert torch.allclose(*gradients)
