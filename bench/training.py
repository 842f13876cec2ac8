"""The command `python bench/training.py`: rollouts per second of SRO's training step, beside two other ways to take it.

- `ours`: this project's step with the paper's objective; the screener alone answers.
- `ours-bfloat16`: the same, but that the copy of the leader that rolls out has weights of two bytes, and products of
  learning are made of two bytes (`rollout_dtype` and `train_dtype: bfloat16`).
- `ours-bfloat16-rollouts`: rolling out alone (`rollout_dtype: bfloat16`).
- `ours-vllm`: as `ours-bfloat16`, but that vLLM rolls out (`rollout_engine: vllm`; where it is installed).
- `released`: a loop with the costs of the released one (facts: its notebooks; the code is this project's): one text at
  a time, greedy, two whole models, all weights trained, an update for every rollout, both texts read by both models,
  log-softmax over the whole vocabulary. The objective is the published one, in float32.
- `trl`: trl's OnlineDPOTrainer with the screener as reward; it trains the same top layers as `ours`.

Leader, number of rollouts, their greatest length and the threads are the same; how many texts and updates a step has
is not, and stands in the table. Each arm is a process of its own, which takes one step to warm up and measures the next
ones; the arms take turns, and medians are printed, with the peak memory of each process. For both of this project's the
time of rolling out is told apart, and the arithmetic of a causal leader is counted, with what share of this machine's
rate of products it reached: of float32 on a processor, on a GPU of the arm's own kind. There the memory is the GPU's.

Leaders: smollm2-135m-q4, `t5`: an encoder-decoder model of that size (bench/leaders.py), or a model folder.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from leaders import PROMPT, load_leader

from metrics.util.errors import InputError, run_command
from metrics.util.progress import progress

VLLM = "ours-vllm"
ARMS = ("ours", "ours-bfloat16", "ours-bfloat16-rollouts", VLLM, "released", "trl")
# Those that every installation has.
USUAL = [arm for arm in ARMS if arm != VLLM]
MAX_NEW_TOKENS = 20
BETA, EPSILON, RATE = 0.1, 0.1, 2e-5


def texts_of(n: int) -> list[str]:
    """n toxic sentences of the built-in sample, again from the start where there are fewer."""
    from metrics.data.corpora import load_corpus

    toxic = [text for text in load_corpus("sample").toxic if 6 <= len(text.split()) <= 14]
    return [toxic[i % len(toxic)] for i in range(n)]


def screener() -> Any:
    from metrics.data.corpora import load_corpus
    from repro.followers.screener import NBSVM

    corpus = load_corpus("sample")
    return NBSVM().fit(corpus.toxic, corpus.neutral)


def budget(options: argparse.Namespace, folder: Path, texts: int) -> dict[str, Any]:
    """Return keyword arguments of `TrainingArguments`: one step to warm up and those to measure, nothing written."""
    from repro.training.trainer import training_arguments

    return training_arguments(
        folder, max_steps=options.steps + 1, per_device_train_batch_size=texts, learning_rate=RATE, weight_decay=0.01,
        lr_scheduler_type="constant_with_warmup", save_strategy="no", seed=1,
    )  # fmt: skip


def ours(
    options: argparse.Namespace, folder: Path, rolling_out: str, learning: str, engine: str = "none"
) -> dict[str, Any]:
    """This project's step, with the dtypes of its two parts; the arithmetic of a causal leader is counted."""
    from repro.followers.follower import ScreenerFollower
    from repro.leader.leader import Leader
    from repro.methods.config import SROConfig
    from repro.methods.sro import SROTrainer

    leader = Leader(load_leader(options.leader), train=options.layers, max_length=64, dtype=learning)
    config = SROConfig(
        beta=BETA, epsilon=EPSILON, rollouts=options.copies, sample=True, temperature=1.0, seed=1,
        rollout_max_new_tokens=MAX_NEW_TOKENS, shift_right=True, rejected_with_prompt=False, rollout_dropout=0.0,
        rollout_dtype=rolling_out, rollout_engine=engine, siblings=False, lone_fail_weight=1.0, imitation=0.0,
    )  # fmt: skip
    size = options.rollouts // options.copies
    counts: list[float] = []
    rolling: list[float] = []

    class Counting(SROTrainer):
        def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
            settle()
            start = time.perf_counter()
            prepared = super()._prepare_inputs(inputs)
            rolling.append(time.perf_counter() - start)
            return prepared

        def losses(self, prompts: Any, outputs: Any, text_indices: Any, rejected: Any, passed: Any) -> Any:
            if not leader.seq2seq:
                counts.append(
                    useful_operations(leader.model, options.layers, prompts, outputs, text_indices, rejected, passed)
                )
            return super().losses(prompts, outputs, text_indices, rejected, passed)

    texts = texts_of(size * (options.steps + 1))
    keywords = budget(options, folder, size)
    trainer = Counting(leader, ScreenerFollower(screener()), config, keywords, texts, log=lambda _: None)
    seconds = timed(trainer)
    # The first step is not measured.
    return {"seconds": seconds, "rolling": rolling[1:], "operations": counts[1:], "texts": size, "updates": 1}


