"""Prompts and outputs fit the model's positions; the reasoning of models is cut."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from metrics.data.test_sets import TestSet
from metrics.generation.lengths import fit_lengths, generation_settings
from metrics.generation.prompts import prompt_ids
from metrics.generation.reasoning import MARKERS, cut_reasoning, decode_without_reasoning, find_reasoning
from metrics.generation.rewriting import rewrite_all
from metrics.models.loading import LoadedModel, load_model
from metrics.models.resolve import ModelRef, resolve_model
from metrics.systems.resolve import resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.errors import InputError
from tests.conftest import WORDS

CHAT = (
    "{% for m in messages %}{{ m.role + ': ' + m.content + ' ! ' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: BEGIN{% endif %}{# </think> #}"
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rewrites of an earlier run."""
    monkeypatch.setenv("SRO_HOME", str(tmp_path_factory.mktemp("home")))


def save_tiny(folder: Path, tokenizer_folder: Path, kind: str, positions: int, chat: str | None = None) -> Path:
    """A random model with few positions; `chat` is a template, whose markers become tokens."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    if chat:
        tokenizer.add_tokens(["<think>", "</think>"])
        tokenizer.chat_template = chat
    shared: dict[str, Any] = {"vocab_size": len(WORDS) + 9, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    model: Any
    if kind == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(n_positions=positions, n_embd=16, n_layer=1, n_head=2, **shared))
    else:
        model = LlamaForCausalLM(LlamaConfig(
            max_position_embeddings=positions, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, **shared,
        ))  # fmt: skip
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_prompt_and_output_fit_the_positions(
    kind: str, tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """64 positions: 32 for the prompt, 32 in place of 64 for the output; one text of three is cut."""
    folder = save_tiny(tmp_path / "model", tokenizer_folder, kind, 64)
    texts = ("you fool", "dog " * 400, "cat " * 30)
    test = TestSet("own", "folder", "1", texts, ((),) * 3)
    found = rewrite(resolve_system(str(folder), prompt="rude {text} polite"), test, batch_size=3)
    assert found.decoding["max_new_tokens"] == 32 and len(found.outputs) == 3
    printed = capsys.readouterr().err
    assert "max_new_tokens=32 in place of 64" in printed and "1 of 3 texts were cut: a prompt has up to 32" in printed
    few = rewrite(resolve_system(str(folder), prompt="rude {text}", decoding={"max_new_tokens": 4}), test, batch_size=3)
    assert few.decoding["max_new_tokens"] == 4
    assert "1 of 3 texts were cut: a prompt has up to 60 tokens" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"the prompt has 40 tokens without its text, but 32 fit"):
        rewrite(resolve_system(str(folder), prompt="dog " * 40 + "{text}"), test, batch_size=3)


def test_outputs_that_the_limit_cuts_off_are_counted(
    tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also from the cache. One that ends with the end token or with a stop string is not cut off."""
    folder = save_tiny(tmp_path / "model", tokenizer_folder, "gpt2", 64)
    test = TestSet("own", "folder", "1", ("you fool", "dog dog", "cat"), ((),) * 3)

    def printed(stored: dict[str, Any], batch_size: int) -> str:
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 1, **stored}))
        system = resolve_system(str(folder), prompt="rude {text}", decoding={"max_new_tokens": 4})
        printed.outputs = rewrite(system, test, batch_size=batch_size).outputs  # type: ignore[attr-defined]
        return capsys.readouterr().err

    for _ in range(2):
        assert "3 of 3 outputs did not end within max_new_tokens=4; they are" in printed({}, 2)
    first = printed.outputs[0].split()[0]  # type: ignore[attr-defined]
    stopped = sum(first in output for output in printed.outputs)  # type: ignore[attr-defined]
    expected = f"{3 - stopped} of 3 outputs did not end" if stopped < 3 else ""
    assert expected in (err := printed({"stop_strings": [first]}, 2)) and (expected or "did not end" not in err)
    assert "did not end" not in printed({"sequence_bias": [[[1], 1000.0]]}, 2)


@pytest.mark.parametrize(
    ("config", "seq2seq", "settings", "prompt", "expected"),
    [
        ({"max_position_embeddings": 2048}, False, {"max_new_tokens": 64}, 512, {"max_new_tokens": 64}),
        ({"max_position_embeddings": 512}, False, {"max_new_tokens": 64}, 448, {"max_new_tokens": 64}),
        ({"n_positions": 1024}, False, {"max_new_tokens": 2000}, 512, {"max_new_tokens": 512}),
        ({"max_seq_len": 100}, False, {"max_new_tokens": 64}, 50, {"max_new_tokens": 50}),
        ({"max_position_embeddings": 64}, False, {"max_length": 200}, 48, {"max_length": 64}),
        ({}, False, {"max_new_tokens": 64}, 512, {"max_new_tokens": 64}),
        ({"max_position_embeddings": 64}, True, {"max_new_tokens": 99}, 64, {"max_new_tokens": 64}),
        (
            {"max_encoder_position_embeddings": 256, "max_decoder_position_embeddings": 32}, True,
            {"max_length": 99}, 256, {"max_length": 32},
        ),
    ],
)  # fmt: skip
def test_lengths_are_those_of_the_config(
    config: dict[str, int], seq2seq: bool, settings: dict[str, int], prompt: int, expected: dict[str, int]
) -> None:
    stated = SimpleNamespace(**config)
    stated.get_text_config = lambda: stated
    model = SimpleNamespace(config=stated, named_modules=list)
    tokenizer = SimpleNamespace(model_max_length=10**30)
    loaded = LoadedModel(ModelRef("m", "folder", Path(), ""), model, tokenizer, seq2seq, "{text}")
    lengths = fit_lengths(loaded, settings)
    assert (lengths.prompt, lengths.settings) == (prompt, expected)
    tokenizer.model_max_length = 20
    assert fit_lengths(loaded, settings).prompt == 20


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("<think>rude word: fool\n</think>\n\nyou are wrong", "you are wrong"),
        ("<think></think>fine", "fine"),
        ("it ends </think> fine", "fine"),
        ("<think>no end", ""),
        ("a <think>b</think> c <think>d</think> e", "a   c   e"),
        ("<think>a</think> b <think>c", ""),
        ("<think>a <think>b</think> c</think> d", "d"),
        ("[THINK]a[/THINK]b", "b"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "b"),
        (" no reasoning, I think ", " no reasoning, I think "),
    ],
)
def test_reasoning_is_cut(output: str, answer: str) -> None:
    assert cut_reasoning(output) == answer


