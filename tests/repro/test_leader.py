"""Log-probabilities of the leader against plain forward passes of the model."""

from __future__ import annotations

import copy
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from metrics.models.loading import load_model
from metrics.models.resolve import resolve_model
from metrics.util.errors import InputError
from repro.config.recipe import load_recipe
from repro.leader.config import RolloutConfig
from repro.leader.leader import Leader
from repro.leader.logprobs import sequence_logprobs
from repro.leader.rollouts import RolloutGenerator
from repro.pipeline.leader import LoadingConfig, load_leader
from repro.training.checkpoints import export_model

PROMPT = "rude : {text} polite :"


def make(folder: Path, train: str | int, *, feed_forward: bool = True) -> Leader:
    loaded = load_model(resolve_model(str(folder)), prompt=PROMPT)
    return Leader(loaded, train=train, train_feed_forward=feed_forward)


def disturb(leader: Leader) -> None:
    torch.manual_seed(5)
    with torch.no_grad():
        for value in leader.trainable_state().values():
            value += 0.05 * torch.randn_like(value)


def plain_logprob(model: torch.nn.Module, seq2seq: bool, prompt: list[int], target: list[int]) -> float:
    """One sentence, no batch, full log-softmax."""
    with torch.no_grad():
        if seq2seq:
            logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([[0, *target[:-1]]])).logits
        else:
            logits = model(input_ids=torch.tensor([prompt + target])).logits[:, len(prompt) - 1 : -1]
        return logits.log_softmax(-1)[0, range(len(target)), target].sum().item()


