"""The `eval.yaml` of a benchmark data set on the Hub, which gives `inspect eval hf/ORG/NAME/j` its prompt and metric.

inspect-ai allows its own solvers and scorers only in this file. Its scorer `model_graded_qa` calls a grader model; the
metrics are such graders, which this package registers (metrics/inspect_ai/scores.py). This module does not import
inspect-ai.
"""

from typing import Any

import yaml

from metrics.generation.decoding import DEFAULT_MAX_NEW_TOKENS
from metrics.models.prompts import CHAT_PREFIX, CHAT_PROMPT

GRADER = "detox_suite"
# Greedy with every provider: inspect's `hf` samples and refuses temperature 0; other providers ignore top_k.
DECODING: dict[str, Any] = {"max_tokens": DEFAULT_MAX_NEW_TOKENS, "temperature": 0.01, "top_k": 1}
_DESCRIPTION = (
    "Text detoxification: toxic sentences are rewritten politely. STA: the rewrite is not toxic; SIM: it means the "
    "same; FL: it is fluent; J: the mean of their products per sentence."
)


def eval_yaml(
    name: str = "Text detoxification", description: str = _DESCRIPTION,
    *, config: str = "sample", split: str = "test", profile: str = "offline",
) -> str:  # fmt: skip
    """Return the text of an eval.yaml with the tasks j, sta, sim and fl.

    Args:
        name: The benchmark's name.
        description: One paragraph about the benchmark.
        config: The data set's configuration, with the columns `source`, `reference` (the first human rewrite) and
            `references`.
        split: The split to evaluate.
        profile: The metric protocol.
    """
    tasks = [_task(metric, config, split, profile) for metric in ("j", "sta", "sim", "fl")]
    benchmark = {"name": name, "description": description, "evaluation_framework": "inspect-ai", "tasks": tasks}
    return yaml.safe_dump(benchmark, sort_keys=False, allow_unicode=True, width=120)


def _task(metric: str, config: str, split: str, profile: str) -> dict[str, Any]:
    template = CHAT_PROMPT.removeprefix(CHAT_PREFIX).replace("{text}", "{prompt}")
    grading = {
        "model": f"{GRADER}/{profile}/{metric}",
        # Python literals, so that no text can pass for a part of another.
        "template": "({question!r}, {answer!r}, {references!r})",
        # A number. inspect-ai leaves a sample with any other answer out of the mean.
        "grade_pattern": r"^(-?\d[\d.e-]*)$",
    }
    return {
        "id": metric,
        "config": config,
        "split": split,
        "field_spec": {"input": "source", "target": "reference", "metadata": ["references"]},
        "solvers": [
            {"name": "prompt_template", "args": {"template": template}},
            {"name": "generate", "args": dict(DECODING)},
        ],
        "scorers": [{"name": "model_graded_qa", "args": grading}],
    }
