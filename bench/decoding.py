"""The command `python bench/decoding.py`: tokens per second of decoding, compared with the memory bandwidth.

A decoding step reads all weights of a causal model once, and the keys and values of all rows. The program measures
batches of several sizes in three variants:

- `ours`: `metrics.generation.sampler.sample_ids`; on a GPU with CUDA graphs (`metrics.generation.cuda_graphs`)
- `without CUDA graphs`: the same without them (on a GPU only)
- `transformers`: `transformers.generate`

All variants sample and have no EOS token, so that all rows are equally long. The time is that of --tokens tokens less
that of one token, which removes the prefill. The bytes are those of the weights and of the average KV cache; their
bandwidth is compared with that of summing a large array on this machine.
"""

import functools
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from measuring import machine, median_seconds

from metrics.generation import sampler
from metrics.models.loading import DTYPES, load_model
from metrics.models.resolve import resolve_model
from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command

PROMPT_TOKENS = 32

# Generates (number of tokens) new tokens for each prompt.
Variant = Callable[[list[list[int]], int], list[list[int]]]


def memory_bandwidth(device: torch.device) -> float:
    """Return the bytes per second at which the device reads a large array to sum it."""
    array = torch.ones((2**31 if device.type == "cuda" else 2**28) // 4, device=device)
    return array.numel() * array.element_size() / median_seconds({"sum": array.sum}, 5)["sum"]


def variants(model: Any, pad_token_id: int) -> dict[str, Variant]:
    """Return the functions to measure by name."""

    def ours(prompts: list[list[int]], tokens: int) -> list[list[int]]:
        return sampler.sample_ids(
            model, prompts, num_return_sequences=1, temperature=1.0, max_new_tokens=tokens, eos_token_ids=set(),
            pad_token_id=pad_token_id, seed=1,
        )  # fmt: skip

    def without_graphs(prompts: list[list[int]], tokens: int) -> list[list[int]]:
        with mock.patch.object(sampler, "CUDA_GRAPH_DEVICES", frozenset()):
            return ours(prompts, tokens)

    def transformers(prompts: list[list[int]], tokens: int) -> list[list[int]]:
        ids = torch.tensor(prompts, device=model.device)
        with torch.no_grad():
            return model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, max_new_tokens=tokens,
                min_new_tokens=tokens, pad_token_id=pad_token_id,
            )[:, ids.shape[1] :].tolist()  # fmt: skip

    functions: dict[str, Variant] = {"ours": ours, "transformers": transformers}
    if model.device.type in sampler.CUDA_GRAPH_DEVICES:
        functions["without CUDA graphs"] = without_graphs
    return functions


def seconds_per_step(
    functions: dict[str, Variant], prompts: list[list[int]], tokens: int, repeats: int
) -> dict[str, float]:
    """Return the seconds of one decoding step, by variant, from the medians of `tokens` tokens and of one."""

    def generate(name: str, count: int) -> None:
        if [len(row) for row in functions[name](prompts, count)] != [count] * len(prompts):
            raise InputError(f"{name}: not {count} tokens in each of {len(prompts)} rows")

    runs = {(name, n): functools.partial(generate, name, n) for name in functions for n in (tokens, 1)}
    seconds = median_seconds(runs, repeats)
    return {name: (seconds[name, tokens] - seconds[name, 1]) / (tokens - 1) for name in functions}


def bytes_of(model: Any) -> tuple[int, int]:
    """Return the bytes of the weights that a step reads, and those of one token in the KV cache."""
    # A step reads a few rows of the embeddings, but all of them if the head shares them.
    weights = {p.data_ptr(): p for n, p in model.named_parameters() if "embed_tokens" not in n}
    weights |= {model.lm_head.weight.data_ptr(): model.lm_head.weight}
    config, size = model.config, torch.finfo(model.dtype).bits // 8
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    token = 2 * config.num_hidden_layers * config.num_key_value_heads * head_size * size
    return sum(p.numel() * p.element_size() for p in weights.values()), token


def main(argv: list[str]) -> None:
    parser = command_parser("python bench/decoding.py", __doc__)
    parser.add_argument("--model", default="smollm2-135m-q4", metavar="NAME", help="a causal model (smollm2-135m-q4)")
    parser.add_argument("--dtype", default=DTYPES[0], choices=DTYPES, help=f"dtype of its weights ({DTYPES[0]})")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 32, 192], metavar="N", help="batches (1 32 192)")
    parser.add_argument("--tokens", type=int, default=33, metavar="N", help="new tokens per row (33)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="measurements of each variant (3)")
    options = parser.parse_args(argv)
    if min(*options.rows, options.repeats) < 1 or options.tokens < 2:
        raise InputError("--rows, --repeats: at least 1; --tokens: at least 2")
    loaded = load_model(resolve_model(options.model), prompt="{text}", dtype=options.dtype)
    model = loaded.model
    if loaded.seq2seq:
        raise InputError(f"{options.model}: an encoder-decoder model; choose a causal one")
    print(f"{options.model}, {options.dtype}, {machine()}")
    bandwidth = memory_bandwidth(model.device)
    print(f"memory bandwidth: {bandwidth / 1e9:,.0f} GB/s\n")
    weights, token = bytes_of(model)
    functions = variants(model, loaded.tokenizer.pad_token_id)
    generator = torch.Generator().manual_seed(0)
    print("| rows | variant | ms per token | tokens per second | speed-up over transformers | GB/s | of bandwidth |")
    print("|--:|---|--:|--:|--:|--:|--:|")
    for rows in options.rows:
        prompts = torch.randint(5, model.config.vocab_size, (rows, PROMPT_TOKENS), generator=generator).tolist()
        steps = seconds_per_step(functions, prompts, options.tokens, options.repeats)
        size = weights + rows * token * (PROMPT_TOKENS + options.tokens / 2)
        for variant, seconds in steps.items():
            rate, speed_up = size / seconds, steps["transformers"] / seconds
            cells = f"{rows} | {variant} | {1e3 * seconds:.2f} | {rows / seconds:,.0f} | {speed_up:.1f}"
            print(f"| {cells} | {rate / 1e9:,.0f} | {rate / bandwidth:.1%} |", flush=True)


if __name__ == "__main__":
    run_command(main)