@pytest.mark.parametrize(("train", "feed_forward"), [("full", True), ("lora", True), (2, True), (2, False)])
@pytest.mark.parametrize("kind", ["tiny_llama", "tiny_t5"])
def test_policy_and_reference_logprobs_equal_those_of_two_full_models(
    kind: str, train: str | int, feed_forward: bool, sentences: list[str], request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    leader, original = make(folder, train, feed_forward=feed_forward), load_model(resolve_model(str(folder))).model
    disturb(leader)
    prompts, targets = leader.prompt_ids(sentences[:5]), leader.target_ids(sentences[5:10])
    policy, reference = sequence_logprobs(leader, prompts, targets)
    pairs = list(zip(prompts, targets, strict=True))
    assert policy.tolist() == pytest.approx(
        [plain_logprob(leader.model, leader.seq2seq, *pair) for pair in pairs], abs=1e-3
    )
    assert reference.tolist() == pytest.approx(
        [plain_logprob(original, leader.seq2seq, *pair) for pair in pairs], abs=1e-3
    )
    assert (policy - reference).abs().min() > 1e-3


@pytest.mark.parametrize("train", ["full", "lora", 2])
@pytest.mark.parametrize("kind", ["tiny_llama", "tiny_t5"])
def test_bfloat16_matmuls_start_at_the_reference_with_a_similar_gradient(
    kind: str, train: str | int, sentences: list[str], request: pytest.FixtureRequest
) -> None:
    """Policy and reference are rounded alike, or they would differ before the first update; weights are not rounded.

    A T5's attention has a learned bias, for which torch takes another kernel where gradients are wanted: alike but for
    the rounding of that.
    """
    found = {}
    for dtype in ("float32", "bfloat16"):
        torch.manual_seed(1)
        loaded = load_model(resolve_model(str(request.getfixturevalue(kind))), prompt=PROMPT)
        leader = Leader(loaded, train=train, dtype=dtype)
        prompts, targets = leader.prompt_ids(sentences[:5]), leader.target_ids(sentences[5:10])
        policy, reference = sequence_logprobs(leader, prompts, targets)
        torch.testing.assert_close(policy, reference, atol=0.05 if kind == "tiny_t5" else 1e-4, rtol=0)
        policy.sum().backward()
        gradient = torch.cat([p.grad.flatten() for p in leader.model.parameters() if p.grad is not None])
        assert gradient.dtype == next(iter(leader.trainable_state().values())).dtype == torch.float32
        found[dtype] = policy.detach(), gradient
    (wide, up), (narrow, near) = found.values()
    assert not torch.equal(wide, narrow)
    torch.testing.assert_close(narrow, wide, atol=0.05, rtol=0.01)
    assert torch.nn.functional.cosine_similarity(up, near, dim=0) > 0.99


def test_a_bfloat16_copy_has_the_latest_biases_and_tied_heads(tiny_causal: Path, sentences: list[str]) -> None:
    """Against the policy's weights rounded at once; Qwen2's queries, keys and values have biases."""
    leader = make(tiny_causal, "full")
    rollouts = RolloutGenerator(leader, load_recipe("smoke", ["rollout_dtype=bfloat16"]).narrow(RolloutConfig))
    ids = torch.tensor(leader.prompt_ids(sentences[:1]))
    logits = []
    for _ in range(2):
        rounded = copy.deepcopy(leader.model)
        for parameter in rounded.parameters():
            parameter.data = parameter.data.bfloat16()
        with torch.no_grad():
            logits.append(rollouts.current_model()(ids).logits)
            torch.testing.assert_close(logits[-1], rounded(ids).logits, atol=0.02, rtol=0.02)
        disturb(leader)
    assert (logits[0] - logits[1]).abs().max() > 0.1


@pytest.mark.parametrize("shift_right", [True, False])
def test_a_split_decoder_gives_the_logprobs_and_gradients_of_plain_passes(
    tiny_llama: Path, sentences: list[str], shift_right: bool
) -> None:
    """Prompts of several targets, not side by side, are read once; values and gradients are those of single rows."""
    leader = make(tiny_llama, 2)
    assert leader.split_decoder is not None
    disturb(leader)
    prompts, targets = leader.prompt_ids([sentences[i] for i in (0, 1, 0, 2, 0)]), leader.target_ids(sentences[4:9])
    gradients, values = [], []
    references = [sequence_logprobs(leader, prompts, targets, shift_right=shift_right)[1]]
    pairs = zip(prompts, targets, strict=True)
    references.append(torch.cat([sequence_logprobs(leader, [p], [t], shift_right=shift_right)[1] for p, t in pairs]))
    torch.testing.assert_close(*references, atol=1e-4, rtol=1e-5)
    for split in (leader.split_decoder, None):
        leader.split_decoder = split
        leader.model.zero_grad()
        policy, _ = sequence_logprobs(leader, prompts, targets, reference=False, shift_right=shift_right)
        values.append(policy.detach())
        policy.sum().backward()
        gradients.append({n: p.grad.clone() for n, p in leader.model.named_parameters() if p.grad is not None})
    torch.testing.assert_close(*values, atol=1e-4, rtol=1e-5)
    assert gradients[0].keys() == gradients[1].keys() != set()
    for name, value in gradients[0].items():
        torch.testing.assert_close(value, gradients[1][name], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("train", ["full", "lora", 1])
def test_an_encoder_runs_once_per_prompt_and_gives_the_plain_gradients(
    tiny_t5: Path, sentences: list[str], train: str | int
) -> None:
    """Five targets of three prompts: values and gradients are those of single rows, encoded one by one."""
    leader = make(tiny_t5, train)
    disturb(leader)
    prompts, targets = leader.prompt_ids([sentences[i] for i in (0, 1, 0, 2, 0)]), leader.target_ids(sentences[4:9])
    read: list[int] = []
    for model in (leader.model, leader._reference_model):
        if model is not None:
            model.get_encoder().register_forward_pre_hook(
                lambda module, given, named: read.append(len(named["input_ids"])), with_kwargs=True
            )
    gradients, values = [], []
    for batches in ([(prompts, targets)], [([p], [t]) for p, t in zip(prompts, targets, strict=True)]):
        leader.model.zero_grad()
        found = [sequence_logprobs(leader, *batch) for batch in batches]
        policy, reference = (torch.cat(column) for column in zip(*found, strict=True))
        policy.sum().backward()
        values.append(torch.stack([policy.detach(), reference]))
        gradients.append({n: p.grad.clone() for n, p in leader.model.named_parameters() if p.grad is not None})
        # Together: policy and reference, apart where the encoder is trained.
        expected = {"full": [3, 3], "lora": [3, 3], 1: [3]}[train]
        if len(batches) == 1:
            assert read == expected
    torch.testing.assert_close(*values, atol=1e-4, rtol=1e-5)
    assert gradients[0].keys() == gradients[1].keys() != set()
    for name, value in gradients[0].items():
        torch.testing.assert_close(value, gradients[1][name], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["tiny_llama", "tiny_t5"])
def test_departure_1_scores_each_token_at_its_own_position(
    kind: str, sentences: list[str], request: pytest.FixtureRequest
) -> None:
    """As released: no right shift. Worked out from the model's own logits at the unshifted positions."""
    leader = make(request.getfixturevalue(kind), "full")
    prompts, targets = leader.prompt_ids(sentences[:1]), leader.target_ids(sentences[1:2])
    prompt, target = prompts[0], targets[0]
    with torch.no_grad():
        if leader.seq2seq:
            logits = leader.model(input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([target])).logits[0]
        else:
            logits = leader.model(input_ids=torch.tensor([prompt + target])).logits[0, len(prompt) :]
    expected = logits.log_softmax(-1)[range(len(target)), target].sum().item()
    released, published = (
        sequence_logprobs(leader, prompts, targets, shift_right=shift)[0].item() for shift in (False, True)
    )
    assert released == pytest.approx(expected, abs=1e-4)
    assert abs(released - published) > 1e-2


def test_an_exported_adapter_is_the_adapted_model(tiny_llama: Path, sentences: list[str], tmp_path: Path) -> None:
    leader = make(tiny_llama, "lora")
    disturb(leader)
    prompts, targets = leader.prompt_ids(sentences[:3]), leader.target_ids(sentences[3:6])
    before = sequence_logprobs(leader, prompts, targets)[0].tolist()
    export_model(leader, tmp_path / "merged", max_new_tokens=8)
    after = sequence_logprobs(make(tmp_path / "merged", "full"), prompts, targets)[0].tolist()
    assert after == pytest.approx(before, abs=1e-3)
    assert sequence_logprobs(leader, prompts, targets)[0].tolist() == pytest.approx(before, abs=1e-5)


def test_the_top_layers_of_an_encoder_decoder_model_are_its_decoders_last_ones(tiny_t5: Path) -> None:
    leader = make(tiny_t5, 1)
    blocks = {name for name, _ in leader.model.named_parameters() if name.startswith("decoder.block.1.")}
    assert leader.trainable_state().keys() == {*blocks, "decoder.final_layer_norm.weight"}
    assert {name.split(".")[4] for name in blocks} == {"0", "1", "2"}


@pytest.mark.parametrize("kind", ["tiny_llama", "tiny_t5"])
def test_feed_forward_blocks_of_top_layers_may_stay_as_they_are(kind: str, request: pytest.FixtureRequest) -> None:
    leader = make(request.getfixturevalue(kind), 1, feed_forward=False)
    frozen = {name.split(".")[-2] for name, value in leader.model.named_parameters() if not value.requires_grad}
    trained = {name.split(".")[-2] for name in leader.trainable_state()}
    if kind == "tiny_llama":
        norms = {"input_layernorm", "post_attention_layernorm", "norm"}
        assert trained == {"q_proj", "k_proj", "v_proj", "o_proj", *norms}
    else:
        assert trained == {"q", "k", "v", "o", "layer_norm", "final_layer_norm"}
        assert {"wi", "wo"} & frozen or {"wi_0", "wi_1", "wo"} <= frozen


def test_more_layers_than_the_model_has_is_an_error(tiny_llama: Path) -> None:
    with pytest.raises(InputError, match=r"5 layers, but the model has 4"):
        make(tiny_llama, 5)


@pytest.mark.parametrize("kind", ["tiny_llama", "tiny_t5"])
def test_prompts_targets_and_rollouts_fit_the_positions(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """40 positions: 20 for the prompt of a causal model, 20 for its target or rollout; each 40 for a seq2seq model."""
    loaded = load_model(resolve_model(str(request.getfixturevalue(kind))), prompt=PROMPT)
    seq2seq = loaded.seq2seq
    setattr(loaded.model.config, "n_positions" if seq2seq else "max_position_embeddings", 40)
    leader = Leader(loaded, train="full", max_length=128)
    fitting = 40 if seq2seq else 20
    assert leader.max_length == fitting and f"max_length={fitting} in place of 128" in capsys.readouterr().err
    recipe = load_recipe("smoke", ["rollouts=2", "rollout_max_new_tokens=64", f"leader={tmp_path}"])
    generator = RolloutGenerator(leader, recipe.narrow(RolloutConfig))
    assert f"rollout_max_new_tokens={fitting} in place of 64" in capsys.readouterr().err
    texts = ["you damn fool " * 30, "he"]
    assert fitting - 5 < max(map(len, leader.prompt_ids(texts))) <= fitting
    assert max(map(len, leader.target_ids(texts))) == fitting
    assert max(map(len, generator.generate(texts, 0))) <= fitting


def test_a_leader_that_reasons_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    template = "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}BEGIN{% endif %}"
    section = load_recipe("smoke", ["prompt='chat:rude {text}'", "train=2"]).narrow(LoadingConfig)
    for begin, refused in (("<think>", True), ("<think></think>", False)):
        (folder / "chat_template.jinja").write_text(template.replace("BEGIN", begin) + "{# </think> #}")
        with pytest.raises(InputError, match="lets it reason") if refused else nullcontext():
            load_leader(resolve_model(str(folder)), section)
