"""The command `python bench/decoding.py`: tokens per second of decoding, and how near they come to reading the memory.

A token of every row needs all weights of a causal model once, and the keys and values of what the rows have read and
written. Timed is that, for batches of several sizes, in three ways:

- `ours`: `metrics.generation.sampler.sample_ids`; on a GPU that is a recorded graph (metrics/graphed.py)
- `ungraphed`: the same without the graph (on a GPU only; elsewhere `ours` is that)
- `library`: `transformers.generate`

Tokens are drawn, and no end is known, so that all rows write as many. The time is that of --tokens tokens less that of
one, so that reading the prompts is not in it. Bytes are those of the weights and of the keys and values there are, on
the average; their share is of the rate at which this machine reads a large array.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

from training import settle

from metrics.models.loading import DTYPES
from metrics.util.errors import InputError, run_command

PROMPT_TOKENS = 32


def read_rate(device: Any) -> float:
    """Bytes per second at which a large array is read (summed)."""
    import torch

    array = torch.ones((2**31 if device.type == "cuda" else 2**28) // 4, device=device)
    times = []
    for _ in range(6):
        settle()
        start = time.perf_counter()
        array.sum()
        settle()
        times.append(time.perf_counter() - start)
    return array.numel() * array.element_size() / statistics.median(times[1:])


def ways(model: Any, pad: int) -> dict[str, Callable[[list[list[int]], int], Any]]:
    """What is timed, by name: of prompts and a number of new tokens."""
    import torch

    from metrics.generation import sampler

    def ours(prompts: list[list[int]], tokens: int) -> Any:
        return sampler.sample_ids(
            model,
            prompts,
            num_return_sequences=1,
            temperature=1.0,
            max_new_tokens=tokens,
            eos_token_ids=set(),
            pad_token_id=pad,
            seed=1,
        )

    def ungraphed(prompts: list[list[int]], tokens: int) -> Any:
        devices, sampler.GRAPHED = sampler.GRAPHED, frozenset()
        try:
            return ours(prompts, tokens)
        finally:
            sampler.GRAPHED = devices

    def library(prompts: list[list[int]], tokens: int) -> Any:
        ids = torch.tensor(prompts, device=model.device)
        with torch.no_grad():
            return model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, max_new_tokens=tokens,
                min_new_tokens=tokens, pad_token_id=pad,
            )[:, ids.shape[1] :].tolist()  # fmt: skip

    found: dict[str, Callable[[list[list[int]], int], Any]] = {"ours": ours, "library": library}
    if model.device.type in sampler.GRAPHED:
        found["ungraphed"] = ungraphed
    return found


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python bench/decoding.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2-135m-q4", metavar="NAME", help="a causal model (smollm2-135m-q4)")
    parser.add_argument("--dtype", default=DTYPES[0], choices=DTYPES, help=f"of its weights ({DTYPES[0]})")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 32, 192], metavar="N", help="batches (1 32 192)")
    parser.add_argument("--tokens", type=int, default=33, metavar="N", help="new tokens of a row (33)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="times each way is gone (3)")
    options = parser.parse_args(argv)
    if min(*options.rows, options.repeats) < 1 or options.tokens < 2:
        raise InputError("--rows, --repeats: at least 1; --tokens: at least 2")
    import torch

    from metrics.models.loading import load_model
    from metrics.models.resolve import resolve_model

    loaded = load_model(resolve_model(options.model), prompt="{text}", dtype=options.dtype)
    model = loaded.model
    if loaded.seq2seq:
        raise InputError(f"{options.model}: an encoder-decoder model; this bench is of causal ones")
    name = torch.cuda.get_device_name() if model.device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{options.model}, {options.dtype}, {name}, {platform.machine()}, torch {torch.__version__}")
    rate = read_rate(model.device)
    print(f"an array is read at {rate / 1e9:,.0f} GB a second\n")
    # The table of a model whose head has the same weights is read as the head; else a few rows of it are.
    weights = {p.data_ptr(): p for n, p in model.named_parameters() if "embed_tokens" not in n}
    weights |= {model.lm_head.weight.data_ptr(): model.lm_head.weight}
    config, size = model.config, torch.finfo(model.dtype).bits // 8
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    of_token = 2 * config.num_hidden_layers * config.num_key_value_heads * head * size
    generator = torch.Generator().manual_seed(0)
    print("| rows | way | ms a token | tokens per second | times library | GB a second | of the rate |")
    print("|--:|---|--:|--:|--:|--:|--:|")
    for rows in options.rows:
        prompts = torch.randint(5, config.vocab_size, (rows, PROMPT_TOKENS), generator=generator).tolist()
        found = ways(model, loaded.tokenizer.pad_token_id)
        seconds: dict[str, list[float]] = {way: [] for way in found}
        # The ways take turns; what the first turn warms up is not counted.
        for turn in range(options.repeats + 1):
            for way, act in found.items():
                moments = [time.perf_counter()]
                for tokens in (options.tokens, 1):
                    written = act(prompts, tokens)
                    settle()
                    moments.append(time.perf_counter())
                    if [len(row) for row in written] != [tokens] * rows:
                        raise InputError(f"{way}: wrote other than {tokens} tokens in each of {rows} rows")
                if turn:
                    seconds[way].append(2 * moments[1] - moments[0] - moments[2])
        step = {way: statistics.median(times) / (options.tokens - 1) for way, times in seconds.items()}
        read = sum(p.numel() * p.element_size() for p in weights.values())
        read += rows * of_token * (PROMPT_TOKENS + options.tokens / 2)
        for way, spent in step.items():
            print(
                f"| {rows} | {way} | {1e3 * spent:.2f} | {rows / spent:,.0f} | {step['library'] / spent:.1f} "
                f"| {read / spent / 1e9:,.0f} | {read / spent / rate:.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    run_command(main)
