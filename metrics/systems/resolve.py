"""Systems: anything that rewrites. Trivial baselines, files of outputs, and models, all behind `rewrite`."""

from __future__ import annotations

import functools
import platform
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metrics.data.corpora import TestSet
from metrics.data.text import well_formed
from metrics.models.cards import card_facts
from metrics.models.loading import DTYPES, LoadedModel, load_model, require_dtype
from metrics.models.resolve import ModelRef, resolve_model
from metrics.util.errors import InputError
from metrics.util.files import append_json_lines, cache_dir, content_hash, read_json_lines, read_lines, sha256_file

LEXICON = Path(__file__).parent / "lexicon.txt"


@dataclass(frozen=True)
class Rewrites:
    """What a system wrote for a test set: one output per sentence, in order.

    decoding: the generation settings, the prompt and the batch size; empty for systems that do not generate.
    seconds, device: what generating took, loading left out, and on what; None where it was not measured.
    card: what the system's model card says of it (`metrics.models.cards`).
    """

    system: str
    kind: str
    revision: str
    decoding: dict[str, Any]
    outputs: tuple[str, ...]
    seconds: float | None = None
    device: str = ""
    card: dict[str, Any] = field(default_factory=dict)


@functools.cache
def lexicon() -> frozenset[str]:
    """The rude words of the delete baseline, lower case, written for this project."""
    return frozenset(line for line in read_lines(LEXICON) if line and not line.startswith("#"))


def delete_rude_words(text: str) -> str:
    """`text` without the words of the lexicon; what stood between them keeps its order, white space is folded."""
    words = lexicon()
    return " ".join(re.sub(r"[\w'*@$]+", lambda m: "" if m[0].lower() in words else m[0], text).split())


def _duplicate(test_set: TestSet) -> list[str]:
    return list(test_set.sources)


def _delete(test_set: TestSet) -> list[str]:
    return [delete_rude_words(source) for source in test_set.sources]


def _reference(test_set: TestSet) -> list[str]:
    if not all(test_set.references):
        raise InputError(f"reference: test set {test_set.name} has sentences without a human rewrite")
    return [references[0] for references in test_set.references]


BASELINES: dict[str, Callable[[TestSet], list[str]]] = {
    "duplicate": _duplicate,
    "delete": _delete,
    "reference": _reference,
}


@dataclass(frozen=True)
class System:
    """A system that was found. kind: "baseline", "outputs", "model" or "human".

    engine: see `metrics.generation.engines`. dtype: of a model's weights, see `metrics.models.loading.DTYPES`.
    """

    name: str
    kind: str
    revision: str
    model: ModelRef | None = None
    prompt: str | None = None
    decoding: dict[str, Any] = field(default_factory=dict)
    engine: str = ""
    dtype: str = DTYPES[0]


def generates(name: str) -> bool:
    """Whether `name` means a model: no baseline and no file with outputs."""
    try:
        return name not in BASELINES and not Path(name).is_file()
    except OSError:
        # A name that no file can have.
        return True


def resolve_system(
    name: str,
    *,
    revision: str | None = None,
    prompt: str | None = None,
    decoding: dict[str, Any] | None = None,
    engine: str = "",
    dtype: str = DTYPES[0],
) -> System:
    """Finds what `name` means: a baseline, a file with one output per line, or a model.

    Errors: as `metrics.models.resolve.resolve_model`; prompts and decoding settings for systems that do not generate.
    """
    if well_formed(name) != name:
        raise InputError(f"{name!a}: a name that is not UTF-8, which no report can hold; rename it")
    require_dtype(dtype)
    changed = dtype != DTYPES[0]
    if not generates(name) and (prompt or decoding or revision or engine or changed):
        raise InputError(
            f"{name}: does not generate; --prompt, --decoding, --engine, --dtype and --revision are for models"
        )
    if engine and changed:
        raise InputError(f"--dtype {dtype}: --engine {engine} keeps weights in its own way; give one of the two")
    if name in BASELINES:
        version = f"lexicon-{sha256_file(LEXICON)[:12]}" if name == "delete" else "1"
        return System(name, "human" if name == "reference" else "baseline", version)
    if not generates(name):
        return System(name, "outputs", f"sha256:{sha256_file(Path(name))}")
    ref = resolve_model(name, revision)
    full = ref.revision + (f"+base:{ref.base.revision}" if ref.base else "")
    return System(name, "model", full, ref, prompt, dict(decoding or {}), engine, dtype)


