"""Warm-up: maximum-likelihood training that makes a paraphraser of an instruction model, without parallel data.

Rude words, and short spans around rude words of toxic sentences, are added to a neutral sentence, inserted at random
positions or substituted for a word; the target is the neutral sentence. Paraphrase pairs are mixed in if there are any.
"""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from metrics.systems.baselines import lexicon
from metrics.util.errors import InputError
from repro.distributed import global_mean_loss, num_processes
from repro.training.config import WarmupConfig
from repro.training.distributed_trainer import DistributedTrainer

_MAX_CONTEXT = 2
# Longest toxic text, in words, that noise is taken from: longer ones are comments, not sentences.
_MAX_TOXIC_WORDS = 25


class Noise(NamedTuple):
    """Rude words of toxic sentences, with their contexts.

    Attributes:
        spans: Spans of words with a rude one in each, to insert.
        substitutes: Rude words by their two neighbours, in lower case; "" stands for the end of a sentence.
    """

    spans: list[list[str]]
    substitutes: dict[tuple[str, str], list[str]]


def rude_noise(toxic: Sequence[str], rng: random.Random) -> Noise:
    """Return the noise in toxic sentences; half are single words, half have up to two words on each side."""
    rude = lexicon()
    noise = Noise([], {})
    for text in toxic:
        words = text.split()
        around = ["", *(word.lower() for word in words), ""]
        for position, word in enumerate(words):
            if word.lower().strip(".,!?") in rude:
                left = rng.randint(0, min(_MAX_CONTEXT, position))
                right = rng.randint(0, min(_MAX_CONTEXT, len(words) - 1 - position))
                bare = rng.random() < 0.5
                noise.spans.append([word] if bare else words[position - left : position + right + 1])
                noise.substitutes.setdefault((around[position], around[position + 2]), []).append(word)
    return noise


def add_noise(text: str, noise: Noise, max_changes: int, substitution_share: float, rng: random.Random) -> str:
    """Return a neutral sentence with noise.

    Insertions teach the leader to delete; substitutions teach it to find a word that fits.

    Args:
        text: The sentence.
        noise: What to add.
        max_changes: Upper limit of the number of changes, which is drawn uniformly from 1 to it.
        substitution_share: Share of changes that replace a word by a rude one with the same neighbours, if any.
        rng: Draws the changes.
    """
    words = text.split()
    for _ in range(rng.randint(1, max_changes)):
        around = ["", *(word.lower() for word in words), ""]
        positions = [i for i in range(len(words)) if (around[i], around[i + 2]) in noise.substitutes]
        if positions and rng.random() < substitution_share:
            position = rng.choice(positions)
            words[position] = rng.choice(noise.substitutes[around[position], around[position + 2]])
        else:
            position = rng.randint(0, len(words))
            words[position:position] = rng.choice(noise.spans)
    return " ".join(words)


def denoising_rows(
    neutral: Sequence[str], toxic: Sequence[str], pairs: Sequence[tuple[str, str]], config: WarmupConfig, seed: int
) -> list[dict[str, Any]]:
    """Return the training rows of all processes: `source`, `target`, and `length`, the number of words in both.

    Args:
        neutral: Neutral sentences; those with a rude word, and those of under 4 or over `warmup_max_words` words, are
            left out.
        toxic: Toxic texts, which the noise is taken from; long ones are left out.
        pairs: Paraphrases (source, target).
        config: Number of rows, noise, and share of paraphrases.
        seed: Seed of everything that is drawn.

    Raises:
        InputError: No neutral sentence is left.
    """
    rng, rude = random.Random(seed), lexicon()
    noise = rude_noise([t for t in dict.fromkeys(toxic) if len(t.split()) <= _MAX_TOXIC_WORDS], rng)
    if not noise.spans:
        noise = Noise([[word] for word in sorted(rude)], {})
    longest = config.warmup_max_words
    clean = [t for t in neutral if 4 <= len(t.split()) <= longest and not rude & set(t.lower().split())]
    if not clean:
        raise InputError(f"the warm-up needs neutral sentences of 4 to {longest} words; choose other screener_corpora")
    short_pairs = [p for p in pairs if max(len(p[0].split()), len(p[1].split())) <= longest]
    rows = []
    for _ in range(config.warmup_steps * config.warmup_batch_size * num_processes()):
        if short_pairs and rng.random() < config.warmup_pair_share:
            source, target = rng.choice(short_pairs)
        else:
            target = rng.choice(clean)
            source = add_noise(target, noise, config.warmup_changes, config.warmup_substitutions, rng)
        rows.append({"source": source, "target": target, "length": len(source.split()) + len(target.split())})
    return rows


class WarmupTrainer(DistributedTrainer):
    """Maximises the likelihood of `target` given `source`; `denoising_rows` makes the rows."""

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Return the mean negative log-likelihood per target token."""
        self.leader.model.eval()
        targets = self.leader.target_ids(inputs["target"])
        policy, _ = self.logprobs(self.leader.prompt_ids(inputs["source"]), targets, reference=False)
        return global_mean_loss(-policy.sum(), sum(len(t) for t in targets))
