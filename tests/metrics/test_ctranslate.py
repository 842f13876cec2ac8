"""The engine CTranslate2: its outputs, its entry in the decoding settings, what it does not support."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from metrics.data.test_sets import TestSet
from metrics.systems.resolve import resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.errors import InputError
from tests.leaders import randomise_weights

pytest.importorskip("ctranslate2")


def test_outputs_equal_those_of_transformers(lively_t5: Path, sentences: list[str]) -> None:
    test = TestSet("own", "folder", "1", tuple(sentences), ((),) * len(sentences))
    settings = {"max_new_tokens": 12}
    plain = rewrite(resolve_system(str(lively_t5), decoding=settings), test, batch_size=8)
    fast = rewrite(resolve_system(str(lively_t5), decoding=settings, engine="ctranslate2"), test, batch_size=8)
    assert len(set(plain.outputs)) > 20
    assert fast.outputs == plain.outputs
    assert fast.decoding == {**plain.decoding, "engine": "ctranslate2-4.8.5-float32"}


def test_large_batches_are_split_among_threads(lively_t5: Path, sentences: list[str]) -> None:
    """By default two threads decode chunks: more sentences than two chunks hold keep their order.

    Torch's number of threads stays the same, because scoring follows.
    """
    texts = [f"{a} {b}" for a in sentences[:20] for b in sentences[:7]]
    test = TestSet("own", "folder", "1", tuple(texts), ((),) * len(texts))
    settings = {"max_new_tokens": 8}
    plain = rewrite(resolve_system(str(lively_t5), decoding=settings), test)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fast = rewrite(resolve_system(str(lively_t5), decoding=settings, engine="ctranslate2"), test)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert (plain.decoding["batch_size"], fast.decoding["batch_size"]) == (32, 256)
    assert len(texts) > 128 and fast.outputs == plain.outputs


def test_causal_models_give_the_outputs_of_transformers(
    tiny_causal: Path, sentences: list[str], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path / "causal"
    randomise_weights(AutoModelForCausalLM.from_pretrained(tiny_causal), folder)
    # CTranslate2 needs a BOS token for Llama models, which the tests' tokenizer lacks.
    tokenizer = AutoTokenizer.from_pretrained(tiny_causal)
    tokenizer.bos_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    test = TestSet("own", "folder", "1", tuple(sentences), ((),) * len(sentences))
    options = {"prompt": "rude : {text} polite :", "decoding": {"max_new_tokens": 12}}
    plain = rewrite(resolve_system(str(folder), **options), test, batch_size=8)
    fast = rewrite(resolve_system(str(folder), **options, engine="ctranslate2"), test, batch_size=8)
    assert len(set(plain.outputs)) > 5
    assert fast.outputs == plain.outputs
    assert fast.decoding == {**plain.decoding, "engine": "ctranslate2-4.8.5-float32"}


def test_a_model_that_ends_at_once_gives_empty_outputs(tiny_t5: Path, sentences: list[str], tmp_path: Path) -> None:
    from transformers import AutoTokenizer, T5ForConditionalGeneration

    model = T5ForConditionalGeneration.from_pretrained(tiny_t5)
    # Decoding starts with the EOS token, and the last input token is always the most likely one.
    model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id = 1
    with torch.no_grad():
        model.shared.weight[1] *= 30
    model.save_pretrained(tmp_path / "t5")
    AutoTokenizer.from_pretrained(tiny_t5).save_pretrained(tmp_path / "t5")
    test = TestSet("own", "folder", "1", tuple(sentences[:4]), ((),) * 4)
    for engine in ("", "ctranslate2"):
        rewrites = rewrite(resolve_system(str(tmp_path / "t5"), decoding={"max_new_tokens": 5}, engine=engine), test)
        assert rewrites.outputs == ("",) * 4


def test_unsupported_requests_are_errors(lively_t5: Path) -> None:
    test = TestSet("own", "folder", "1", ("the dog",), ((),))
    for folder, options, message in (
        (lively_t5, {"num_beams": 2}, "decoding num_beams=2: ctranslate2-4.8.5-float32 decodes greedily only"),
        (lively_t5, {"do_sample": True}, "decoding do_sample=True"),
    ):
        with pytest.raises(InputError, match=message):
            rewrite(resolve_system(str(folder), decoding=options, engine="ctranslate2"), test)
    with pytest.raises(InputError, match="unknown; one of ctranslate2, ctranslate2-int8"):
        rewrite(resolve_system(str(lively_t5), engine="onnx"), test)
    with pytest.raises(InputError, match="--engine, --dtype and --revision are for models"):
        resolve_system("delete", engine="ctranslate2")
    with pytest.raises(InputError, match="--engine ctranslate2 sets the data type of the weights"):
        resolve_system(str(lively_t5), engine="ctranslate2", dtype="bfloat16")
