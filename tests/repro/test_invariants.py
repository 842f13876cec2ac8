"""Invariants of the objective across leaders and of siblings: what must agree, agrees."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
import torch

from metrics.models.loading import LoadedModel, load_model
from metrics.models.resolve import ModelRef, resolve_model
from repro.followers.follower import ScreenerFollower
from repro.leader.leader import Leader
from repro.leader.logprobs import sequence_logprobs, target_logprobs
from repro.leader.rollouts import RolloutGenerator
from repro.methods.config import SROConfig
from repro.methods.sro import SROTrainer, differing_tokens
from repro.training.objective import sro_loss
from repro.training.trainer import training_arguments
from tests.repro.test_trainer import GREEDY, WordScreener


def test_lora_with_the_adapter_off_is_the_base(tiny_llama: Path, sentences: list[str]) -> None:
    """The reference of a LoRA leader, after training moved the adapter, is the untouched model bit for bit."""
    leader = Leader(load_model(resolve_model(str(tiny_llama)), prompt="rude : {text}"), train="lora")
    torch.manual_seed(5)
    with torch.no_grad():
        for value in leader.trainable_state().values():
            value += 0.1 * torch.randn_like(value)
    base = load_model(resolve_model(str(tiny_llama))).model
    ids = torch.tensor(leader.target_ids(sentences[:1]))
    with torch.no_grad():
        adapted = leader.model(input_ids=ids).logits
        with leader.model.disable_adapter():
            off = leader.model(input_ids=ids).logits
        assert torch.equal(off, base(input_ids=ids).logits)
        assert not torch.allclose(adapted, off, atol=1e-3)


def mbart_pair(tokenizer_folder: Path) -> tuple[Leader, Leader]:
    """One decoder as a seq2seq leader and as a causal one.

    mBART's cross-attention adds to the residual stream; with its output projection at 0 the decoder does not see the
    encoder, and is the same function of the same tokens as the causal model that shares its weights.
    """
    from transformers import AutoTokenizer, MBartConfig, MBartForCausalLM, MBartForConditionalGeneration

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(0)
    config = MBartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64, pad_token_id=0,
        eos_token_id=1, bos_token_id=1, decoder_start_token_id=1, forced_eos_token_id=None, init_std=0.3,
    )  # fmt: skip
    seq2seq = MBartForConditionalGeneration(config).eval()
    causal = MBartForCausalLM(config).eval()
    for layer in seq2seq.model.decoder.layers:
        torch.nn.init.zeros_(layer.encoder_attn.out_proj.weight)
        torch.nn.init.zeros_(layer.encoder_attn.out_proj.bias)
    causal.model.decoder.load_state_dict(seq2seq.model.decoder.state_dict())
    causal.lm_head.weight = seq2seq.lm_head.weight
    ref = ModelRef("tiny", "folder", tokenizer_folder, "0")
    return (
        Leader(LoadedModel(ref, seq2seq, tokenizer, True, "{text}"), train="full"),
        Leader(LoadedModel(ref, causal, tokenizer, False, "{text}"), train="full"),
    )


def test_seq2seq_and_causal_objectives_agree_where_both_can_be_computed(
    tokenizer_folder: Path, sentences: list[str]
) -> None:
    """Losses and gradients, as published: without the shift a causal leader still reads its prompt's last token."""
    seq2seq, causal = mbart_pair(tokenizer_folder)
    targets = seq2seq.target_ids(sentences[:6])
    # What a causal leader is prompted with here is the token that a seq2seq decoder starts from.
    start = [[seq2seq.model.config.decoder_start_token_id]] * 6
    prompts = {seq2seq: seq2seq.prompt_ids(sentences[6:12]), causal: start}
    passed = torch.tensor([True, False, True, False, True, False])
    losses, gradients = [], []
    for leader in (seq2seq, causal):
        torch.manual_seed(3)
        names = [name for name in leader.trainable_state() if "decoder.layers" in name and "encoder_attn" not in name]
        parameters = dict(leader.model.named_parameters())
        with torch.no_grad():
            for name in sorted(names):
                parameters[name] += 0.1 * torch.randn_like(parameters[name])
        policy, reference = sequence_logprobs(leader, prompts[leader], targets)
        delta = policy - reference
        loss = sro_loss(delta, delta.roll(1), passed, 0.1, 0.1)
        loss.sum().backward()
        losses.append(loss.detach())
        gradients.append([parameters[name].grad for name in sorted(names) if "fc1.weight" in name])
    assert (losses[0] - torch.log(torch.tensor(2.0))).abs().min() > 1e-3
    torch.testing.assert_close(losses[0], losses[1], atol=1e-4, rtol=1e-4)
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-3)


