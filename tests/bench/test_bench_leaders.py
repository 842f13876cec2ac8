"""The benchmarks' T5 copies its input; otherwise its outputs would not be as long as those of a rewriter."""

from __future__ import annotations

import torch
from transformers import T5Config, T5ForConditionalGeneration

from tests.benches import bench_module

VOCABULARY, START, END = 2000, 5, 6


def test_the_t5_copies_a_line_and_ends() -> None:
    """A batch of lines of several lengths with repeated words; two layers instead of twelve."""
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=VOCABULARY, d_model=576, d_kv=64, num_heads=9, d_ff=32, num_layers=2, decoder_start_token_id=START,
        eos_token_id=END, pad_token_id=0,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        bench_module("leaders").set_copying_weights(model)
    lines = [torch.randint(10, VOCABULARY, (length,)).tolist() for length in (1, 4, 9, 14)]
    lines[2][5], lines[3][9:11] = lines[2][2], lines[3][3:5]
    rest = [7, 8, END]
    inputs = torch.zeros(len(lines), 3 + 14 + 3, dtype=torch.long)
    for row, line in zip(inputs, lines, strict=True):
        row[: len(line) + 6] = torch.tensor([9, START, *line, END, *rest])
    outputs = model.generate(inputs, attention_mask=inputs != 0, max_new_tokens=20)
    for line, row in zip(lines, outputs.tolist(), strict=True):
        assert row[: len(line) + 2] == [START, *line, END]
        assert not any(row[len(line) + 2 :])
