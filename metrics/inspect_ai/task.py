"""The inspect-ai task `detox`: a model rewrites a test set; prompts and scores are those of `metrics.score`.

inspect-ai also loads this file by its path, outside its package, where relative imports fail.
"""

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
from metrics.profiles import load_profile
from metrics.scoring import FACTORS
from metrics.scoring.evaluator import require_served
from metrics.scoring.functions import load_measure
from metrics.util.errors import InputError

# With this chat template, inspect's `hf` passes on a message unchanged, without the prefix `user: `.
PLAIN_CHAT_TEMPLATE = "{{messages[0].content}}"


@task
def detox(test_set: str = "paradetox-test", profile: str = "offline", prompt: str | list[str] | None = None) -> Task:
    """Rewrite a test set and score it by STA, SIM, FL and J under a metric protocol.

    `test_set` is a name or a file, as for `metrics.score --test-set`. `prompt` is a template with `{text}`, as for
    `metrics.score --prompt`; by default the model's own.

    Raises:
        InputError: The test set, profile or prompt cannot be used; nothing has been rewritten yet.
    """
    with input_errors():
        # inspect-ai parses task arguments as YAML, and splits strings at commas.
        prompt = ",".join(prompt) if isinstance(prompt, list) else prompt
        if not isinstance(prompt, str | None):
            raise InputError(f"prompt {prompt}: not a string; put double quotes around it: -T 'prompt=\"…\"'")
        measures = {name: load_measure(name, profile) for name in FACTORS}
        texts = load_test_set(test_set)
        require_served(load_profile(profile), texts)
        try:
            model = get_model()
        except ValueError:
            pass  # not set yet, as in `eval(detox(), model=…)`
        else:
            user_message(model, prompt)
    ids = texts.ids or range(1, len(texts.sources) + 1)
    rows = zip(ids, texts.sources, texts.references, strict=True)
    samples = [Sample(id=id_, input=source, target=list(references)) for id_, source, references in rows]
    return Task(
        # If the sample replaces ParaDetox, the log names the sample.
        dataset=MemoryDataset(samples, name=texts.name, location=f"{texts.origin}, {texts.revision}"),
        solver=rewrite(prompt),
        scorer=detoxification(profile),
        config=GenerateConfig(**DECODING),
        version=1,
        metadata={
            "test_set": f"{texts.name} ({texts.origin}, {texts.revision})",
            "profile": profile,
            **{name: m.signature_field for name, m in measures.items()},
            "detox-suite": __version__,
        },
    )


@solver
def rewrite(prompt: str | None = None) -> Solver:
    """Ask the model once for a rewrite of the input; `prompt` is a template with `{text}`, None the model's own."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        with input_errors():
            head, tail = user_message(get_model(), prompt).split("{text}")
        state.user_prompt.text = head + state.input_text + tail
        return await generate(state)

    return solve


@functools.lru_cache(maxsize=8)
def user_message(model: Model, prompt: str | None) -> str:
    """Return the user message, with `{text}` for the sentence, that gives the model the prompt of `metrics.score`.

    For inspect's `hf` the tokens are compared; other providers send messages to a chat model. `prompt` is a template
    with `{text}`, None the model's own.

    Raises:
        InputError: The prompt lacks `{text}`, or the provider would change it.
    """
    api: Any = model.api
    local = hasattr(api, "hf_chat")
    seq2seq = local and bool(api.model.config.is_encoder_decoder)
    if seq2seq:
        raise InputError(f"{model}: inspect's hf cuts the outputs of encoder-decoder models; use metrics.score")
    own = prompt
    if own is None:
        name = str(model.model_args.get("model_path") or api.model_name)
        ref = ModelRef(name, "folder", _folder(name, model.model_args.get("revision")) if local else Path(name), "")
        own = default_prompt(ref, api.tokenizer if local else SimpleNamespace(chat_template=True), seq2seq)
    if own.count("{text}") != 1:
        raise InputError(f'prompt "{own}": must contain {{text}} exactly once')
    message = own.removeprefix(CHAT_PREFIX)
    if local:
        _require_same_tokens(model, own, message)
    elif own == message:
        raise InputError(f'prompt "{own}": {model} reads chat messages only; begin the prompt with {CHAT_PREFIX}')
    return message


def _folder(name: str, revision: str | None) -> Path:
    """The folder of a model that inspect's `hf` has loaded; for a Hub id, the one with its rewriter.json, if any."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(name, REWRITER_FILE, revision=revision)).parent
    except EntryNotFoundError:
        return Path(name)


def _require_same_tokens(model: Model, own: str, message: str) -> None:
    """Raises InputError, with the options that help, if the model would get other tokens than in `metrics.score`."""
    api: Any = model.api
    text = "you are a fool, so what"
    expected = prompt_ids(api.tokenizer, own, [text], seq2seq=False)[0]
    alone = message.replace("{text}", text)
    chat = api.hf_chat([ChatMessageUser(content=alone)], [])
    if api.tokenizer(chat, **api.tokenizer_call_args)["input_ids"] == expected:
        return
    advice = "use metrics.score"
    for text_sent, template in ((alone, f"-M 'chat_template=\"{PLAIN_CHAT_TEMPLATE}\"' "), (chat, "")):
        for special, arguments in ((True, "{}"), (False, '{"add_special_tokens":false}')):
            if api.tokenizer(text_sent, add_special_tokens=special)["input_ids"] == expected:
                advice = f"add {template}-M 'tokenizer_call_args={arguments}'"
    raise InputError(f'prompt "{own}": inspect\'s hf would change it; {advice}')
