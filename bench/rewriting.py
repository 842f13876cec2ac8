"""The command `python bench/rewriting.py MODEL`: rewriting and scoring by this project, against the usual loop.

- `ours`: `python -m metrics.score MODEL --test-set NAME --limit N --no-cache`, with a cache folder that holds only the
  unpacked models, so that an engine's conversion counts. More of its options follow after a colon, separated by commas:
  `ours:--batch-size,128,--dtype,bfloat16`.
- `plain`: `transformers.generate` over batches of 32 in file order, then the scoring loop of `bench/scoring.py`.

Model, prompt, decoding (greedy), sentences and number of threads are the same. Each variant is a process of its own,
including the start of Python. The variants alternate; the program prints medians, and how many outputs equal those of
the plain loop.

MODEL: a built-in name, a folder, or `t5`: an encoder-decoder model as large as SmolLM2-135M (`bench/leaders.py`).
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from leaders import PROMPT, load_leader, model_name
from measuring import machine, run_process
from scoring import BATCH_SIZE, Clock, plain
from soak import isolated_environment

from metrics.data.test_sets import load_test_set
from metrics.models.resolve import resolve_model
from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command
from metrics.util.progress import progress

OURS, PLAIN = VARIANTS = ("ours", "plain")


def ours(options: argparse.Namespace, more: list[str], folder: Path) -> list[str]:
    """Return the outputs of this project's command with some more options; files are written to `folder`."""
    report = folder / "result.json"
    command = [sys.executable, "-m", "metrics.score", model_name(options.model), "--test-set", options.test_set]
    command += ["--limit", str(options.limit), "--no-cache", "--json", str(report), "--prompt", PROMPT]
    command += ["--decoding", f"max_new_tokens={options.max_new_tokens}", "--decoding", "do_sample=false"]
    run_process(OURS, [*command, *more], isolated_environment(folder / "caches"))
    return [sentence["output"] for sentence in json.loads(report.read_text("utf-8"))["sentences"]]


def plain_outputs(argv: list[str]) -> list[str]:
    """Return the outputs of the plain loop, in a process of its own."""
    command = [sys.executable, __file__, *argv, "--measure"]
    return json.loads(run_process(PLAIN, command, {**os.environ, "HF_HUB_OFFLINE": "1"}).splitlines()[-1])


def plain_loop(options: argparse.Namespace) -> list[str]:
    """Rewrite and score with the plain loop, in this process, and return the outputs."""
    sources = load_test_set(options.test_set, None).limit(options.limit).sources
    loaded = load_leader(options.model)
    model, tokenizer = loaded.model.eval(), loaded.tokenizer
    tokenizer.padding_side = "right" if loaded.seq2seq else "left"
    outputs = []
    for start in progress(range(0, len(sources), BATCH_SIZE), "plain loop, rewriting"):
        prompts = [PROMPT.format(text=text) for text in sources[start : start + BATCH_SIZE]]
        inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=loaded.seq2seq)
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            ids = model.generate(
                **inputs, max_new_tokens=options.max_new_tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id
            )
        ids = ids[:, 1:] if loaded.seq2seq else ids[:, inputs["input_ids"].shape[1] :]
        outputs += [" ".join(text.split()) for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
    plain(Clock(), sources, outputs)
    return outputs


def main(argv: list[str]) -> None:
    parser = command_parser("python bench/rewriting.py", __doc__)
    parser.add_argument("model", metavar="MODEL", nargs="?", default="smollm2-135m-q4", help="(smollm2-135m-q4)")
    parser.add_argument("--test-set", default="paradetox-test", metavar="NAME", help="(paradetox-test)")
    parser.add_argument("--limit", type=int, default=400, metavar="N", help="the first N sentences (400)")
    parser.add_argument("--max-new-tokens", type=int, default=48, metavar="N", help="token limit of an output (48)")
    parser.add_argument("--ways", nargs="+", default=VARIANTS, metavar="VARIANT", help="what to measure (ours plain)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="measurements of each variant (3)")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if min(options.limit, options.repeats, options.max_new_tokens) < 1:
        raise InputError("--limit, --repeats, --max-new-tokens: at least 1")
    if PLAIN not in options.ways or not all(variant.partition(":")[0] in VARIANTS for variant in options.ways):
        raise InputError("--ways: plain, and ours or ours:OPTION,…")
    if options.measure:
        print(json.dumps(plain_loop(options)))
        return
    # Unpacks the model, or creates the T5, before the measurement.
    resolve_model(model_name(options.model))
    print(f"{options.model}, {options.limit} sentences of {options.test_set}, {machine()}")
    seconds: dict[str, list[float]] = {variant: [] for variant in options.ways}
    outputs: dict[str, list[str]] = {}
    for variant in progress([*seconds] * options.repeats, "variants"):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            kind, *more = variant.replace(":", ",", 1).split(",")
            outputs[variant] = plain_outputs(argv) if kind == PLAIN else ours(options, more, Path(folder))
            seconds[variant].append(time.perf_counter() - start)
    median = {variant: statistics.median(values) for variant, values in seconds.items()}
    print("| variant | seconds | sentences per second | speed-up over plain | outputs equal to plain |")
    print("|---|--:|--:|--:|--:|")
    for variant, value in median.items():
        equal = sum(a == b for a, b in zip(outputs[variant], outputs[PLAIN], strict=True))
        speeds = f"{options.limit / value:.1f} | {median[PLAIN] / value:.2f}"
        print(f"| {variant} | {value:.1f} | {speeds} | {equal} of {len(outputs[variant])} |")


if __name__ == "__main__":
    run_command(main)
