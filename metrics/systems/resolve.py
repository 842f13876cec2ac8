"""Systems, by name: a baseline, a file of outputs, or a model; and their outputs for a test set."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metrics.data.columns import Columns
from metrics.data.own_texts import USUAL
from metrics.data.text import well_formed
from metrics.models.loading import DTYPES, require_dtype
from metrics.models.prompts import NO_PREAMBLE, Preamble
from metrics.models.resolve import ModelRef, resolve_model
from metrics.systems.baselines import BASELINES, LEXICON
from metrics.util.errors import InputError
from metrics.util.files import content_hash, sha256_file


@dataclass(frozen=True)
class System:
    """A system that exists, and the settings of its model.

    Attributes:
        kind: "baseline", "outputs", "model" or "human".
        revision: A commit, or a hash of the content.
        model: Where the model is; None for the other kinds.
        prompt: The prompt template with `{text}`; None for the model's own.
        decoding: Generation settings that differ from the model's own.
        engine: The program that generates, see `metrics.generation.engines`; "" for transformers.
        dtype: The data type of the model's weights, one of `metrics.models.loading.DTYPES`.
        preamble: The system message and the examples that stand before the prompt.
        columns: The columns of a table of outputs.
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


def is_model(name: str) -> bool:
    """Whether `name` means a model, and neither a baseline nor a file of outputs."""
    try:
        return name not in BASELINES and not Path(name).is_file()
    except OSError:
        # The file system allows no file of this name.
        return True


def resolve_system(
    name: str, *, revision: str | None = None, prompt: str | None = None, decoding: dict[str, Any] | None = None,
    engine: str = "", dtype: str = DTYPES[0], preamble: Preamble = NO_PREAMBLE, columns: Columns = USUAL,
) -> System:  # fmt: skip
    """Find a system: a baseline, a file of outputs (`metrics.systems.outputs`), or a model (`metrics.models.resolve`).

    `revision` is the commit, tag or branch of a Hub model; the other settings are those of `System`.

    Raises:
        InputError: There is no such system, or a setting of models is given for another kind of system.
    """
    if well_formed(name) != name:
        raise InputError(f"{name!a}: the name is not valid UTF-8, which a report cannot store; rename it")
    require_dtype(dtype)
    other_dtype = dtype != DTYPES[0]
    if not is_model(name) and (prompt or decoding or revision or engine or other_dtype or preamble != NO_PREAMBLE):
        options = "--prompt, --system, --few-shot, --decoding, --engine, --dtype and --revision"
        raise InputError(f"{name}: does not generate; {options} are for models")
    if engine and other_dtype:
        raise InputError(f"--dtype {dtype}: --engine {engine} sets the data type of the weights; give one of the two")
    if name in BASELINES:
        version = f"lexicon-{sha256_file(LEXICON)[:12]}" if name == "delete" else "1"
        return System(name, "human" if name == "reference" else "baseline", version)
    if not is_model(name):
        digest = sha256_file(Path(name))
        if columns.output:
            # One file may hold the outputs of several systems.
            digest = content_hash([digest, columns.output])
        return System(name, "outputs", f"sha256:{digest}", columns=columns)
    ref = resolve_model(name, revision)
    full = ref.revision + (f"+base:{ref.base.revision}" if ref.base else "")
    return System(name, "model", full, ref, prompt, dict(decoding or {}), engine, dtype, preamble)


@dataclass(frozen=True)
class Rewrites:
    """The outputs of a `System`, one per sentence of a test set, in order.

    Attributes:
        decoding: Generation settings, prompt and batch size; empty for systems that do not generate.
        seconds: The time that generating took, without loading; None if it was not measured.
        device: Where the model ran.
        card: What the model card states (`metrics.models.cards`).
    """

    system: str
    kind: str
    revision: str
    decoding: dict[str, Any]
    outputs: tuple[str, ...]
    seconds: float | None = None
    device: str = ""
    card: dict[str, Any] = field(default_factory=dict)
