"""What this folder's YAML files name: texts and prompts as metrics.score has them, and the four metrics.

A document's value under every metric is its rewrite; scoring waits for the aggregation, which sees all of them at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from datasets import Dataset
from lm_eval.api.task import ConfigurableTask

from metrics.data.test_sets import load_test_set
from metrics.models.prompts import CHAT_PREFIX, default_prompt
from metrics.models.resolve import ModelRef
from metrics.scoring import FACTORS, METRICS
from metrics.scoring.columns import columns
from metrics.scoring.functions import measure
from metrics.util.errors import InputError

# (source, output, references, profile)
Rewrite = tuple[str, str, Sequence[str], str]


class TaskError(SystemExit, InputError):
    """An InputError for programs; at lm-eval's command line one line and exit code 1, not the whole call stack."""


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise TaskError(f"error: {' '.join(str(error).split())}") from None


class DetoxTask(ConfigurableTask):
    """A test set (`dataset_name` in the YAML); what the model reads depends on it and on the chat template's use.

    metadata: `profile`, a metric protocol; `prompt`, a template as of `metrics.score --prompt`; at the command line
    lm-eval adds the model's arguments. `test_set` is added here: which texts were found.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._prompt = "{text}"
        # lm-eval hands on the key that named this class, and then knows no such field.
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def download(self, *_: Any, **__: Any) -> None:
        """Loads texts and scorers. Errors (InputError) come here, before anything is rewritten."""
        config = self.config
        profile = str(config.metadata["profile"])
        with _one_line():
            measures = [measure(name, profile) for name in FACTORS]
            test_set = load_test_set(config.dataset_name)
            if any(m.needs_references for m in measures) and not all(test_set.references):
                raise InputError(f"profile {profile}: {test_set.name} has sentences without a reference")
        config.metadata["test_set"] = f"{test_set.name} ({test_set.origin}, {test_set.revision})"
        if test_set.name != config.dataset_name:
            config.task_alias = f"{config.task} ({test_set.name})"
        documents = {
            "source": list(test_set.sources),
            "references": [list(references) for references in test_set.references],
            "profile": [profile] * len(test_set.sources),
        }
        self.dataset = {"test": Dataset.from_dict(documents)}

    def build_all_requests(self, *, apply_chat_template: bool = False, **kwargs: Any) -> None:
        with _one_line():
            self._prompt = prompt(self.config.metadata, apply_chat_template)
        super().build_all_requests(apply_chat_template=apply_chat_template, **kwargs)

    def doc_to_text(self, doc: Mapping[str, Any], doc_to_text: object = None) -> str:
        head, tail = self._prompt.split("{text}")
        return f"{head}{doc['source']}{tail}"


def prompt(metadata: Mapping[str, Any], chat: bool) -> str:
    """What metrics.score lets the model read, `{text}` in place of the sentence; the user's message if `chat`.

    metadata: a task's; without the model's arguments in it, the model is taken for one that has no prompt of its own.
    Errors (InputError): a prompt without `{text}`; one for the chat template without it, or the other way round.
    """
    own = metadata.get("prompt")
    if own is None:
        name, adapter = (_name(metadata.get(key)) for key in ("pretrained", "peft"))
        # A model without a name has no folder; the empty path would be the working directory.
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


def _name(value: object) -> str:
    """A model argument that is a name or a folder; empty for others, such as a model that was loaded before."""
    return os.fspath(value) if isinstance(value, (str, Path)) else ""


def _is_seq2seq(name: str, revision: Any) -> bool:
    from transformers import AutoConfig

    try:
        return bool(AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False).is_encoder_decoder)
    except (OSError, ValueError):
        # Not a model that transformers knows by itself: GGUF, or another backend's.
        return False


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Rewrite]:
    """The document's rewrite under each metric, white space folded as metrics.score folds it; empty outputs stay."""
    rewrite = (doc["source"], " ".join(results[0].split()), doc["references"], doc["profile"])
    return dict.fromkeys(METRICS, rewrite)


def sta(rewrites: Sequence[Rewrite]) -> float:
    return _mean("sta", rewrites)


def sim(rewrites: Sequence[Rewrite]) -> float:
    return _mean("sim", rewrites)


def fl(rewrites: Sequence[Rewrite]) -> float:
    return _mean("fl", rewrites)


def j(rewrites: Sequence[Rewrite]) -> float:
    """The mean of the products. Their factors were kept when they were aggregated: nothing is scored again."""
    return _mean("j", rewrites)


def _mean(metric: str, rewrites: Sequence[Rewrite]) -> float:
    sources, outputs, references, profiles = zip(*rewrites, strict=True)
    with _one_line():
        return float(columns(metric, sources, outputs, references, profiles[0])[metric].mean())
