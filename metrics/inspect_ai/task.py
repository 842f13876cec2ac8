"""The inspect-ai task `detox`: a model rewrites what metrics.score lets it rewrite, and gets the same numbers for it.

inspect-ai also loads this file by its path, outside its package: no relative imports here.
"""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, GenerateConfig, Model, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver

from metrics import __version__
from metrics.data.test_sets import load_test_set
from metrics.generation.prompts import prompt_ids
from metrics.inspect_ai.eval_yaml import DECODING
from metrics.inspect_ai.scores import detoxification, input_errors
from metrics.models.prompts import CHAT_PREFIX, REWRITER_FILE, default_prompt
from metrics.models.resolve import ModelRef
from metrics.scoring import FACTORS
from metrics.scoring.functions import measure
from metrics.util.errors import InputError

# What inspect's `hf` needs to hand a message on as it is: no chat template of the tokenizer's, no `user: ` before it.
AS_IT_IS = "{{messages[0].content}}"


@task
def detox(test_set: str = "paradetox-test", profile: str = "offline", prompt: str | list[str] | None = None) -> Task:
    """Rewriting a test set, scored by STA, SIM, FL and J.

    profile: the metric protocol; prompt: a template with `{text}`, both as of metrics.score.
    Errors (InputError): an unknown test set or profile, models that cannot be had, a profile that compares with human
    rewrites where there are none, a prompt that the model could not be given; all before anything is rewritten.
    """
    with input_errors():
        # inspect-ai reads task arguments as YAML, and then splits strings at their commas.
        prompt = ",".join(prompt) if isinstance(prompt, list) else prompt
        if not isinstance(prompt, str | None):
            raise InputError(f"prompt {prompt}: not a string; put double quotes around it: -T 'prompt=\"…\"'")
        measures = {name: measure(name, profile) for name in FACTORS}
        texts = load_test_set(test_set)
        if any(m.needs_references for m in measures.values()) and not all(texts.references):
            raise InputError(f"profile {profile}: {texts.name} has sentences without a reference")
        model = _known_model()
        if model is not None:
            message(model, prompt)
    samples = [
        Sample(id=i, input=source, target=list(references))
        for i, (source, references) in enumerate(zip(texts.sources, texts.references, strict=True), 1)
    ]
    return Task(
        # Where the sample stands in for ParaDetox, the log names the sample.
        dataset=MemoryDataset(samples, name=texts.name, location=f"{texts.origin}, {texts.revision}"),
        solver=rewrite(prompt),
        scorer=detoxification(profile),
        config=GenerateConfig(**DECODING),
        version=1,
        metadata={
            "test_set": f"{texts.name} ({texts.origin}, {texts.revision})",
            "profile": profile,
            **{name: m.description for name, m in measures.items()},
            "detox-suite": __version__,
        },
    )


def _known_model() -> Model | None:
    """The model to be evaluated; None where it is not known yet, as in `eval(detox(), model=…)`."""
    try:
        return get_model()
    except ValueError:
        return None


@solver
def rewrite(prompt: str | None = None) -> Solver:
    """Asks the model as metrics.score asks it, once. prompt: a template with `{text}`; by default the model's own."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        with input_errors():
            head, tail = message(get_model(), prompt).split("{text}")
        state.user_prompt.text = head + state.input_text + tail
        return await generate(state)

    return solve


@functools.lru_cache(maxsize=8)
def message(model: Model, given: str | None) -> str:
    """The user's message with `{text}` for the sentence that makes `model` read what it reads under metrics.score.

    given: overrides the model's own prompt. inspect's `hf` is asked what it would make of a message; other providers
    send messages to a chat model. Errors (InputError): a prompt without `{text}`; one that the provider would change.
    """
    api: Any = model.api
    local = hasattr(api, "hf_chat")
    seq2seq = local and bool(api.model.config.is_encoder_decoder)
    if seq2seq:
        raise InputError(f"{model}: inspect's hf cuts the outputs of encoder-decoder models; use metrics.score")
    own = given
    if own is None:
        name = str(model.model_args.get("model_path") or api.model_name)
        ref = ModelRef(name, "folder", _folder(name, model.model_args.get("revision")) if local else Path(name), "")
        own = default_prompt(ref, api.tokenizer if local else SimpleNamespace(chat_template=True), seq2seq)
    if own.count("{text}") != 1:
        raise InputError(f'prompt "{own}": must contain {{text}} exactly once')
    asked = own.removeprefix(CHAT_PREFIX)
    if local:
        _require_same_tokens(model, own, asked)
    elif own == asked:
        raise InputError(f'prompt "{own}": {model} reads chat messages only; begin the prompt with {CHAT_PREFIX}')
    return asked


def _folder(name: str, revision: str | None) -> Path:
    """The folder of a model that inspect's `hf` has loaded; of a Hub id, the one with its rewriter.json, if any."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(name, REWRITER_FILE, revision=revision)).parent
    except EntryNotFoundError:
        return Path(name)


def _require_same_tokens(model: Model, own: str, asked: str) -> None:
    """Errors: inspect's `hf` gives the model other tokens than metrics.score; the options that help are said."""
    api: Any = model.api
    text = "you are a fool, so what"
    expected = prompt_ids(api.tokenizer, own, [text], seq2seq=False)[0]
    alone = asked.replace("{text}", text)
    chat = api.hf_chat([ChatMessageUser(content=alone)], [])
    if api.tokenizer(chat, **api.tokenizer_call_args)["input_ids"] == expected:
        return
    advice = "use metrics.score"
    for written, template in ((alone, f"-M 'chat_template=\"{AS_IT_IS}\"' "), (chat, "")):
        for special, arguments in ((True, "{}"), (False, '{"add_special_tokens":false}')):
            if api.tokenizer(written, add_special_tokens=special)["input_ids"] == expected:
                advice = f"add {template}-M 'tokenizer_call_args={arguments}'"
    raise InputError(f'prompt "{own}": inspect\'s hf would change it; {advice}')
