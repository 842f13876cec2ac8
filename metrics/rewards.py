"""STA, SIM, FL, J and a judge as reward functions of trl (GRPO, RLOO, Online DPO): docs/guides/reward-functions.md.

    >>> from metrics.rewards import j_reward, metric_reward
    >>> GRPOTrainer(model, reward_funcs=[j_reward], train_dataset=dataset)  # columns prompt and source
    >>> judged = metric_reward("j", judge="MODEL@https://HOST/v1")

trl calls a reward function with the prompts, the completions and the data set's other columns, and takes one number
per completion. A model that learns from a metric learns to satisfy the metric's models: score it with others.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from metrics.profiles import load_profiles
from metrics.scoring import FACTORS, METRICS
from metrics.scoring.items import first_columns
from metrics.scoring.measures import MEASURES, Measure
from metrics.util.errors import InputError

# (sources [n], outputs [n], the data set's columns) -> rewards [n]
Score = Callable[[list[str], list[str], Mapping[str, Any]], Sequence[float]]
PROMPT = "prompt"


class Reward:
    """A reward function of trl from a function that scores rewrites of sources.

    Args:
        name: The name under which trl logs the reward.
        score: Receives sources and outputs [n], their white space collapsed, and returns the rewards [n].
        source: The column with the toxic sentences; "prompt" if the prompts are the sentences themselves.
    """

    def __init__(self, name: str, score: Score, source: str = "source") -> None:
        self.__name__ = name
        self._score, self._source = score, source

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        """Return the reward [n] of n completions: texts, or conversations whose last message is the rewrite.

        Raises:
            InputError: The data set has no column with the sources.
        """
        columns = {**columns, PROMPT: prompts}
        if self._source not in columns:
            have = ", ".join(sorted(name for name, values in columns.items() if isinstance(values, (list, tuple))))
            raise InputError(f"reward {self.__name__}: the data set has no column {self._source} (it has {have})")
        sources, outputs = ([_text(value) for value in values] for values in (columns[self._source], completions))
        return [float(value) for value in self._score(sources, outputs, columns)]


class MetricReward(Reward):
    """A metric under a profile as a reward; its models are loaded at the first call. Made by `metric_reward`."""

    def __init__(self, metric: str, profile: str | None, judge: str | None, source: str, references: str) -> None:
        super().__init__(f"{metric}_reward", self._values, source)
        self._metrics = FACTORS if metric == "j" else (metric,)
        self._references = references
        (self._profile,) = load_profiles([profile] if profile else None, judge)

    @cached_property
    def _measures(self) -> list[Measure]:
        return [MEASURES[metric](self._profile) for metric in self._metrics]

    def _values(self, sources: list[str], outputs: list[str], columns: Mapping[str, Any]) -> list[float]:
        references = None
        if any(measure.needs_references for measure in self._measures):
            if self._references not in columns:
                raise InputError(
                    f"reward {self.__name__}: profile {self._profile.name} compares with human references, and the "
                    f"data set has no column {self._references}"
                )
            references = [(r,) if isinstance(r, str) else tuple(r) for r in columns[self._references]]
        product = [1.0] * len(outputs)
        for values in first_columns(self._measures, sources, outputs, references):
            product = [before * float(value) for before, value in zip(product, values, strict=True)]
        return product


def metric_reward(
    metric: str = "j", *, profile: str | None = None, judge: str | None = None, source: str = "source",
    references: str = "references",
) -> Reward:  # fmt: skip
    """Return a metric of a profile as a reward function.

    Args:
        metric: "sta", "sim", "fl", or "j", their product for each sentence.
        profile: A profile's name or file; None for `offline`, or for `judge` if there is a judge.
        judge: MODEL or MODEL@URL, the model of judged metrics.
        source: The data set's column with the toxic sentences; "prompt" if the prompts are the sentences themselves.
        references: The column with human rewrites, a text or a list of texts each; read if the profile needs them.

    Returns:
        A function whose rewards are the metric's scores: in [0, 1], SIM and J in [-1, 1]; 0 for an empty completion.

    Raises:
        InputError: An unknown metric or profile, or a judge without a profile that asks one.
    """
    if metric not in METRICS:
        raise InputError(f"reward {metric}: unknown; use one of {', '.join(METRICS)}")
    return MetricReward(metric, profile, judge, source, references)


def _text(value: Any) -> str:
    """The text of a prompt or completion, of a conversation that of its last message; white space collapsed."""
    if isinstance(value, (list, tuple)):
        value = value[-1]["content"] if value else ""
    return " ".join(str(value or "").split())


sta_reward, sim_reward, fl_reward, j_reward = map(metric_reward, METRICS)