def load(system: System) -> LoadedModel | None:
    """The system's model in memory, with the engine that is asked for; None where there is no model.

    Where it is to write the likeliest tokens on a processor, its weights are laid out for that
    (`metrics.generation.packed_linear`).
    """
    if system.model is None:
        return None
    loaded = load_model(system.model, prompt=system.prompt, dtype=system.dtype, weights=not system.engine)
    if system.engine:
        from metrics.generation.engines import make_engine

        loaded.engine = make_engine(loaded, system.engine)
        return loaded
    from metrics.generation.packed_linear import FAMILIES, lay_out
    from metrics.generation.rewriting import decoding_settings

    draws = decoding_settings(loaded.model, system.decoding)["do_sample"]
    # Draws stay as they were recorded: another order of sums would move some of them.
    if loaded.model.config.model_type in FAMILIES and not draws:
        lay_out(loaded.model)
    return loaded


def rewrite(
    system: System,
    test_set: TestSet,
    *,
    batch_size: int | None = None,
    seed: int = 0,
    loaded: LoadedModel | None = None,
) -> Rewrites:
    """The system's output for every sentence of the test set.

    A model's outputs are kept batch by batch in the cache folder, so that a killed run goes on where it stopped.
    batch_size: None for `metrics.generation.rewriting.default_batch_size`.
    loaded: what `load` made of the system, where it rewrites more than once.
    Errors: an outputs file whose lines are not as many as the sentences.
    """
    if system.kind == "outputs":
        outputs = read_outputs(Path(system.name), len(test_set.sources))
        return Rewrites(system.name, system.kind, system.revision, {}, tuple(outputs))
    loaded = loaded or load(system)
    if system.model is None or loaded is None:
        outputs = BASELINES[system.name](test_set)
        return Rewrites(system.name, system.kind, system.revision, {}, tuple(outputs))
    outputs, decoding, seconds, device = _generate(system, loaded, test_set.sources, batch_size, seed)
    card = card_facts(system.model)
    return Rewrites(system.name, system.kind, system.revision, decoding, tuple(outputs), seconds, device, card)


def read_outputs(path: Path, expected: int) -> list[str]:
    """The outputs in a text file, one per line; empty lines are (failed) outputs. Errors: another count."""
    lines = read_lines(path)
    if len(lines) != expected:
        raise InputError(
            f"{path}: {len(lines)} lines for {expected} test sentences; write one output per line, empty ones too"
        )
    return lines


def _generate(
    system: System, loaded: LoadedModel, sources: Sequence[str], batch_size: int | None, seed: int
) -> tuple[list[str], dict[str, Any], float | None, str]:
    """(outputs, decoding, seconds of generating or None where a batch of the cache does not say, device)."""
    import torch
    import transformers

    from metrics.generation.rewriting import Progress, decoding_settings, default_batch_size, rewrite_all

    settings = decoding_settings(loaded.model, system.decoding)
    batch_size = batch_size or default_batch_size(loaded, sources, settings)
    decoding = {**settings, "prompt": loaded.prompt, "batch_size": batch_size}
    if loaded.engine:
        decoding["engine"] = loaded.engine.name
    if system.dtype != DTYPES[0]:
        decoding["dtype"] = system.dtype
    if settings["do_sample"]:
        decoding["seed"] = seed
    versions = [torch.__version__, transformers.__version__, loaded.device]
    key = content_hash([system.revision, decoding, list(sources), versions])
    path = cache_dir() / "rewrites" / f"{key[:32]}.jsonl"
    done = Progress()
    took: list[float | None] = []
    for batch in read_json_lines(path):
        took.append(batch.pop(_TOOK, None))
        done.add({int(i): text for i, text in batch.items()})
    with append_json_lines(path) as append:
        last = time.monotonic()

        def record(results: dict[int, str | None]) -> None:
            nonlocal last
            seconds, last = round(time.monotonic() - last, 3), time.monotonic()
            took.append(seconds)
            append({**{str(i): text for i, text in results.items()}, _TOOK: seconds})

        outputs = rewrite_all(
            loaded,
            sources,
            settings,
            description=f"rewriting, {system.name}",
            batch_size=batch_size,
            seed=seed,
            done=done,
            record=record,
        )
    known = [seconds for seconds in took if seconds is not None]
    total = round(sum(known), 1) if len(known) == len(took) else None
    return outputs, decoding, total, _device(loaded.device)


# Beside the texts of a batch, by number: the seconds it took.
_TOOK = "seconds"


def _device(kind: str) -> str:
    import torch

    if kind == "cuda":
        return str(torch.cuda.get_device_name())
    return f"{kind}, {platform.machine()}, {torch.get_num_threads()} threads"