def useful_operations(
    model: Any,
    top: int,
    prompts: Sequence[Sequence[int]],
    outputs: Sequence[Sequence[int]],
    owners: Sequence[int],
    rejected: Sequence[Sequence[int]],
    passed: Sequence[bool],
) -> float:
    """Floating-point operations that a step which trains the `top` layers needs: two for each weight a token meets.

    Rolling out: a prompt is read once; a new token goes through the head, and all but the last through all layers.
    Learning: a prompt and its targets, less the last token of each, are read once by the frozen layers, and by the
    trained ones for policy and reference; going back costs twice as much there, less what the lowest trained layer
    would hand on, and once at the head, which is frozen. Attention between tokens is not counted.
    """
    layers = [sum(p.numel() for p in layer.parameters()) for layer in model.model.layers]
    frozen, trained = sum(layers[:-top]), sum(layers[-top:])
    head = model.lm_head.weight.numel()
    new, read = sum(map(len, outputs)), sum(map(len, prompts))
    rolling = 2 * (frozen + trained) * (read + new - len(outputs)) + 2 * head * new
    right = {owner for owner, ok in zip(owners, passed, strict=True) if ok}
    targets = new + sum(len(rejected[owner]) for owner in right)
    through = read + targets - len(outputs) - len(right)
    learning = (2 * frozen + 8 * trained - 2 * layers[-top]) * through + 6 * head * targets
    return float(rolling + learning)


def timed(trainer: Any) -> list[float]:
    """Trains; seconds of each step but the first."""
    from transformers import TrainerCallback

    moments: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *given: Any, **named: Any) -> None:
            settle()
            moments.append(time.perf_counter())

    trainer.add_callback(Clock())
    trainer.train()
    return [after - before for before, after in itertools.pairwise(moments)]


