"""Atomic files; prompts, batches, decoding settings and the two passes of greedy rewriting."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.data.test_sets import TestSet
from metrics.generation.batching import default_batch_size, length_sorted_batches
from metrics.generation.decoding import decoding_settings, sampler_supports_decoding
from metrics.generation.prompts import prompt_ids
from metrics.generation.rewriting import RewritingProgress, rewrite_all, rewrite_batches
from metrics.generation.tokens import cut_after_eos
from metrics.models.loading import DTYPES, LoadedModel, load_model
from metrics.models.resolve import resolve_model
from metrics.systems.resolve import resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.errors import InputError, out_of_space
from metrics.util.files import (
    append_json_lines,
    atomic_file,
    atomic_folder,
    read_json_lines,
    read_lines,
    remove_temporaries,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("old")
    for manager, name in ((atomic_file, "a.txt"), (atomic_folder, "folder")):
        with pytest.raises(RuntimeError), manager(tmp_path / name) as temporary:
            (temporary if temporary.is_file() else temporary / "x").write_text("half of the n")
            raise RuntimeError
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == ["a.txt", "folder", "folder/x"]
    assert (tmp_path / "a.txt").read_text() == (tmp_path / "folder" / "x").read_text() == "old"
    with atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "y").write_text("new")
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["y"]


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for manager, name in (("atomic_file", "deep/a.txt"), ("atomic_folder", "folder")):
        killed = (
            "import os, pathlib, signal, sys, metrics.util.files\n"
            f"with metrics.util.files.{manager}(pathlib.Path(sys.argv[1])):\n    os.kill(os.getpid(), signal.SIGKILL)"
        )
        subprocess.run([sys.executable, "-c", killed, str(tmp_path / name)], check=False)
    assert len(list(tmp_path.rglob(".*"))) == 2
    for name in (".lock", ".training-0123456789abcdef", "a.txt", ".hidden.md"):
        (tmp_path / name).write_text("text")
    remove_temporaries(tmp_path)
    left = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*"))
    assert left == [".hidden.md", ".lock", ".training-0123456789abcdef", "a.txt", "deep"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_full_disk_is_recognized_and_leaves_no_file(tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]).returncode:
        pytest.skip("mount is not permitted here")
    try:
        with pytest.raises(OSError) as error, atomic_file(tmp_path / "big") as temporary:
            temporary.write_bytes(b"x" * 200_000)
        assert "the disk is full" in str(out_of_space(error.value))
        assert list(tmp_path.iterdir()) == []
        assert out_of_space(PermissionError(13, "no")) is None
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_only_line_feeds_end_lines(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes("a\r\nb\u2028c\u0085d\n\n\n".encode())
    assert read_lines(path) == ["a", "b\u2028c\u0085d", "", ""]


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 9))
def test_batches_contain_every_index_once(lengths: list[int], size: int) -> None:
    batches = length_sorted_batches(lengths, size)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) <= size for batch in batches)
    assert [lengths[i] for batch in batches for i in batch] == sorted(lengths, reverse=True)


def test_cut_after_the_first_eos() -> None:
    assert cut_after_eos([5, 1, 6, 1], {1}) == [5, 1]
    assert cut_after_eos([5, 6], {1}) == [5, 6]


@pytest.fixture(scope="module")
def llama(tiny_llama: Path) -> LoadedModel:
    return load_model(resolve_model(str(tiny_llama)), prompt="rude : {text} polite :")


def test_decoding_is_explicit(llama: LoadedModel) -> None:
    assert decoding_settings(llama.model) == {"do_sample": False, "max_new_tokens": 64}
    assert decoding_settings(llama.model, {"max_length": 30, "temperature": 0.5}) == {
        "do_sample": False, "max_length": 30,
    }  # fmt: skip
    sampled = decoding_settings(llama.model, {"do_sample": True, "temperature": 0.5})
    assert sampled["temperature"] == 0.5 and sampled["do_sample"]


def test_long_texts_are_truncated_but_not_the_prompt(llama: LoadedModel) -> None:
    (ids,) = prompt_ids(llama.tokenizer, llama.prompt, ["dog " * 400], False, max_length=20)
    words = llama.tokenizer.convert_ids_to_tokens(ids)
    assert len(ids) <= 20 and words[:2] == ["rude", ":"] and words[-2:] == ["polite", ":"]


def generate_alone(model: Any, loaded: LoadedModel, text: str, max_new_tokens: int) -> str:
    """Return what transformers generates with `model` for one text; prompt and tokenizer are those of `loaded`."""
    import torch

    ids = torch.tensor(prompt_ids(loaded.tokenizer, loaded.prompt, [text], loaded.seq2seq))
    alone = model.generate(ids, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=0, eos_token_id=1)
    new = alone[0, 1 if loaded.seq2seq else ids.shape[1] :]
    return str(loaded.tokenizer.decode(new, skip_special_tokens=True))


@pytest.mark.parametrize("kind", ["tiny_llama", "tiny_t5"])
def test_two_passes_give_the_outputs_of_one_long_pass(
    kind: str, sentences: list[str], request: pytest.FixtureRequest
) -> None:
    """Greedy outputs depend neither on the token limit of the first pass, nor on batches, nor on a resume."""

    loaded = load_model(resolve_model(str(request.getfixturevalue(kind))), prompt="rude : {text} polite :")
    settings = {"do_sample": False, "max_new_tokens": 24}
    outputs = rewrite_all(loaded, sentences, settings, description="t", batch_size=7)
    for text, output in list(zip(sentences, outputs, strict=True))[:12]:
        assert output == generate_alone(loaded.model, loaded, text, 24)
    batches = list(rewrite_batches(loaded, sentences, settings, batch_size=7))
    # transformers needs the second pass; the sampler does not.
    assert any(text is None for batch in batches for text in batch.values()) == loaded.seq2seq
    for stop in range(len(batches) + 1):
        done = RewritingProgress()
        for batch in batches[:stop]:
            done.add(batch)
        rest = list(rewrite_batches(loaded, sentences, settings, batch_size=7, done=done))
        assert rest == batches[stop:]


def test_greedy_batches_are_larger_where_memory_allows(tiny_llama: Path, tiny_t5: Path) -> None:
    """A prompt has a token more than its words here; 32 of the longest prompts, of 512 tokens, bound the memory."""
    llama, t5 = (load_model(resolve_model(str(folder)), prompt="rude {text}") for folder in (tiny_llama, tiny_t5))
    greedy = {"do_sample": False, "max_new_tokens": 48}
    for words, size in ((1, 256), (21, 256), (22, 252), (191, 74), (511, 32), (900, 32)):
        assert default_batch_size(llama, ["you", "you " * words], greedy) == size
    assert default_batch_size(llama, ["you"], {"do_sample": True, "top_k": 0, "max_new_tokens": 48}) == 32
    assert default_batch_size(llama, ["you"], {**greedy, "num_beams": 2}) == 32
    assert default_batch_size(t5, ["you"], greedy) == 32
    assert default_batch_size(llama, [], greedy) == 32


@pytest.mark.parametrize("kind", ["tiny_llama", "tiny_t5"])
def test_bfloat16_weights_give_the_outputs_of_transformers_and_are_recorded(
    kind: str, sentences: list[str], request: pytest.FixtureRequest
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    folder = str(request.getfixturevalue(kind))
    test = TestSet("own", "folder", "1", tuple(sentences[:12]), ((),) * 12)
    settings = {"max_new_tokens": 12}
    full, narrow = (
        rewrite(resolve_system(folder, prompt="rude : {text}", decoding=settings, dtype=dtype), test, batch_size=1)
        for dtype in DTYPES
    )
    assert narrow.decoding == {**full.decoding, "dtype": "bfloat16"}
    auto = AutoModelForSeq2SeqLM if kind == "tiny_t5" else AutoModelForCausalLM
    model = auto.from_pretrained(folder, dtype=torch.bfloat16).eval()
    loaded = load_model(resolve_model(folder), prompt="rude : {text}")
    for text, output in zip(test.sources, narrow.outputs, strict=True):
        assert output == generate_alone(model, loaded, text, 12)
    for name, settings, message in (
        (folder, {"dtype": "float16"}, "--dtype float16: unknown; one of float32, bfloat16"),
        ("delete", {"dtype": "bfloat16"}, "delete: does not generate"),
    ):
        with pytest.raises(InputError, match=message):
            resolve_system(name, **settings)


@pytest.mark.parametrize(
    ("settings", "stored", "supported"),
    [
        ({"do_sample": False, "max_new_tokens": 9}, {}, True),
        ({"do_sample": False, "num_beams": 1, "max_new_tokens": 9}, {"temperature": 0.7, "max_length": 30}, True),
        ({"do_sample": True, "max_new_tokens": 9}, {}, False),
        ({"do_sample": True, "top_k": 0, "max_new_tokens": 9}, {}, True),
        ({"do_sample": True, "top_k": 0, "top_p": 1.0, "temperature": 0.7, "max_new_tokens": 9}, {}, True),
        ({"do_sample": True, "top_k": 0, "top_p": 0.9, "max_new_tokens": 9}, {}, False),
        ({"do_sample": True, "top_k": 0, "min_p": 0.1, "max_new_tokens": 9}, {}, False),
        ({"do_sample": False, "num_beams": 2, "max_new_tokens": 9}, {}, False),
        ({"do_sample": False, "max_new_tokens": 9, "repetition_penalty": 1.2}, {}, False),
        ({"do_sample": False, "max_new_tokens": 9}, {"suppress_tokens": [5]}, False),
        ({"do_sample": False, "max_length": 9}, {}, False),
    ],
)
def test_the_sampler_supports_greedy_decoding_and_the_full_distribution_only(
    llama: LoadedModel,
    settings: dict[str, Any],
    stored: dict[str, Any],
    supported: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transformers import GenerationConfig

    monkeypatch.setattr(llama.model, "generation_config", GenerationConfig(**stored))
    assert sampler_supports_decoding(llama.model, settings) == supported


def test_a_half_written_record_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "x.jsonl"
    assert read_json_lines(path, lambda value: True) == []
    with append_json_lines(path) as append:
        append({"0": "a", "3": None})
    with path.open("a") as file:
        file.write('\n{"1": "b", "2": "ha' + "\n" + "[" * 100_000)
    with append_json_lines(path) as append:
        append([1, "é"])
    assert read_json_lines(path, lambda value: True) == [{"0": "a", "3": None}, [1, "é"]]
    assert read_json_lines(path, lambda value: isinstance(value, list)) == [[1, "é"]]


FOREIGN_LINES = (
    "[1]", "null", "5", '"0"', "{}", '{"0": 5}', '{"0": ["x"]}', '{"x": "y"}', '{"-1": "y"}', '{"3": "y"}',
    '{"00": "y"}', '{"٠": "y"}', '{"' + "1" * 5000 + '": "y"}', '{"0": "two\\nlines"}', '{"0": "\\ud800"}',
    '{"0": "y", "seconds": "1"}', '{"0": "y", "seconds": NaN}', '{"0": "y", "seconds": -1}',
    '{"0": "y", "seconds": true}', '{"0": "y", "seconds": null}', '{"seconds": 1}',
    '{"0": "y", "unfinished": 0}', '{"0": "y", "unfinished": [1]}', '{"0": "y", "unfinished": [true]}', "[" * 100_000,
)  # fmt: skip


def test_lines_of_the_cache_that_no_rewriting_wrote_are_done_again(
    tiny_t5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    test_set = TestSet("three", "folder", "1", ("you are rude", "it is late", "go away now"), ((),) * 3)
    system = resolve_system(str(tiny_t5), decoding={"max_new_tokens": 4})
    first = rewrite(system, test_set, batch_size=1)
    (path,) = (tmp_path / "home" / "rewrites").glob("*.jsonl")
    written = path.read_text("utf-8")
    for line in FOREIGN_LINES:
        path.write_text(f"{line}\n", "utf-8")
        assert rewrite(system, test_set, batch_size=1).outputs == first.outputs, line[:80]
    path.write_text("\n".join([*FOREIGN_LINES, written, *FOREIGN_LINES]), "utf-8")
    again = rewrite(system, test_set, batch_size=1)
    # All batches come from the cache, with the seconds that they took then.
    assert (again.outputs, again.seconds) == (first.outputs, first.seconds)
