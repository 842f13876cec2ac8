"""Facts about a model that this run used or trained, for its row on the leaderboard."""

from __future__ import annotations

from typing import Any

from leaderboard.rows.systems import system_facts
from metrics.data.near_duplicates import NearDuplicates
from metrics.models.cards import card_facts
from repro.baselines import UNTOUCHED, UNTRAINED
from repro.config.inputs import Inputs
from repro.config.section import NameConfig
from repro.methods import METHODS, PARALLEL
from repro.methods.config import MethodConfig
from repro.training.config import WarmupConfig


class FactsConfig(MethodConfig, WarmupConfig, NameConfig):
    """The fields that the facts are made of."""


def model_facts(name: str, config: FactsConfig, inputs: Inputs) -> dict[str, Any]:
    """Return licence, base model, training data and contamination of one of the run's models.

    Args:
        name: The system: the warm-up, an untrained rewriter, or the recipe's method.
        config: How it was trained.
        inputs: The corpora, the test sentences and the leader.

    Returns:
        Fields of `leaderboard.rows.row.About`.
    """
    warms_up = config.warmup != "none"
    warmed = "warmed up as a paraphraser" if warms_up else "as it is, without a warm-up"
    training = {"warm-up": warmed, **UNTRAINED, **METHODS}[name]
    # Best-of-k draws from the model that the recipe's method trained.
    method = config.method if name == "best-of-k" else name
    training += f" (a model trained by {method})" if method in METHODS and method != name else ""
    corpora = []
    if name not in UNTOUCHED and (warms_up or method in METHODS):
        corpora += [*inputs.screening, *inputs.noise, *([inputs.paraphrases] if inputs.paraphrases else [])]
    if method in METHODS and method not in PARALLEL:
        corpora.append(inputs.toxic)
    if method in PARALLEL and inputs.parallel:
        corpora.append(inputs.parallel)
    seen = NearDuplicates(
        text for c in corpora for text in (*c.toxic, *c.neutral, *(side for pair in c.pairs for side in pair))
    )
    count = sum(map(seen.contains, inputs.test.sources))
    leader = system_facts(inputs.leader.name, inputs.test.name, card_facts(inputs.leader))
    return {
        "licence": leader.licence,
        "base": inputs.leader.name,
        "training_data": list(dict.fromkeys("sample" if c.origin == "sample" else c.name for c in corpora)),
        # The warm-up's pairs are paraphrases: none of them is a toxic sentence with a neutral one.
        "parallel_data": method in PARALLEL or name == "few-shot",
        "contamination": "contaminated" if count else "clean",
        "note": f"{training}, recipe {config.name}; {count} of {len(inputs.test.sources)} test sentences stand nearly "
        "word for word in its training texts",
    }
