"""STA, SIM, FL and J inside inspect-ai: a scorer for tasks, and a grader model for eval.yaml.

Samples come one by one and are scored in batches; no more than a score's last decimal hangs on its batch
(metrics/measures.py).
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
from metrics.scoring.columns import columns
from metrics.scoring.functions import measure
from metrics.util.errors import InputError

# (source, output, references)
Rewrite = tuple[str, str, tuple[str, ...]]


class TaskError(PrerequisiteError, InputError):
    """An InputError for programs; at inspect's command line its message alone, not the whole call stack."""

    def __init__(self, message: str) -> None:
        # inspect-ai prints what it is given as rich's markup.
        super().__init__(escape(message))


@contextmanager
def input_errors() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise TaskError(f"error: {' '.join(str(error).split())}") from None


class Scores:
    """The scores of rewrites under one profile. What comes while others are being scored is scored together next."""

    def __init__(self, profile: str) -> None:
        self._profile = profile
        self._waiting: set[Rewrite] = set()
        self._done: dict[Rewrite, dict[str, float] | None] = {}
        self._free = anyio.Lock()

    async def of(self, source: str, output: str, references: Sequence[str]) -> dict[str, float] | None:
        """{sta, sim, fl, j}, all 0 for an empty output; None where the profile needs a reference and there is none.

        Errors (InputError): as metrics.scoring.functions.
        """
        rewrite = (source, output, tuple(references))
        self._waiting.add(rewrite)
        async with self._free:
            if rewrite not in self._done:
                batch = sorted({rewrite, *self._waiting})
                self._waiting.clear()
                self._done.update(await anyio.to_thread.run_sync(self._score, batch))
        return self._done[rewrite]

    def _score(self, batch: list[Rewrite]) -> dict[Rewrite, dict[str, float] | None]:
        with input_errors():
            compares = any(measure(name, self._profile).needs_references for name in FACTORS)
            able = [rewrite for rewrite in batch if rewrite[2] or not compares]
            if not able:
                return dict.fromkeys(batch)
            sources, outputs, references = zip(*able, strict=True)
            table = columns("j", sources, outputs, references, self._profile)
        values = {rewrite: {name: float(table[name][i]) for name in METRICS} for i, rewrite in enumerate(able)}
        return {**dict.fromkeys(batch), **values}


def folded(output: str) -> str:
    """The output with its white space folded, as metrics.score folds it."""
    return " ".join(output.split())


@functools.cache
def scores(profile: str) -> Scores:
    """One for all tasks of a process: four metrics of the same rewrites are scored once."""
    return Scores(profile)


@scorer(metrics={name: [mean(), stderr()] for name in METRICS})
def detoxification(profile: str = "offline") -> Scorer:
    """STA, SIM, FL and J of the output; the sample's targets are its human rewrites."""

    async def score(state: TaskState, target: Target) -> Score:
        output = folded(state.output.completion)
        values = await scores(profile).of(state.input_text, output, [text for text in target if text])
        if values is None:
            why = f"profile {profile} compares with human references; this sample has none"
            return Score.unscored(reason="scoring_failed", answer=output, explanation=why)
        return Score(value=values, answer=output)

    return score


@modelapi(name=GRADER)
class Grader(ModelAPI):
    """The grader `detox_suite/PROFILE/METRIC`: no language model; its answer is the metric's value.

    It reads what `eval_yaml` lets inspect's `model_graded_qa` write: source, output and references as literals.
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
        # How many samples may wait for the next batch.
        return 1_000

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        source, output, references = ast.literal_eval(input[-1].text)
        values = await scores(self._profile).of(source, folded(output), references)
        return ModelOutput.from_content(
            self.model_name, "no reference" if values is None else repr(values[self._metric])
        )
