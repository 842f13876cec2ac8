"""Warm-up: maximum-likelihood training that makes a paraphraser of an instruction model, without parallel data.

Neutral sentences are made rude (`repro.wording.rudeness`), and the leader restores them. Mixed in are toxic sentences
with rewrites by rule (`repro.training.softened`), and paraphrase pairs if there are any.
"""

import random
from collections.abc import Sequence
from typing import Any

from metrics.systems.baselines import lexicon
from metrics.util.errors import InputError
from repro.distributed import global_mean_loss, num_processes
from repro.leader.leader import Leader
from repro.training.config import WarmupConfig
from repro.training.distributed_trainer import DistributedTrainer
from repro.wording.registers import change_register
from repro.wording.rudeness import add_rudeness, call_names


def warmup_rows(
    neutral: Sequence[str],
    paraphrases: Sequence[tuple[str, str]],
    softened: Sequence[tuple[str, str]],
    config: WarmupConfig,
    seed: int,
) -> list[dict[str, str]]:
    """Return the training rows of all processes, `source` and `target`.

    Args:
        neutral: Neutral sentences; those with a rude word, and those of under 4 or over `warmup_max_words` words, are
            left out.
        paraphrases: Pairs (source, target).
        softened: Pairs (toxic sentence, rewrite by rule).
        config: Number of rows, changes per sentence, and shares of the pairs.
        seed: Seed of everything that is drawn.

    Raises:
        InputError: No neutral sentence is left.
    """
    rng, rude = random.Random(seed), lexicon()
    longest = config.warmup_max_words
    clean = [t for t in neutral if 4 <= len(t.split()) <= longest and not rude & set(t.lower().split())]
    if not clean:
        raise InputError(f"the warm-up needs neutral sentences of 4 to {longest} words; choose other warmup_corpora")
    short_pairs = [p for p in paraphrases if max(len(p[0].split()), len(p[1].split())) <= longest]
    rows = []
    for _ in range(config.warmup_steps * config.warmup_batch_size * num_processes()):
        if short_pairs and rng.random() < config.warmup_pair_share:
            source, target = rng.choice(short_pairs)
        elif softened and rng.random() < config.warmup_softened_share:
            source, target = rng.choice(softened)
        else:
            target = rng.choice(clean)
            named = call_names(target, rng) if rng.random() < config.warmup_names else None
            source, target = named or (add_rudeness(target, config.warmup_changes, rng), target)
        if rng.random() < config.warmup_registers:
            source, target = change_register(source, target, rng)
        rows.append({"source": source, "target": target})
    return rows


class WarmupTrainer(DistributedTrainer):
    """Maximises the likelihood of `target` given `source`; `warmup_rows` makes the rows."""

    def __init__(
        self, leader: Leader, arguments: dict[str, Any], rows: Sequence[dict[str, str]], **kwargs: Any
    ) -> None:
        prompts = leader.prompt_ids([row["source"] for row in rows])
        targets = leader.target_ids([row["target"] for row in rows])
        # In tokens: rows of as many words differ in tokens, and a batch is padded to its longest row.
        lengths = [len(prompt) + len(target) for prompt, target in zip(prompts, targets, strict=True)]
        measured = [{**row, "length": length} for row, length in zip(rows, lengths, strict=True)]
        super().__init__(leader, arguments, measured, **kwargs)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Return the mean negative log-likelihood per target token."""
        self.leader.model.eval()
        targets = self.leader.target_ids(inputs["target"])
        policy, _ = self.logprobs(self.leader.prompt_ids(inputs["source"]), targets, reference=False)
        return global_mean_loss(-policy.sum(), sum(len(t) for t in targets))
