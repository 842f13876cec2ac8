"""STA, SIM, FL and J inside inspect-ai: a scorer for tasks, and a grader model for eval.yaml.

Samples arrive one by one and are scored in batches; a batch can change a score in its last decimal
(`metrics.scoring.DECIMALS`).
"""

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

from metrics.generation.reasoning import cut_reasoning
from metrics.inspect_ai.eval_yaml import GRADER
from metrics.scoring import FACTORS, METRICS
from metrics.scoring.functions import load_measure, metric_values
from metrics.util.errors import InputError

# (source, output, references)
_Rewrite = tuple[str, str, tuple[str, ...]]
_Values = dict[str, float] | None


class TaskError(PrerequisiteError, InputError):
    """An InputError that inspect's command prints in one line, as rich markup, in place of a traceback."""


@contextmanager
def input_errors() -> Iterator[None]:
    """Raise every `InputError` of the block as a `TaskError`."""
    try:
        yield
    except InputError as error:
        raise TaskError(escape(f"error: {' '.join(str(error).split())}")) from None


class BatchScorer:
    """Scores rewrites under one profile; those that arrive while a batch is scored form the next batch."""

    def __init__(self, profile: str) -> None:
        self._profile = profile
        self._pending: set[_Rewrite] = set()
        self._scores: dict[_Rewrite, _Values] = {}
        self._lock = anyio.Lock()

    async def score(self, source: str, output: str, references: Sequence[str]) -> _Values:
        """Score a rewrite, without reasoning and with its white space collapsed as in `metrics.score`.

        Returns:
            The values by metric, all 0 for an empty output; None if the profile needs a reference and there is none.

        Raises:
            InputError: The profile or its models cannot be loaded.
        """
        rewrite = (source, " ".join(cut_reasoning(output).split()), tuple(references))
        self._pending.add(rewrite)
        async with self._lock:
            if rewrite not in self._scores:
                batch = sorted({rewrite, *self._pending})
                self._pending.clear()
                self._scores.update(await anyio.to_thread.run_sync(self._score_batch, batch))
        return self._scores[rewrite]

    def _score_batch(self, batch: list[_Rewrite]) -> dict[_Rewrite, _Values]:
        with input_errors():
            needs_references = any(load_measure(name, self._profile).needs_references for name in FACTORS)
            scorable = [rewrite for rewrite in batch if rewrite[2] or not needs_references]
            if not scorable:
                return dict.fromkeys(batch)
            sources, outputs, references = zip(*scorable, strict=True)
            table = metric_values("j", sources, outputs, references, self._profile)
        values = {rewrite: {name: float(table[name][i]) for name in METRICS} for i, rewrite in enumerate(scorable)}
        return {**dict.fromkeys(batch), **values}


# The tasks of a process share the scorer of a profile, so that each rewrite is scored once.
_batch_scorer = functools.cache(BatchScorer)


@scorer(metrics={name: [mean(), stderr()] for name in METRICS})
def detoxification(profile: str = "offline") -> Scorer:
    """Score outputs by STA, SIM, FL and J under a metric protocol; a sample's targets are its human rewrites."""

    async def score(state: TaskState, target: Target) -> Score:
        output = " ".join(cut_reasoning(state.output.completion).split())
        values = await _batch_scorer(profile).score(state.input_text, output, [text for text in target if text])
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

    def __init__(self, model_name: str, **others: Any) -> None:
        super().__init__(model_name)
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
        values = await _batch_scorer(self._profile).score(source, output, references)
        answer = "no reference" if values is None else repr(values[self._metric])
        return ModelOutput.from_content(self.model_name, answer)
