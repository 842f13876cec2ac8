"""`python bench/training.py`: rollouts per second of SRO's training step, against two other implementations.

Arms:
- `ours`: this project's step with the paper's objective and the screener alone as follower.
- `ours-bfloat16`: the same with bfloat16 weights for rollouts and bfloat16 matmuls for training.
- `ours-bfloat16-rollouts`: the same with bfloat16 weights for rollouts only.
- `ours-vllm`: `ours-bfloat16` with rollouts by vLLM, where it is installed.
- `released`: a loop with the costs of the released one (facts from its notebooks, the code is this project's): one text
  at a time, greedy, two full models, all weights trained, one update per rollout, both texts under both models, and a
  log-softmax over the vocabulary. The objective is the published one, in float32.
- `trl`: trl's OnlineDPOTrainer with the screener as reward; it trains the same top layers as `ours`.

Leader, number and length of rollouts, and threads are the same in all arms; the table lists texts and updates per step,
which are not. Each arm runs in processes of its own, which take turns. A process takes one step to warm up and measures
the next. The table has medians and the peak memory (on a GPU: the GPU's). For `ours` the bench prints also the time
of rollouts, and for causal leaders useful floating-point operations, as a share of what the machine reaches in square
matmuls (float32 on a CPU, the arm's dtype on a GPU).
"""

import argparse
import itertools
import json
import os
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset
from leaders import PROMPT, load_leader
from measuring import machine, run_process, synchronize
from torch.utils.benchmark import Timer
from transformers import TrainerCallback

from metrics.data.corpora import load_corpus
from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command
from metrics.util.progress import progress
from repro.followers.follower import ScreenerFollower
from repro.followers.ngrams import NBSVM
from repro.leader.leader import Leader
from repro.leader.split_decoder import Tokens
from repro.methods.config import SROConfig
from repro.methods.sro import SROTrainer
from repro.training.trainer import training_arguments

# Arms of this project -> dtype of rollouts, dtype of training, rollout engine.
OURS = {
    "ours": ("float32", "float32", "none"),
    "ours-bfloat16": ("bfloat16", "bfloat16", "none"),
    "ours-bfloat16-rollouts": ("bfloat16", "float32", "none"),
    "ours-vllm": ("bfloat16", "bfloat16", "vllm"),
}
ARMS = (*OURS, "released", "trl")
MAX_NEW_TOKENS = 20
BETA, EPSILON, LEARNING_RATE = 0.1, 0.1, 2e-5


def _toxic_texts(n: int) -> list[str]:
    """Return n toxic sentences of the built-in sample, which repeat if it has fewer."""
    toxic = [text for text in load_corpus("sample").toxic if 6 <= len(text.split()) <= 14]
    return [toxic[i % len(toxic)] for i in range(n)]


def _fit_screener() -> NBSVM:
    corpus = load_corpus("sample")
    return NBSVM().fit(corpus.toxic, corpus.neutral)


def _arguments(options: argparse.Namespace, folder: Path, texts: int) -> dict[str, Any]:
    """Return keyword arguments of `TrainingArguments`: one step to warm up and those to measure, nothing written."""
    return training_arguments(
        folder, max_steps=options.steps + 1, per_device_train_batch_size=texts, learning_rate=LEARNING_RATE,
        weight_decay=0.01, lr_scheduler_type="constant_with_warmup", save_strategy="no", seed=1,
    )  # fmt: skip