def released(options: argparse.Namespace) -> dict[str, Any]:
    """The released loop; a step is as many texts as the other arms' step has rollouts."""
    import torch

    loaded, reference, judge = load_leader(options.leader), load_leader(options.leader).model, screener()
    model, tokenizer, seq2seq = loaded.model, loaded.tokenizer, loaded.seq2seq
    device = model.device
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)

    def logprob(which: Any, prompt: list[int], target: list[int]) -> torch.Tensor:
        wanted = torch.tensor([target], device=device)
        if seq2seq:
            shifted = torch.tensor([[model.config.decoder_start_token_id, *target[:-1]]], device=device)
            logits = which(input_ids=torch.tensor([prompt], device=device), decoder_input_ids=shifted).logits
        else:
            logits = which(torch.tensor([[*prompt, *target]], device=device)).logits[:, len(prompt) - 1 : -1]
        return logits.log_softmax(-1).gather(-1, wanted.unsqueeze(-1)).sum()

    def learn(text: str) -> None:
        prompt = tokenizer(PROMPT.format(text=text))["input_ids"]
        toxic = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
        model.train()
        row = model.generate(
            torch.tensor([prompt], device=device), max_new_tokens=MAX_NEW_TOKENS, do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
        )[0].tolist()  # fmt: skip
        output = row[1:] if seq2seq else row[len(prompt) :]
        passed = bool(judge.passes([tokenizer.decode(output, skip_special_tokens=True)])[0])
        with torch.no_grad():
            before = [logprob(reference, prompt, target) for target in (output, toxic)]
        now = [logprob(model, prompt, target) for target in (output, toxic)]
        answer, text_itself = (a - b for a, b in zip(now, before, strict=True))
        z = BETA * (answer - text_itself if passed else -answer)
        loss = -(1 - EPSILON) * torch.nn.functional.logsigmoid(z) - EPSILON * torch.nn.functional.logsigmoid(-z)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    seconds = []
    n = options.rollouts
    texts = texts_of(n * (options.steps + 1))
    for step in range(options.steps + 1):
        start = time.perf_counter()
        for text in texts[step * n : (step + 1) * n]:
            learn(text)
        settle()
        if step:
            seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "texts": n, "updates": n}


