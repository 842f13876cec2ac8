"""The command `python bench/rewriting.py MODEL`: from a model's name to its result, against the loop people write.

- `ours`: `python -m metrics.score MODEL --test-set NAME --limit N --no-cache`, with caches of its own that hold nothing
  but unpacked models: an engine's conversion counts. After a colon come more of its options, with commas between them:
  `ours:--batch-size,128,--dtype,bfloat16`.
- `plain`: transformers' `generate` over batches of 32 in file order, every batch until its last row has ended, then
  the scoring loop of `bench/scoring.py`.

Model, prompt, decoding (greedy), sentences and threads are the same. Each way is a process of its own, the start of
Python included; they take turns, and medians are printed. What each wrote is compared with the plain loop's.

MODEL: a built-in name, a folder, or `t5`: an encoder-decoder model as large as SmolLM2-135M (bench/leaders.py).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from leaders import PROMPT, load, named
from scoring import BATCH, Clock, plain
from soak import environment

from metrics.util.errors import InputError, run_command
from metrics.util.progress import progress

WAYS = ("ours", "plain")
OURS, PLAIN = WAYS


def ours(options: argparse.Namespace, more: list[str], folder: Path) -> list[str]:
    """What this project's command writes for the sentences, with some more options."""
    report = folder / "result.json"
    command = [sys.executable, "-m", "metrics.score", named(options.model), "--test-set", options.test_set]
    command += ["--limit", str(options.limit), "--no-cache", "--json", str(report), "--prompt", PROMPT]
    command += ["--decoding", f"max_new_tokens={options.max_new_tokens}", "--decoding", "do_sample=false"]
    done = subprocess.run([*command, *more], env=environment(folder / "caches"), capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"ours: {(done.stderr.strip().splitlines() or ['ended without a word'])[-1]}")
    return [sentence["output"] for sentence in json.loads(report.read_text("utf-8"))["sentences"]]


def by_loop(options: argparse.Namespace) -> list[str]:
    """The same by the plain loop."""
    import torch

    from metrics.data.test_sets import load_test_set
    from metrics.scorers import _shared
    from metrics.scorers.heads import scorers

    sources = load_test_set(options.test_set, None).limit(options.limit).sources
    loaded = load(options.model)
    model, tokenizer = loaded.model.eval(), loaded.tokenizer
    tokenizer.padding_side = "right" if loaded.seq2seq else "left"
    outputs = []
    for start in progress(range(0, len(sources), BATCH), "plain loop, rewriting"):
        prompts = [PROMPT.format(text=text) for text in sources[start : start + BATCH]]
        read = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=loaded.seq2seq)
        read.pop("token_type_ids", None)
        with torch.no_grad():
            written = model.generate(
                **read, max_new_tokens=options.max_new_tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id
            )
        written = written[:, 1:] if loaded.seq2seq else written[:, read["input_ids"].shape[1] :]
        outputs += [" ".join(text.split()) for text in tokenizer.batch_decode(written, skip_special_tokens=True)]
    plain(_shared(scorers.OfflineHeads), Clock(), sources, outputs)
    return outputs


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python bench/rewriting.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", nargs="?", default="smollm2-135m-q4", help="(smollm2-135m-q4)")
    parser.add_argument("--test-set", default="paradetox-test", metavar="NAME", help="(paradetox-test)")
    parser.add_argument("--limit", type=int, default=400, metavar="N", help="the first N sentences (400)")
    parser.add_argument("--max-new-tokens", type=int, default=48, metavar="N", help="room of a rewrite (48)")
    parser.add_argument("--ways", nargs="+", default=WAYS, metavar="WAY", help="which (ours plain)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="times each way is gone (3)")
    parser.add_argument("--measure", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if min(options.limit, options.repeats, options.max_new_tokens) < 1:
        raise InputError("--limit, --repeats, --max-new-tokens: at least 1")
    if PLAIN not in options.ways or not all(way.partition(":")[0] in WAYS for way in options.ways):
        raise InputError("--ways: plain, and ours or ours:OPTION,…")
    if options.measure:
        Path(options.measure).write_text(json.dumps(by_loop(options)), "utf-8")
        return
    import torch

    # Models are unpacked, and the T5 is made, before the clock runs.
    from metrics.models.resolve import resolve_model

    resolve_model(named(options.model))
    print(f"{options.model}, {options.limit} sentences of {options.test_set}, {torch.get_num_threads()} threads, "
          f"{platform.machine()}, torch {torch.__version__}")  # fmt: skip
    seconds: dict[str, list[float]] = {way: [] for way in options.ways}
    wrote: dict[str, list[str]] = {}
    for way in progress([*seconds] * options.repeats, "ways"):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            kind, _, more = way.partition(":")
            given = more.split(",") if more else []
            wrote[way] = ours(options, given, Path(folder)) if kind == OURS else _in_process(argv, Path(folder))
            seconds[way].append(time.perf_counter() - start)
    median = {way: statistics.median(values) for way, values in seconds.items()}
    print("| way | seconds | sentences per second | times plain | written as plain |")
    print("|---|--:|--:|--:|--:|")
    for way, value in median.items():
        same = sum(a == b for a, b in zip(wrote[way], wrote[PLAIN], strict=True))
        print(f"| {way} | {value:.1f} | {options.limit / value:.1f} | {median[PLAIN] / value:.2f} | "
              f"{same} of {len(wrote[way])} |")  # fmt: skip


def _in_process(argv: list[str], folder: Path) -> list[str]:
    target = folder / "outputs.json"
    command = [sys.executable, __file__, *argv, "--measure", str(target)]
    done = subprocess.run(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"plain: {(done.stderr.strip().splitlines() or ['ended without a word'])[-1]}")
    value: list[Any] = json.loads(target.read_text("utf-8"))
    return value


if __name__ == "__main__":
    run_command(main)