def test_reasoning_that_the_prompt_opens_is_cut() -> None:
    think = MARKERS[0]
    assert cut_reasoning("rude</think>polite", [think], think) == "polite"
    assert cut_reasoning("no end", [think], think) == ""
    assert cut_reasoning("<think>rude</think>polite", [think], think) == "polite"


@pytest.mark.parametrize(
    ("begin", "opened", "thinks", "new"),
    [("", False, True, 1536), ("<think>\\n", True, True, 1536), ("<think>\\n\\n</think>\\n", False, False, 64)],
)
def test_a_template_declares_reasoning_and_leaves_room(
    begin: str, opened: bool, thinks: bool, new: int, tokenizer_folder: Path, tmp_path: Path
) -> None:
    """Of 2,048 positions 512 are for the prompt. A template may begin the reasoning, or end it at once."""
    folder = save_tiny(tmp_path / "m", tokenizer_folder, "llama", 2048, CHAT.replace("BEGIN", begin))
    loaded = load_model(resolve_model(str(folder)), prompt="chat:rude {text}")
    reasoning = find_reasoning(loaded)
    assert reasoning is not None and (reasoning.opened is not None, reasoning.thinks) == (opened, thinks)
    assert generation_settings(loaded)["max_new_tokens"] == new
    assert generation_settings(loaded, {"max_new_tokens": 9})["max_new_tokens"] == 9


@pytest.mark.parametrize("special", [True, False])
def test_markers_may_be_special_tokens(special: bool, tokenizer_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.add_tokens(["<think>", "</think>"], special_tokens=special)
    loaded = LoadedModel(ModelRef("m", "folder", Path(), ""), None, tokenizer, False, "{text}")
    reasoning = find_reasoning(loaded)
    assert reasoning is not None and not reasoning.thinks
    rows = [tokenizer(text).input_ids for text in ("<think> rude fool </think> good dog", "<think> rude", "good dog")]
    assert [" ".join(t.split()) for t in decode_without_reasoning(tokenizer, rows, reasoning)] == [
        "good dog", "", "good dog",
    ]  # fmt: skip


def test_models_that_reason_are_cut_and_say_so(
    tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that answers with reasoning, ends it or not; the decoding says that it was cut."""
    folder = save_tiny(tmp_path / "m", tokenizer_folder, "gpt2", 256, CHAT.replace("BEGIN", ""))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answers = {"fool": "<think> rude dog </think> good dog", "damn": "<think> rude dog"}

    def answer(model: Any, tokenizer: Any, prompts: list[list[int]], *_: Any) -> list[list[int]]:
        texts = [tokenizer.decode(prompt) for prompt in prompts]
        return [tokenizer(next(a for word, a in answers.items() if word in text)).input_ids for text in texts]

    monkeypatch.setattr("metrics.generation.rewriting.generate_ids", answer)
    test = TestSet("own", "folder", "1", ("you fool", "damn"), ((),) * 2)
    found = rewrite(resolve_system(str(folder), prompt="chat:rude {text}"), test, batch_size=2)
    assert found.outputs == ("good dog", "")
    assert found.decoding["reasoning"] == "cut"
    loaded = load_model(resolve_model(str(folder)), prompt="chat:rude {text}")
    assert rewrite_all(loaded, test.sources, generation_settings(loaded), description="t") == ["good dog", ""]
    assert prompt_ids(tokenizer, "chat:rude {text}", ["fool"], False)


def test_the_reasoning_in_files_is_cut_on_request(tmp_path: Path) -> None:
    path = tmp_path / "outputs.txt"
    path.write_text("<think>rude</think> good dog\n<think>rude\nplain\n", "utf-8")
    test = TestSet("own", "folder", "1", ("a", "b", "c"), ((),) * 3)
    found = rewrite(resolve_system(str(path), cut_reasoning=True), test)
    assert (found.outputs, found.decoding) == (("good dog", "", "plain"), {"reasoning": "cut"})
    found = rewrite(resolve_system(str(path)), test)
    assert found.outputs[0] == "<think>rude</think> good dog" and found.decoding == {}
    with pytest.raises(InputError, match="--cut-reasoning is for files of outputs"):
        resolve_system("delete", cut_reasoning=True)