def by_trl(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """trl's OnlineDPO: two rollouts a text, of which the one that the screener likes better is preferred."""
    import warnings

    from datasets import Dataset

    warnings.filterwarnings("ignore")
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

    from repro.leader.leader import Leader

    leader, judge = Leader(load_leader(options.leader), train=options.layers, max_length=64), screener()
    if leader.seq2seq:
        raise InputError("trl's OnlineDPOTrainer trains causal models only; leave this arm out with --arms")
    # Of the leader only the choice of trained layers is wanted, not its own copy of them as a reference.
    leader.split_decoder = None
    size = options.rollouts // 2
    keywords = budget(options, folder, size)
    rows = [{"prompt": PROMPT.format(text=text)} for text in texts_of(size * (options.steps + 1))]
    trainer = OnlineDPOTrainer(
        model=leader.model,
        reward_funcs=lambda completions, **given: (1 - judge.p_toxic(completions)).tolist(),
        args=OnlineDPOConfig(**keywords, max_new_tokens=MAX_NEW_TOKENS, max_length=128, beta=BETA, temperature=1.0),
        train_dataset=Dataset.from_list(rows),
        processing_class=leader.tokenizer,
    )
    return {"seconds": timed(trainer), "texts": size, "updates": 1}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One arm in this process."""
    with tempfile.TemporaryDirectory() as folder:
        arms: dict[str, Callable[[], dict[str, Any]]] = {
            "ours": lambda: ours(options, Path(folder), "float32", "float32"),
            "ours-bfloat16": lambda: ours(options, Path(folder), "bfloat16", "bfloat16"),
            "ours-bfloat16-rollouts": lambda: ours(options, Path(folder), "bfloat16", "float32"),
            VLLM: lambda: ours(options, Path(folder), "bfloat16", "bfloat16", "vllm"),
            "released": lambda: released(options),
            "trl": lambda: by_trl(options, Path(folder)),
        }
        found = arms[options.measure]()
    import torch

    if torch.cuda.is_available():
        return {**found, "peak": torch.cuda.max_memory_allocated() / 2**20}
    return {**found, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def settle() -> None:
    """Returns when a GPU, if there is one, has done what it was told."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def matmul_rate(dtype: str, seconds: float = 1.0) -> float:
    """Floating-point operations per second of square matrix products in `dtype` here."""
    import torch

    device, side = ("cuda", 8192) if torch.cuda.is_available() else ("cpu", 1024)
    a, b = (torch.randn(side, side, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    torch.mm(a, b)
    times: list[float] = []
    while sum(times) < seconds:
        settle()
        start = time.perf_counter()
        torch.mm(a, b)
        settle()
        times.append(time.perf_counter() - start)
    return 2 * side**3 / statistics.median(times)


def rate_kind(arm: str) -> str:
    """The dtype of products whose rate an arm is held against."""
    import torch

    return "bfloat16" if arm in ("ours-bfloat16", VLLM) and torch.cuda.is_available() else "float32"


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python bench/training.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--leader", default="smollm2-135m-q4", metavar="NAME", help="the leader (smollm2-135m-q4), or t5"
    )
    parser.add_argument("--layers", type=int, default=8, metavar="N", help="layers trained, but by `released` (8)")
    parser.add_argument("--rollouts", type=int, default=48, metavar="N", help="rollouts a step (48)")
    parser.add_argument("--copies", type=int, default=6, metavar="N", help="rollouts per text, for this project (6)")
    parser.add_argument("--steps", type=int, default=2, metavar="N", help="steps measured in one process (2)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="processes of each arm (3)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=USUAL, help=f"which arms (all but {VLLM})")
    parser.add_argument("--measure", choices=ARMS, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if min(options.steps, options.repeats, options.copies) < 1 or options.rollouts % (2 * options.copies):
        raise InputError("--steps, --repeats, --copies: at least 1; --rollouts: a multiple of 2 x --copies")
    if options.measure:
        print(json.dumps(measure(options)))
        return
    import torch

    machine = f"{torch.get_num_threads()} threads, {platform.machine()}"
    if torch.cuda.is_available():
        machine += f", {torch.cuda.get_device_name()}"
    print(f"{options.leader}, {options.rollouts} rollouts a step, {machine}, torch {torch.__version__}")
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in options.arms}
    rates: dict[str, list[float]] = {}
    for arm in progress([*found] * options.repeats, "arms"):
        found[arm].append(_in_process(arm, argv))
        rates.setdefault(rate_kind(arm), []).append(matmul_rate(rate_kind(arm)))
    _tell(options.rollouts, found, {kind: statistics.median(values) for kind, values in rates.items()})


def _in_process(arm: str, argv: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, *argv, "--measure", arm], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with exit code {done.returncode}"])[-1]
        raise InputError(f"arm {arm}: {last}")
    value: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return value


def _tell(rollouts: int, found: dict[str, list[dict[str, Any]]], rates: dict[str, float]) -> None:
    print("| arm | texts a step | updates | rollouts per second | times released | peak memory, MiB |")
    print("|---|--:|--:|--:|--:|--:|")
    speed = {
        arm: rollouts / statistics.median(second for run in runs for second in run["seconds"])
        for arm, runs in found.items()
    }
    for arm, runs in found.items():
        ratio = f"{speed[arm] / speed['released']:.1f}" if "released" in speed else ""
        peak = statistics.median(run["peak"] for run in runs)
        texts, updates = runs[0]["texts"], runs[0]["updates"]
        print(f"| {arm} | {texts} | {updates} | {speed[arm]:.2f} | {ratio} | {peak:,.0f} |")
    print()
    for kind, rate in rates.items():
        print(f"matrix products in {kind}: {rate / 1e9:,.0f} billion operations per second")
    for arm, runs in found.items():
        rolled = [second for run in runs for second in run.get("rolling", [])]
        if rolled:
            print(f"{arm}: {statistics.median(rolled):.3f} of {rollouts / speed[arm]:.3f} s a step go to rolling out")
        counted = [n for run in runs for n in run.get("operations", [])]
        if not counted:
            continue
        needed, rate = statistics.median(counted), rates[rate_kind(arm)]
        share = needed / rate * speed[arm] / rollouts
        print(
            f"{arm}: {needed / 1e9:,.0f} billion useful operations a step, {needed / rate:.3g} s at that rate; "
            f"reached: {share:.1%} of it"
        )


if __name__ == "__main__":
    run_command(main)