def _run_ours(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure this project's step, its rollouts alone, and the operations of a causal leader."""
    rollout_dtype, train_dtype, engine = OURS[options.measure]
    leader = Leader(load_leader(options.leader), train=options.layers, max_length=64, dtype=train_dtype)
    config = SROConfig(
        beta=BETA, epsilon=EPSILON, rollouts=options.copies, sample=True, temperature=1.0, seed=1,
        rollout_max_new_tokens=MAX_NEW_TOKENS, shift_right=True, rejected_with_prompt=False, rollout_dropout=0.0,
        rollout_dtype=rollout_dtype, rollout_engine=engine, siblings=False, lone_fail_weight=1.0, credit="all",
        imitation=0.0,
    )  # fmt: skip
    size = options.rollouts // options.copies
    measured: dict[str, list[float]] = {"rollout_seconds": [], "operations": []}

    class MeasuredTrainer(SROTrainer):
        def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
            synchronize()
            start = time.perf_counter()
            prepared = super()._prepare_inputs(inputs)
            measured["rollout_seconds"].append(time.perf_counter() - start)
            return prepared

        def losses(self, *args: Any, **kwargs: Any) -> Any:
            if not leader.seq2seq:
                measured["operations"].append(useful_operations(leader.model, options.layers, *args, **kwargs))
            return super().losses(*args, **kwargs)

    texts, arguments = _toxic_texts(size * (options.steps + 1)), _arguments(options, folder, size)
    follower = ScreenerFollower(_fit_screener())
    ends = _train(MeasuredTrainer(leader, follower, config, arguments, texts, log=lambda _: None))
    return {"ends": ends, **{name: values[1:] for name, values in measured.items()}, "texts": size, "updates": 1}


def useful_operations(
    model: Any, top_layers: int, prompts: Tokens, outputs: Tokens, text_indices: Sequence[int], rejected: Tokens,
    passed: Sequence[bool],
) -> float:  # fmt: skip
    """Return the floating-point operations that a step which trains `top_layers` needs, two per weight and token.

    Rollouts: each prompt is prefilled once; new tokens pass the head, all but the last all layers. Training: prompts
    and targets, without the last token of each, pass the frozen layers once, and the trained ones for policy and
    reference. The backward pass costs twice as much there, except for the input gradient of the lowest trained layer,
    and once at the frozen head. Attention between tokens is not counted. The model is llama-like; `prompts` and the
    arguments behind it are those of `SROTrainer.losses`.
    """
    layers = [sum(p.numel() for p in layer.parameters()) for layer in model.model.layers]
    frozen, trained = sum(layers[:-top_layers]), sum(layers[-top_layers:])
    head = model.lm_head.weight.numel()
    new, prefilled = sum(map(len, outputs)), sum(map(len, prompts))
    rollouts = 2 * (frozen + trained) * (prefilled + new - len(outputs)) + 2 * head * new
    texts_with_pass = {text for text, ok in zip(text_indices, passed, strict=True) if ok}
    targets = new + sum(len(rejected[text]) for text in texts_with_pass)
    inputs = prefilled + targets - len(outputs) - len(texts_with_pass)
    training = (2 * frozen + 8 * trained - 2 * layers[-top_layers]) * inputs + 6 * head * targets
    return float(rollouts + training)


def _train(trainer: Any) -> list[float]:
    """Train, and return when each step ended."""
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            synchronize()
            ends.append(time.perf_counter())

    trainer.add_callback(Clock())
    trainer.train()
    return ends


def _run_released(options: argparse.Namespace, _: Path) -> dict[str, Any]:
    """Measure the released loop; a step has as many texts as the other arms' steps have rollouts."""
    loaded, reference, screener = load_leader(options.leader), load_leader(options.leader).model, _fit_screener()
    model, tokenizer, seq2seq, device = loaded.model, loaded.tokenizer, loaded.seq2seq, loaded.model.device
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)

    def logprob(scorer: Any, prompt: list[int], target: list[int]) -> torch.Tensor:
        labels = torch.tensor([target], device=device)
        if seq2seq:
            shifted = torch.tensor([[model.config.decoder_start_token_id, *target[:-1]]], device=device)
            logits = scorer(input_ids=torch.tensor([prompt], device=device), decoder_input_ids=shifted).logits
        else:
            logits = scorer(torch.tensor([[*prompt, *target]], device=device)).logits[:, len(prompt) - 1 : -1]
        return logits.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).sum()

    def train_on(text: str) -> None:
        prompt = tokenizer(PROMPT.format(text=text))["input_ids"]
        toxic = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
        model.train()
        greedy = {"max_new_tokens": MAX_NEW_TOKENS, "do_sample": False, "pad_token_id": tokenizer.pad_token_id}
        row = model.generate(torch.tensor([prompt], device=device), **greedy)[0].tolist()
        output = row[1:] if seq2seq else row[len(prompt) :]
        passed = screener.passes([tokenizer.decode(output, skip_special_tokens=True)])[0]
        with torch.no_grad():
            under_reference = [logprob(reference, prompt, target) for target in (output, toxic)]
        under_policy = [logprob(model, prompt, target) for target in (output, toxic)]
        delta_y, delta_x = (a - b for a, b in zip(under_policy, under_reference, strict=True))
        z = BETA * (delta_y - delta_x if passed else -delta_y)
        optimizer.zero_grad()
        (-(1 - EPSILON) * F.logsigmoid(z) - EPSILON * F.logsigmoid(-z)).backward()
        optimizer.step()

    n = options.rollouts
    texts = iter(_toxic_texts(n * (options.steps + 1)))
    ends = []
    for _ in range(options.steps + 1):
        for text in itertools.islice(texts, n):
            train_on(text)
        synchronize()
        ends.append(time.perf_counter())
    return {"ends": ends, "texts": n, "updates": n}


