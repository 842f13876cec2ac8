"""The Python side of the lm-eval tasks in this folder: test sets, prompts and metrics, the same as in `metrics.score`.

`process_results` returns the rewrite itself as a document's value; the aggregations score all rewrites in one batch.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from datasets import Dataset
from lm_eval.api.task import ConfigurableTask

from metrics.data.test_sets import load_test_set
from metrics.generation.reasoning import cut_reasoning
from metrics.models.prompts import CHAT_PREFIX, default_prompt
from metrics.models.resolve import ModelRef
from metrics.profiles import load_profile
from metrics.scoring import FACTORS, METRICS
from metrics.scoring.evaluator import require_served
from metrics.scoring.functions import load_measure, metric_values
from metrics.util.errors import InputError

# (source, output, references, profile)
Rewrite = tuple[str, str, Sequence[str], str]


class TaskError(SystemExit, InputError):
    """An InputError that ends lm-eval's command with one line and exit code 1 in place of a traceback."""


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise TaskError(f"error: {' '.join(str(error).split())}") from None


class DetoxTask(ConfigurableTask):
    """A test set, `dataset_name` in the YAML file, with the prompt of the model.

    The task's metadata holds `profile`, the metric protocol, and optionally `prompt`, a template as for
    `metrics.score --prompt`, and `test_set`, as for `metrics.score --test-set`, in place of `dataset_name`; lm-eval's
    command adds the model's arguments. `download` sets `test_set` to the name, origin and revision of the texts.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._prompt = "{text}"
        # lm-eval passes on the key that names this class, but its configuration has no such field.
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def download(self, *_: Any, **__: Any) -> None:
        """Load the test set and the scorers; raises `InputError` if they are unknown, or references are missing."""
        config = self.config
        profile = str(config.metadata["profile"])
        with _one_line():
            for name in FACTORS:
                load_measure(name, profile)
            chosen = str(config.metadata.get("test_set") or config.dataset_name)
            test_set = load_test_set(chosen)
            require_served(load_profile(profile), test_set)
        # A new dictionary: another task may share the given one, whose test_set is the name to load.
        described = f"{test_set.name} ({test_set.origin}, {test_set.revision})"
        config.metadata = {**config.metadata, "test_set": described}
        if test_set.name != config.dataset_name:
            config.task_alias = f"{config.task} ({test_set.name})"
        references = [list(texts) for texts in test_set.references]
        profiles = [profile] * len(references)
        columns = {"source": list(test_set.sources), "references": references, "profile": profiles}
        self.dataset = {"test": Dataset.from_dict(columns)}

    def build_all_requests(self, *, apply_chat_template: bool = False, **kwargs: Any) -> None:
        """Choose the prompt, which depends on the chat template, and build the requests."""
        with _one_line():
            self._prompt = prompt(self.config.metadata, apply_chat_template)
        super().build_all_requests(apply_chat_template=apply_chat_template, **kwargs)

    def doc_to_text(self, doc: Mapping[str, Any], doc_to_text: object = None) -> str:
        """Return the prompt for a document; `doc_to_text`, lm-eval's template, is not used."""
        head, tail = self._prompt.split("{text}")
        return f"{head}{doc['source']}{tail}"


def prompt(metadata: Mapping[str, Any], chat: bool) -> str:
    """Return the prompt that `metrics.score` gives the model, with `{text}` in place of the sentence.

    Args:
        metadata: The task's; without `pretrained`, the model has no prompt of its own.
        chat: Whether lm-eval applies the chat template to the prompt.

    Raises:
        InputError: The prompt lacks `{text}`, or it needs the chat template and `chat` is false, or the reverse.
    """
    own = metadata.get("prompt")
    if own is None:
        # A loaded model has no name.
        given = (metadata.get(key) for key in ("pretrained", "peft"))
        name, adapter = (os.fspath(value) if isinstance(value, str | Path) else "" for value in given)
        # The empty path would be the working directory.
        ref = ModelRef(name, "folder", Path(name or os.devnull), "")
        if adapter:
            ref = ModelRef(name, "adapter", Path(adapter), "", ref)
        seq2seq = bool(name) and _is_seq2seq(name, metadata.get("revision"))
        own = default_prompt(ref, SimpleNamespace(chat_template=chat), seq2seq)
    if not isinstance(own, str) or own.count("{text}") != 1:
        raise InputError(f'prompt "{own}": must contain {{text}} exactly once')
    if own.startswith(CHAT_PREFIX) and not chat:
        raise InputError(f'prompt "{own}": goes through the chat template; add --apply_chat_template')
    if chat and not own.startswith(CHAT_PREFIX):
        raise InputError(f'prompt "{own}": does not go through the chat template; leave out --apply_chat_template')
    return own.removeprefix(CHAT_PREFIX)


def _is_seq2seq(name: str, revision: Any) -> bool:
    from transformers import AutoConfig

    try:
        return bool(AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False).is_encoder_decoder)
    except (OSError, ValueError):
        # GGUF, or a model of another backend.
        return False


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Rewrite]:
    """Return the document's rewrite, `results[0]` without reasoning and repeated white space, under each metric."""
    rewrite = (doc["source"], " ".join(cut_reasoning(results[0]).split()), doc["references"], doc["profile"])
    return dict.fromkeys(METRICS, rewrite)


def _aggregation(metric: str) -> Callable[[Sequence[Rewrite]], float]:
    """The aggregation of a metric: its mean. J comes last, and finds its factors in the cache of `metric_values`."""

    def mean(rewrites: Sequence[Rewrite]) -> float:
        sources, outputs, references, profiles = zip(*rewrites, strict=True)
        with _one_line():
            return float(metric_values(metric, sources, outputs, references, profiles[0])[metric].mean())

    mean.__name__ = metric
    return mean


# The YAML template names these.
sta, sim, fl, j = map(_aggregation, METRICS)
