"""The `eval.yaml` of a benchmark data set on the Hub, by which `inspect eval hf/ORG/NAME/j` finds prompt and metric.

Names nothing but what inspect-ai allows there: its own solvers and scorers. The metrics come in as the grader that one
of them asks, and which this package registers (metrics/inspect_ai/scores.py). Needs no inspect-ai itself.
"""

from __future__ import annotations

from typing import Any

import yaml

from metrics.generation.decoding import DEFAULT_MAX_NEW_TOKENS
from metrics.models.prompts import CHAT_PREFIX, CHAT_PROMPT

GRADER = "detox_suite"
# Greedy under every provider: inspect's `hf` samples and refuses temperature 0, others know no top_k.
DECODING: dict[str, Any] = {"max_tokens": DEFAULT_MAX_NEW_TOKENS, "temperature": 0.01, "top_k": 1}
DESCRIPTION = (
    "Text detoxification: toxic sentences are rewritten politely. STA: the rewrite is not toxic; SIM: it means the "
    "same; FL: it is fluent; J: the mean of their products per sentence."
)


def eval_yaml(
    name: str = "Text detoxification",
    description: str = DESCRIPTION,
    *,
    config: str = "sample",
    split: str = "test",
    profile: str = "offline",
) -> str:
    """An eval.yaml with the tasks j, sta, sim and fl.

    config, split: of the data set, with columns `source`, `reference` (the first human rewrite) and `references`.
    profile: a metric protocol by its name.
    """
    return yaml.safe_dump(
        {
            "name": name,
            "description": description,
            "evaluation_framework": "inspect-ai",
            "tasks": [_task(metric, config, split, profile) for metric in ("j", "sta", "sim", "fl")],
        },
        sort_keys=False,
        allow_unicode=True,
        width=120,
    )


def _task(metric: str, config: str, split: str, profile: str) -> dict[str, Any]:
    template = CHAT_PROMPT.removeprefix(CHAT_PREFIX).replace("{text}", "{prompt}")
    return {
        "id": metric,
        "config": config,
        "split": split,
        "field_spec": {"input": "source", "target": "reference", "metadata": ["references"]},
        "solvers": [
            {"name": "prompt_template", "args": {"template": template}},
            {"name": "generate", "args": dict(DECODING)},
        ],
        "scorers": [
            {
                "name": "model_graded_qa",
                "args": {
                    "model": f"{GRADER}/{profile}/{metric}",
                    # Literals, so that no text can be taken for another's part.
                    "template": "({question!r}, {answer!r}, {references!r})",
                    # A number. Anything else is no grade, and the sample stays out of the mean.
                    "grade_pattern": r"^(-?\d[\d.e-]*)$",
                },
            }
        ],
    }