def _run_trl(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure trl's OnlineDPO: of two rollouts per text it prefers the one with the higher reward."""
    warnings.filterwarnings("ignore")
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

    leader, screener = Leader(load_leader(options.leader), train=options.layers, max_length=64), _fit_screener()
    if leader.seq2seq:
        raise InputError("trl's OnlineDPOTrainer trains causal models only; leave this arm out with --arms")
    # This arm uses the leader for its choice of trained layers; trl makes its own reference.
    leader.split_decoder = None
    size = options.rollouts // 2
    arguments = _arguments(options, folder, size)
    prompts = [PROMPT.format(text=text) for text in _toxic_texts(size * (options.steps + 1))]
    trainer = OnlineDPOTrainer(
        model=leader.model,
        reward_funcs=lambda completions, **kwargs: (1 - screener.p_toxic(completions)).tolist(),
        args=OnlineDPOConfig(**arguments, max_new_tokens=MAX_NEW_TOKENS, max_length=128, beta=BETA, temperature=1.0),
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=leader.tokenizer,
    )
    return {"ends": _train(trainer), "texts": size, "updates": 1}


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the arm `options.measure` in this process."""
    run = {"trl": _run_trl, "released": _run_released}.get(options.measure, _run_ours)
    with tempfile.TemporaryDirectory() as folder:
        result = run(options, Path(folder))
    result["seconds"] = [after - before for before, after in itertools.pairwise(result.pop("ends"))]
    if torch.cuda.is_available():
        return {**result, "peak_mib": torch.cuda.max_memory_allocated() / 2**20}
    return {**result, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _matmul_rate(dtype: str) -> float:
    """Return the floating-point operations per second of square matmuls in `dtype`, measured for a second."""
    device, side = ("cuda", 8192) if torch.cuda.is_available() else ("cpu", 1024)
    factors = {name: torch.randn(side, side, device=device, dtype=getattr(torch, dtype)) for name in ("a", "b")}
    timer = Timer("torch.mm(a, b)", globals=factors, num_threads=torch.get_num_threads())
    return float(2 * side**3 / timer.blocked_autorange(min_run_time=1).median)


def _rate_dtype(arm: str) -> str:
    """Return the dtype of the matmuls that an arm is compared with."""
    train_dtype = OURS[arm][1] if arm in OURS else "float32"
    return train_dtype if torch.cuda.is_available() else "float32"


def main(argv: list[str]) -> None:
    """Run the command line."""
    parser = command_parser("python bench/training.py", __doc__)
    leaders = "smollm2-135m-q4 (default), t5 (of that size, see bench/leaders.py), or a model folder"
    parser.add_argument("--leader", default="smollm2-135m-q4", metavar="NAME", help=leaders)
    parser.add_argument("--layers", type=int, default=8, metavar="N", help="trained layers, but in `released` (8)")
    parser.add_argument("--rollouts", type=int, default=48, metavar="N", help="rollouts per step (48)")
    parser.add_argument("--copies", type=int, default=6, metavar="N", help="rollouts per text in `ours` (6)")
    parser.add_argument("--steps", type=int, default=2, metavar="N", help="measured steps per process (2)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="processes per arm (3)")
    default = [arm for arm in ARMS if arm != "ours-vllm"]  # every installation can run these
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=default, help="arms (all but ours-vllm)")
    parser.add_argument("--measure", choices=ARMS, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if min(options.steps, options.repeats, options.copies) < 1 or options.rollouts % (2 * options.copies):
        raise InputError("--steps, --repeats, --copies: at least 1; --rollouts: a multiple of 2 x --copies")
    if options.measure:
        print(json.dumps(_measure(options)))
        return
    print(f"{options.leader}, {options.rollouts} rollouts a step, {machine()}")
    results: dict[str, list[dict[str, Any]]] = {arm: [] for arm in options.arms}
    rates: dict[str, list[float]] = {}
    for arm in progress([*results] * options.repeats, "arms"):
        printed = run_process(f"arm {arm}", [sys.executable, __file__, *argv, "--measure", arm])
        results[arm].append(json.loads(printed.splitlines()[-1]))
        rates.setdefault(_rate_dtype(arm), []).append(_matmul_rate(_rate_dtype(arm)))
    _print_results(options.rollouts, results, {dtype: statistics.median(values) for dtype, values in rates.items()})


def _print_results(rollouts: int, results: dict[str, list[dict[str, Any]]], rates: dict[str, float]) -> None:
    print("| arm | texts a step | updates | rollouts per second | times released | peak memory, MiB |")
    print("|---|--:|--:|--:|--:|--:|")
    seconds = {arm: statistics.median(_join(runs, "seconds")) for arm, runs in results.items()}
    for arm, runs in results.items():
        ratio = f"{seconds['released'] / seconds[arm]:.1f}" if "released" in seconds else ""
        peak = statistics.median(run["peak_mib"] for run in runs)
        texts, updates = runs[0]["texts"], runs[0]["updates"]
        print(f"| {arm} | {texts} | {updates} | {rollouts / seconds[arm]:.2f} | {ratio} | {peak:,.0f} |")
    print()
    for dtype, rate in rates.items():
        print(f"matmuls in {dtype}: {rate / 1e9:,.0f} billion operations per second")
    for arm, runs in results.items():
        if rolling := _join(runs, "rollout_seconds"):
            print(f"{arm}: {statistics.median(rolling):.3f} of {seconds[arm]:.3f} s per step are rollouts")
        if operations := _join(runs, "operations"):
            useful = statistics.median(operations)
            least = useful / rates[_rate_dtype(arm)]
            reached = f"{least:.3g} s at that rate; reached: {least / seconds[arm]:.1%} of it"
            print(f"{arm}: {useful / 1e9:,.0f} billion useful operations a step, {reached}")


def _join(runs: list[dict[str, Any]], name: str) -> list[float]:
    return [value for run in runs for value in run.get(name, [])]


if __name__ == "__main__":
    run_command(main)
