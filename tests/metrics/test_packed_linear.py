"""Packed linear layers: the same values up to rounding, the same rewrites."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from metrics.data.test_sets import TestSet
from metrics.generation.packed_linear import PackedLinear, can_pack, pack_linear_layers
from metrics.models.loading import load_model
from metrics.models.resolve import resolve_model
from metrics.scorers.heads.features import MiniLM, SmolLM2
from metrics.systems.resolve import resolve_system
from metrics.systems.rewriting import load_system, rewrite

pytestmark = pytest.mark.skipif(not can_pack([torch.zeros(2, 2)]), reason="this machine cannot pack weights (oneDNN)")


def count_packed(model: nn.Module) -> int:
    return sum(isinstance(module, PackedLinear) for module in model.modules())


@pytest.mark.parametrize("rows", [(0,), (1,), (3, 5), (700,)])
@pytest.mark.parametrize("bias", [True, False])
def test_products_equal_those_in_double_precision(rows: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    plain, inputs = nn.Linear(48, 33, bias=bias), torch.randn(*rows, 48)
    packed = PackedLinear(plain.weight, plain.bias)
    product = inputs.double() @ plain.weight.detach().double().T
    added = plain.bias.detach().double() if bias else torch.zeros(33)
    torch.testing.assert_close(packed(inputs).double(), product + added, atol=1e-5, rtol=1e-5)
    # Rows that are not contiguous.
    torch.testing.assert_close(packed(inputs.mT.contiguous().mT), packed(inputs))
    packed.set_weight(2 * plain.weight)
    torch.testing.assert_close(packed(inputs).double(), 2 * product + added, atol=2e-5, rtol=1e-5)


def test_a_packed_language_model_has_the_same_logits() -> None:
    """SmolLM2 in float32; its head is listed under the embeddings to which it is tied."""
    ref = resolve_model("smollm2-135m-q4")
    loaded = load_model(ref)
    ids = loaded.tokenizer("You are a damn idiot , and the weather is cold .", return_tensors="pt").input_ids
    with torch.no_grad():
        before = loaded.model(ids).logits
        packed = pack_linear_layers(loaded.model)
        after = loaded.model(ids).logits
    # Logits are as large as 30.
    torch.testing.assert_close(after, before, atol=5e-4, rtol=0)
    assert len(packed) == count_packed(loaded.model) == 30 * 7 + 1
    assert packed["model.embed_tokens.weight"] == [loaded.model.lm_head]


def test_scorers_are_packed() -> None:
    """Every linear layer of both; `tests/bench` compares their scores with unpacked layers."""
    for model, layers in ((MiniLM().model, 6 * 6 + 1), (SmolLM2(num_layers=2).model, 2 * 7 + 1)):
        assert count_packed(model) == layers and not any(type(module) is nn.Linear for module in model.modules())


@pytest.mark.parametrize("kind", ["tiny_llama", "lively_t5", "bart"])
def test_greedy_rewrites_stay_the_same_and_sampling_is_not_packed(
    kind: str, sentences: list[str], tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "bart":
        from transformers import AutoTokenizer, BartConfig, BartForConditionalGeneration

        tokenizer = AutoTokenizer.from_pretrained(request.getfixturevalue("tokenizer_folder"))
        torch.manual_seed(3)
        config = BartConfig(
            vocab_size=len(tokenizer), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, pad_token_id=0, bos_token_id=1,
            eos_token_id=1, decoder_start_token_id=1, forced_eos_token_id=1, init_std=0.5,
        )  # fmt: skip
        folder = tmp_path / "bart"
        BartForConditionalGeneration(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    else:
        folder = request.getfixturevalue(kind)
    options = {"prompt": "rude : {text}", "decoding": {"max_new_tokens": 10}}
    test = TestSet("own", "folder", "1", tuple(sentences), ((),) * len(sentences))
    system = resolve_system(str(folder), **options)
    packed, plain = load_system(system), load_model(resolve_model(str(folder)), prompt=options["prompt"])
    assert packed is not None and count_packed(packed.model) > 10
    outputs = []
    for number, loaded in enumerate((packed, plain)):
        # A cache folder each: the second must not read the outputs of the first.
        monkeypatch.setenv("SRO_HOME", str(tmp_path / f"home-{number}"))
        outputs.append(rewrite(system, test, loaded=loaded, batch_size=8).outputs)
    assert outputs[0] == outputs[1] and len(set(outputs[0])) > 1
    sampled = load_system(resolve_system(str(folder), decoding={"do_sample": True, "max_new_tokens": 10}))
    assert sampled is not None and not count_packed(sampled.model)


def test_other_layers_and_dtypes_stay_unpacked() -> None:
    class CustomLinear(nn.Linear):
        """A subclass, whose weight other code may use."""

    model = nn.Sequential(nn.Linear(4, 4), CustomLinear(4, 4))
    assert list(pack_linear_layers(model)) == ["0.weight"] and type(model[1]) is CustomLinear
    for other in (torch.float64, torch.float16):
        model = nn.Sequential(nn.Linear(4, 4, dtype=other))
        assert not pack_linear_layers(model) and type(model[0]) is nn.Linear
