"""Rollouts of the leader before training, with their verdicts: what DPO and KTO learn from."""

from dataclasses import dataclass

from metrics.util.errors import InputError
from metrics.util.files import append_json_lines, read_json_lines
from metrics.util.progress import progress
from repro.followers.follower import Verdict, verdict_shares
from repro.leader.rollouts import RolloutGenerator
from repro.methods.context import TrainingContext
from repro.methods.sro import SEED_STRIDE

ROLLOUTS_FILE = "rollouts.jsonl"


@dataclass(frozen=True)
class Rollout:
    """A rollout of the untrained leader.

    Attributes:
        text: The text that was rolled out.
        output: Token ids of the rollout.
        verdict: The follower's verdict on it.
    """

    text: str
    output: list[int]
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return self.verdict == Verdict.PASS


def untrained_rollouts(context: TrainingContext) -> list[Rollout]:
    """Roll out as many texts as SRO would in the recipe's budget, batch after batch, starting over at the last text.

    Each batch is appended to a file in the context's folder, so that an interrupted run resumes with the next one.

    Raises:
        InputError: No rollout passes.
    """
    config, leader = context.config, context.leader
    generator = RolloutGenerator(leader, config)
    path = context.output_dir / ROLLOUTS_FILE
    done = {batch["batch"]: (batch["outputs"], batch["verdicts"]) for batch in read_json_lines(path)}
    batches = range(context.num_updates * config.accumulation)
    missing = [batch for batch in batches if batch not in done]
    with append_json_lines(path) as append:
        for batch in progress(missing, "rollouts", unit="batches"):
            texts = _batch_texts(context, batch)
            outputs = generator.generate(texts, config.seed * SEED_STRIDE + batch)
            sources = [text for text in texts for _ in range(config.rollouts)]
            verdicts = context.follower.judge(sources, leader.decode(outputs), batch)
            done[batch] = outputs, verdicts
            append({"batch": batch, "outputs": outputs, "verdicts": verdicts})
    rollouts = []
    for batch in batches:
        sources = [text for text in _batch_texts(context, batch) for _ in range(config.rollouts)]
        rollouts += [Rollout(s, output, Verdict(v)) for s, output, v in zip(sources, *done[batch], strict=True)]
    if missing:
        context.log({"rollouts": len(rollouts), **verdict_shares([rollout.verdict for rollout in rollouts])})
    if not any(rollout.passed for rollout in rollouts):
        raise InputError(f"none of {len(rollouts)} rollouts passed, {config.method} has nothing to learn from")
    return rollouts


def _batch_texts(context: TrainingContext, batch: int) -> list[str]:
    size = context.config.batch_size
    return [context.texts[i % len(context.texts)] for i in range(batch * size, (batch + 1) * size)]
