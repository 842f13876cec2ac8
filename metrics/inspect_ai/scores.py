"""STA, SIM, FL and J inside inspect-ai: a scorer for tasks, and a grader model for eval.yaml.

Samples arrive one by one and are scored in batches; a batch can change a score in its last decimal
(`metrics.scoring.DECIMALS`).
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.to_thread
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, modelapi
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState
from inspect_ai.tool import ToolChoice, ToolInfo
from rich.markup import escape

from metrics.inspect_ai.eval_yaml import GRADER
from metrics.scoring import FACTORS, METRICS
from metrics.scoring.functions import load_measure, metric_values
from metrics.util.errors import InputError

# (source, output, references)
Rewrite = tuple[str, str, tuple[str, ...]]


class TaskError(PrerequisiteError, InputError):
    """An InputError that inspect's command prints in one line in place of a traceback."""

    def __init__(self, message: str) -> None:
        # inspect-ai prints the message as rich markup.
        super().__init__(escape(message))


@contextmanager
def input_errors() -> Iterator[None]:
    """Raise every `InputError` of the block as a `TaskError`."""
    try:
        yield
    except InputError as error:
        raise TaskError(f"error: {' '.join(str(error).split())}") from None


class BatchScorer:
    """Scores rewrites under one profile; those that arrive while a batch is scored form the next batch."""

    def __init__(self, profile: str) -> None:
        self._profile = profile
        self._pending: set[Rewrite] = set()
        self._scores: dict[Rewrite, dict[str, float] | None] = {}
        self._lock = anyio.Lock()

    async def score(self, source: str, output: str, references: Sequence[str]) -> dict[str, float] | None:
        """Score one rewrite.

        Args:
            source: The toxic sentence.
            output: Its rewrite.
            references: Human rewrites.

        Returns:
            The values by metric, all 0 for an empty output; None if the profile needs a reference and there is none.

        Raises:
            InputError: The profile or its models cannot be loaded.
        """
        rewrite = (source, output, tuple(references))
        self._pending.add(rewrite)
        async with self._lock:
            if rewrite not in self._scores:
                batch = sorted({rewrite, *self._pending})
                self._pending.clear()
                self._scores.update(await anyio.to_thread.run_sync(self._score_batch, batch))
        return self._scores[rewrite]

    def _score_batch(self, batch: list[Rewrite]) -> dict[Rewrite, dict[str, float] | None]:
        with input_errors():
            needs_references = any(load_measure(name, self._profile).needs_references for name in FACTORS)
            scorable = [rewrite for rewrite in batch if rewrite[2] or not needs_references]
            if not scorable:
                return dict.fromkeys(batch)
            sources, outputs, references = zip(*scorable, strict=True)
            table = metric_values("j", sources, outputs, references, self._profile)
        values = {rewrite: {name: float(table[name][i]) for name in METRICS} for i, rewrite in enumerate(scorable)}
        return {**dict.fromkeys(batch), **values}


def collapse_whitespace(output: str) -> str:
    """Return the output with each run of white space as one space, as `metrics.score` does."""
    return " ".join(output.split())


@functools.cache
def batch_scorer(profile: str) -> BatchScorer:
    """Return the scorer of a profile; the tasks of a process share it, so that each rewrite is scored once."""
    return BatchScorer(profile)


@scorer(metrics={name: [mean(), stderr()] for name in METRICS})
def detoxification(profile: str = "offline") -> Scorer:
    """Score outputs by STA, SIM, FL and J; a sample's targets are its human rewrites.

    Args:
        profile: The metric protocol.
    """

    async def score(state: TaskState, target: Target) -> Score:
        output = collapse_whitespace(state.output.completion)
        values = await batch_scorer(profile).score(state.input_text, output, [text for text in target if text])
        if values is None:
            why = f"profile {profile} needs human references; this sample has none"
            return Score.unscored(reason="scoring_failed", answer=output, explanation=why)
        return Score(value=values, answer=output)

    return score


@modelapi(name=GRADER)
class Grader(ModelAPI):
    """The grader `detox_suite/PROFILE/METRIC`: a metric in the form of a model, whose answer is the metric's value.

    Its prompt is the template of `eval_yaml`: source, output and references as Python literals.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        self._profile, _, self._metric = model_name.rpartition("/")
        with input_errors():
            if self._metric not in METRICS or not self._profile:
                raise InputError(f"{GRADER}/{model_name}: no such grader; {GRADER}/PROFILE/{{{','.join(METRICS)}}}")

    def max_connections(self) -> int:
        """Return how many samples may wait for the next batch."""
        return 1_000

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Score the rewrite in the last message of `input`; the other arguments are not used."""
        source, output, references = ast.literal_eval(input[-1].text)
        values = await batch_scorer(self._profile).score(source, collapse_whitespace(output), references)
        return ModelOutput.from_content(
            self.model_name, "no reference" if values is None else repr(values[self._metric])
        )
