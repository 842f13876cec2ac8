"""Files whole or not at all; prompts, batches and the two tries of greedy rewriting."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.errors import out_of_space
from metrics.files import atomic_file, atomic_folder, read_lines
from metrics.generation import (
    Progress,
    cut_after_end,
    decoding_settings,
    length_sorted_batches,
    prompt_ids,
    rewrite_all,
    rewrite_batches,
)
from metrics.models import LoadedModel, load_model, resolve_model
from metrics.systems import _read_partial


def test_a_failed_write_leaves_the_old_and_nothing_else(tmp_path: Path) -> None:
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


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_full_disk_is_told_apart_and_nothing_stays(tmp_path: Path) -> None:
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
def test_batches_hold_every_index_once(lengths: list[int], size: int) -> None:
    batches = length_sorted_batches(lengths, size)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) <= size for batch in batches)
    assert [lengths[i] for batch in batches for i in batch] == sorted(lengths, reverse=True)


def test_cut_after_the_first_end() -> None:
    assert cut_after_end([5, 1, 6, 1], {1}) == [5, 1]
    assert cut_after_end([5, 6], {1}) == [5, 6]


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


def test_long_texts_are_cut_but_the_prompt_survives(llama: LoadedModel) -> None:
    (ids,) = prompt_ids(llama.tokenizer, llama.prompt, ["dog " * 400], False, max_length=20)
    words = llama.tokenizer.convert_ids_to_tokens(ids)
    assert len(ids) <= 20 and words[:2] == ["rude", ":"] and words[-2:] == ["polite", ":"]


def test_two_tries_write_what_one_long_try_writes(llama: LoadedModel, sentences: list[str]) -> None:
    """Greedy outputs do not depend on how much room the first try had, nor on batches, nor on a resume."""
    import torch

    settings = {"do_sample": False, "max_new_tokens": 24}
    outputs = rewrite_all(llama, sentences, settings, description="t", batch_size=7)
    for text, output in list(zip(sentences, outputs, strict=True))[:12]:
        ids = torch.tensor(prompt_ids(llama.tokenizer, llama.prompt, [text], False))
        alone = llama.model.generate(ids, max_new_tokens=24, do_sample=False, pad_token_id=0, eos_token_id=1)
        assert output == llama.tokenizer.decode(alone[0, ids.shape[1] :], skip_special_tokens=True)
    batches = list(rewrite_batches(llama, sentences, settings, batch_size=7))
    assert any(text is None for batch in batches for text in batch.values())  # the second try is needed here
    for stop in range(len(batches) + 1):
        done = Progress()
        for batch in batches[:stop]:
            done.add(batch)
        rest = list(rewrite_batches(llama, sentences, settings, batch_size=7, done=done))
        assert rest == batches[stop:]


def test_a_torn_record_is_passed_over(tmp_path: Path) -> None:
    """And one of a program that did not measure its seconds is read."""
    path = tmp_path / "x.jsonl"
    path.write_text('\n{"0": "a", "3": null}\n{"1": "b", "seconds": 2.5}\n\n{"1": "b", "2": "ha')
    assert _read_partial(path) == [({0: "a", 3: None}, None), ({1: "b"}, 2.5)]
