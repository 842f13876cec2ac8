"""Systems, by name: a baseline, a file of outputs, a model, or a model of an endpoint; and their outputs."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metrics.data.columns import Columns
from metrics.data.languages import require_code
from metrics.data.own_texts import USUAL
from metrics.data.text import well_formed
from metrics.generation.endpoint import base_url
from metrics.models.loading import DTYPES, require_dtype
from metrics.models.prompts import NO_PREAMBLE, Preamble
from metrics.models.resolve import ModelRef, resolve_model
from metrics.systems.baselines import BASELINES, LEXICON
from metrics.systems.names import BACK_TRANSLATION, ENDPOINT
from metrics.util.errors import InputError
from metrics.util.files import content_hash, sha256_file

ENDPOINT_KEY = "SRO_ENDPOINT_KEY"
# Settings that every endpoint takes.
_ENDPOINT_DECODING = ("do_sample", "max_new_tokens", "temperature", "top_p")


@dataclass(frozen=True)
class EndpointModel:
    """A chat model of an OpenAI-compatible endpoint.

    Attributes:
        model: Its name at the endpoint.
        url: The endpoint's base URL.
        key_variable: The variable that holds the key; if it is not set, OPENAI_API_KEY does.
    """

    model: str
    url: str
    key_variable: str = ENDPOINT_KEY


@dataclass(frozen=True)
class BackTranslation:
    """How a text is translated and back.

    Attributes:
        back: The second model; None for the first one.
        pivot: The language between; None for English, and for French if the texts are English.
        between: Rewrites the text in that language; None for nothing.
    """

    back: ModelRef | None
    pivot: str | None
    between: "System | None" = None


@dataclass(frozen=True)
class System:
    """A system that exists, and the settings of its model.

    Attributes:
        kind: "baseline", "outputs", "model", "endpoint" or "human".
        revision: A commit, or a hash of the content; of an endpoint what `describe_endpoint` returns.
        model: Where the model is; None for the other kinds.
        prompt: The prompt template with `{text}`; None for the model's own.
        decoding: Generation settings that differ from the model's own.
        engine: The program that generates, see `metrics.generation.engines`; "" for transformers.
        dtype: The data type of the model's weights, one of `metrics.models.loading.DTYPES`.
        preamble: The system message and the examples that stand before the prompt.
        columns: The columns of a table of outputs.
        endpoint: Where the model of a system of kind "endpoint" is.
        cut_reasoning: Whether the reasoning in a file of outputs is cut; that of a model always is.
        lexicon: The file of rude words of `delete`; None for the built-in English ones and the Hub's others.
        translation: Set if the outputs are back-translations by the model.
    """

    name: str
    kind: str
    revision: str
    model: ModelRef | None = None
    prompt: str | None = None
    decoding: dict[str, Any] = field(default_factory=dict)
    engine: str = ""
    dtype: str = DTYPES[0]
    preamble: Preamble = NO_PREAMBLE
    columns: Columns = USUAL
    endpoint: EndpointModel | None = None
    cut_reasoning: bool = False
    lexicon: Path | None = None
    translation: BackTranslation | None = None


def is_model(name: str) -> bool:
    """Whether `name` means a model, here or behind an endpoint, and neither a baseline nor a file of outputs."""
    try:
        return name not in BASELINES and not Path(name).is_file()
    except OSError:
        # The file system allows no file of this name.
        return True


def is_endpoint(name: str) -> bool:
    """Whether `name` means a model of an endpoint."""
    return is_model(name) and ENDPOINT.fullmatch(name) is not None


def with_endpoint(name: str, url: str | None) -> str:
    """Return openai:MODEL as openai:MODEL@URL; other names, and one that has a URL, stay."""
    match = ENDPOINT.fullmatch(name)
    return f"{name}@{url}" if url and is_endpoint(name) and match and not match["url"] else name


def without_folders(model: str) -> str:
    """Return a model's name at an endpoint; of a path, which some servers take for a name, the last part.

    The folders of a machine are private.
    """
    return model.rstrip("/").rpartition("/")[2] if model.startswith(("/", ".", "~")) else model


def describe_endpoint(url: str, model: str, fingerprint: str = "") -> str:
    """Return what can be said of a model of an endpoint: the URL, and the names that the server gives."""
    return f"{url},model={without_folders(model)}{fingerprint and f',fingerprint={fingerprint}'}"


def resolve_system(
    name: str, *, revision: str | None = None, prompt: str | None = None, decoding: dict[str, Any] | None = None,
    engine: str = "", dtype: str = DTYPES[0], preamble: Preamble = NO_PREAMBLE, columns: Columns = USUAL,
    endpoint: str | None = None, key_variable: str | None = None,
    cut_reasoning: bool = False, lexicon: Path | None = None, pivot: str | None = None, between: str | None = None,
) -> System:  # fmt: skip
    """Find a system: a baseline, a file of outputs (`metrics.systems.outputs`), or a model (`metrics.models.resolve`).

    Args:
        name: Its name; openai:MODEL and openai:MODEL@URL are models of an endpoint.
        revision: The commit, tag or branch of a Hub model.
        prompt, decoding, engine, dtype, preamble: As for `System`.
        endpoint: The URL for openai:MODEL.
        key_variable: The variable that holds the endpoint's key (SRO_ENDPOINT_KEY, else OPENAI_API_KEY).
        lexicon: As for `System`.
        pivot: The language of back-translations (default: English, and French for English texts).
        between: The system that rewrites between their two translations.

    Raises:
        InputError: There is no such system, or a setting of models is given for another kind of system.
    """
    if well_formed(name) != name:
        raise InputError(f"{name!a}: the name is not valid UTF-8, which a report cannot store; rename it")
    require_dtype(dtype)
    if is_endpoint(name):
        if revision or engine or dtype != DTYPES[0]:
            raise InputError(f"{name}: --revision, --engine and --dtype are for models that run here")
        model = _endpoint_model(name, endpoint, key_variable)
        settings = _endpoint_decoding(name, decoding or {})
        pin = describe_endpoint(model.url, model.model)
        prompt = _require_text(prompt)
        return System(name, "endpoint", pin, None, prompt, settings, preamble=preamble, endpoint=model)
    other_dtype = dtype != DTYPES[0]
    if not is_model(name) and (prompt or decoding or revision or engine or other_dtype or preamble != NO_PREAMBLE):
        options = "--prompt, --system, --few-shot, --decoding, --engine, --dtype and --revision"
        raise InputError(f"{name}: does not generate; {options} are for models")
    if engine and other_dtype:
        raise InputError(f"--dtype {dtype}: --engine {engine} sets the data type of the weights; give one of the two")
    if cut_reasoning and (name in BASELINES or is_model(name)):
        raise InputError(f"{name}: --cut-reasoning is for files of outputs; the reasoning of models is cut without it")
    if name in BASELINES:
        version = f"lexicon-{sha256_file(LEXICON)[:12]}" if name == "delete" else "1"
        return System(name, "human" if name == "reference" else "baseline", version, lexicon=lexicon)
    if not is_model(name):
        digest = sha256_file(Path(name))
        if columns.output:
            # One file may hold the outputs of several systems.
            digest = content_hash([digest, columns.output])
        return System(name, "outputs", f"sha256:{digest}", columns=columns, cut_reasoning=cut_reasoning)
    if match := BACK_TRANSLATION.fullmatch(name):
        if prompt or revision or engine or other_dtype or preamble != NO_PREAMBLE:
            options = "--prompt, --system, --few-shot, --engine, --dtype and --revision"
            raise InputError(f"{name}: translates; {options} are for other models")
        there, back = resolve_model(match["there"]), resolve_model(match["back"]) if match["back"] else None
        pivot = require_code(pivot, "--pivot") if pivot else None
        translation = BackTranslation(back, pivot, _resolve_between(between, lexicon))
        return System(name, "model", there.revision, there, "{text}", dict(decoding or {}), translation=translation)
    ref = resolve_model(name, revision)
    full = ref.revision + (f"+base:{ref.base.revision}" if ref.base else "")
    return System(name, "model", full, ref, prompt, dict(decoding or {}), engine, dtype, preamble)


def _resolve_between(name: str | None, lexicon: Path | None) -> System | None:
    """The baseline or model `name`, with its own settings; nothing else rewrites texts that a translation has made."""
    if name is None:
        return None
    system = resolve_system(name, lexicon=lexicon)
    if system.kind not in ("baseline", "model") or system.translation is not None:
        raise InputError(f"--between {name}: give a baseline such as delete, or a model")
    return system


def _endpoint_model(name: str, url: str | None, key_variable: str | None) -> EndpointModel:
    match = ENDPOINT.fullmatch(name)
    model, own = (match["model"], match["url"]) if match else ("", None)
    if not (own or url):
        raise InputError(f"{name}: has no URL; give --endpoint URL or {name}@URL, such as http://localhost:8000/v1")
    if own and url and own != url:
        raise InputError(f"{name}: --endpoint {url} names another one; give one of the two")
    if key_variable and not os.environ.get(key_variable):
        raise InputError(f"--key-variable {key_variable}: no such variable is set; export {key_variable}=KEY")
    variable = key_variable or ENDPOINT_KEY
    return EndpointModel(model, base_url(name.partition("@http")[0], own or str(url), variable), variable)


def _endpoint_decoding(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    if unknown := sorted(settings.keys() - {*_ENDPOINT_DECODING}):
        known = ", ".join(_ENDPOINT_DECODING)
        raise InputError(f"{name}: an endpoint takes no --decoding {unknown[0]}; it takes {known}")
    if not settings.get("do_sample"):
        # As in `decoding_settings`: they have no effect, and equal decodings must have equal settings.
        return {key: value for key, value in settings.items() if key not in ("temperature", "top_p")}
    return {"temperature": 1.0, **settings}


def _require_text(prompt: str | None) -> str | None:
    if prompt and prompt.count("{text}") != 1:
        raise InputError(f'prompt "{prompt}": must contain {{text}} exactly once')
    return prompt


@dataclass(frozen=True)
class Rewrites:
    """The outputs of a `System`, one per sentence of a test set, in order.

    Attributes:
        kind: That of the system; "outputs" for an endpoint, whose weights nothing pins.
        revision: That of the system; for an endpoint the hash that a file with its outputs has.
        decoding: Generation settings, prompt and batch size, or endpoint; empty for systems that do not generate.
        seconds: The time that generating took, without loading; None if it was not measured.
        device: Where the model ran.
        card: What the model card states (`metrics.models.cards`).
        usage: The tokens of an endpoint and, with a price given, their cost (`metrics.systems.endpoint.usage`).
    """

    system: str
    kind: str
    revision: str
    decoding: dict[str, Any]
    outputs: tuple[str, ...]
    seconds: float | None = None
    device: str = ""
    card: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