def trainer(folder: Path, out: Path, config: SROConfig, texts: list[str]) -> SROTrainer:
    leader = Leader(load_model(resolve_model(str(folder)), prompt="paraphrase : {text}"), train="full")
    arguments = training_arguments(out, max_steps=1, save_steps=1, seed=0)
    return SROTrainer(leader, ScreenerFollower(WordScreener()), config, arguments, texts, log=lambda _: None)


@pytest.mark.parametrize("credit", ["all", "differing"])
def test_losses_with_siblings_lone_fails_and_imitation_by_hand(
    tiny_llama: Path, sentences: list[str], tmp_path: Path, credit: str
) -> None:
    """Two texts with two rollouts each: a pass and a fail; two fails. Δ of each token, the rest by hand."""
    settings = {"rollouts": 2, "sample": True, "siblings": True, "lone_fail_weight": 0.25, "imitation": 0.5}
    settings["credit"] = credit
    made = trainer(tiny_llama, tmp_path, SROConfig(**{**vars(GREEDY), **settings}), sentences)
    leader = made.leader
    torch.manual_seed(5)
    with torch.no_grad():
        for value in leader.trainable_state().values():
            value += 0.05 * torch.randn_like(value)
    prompts, rejected = leader.prompt_ids(sentences[:2]), leader.target_ids(sentences[:2])
    outputs = leader.target_ids(sentences[2:6])
    # The first rollout and the first text begin like the pass: those tokens get no credit.
    outputs[0], rejected[0] = [*outputs[1][:2], *outputs[0]], [*outputs[1][:3], *rejected[0]]
    losses = made.losses(prompts, outputs, [0, 0, 1, 1], rejected, [False, True, False, False])
    policy, reference = target_logprobs(
        leader, [prompts[0]] * 2 + [prompts[1]] * 2 + prompts[:1], [*outputs, rejected[0]]
    )
    *y, x = (p - r for p, r in zip(policy, reference, strict=True))

    def difference(left: int, right: int) -> float:
        """Δ of one row minus that of another, over the tokens outside of their longest common blocks."""
        rows, values = (*outputs, rejected[0]), (*y, x)
        if credit == "all":
            return float(values[left].detach().sum() - values[right].detach().sum())
        opcodes = difflib.SequenceMatcher(None, rows[left], rows[right], autojunk=False).get_opcodes()
        changed = [block for block in opcodes if block[0] != "equal"]
        own = sum(float(values[left][a:b].detach().sum()) for _, a, b, _, _ in changed)
        return own - sum(float(values[right][c:d].detach().sum()) for _, _, _, c, d in changed)

    def loss(z: float) -> float:
        z = torch.tensor(0.1 * z, dtype=torch.float64)
        return float(-0.9 * torch.nn.functional.logsigmoid(z) - 0.1 * torch.nn.functional.logsigmoid(-z))

    imitation = -0.5 * float(policy[1].detach().sum()) / len(outputs[1])
    lone = [0.25 * loss(-float(value.detach().sum())) for value in y[2:]]
    expected = [loss(difference(1, 0)), loss(difference(1, 4)) + imitation, *lone]
    assert losses.tolist() == pytest.approx(expected, abs=1e-4)


def roll_out(leader: Leader, texts: list[str], config: SROConfig) -> list[list[int]]:
    return RolloutGenerator(leader, config).generate(texts, seed=0)


@pytest.mark.parametrize("kind", ["tiny_llama", "tiny_gpt2", "tiny_t5"])
def test_rollouts_of_one_text_are_neighbours_and_drawn_independently(
    kind: str, sentences: list[str], request: pytest.FixtureRequest
) -> None:
    """Reading a prompt once for its copies changes nothing: near temperature 0 every copy is the greedy answer."""
    folder = request.getfixturevalue(kind)
    leader = Leader(load_model(resolve_model(str(folder)), prompt="paraphrase : {text}"), train="full")
    cold = SROConfig(**{**vars(GREEDY), "sample": True, "temperature": 1e-4, "rollouts": 3})
    greedy = roll_out(leader, sentences[:5], GREEDY)
    assert roll_out(leader, sentences[:5], cold) == [tokens for tokens in greedy for _ in range(3)]
    warm = SROConfig(**{**vars(cold), "temperature": 1.0})
    drawn = roll_out(leader, sentences[:5], warm)
    assert drawn == roll_out(leader, sentences[:5], warm)
    assert any(drawn[3 * i] != drawn[3 * i + 1] for i in range(5))


def test_tokens_that_two_rewrites_share_get_no_credit() -> None:
    assert differing_tokens([5, 1, 2, 9], [1, 7, 2, 9, 9]) == ([1, 0, 0, 0], [0, 1, 0, 0, 1])
    assert differing_tokens([1, 2], [1, 2]) == ([0, 0], [0, 0])
