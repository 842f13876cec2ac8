"""Rollouts of the leader before training, with their verdicts: what DPO and KTO learn from."""

from functools import partial
from typing import Any, NamedTuple

from metrics.util.errors import InputError
from metrics.util.files import append_json_lines, read_json_lines
from metrics.util.progress import progress
from repro.followers.follower import Verdict, verdict_shares
from repro.leader.rollouts import RolloutGenerator
from repro.methods.context import TrainingContext
from repro.methods.sro import SEED_STRIDE

ROLLOUTS_FILE = "rollouts.jsonl"


class Rollout(NamedTuple):
    """A rollout of the untrained leader: the text that was rolled out, and the rollout's token ids and verdict."""

    text: str
    output: list[int]
    passed: bool


def untrained_rollouts(context: TrainingContext) -> list[Rollout]:
    """Roll out as many texts as SRO would in the recipe's budget, batch after batch, starting over at the last text.

    Each batch is appended to a file in the context's folder, so that an interrupted run resumes with the next one.

    Raises:
        InputError: No rollout passes.
    """
    config, leader = context.config, context.leader
    generator = RolloutGenerator(leader, config)
    path = context.output_dir / ROLLOUTS_FILE
    stored = read_json_lines(path, partial(_is_written, size=config.batch_size * config.rollouts))
    done = {batch["batch"]: (batch["outputs"], batch["verdicts"]) for batch in stored}
    batches = range(context.num_updates * config.accumulation)
    missing = [batch for batch in batches if batch not in done]
    with append_json_lines(path) as append:
        for batch in progress(missing, "rollouts", unit="batches"):
            sources = _batch_sources(context, batch)
            outputs = generator.generate(sources[:: config.rollouts], config.seed * SEED_STRIDE + batch)
            verdicts = context.follower.judge(sources, leader.decode(outputs), batch)
            done[batch] = outputs, verdicts
            append({"batch": batch, "outputs": outputs, "verdicts": verdicts})
    rollouts, verdicts = [], []
    for batch in batches:
        for source, output, verdict in zip(_batch_sources(context, batch), *done[batch], strict=True):
            rollouts.append(Rollout(source, output, verdict == Verdict.PASS))
            verdicts.append(Verdict(verdict))
    if missing:
        context.log({"rollouts": len(rollouts), **verdict_shares(verdicts)})
    if not any(rollout.passed for rollout in rollouts):
        raise InputError(f"none of {len(rollouts)} rollouts passed, {config.method} has nothing to learn from")
    return rollouts


def _is_written(line: Any, size: int) -> bool:
    """Whether a stored line is a batch of `size` rollouts: its number, their token ids and verdicts."""
    if not isinstance(line, dict) or line.keys() != {"batch", "outputs", "verdicts"} or type(line["batch"]) is not int:
        return False
    outputs, verdicts = line["outputs"], line["verdicts"]

    def is_rollout(ids: Any) -> bool:
        return isinstance(ids, list) and bool(ids) and all(type(i) is int and 0 <= i < 2**31 for i in ids)

    return (
        isinstance(outputs, list) and isinstance(verdicts, list) and len(outputs) == len(verdicts) == size
        and all(map(is_rollout, outputs))
        and all(type(verdict) is int and verdict in {*Verdict} for verdict in verdicts)
    )  # fmt: skip


def _batch_sources(context: TrainingContext, batch: int) -> list[str]:
    """Return the texts of a batch, each repeated once per rollout."""
    size = context.config.batch_size * context.config.rollouts
    first = batch * context.config.batch_size
    return [context.texts[(first + i // context.config.rollouts) % len(context.texts)] for i in range(size)]
