"""The T5 of the benches writes what it reads: otherwise its times would be those of no rewriter."""

from __future__ import annotations

import torch
from transformers import T5Config, T5ForConditionalGeneration

from tests.benches import bench_module

VOCABULARY, BEFORE, END = 2000, 5, 6


def test_it_copies_a_line_and_ends() -> None:
    """Lines of other lengths side by side, in which words come again; two layers in place of twelve."""
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=VOCABULARY, d_model=576, d_kv=64, num_heads=9, d_ff=32, num_layers=2, decoder_start_token_id=BEFORE,
        eos_token_id=END, pad_token_id=0,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        bench_module("leaders").let_copy(model)
    lines = [torch.randint(10, VOCABULARY, (length,)).tolist() for length in (1, 4, 9, 14)]
    lines[2][5], lines[3][9:11] = lines[2][2], lines[3][3:5]
    behind = [7, 8, END]
    read = torch.zeros(len(lines), 3 + 14 + 3, dtype=torch.long)
    for row, line in zip(read, lines, strict=True):
        row[: len(line) + 6] = torch.tensor([9, BEFORE, *line, END, *behind])
    written = model.generate(read, attention_mask=read != 0, max_new_tokens=20)
    for line, row in zip(lines, written.tolist(), strict=True):
        assert row[: len(line) + 2] == [BEFORE, *line, END]
        assert not any(row[len(line) + 2 :])
