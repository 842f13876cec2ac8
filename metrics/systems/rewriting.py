"""What a system writes for a test set. A model's outputs are cached batch by batch, so that a run resumes."""

import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from metrics.data.languages import ENGLISH
from metrics.data.test_sets import TestSet
from metrics.data.text import is_output
from metrics.generation.batching import default_batch_size
from metrics.generation.decoding import decoding_settings
from metrics.generation.engines import make_engine
from metrics.generation.lengths import generation_settings
from metrics.generation.packed_linear import PACKABLE_FAMILIES, pack_linear_layers
from metrics.generation.prompts import template_hash
from metrics.generation.reasoning import cut_reasoning, find_reasoning
from metrics.generation.rewriting import RewritingProgress, rewrite_all
from metrics.models.cards import card_facts
from metrics.models.loading import DTYPES, LoadedModel, load_model
from metrics.models.prompts import CHAT_PREFIX
from metrics.models.translation import language_token, set_source_language
from metrics.systems.baselines import BASELINES
from metrics.systems.endpoint import rewrite_at_endpoint
from metrics.systems.lexicons import read_lexicon
from metrics.systems.outputs import outputs_for
from metrics.systems.preamble import describe_preamble
from metrics.systems.resolve import BackTranslation, Rewrites, System
from metrics.util.errors import InputError, name_option
from metrics.util.files import append_json_lines, cache_dir, content_hash, is_duration, read_json_lines

# Counts the changes to prompts and generation after which cached rewrites of the same decoding may be others.
_CACHE_VERSION = 4
# Keys beside the outputs of a cached batch: the time that it took, and its outputs that the token limit cut off.
_SECONDS, _UNFINISHED = "seconds", "unfinished"


def load_system(system: System) -> LoadedModel | None:
    """Load the system's model and its engine. Return None for a system without a model.

    Raises:
        InputError: The engine does not support the model, or is not installed.
    """
    if system.model is None:
        return None
    loaded = load_model(system.model, prompt=system.prompt, dtype=system.dtype, weights=not system.engine)
    loaded.preamble = system.preamble
    if system.translation is not None:
        back, between = system.translation.back, system.translation.between
        loaded.back = load_model(back, prompt=system.prompt) if back else None
        loaded.between = load_system(between) if between else None
    if system.engine:
        loaded.engine = make_engine(loaded, system.engine)
        return loaded
    samples = decoding_settings(loaded.model, system.decoding)["do_sample"]
    # Packed layers sum in another order, which would change some samples of recorded runs.
    if loaded.merged and loaded.model.config.model_type in PACKABLE_FAMILIES and not samples:
        pack_linear_layers(loaded.model)
    return loaded


def rewrite_sets(
    system: System, test_sets: Sequence[TestSet], *, batch_size: int | None = None, seed: int = 0
) -> Iterator[tuple[Rewrites, TestSet]]:
    """Yield what a system writes for each test set; its model is loaded once. Raises as `rewrite` does."""
    loaded = load_system(system)
    for test_set in test_sets:
        yield rewrite(system, test_set, batch_size=batch_size, seed=seed, loaded=loaded), test_set


def rewrite(
    system: System, test_set: TestSet, *, batch_size: int | None = None, seed: int = 0,
    loaded: LoadedModel | None = None,
) -> Rewrites:  # fmt: skip
    """Rewrite every sentence of a test set.

    Args:
        batch_size: Sentences per batch; None for `metrics.generation.batching.default_batch_size`.
        seed: The seed of systems that sample.
        loaded: The result of `load_system`, for callers that rewrite more than one test set.

    Raises:
        InputError: A file of outputs does not belong to the sentences of the test set, or an endpoint fails.
    """
    if system.endpoint is not None:
        return rewrite_at_endpoint(system, test_set.sources, seed)
    loaded = loaded or load_system(system)
    if loaded is not None and system.translation is not None:
        return _translate_back(system, system.translation, loaded, test_set, batch_size, seed)
    if loaded is not None:
        return _generate(system, loaded, test_set.sources, batch_size, seed)
    if system.name == "delete" and (system.lexicon or test_set.lang != ENGLISH):
        lexicon = read_lexicon(test_set.lang, system.lexicon)
        texts = tuple(lexicon.delete(source) for source in test_set.sources)
        return Rewrites(system.name, system.kind, lexicon.revision, {}, texts)
    if system.kind == "outputs":
        outputs = outputs_for(Path(system.name), test_set, system.columns)
    else:
        outputs = BASELINES[system.name](test_set)
    decoding = {"reasoning": "cut"} if system.cut_reasoning else {}
    if system.cut_reasoning:
        outputs = [cut_reasoning(output) for output in outputs]
    return Rewrites(system.name, system.kind, system.revision, decoding, tuple(outputs))


def _translate_back(
    system: System,
    translation: BackTranslation,
    loaded: LoadedModel,
    test_set: TestSet,
    batch_size: int | None,
    seed: int,
) -> Rewrites:
    """Translate to the pivot language and back; the decoding names languages and the other systems."""
    lang = test_set.lang
    pivot = translation.pivot or ("fr" if lang == ENGLISH else ENGLISH)
    if pivot == lang:
        raise InputError(f"{system.name}: the texts are in the pivot language {pivot}; give another one with --pivot")

    def translate(model: LoadedModel, texts: Sequence[str], source: str, target: str) -> Rewrites:
        tokens = [language_token(model.tokenizer, one) for one in (source, target)]
        settings = dict(system.decoding)
        if translation.back is None:
            if None in tokens:
                problem = f"has no token for the language {source if tokens[0] is None else target}"
                raise InputError(f"{system.name}: {problem}; give two models as back-translation:THERE,BACK")
            set_source_language(model.tokenizer, str(tokens[0]))
            settings["forced_bos_token_id"] = model.tokenizer.convert_tokens_to_ids(tokens[1])
        direction = {"translation": f"{source}-{target}"}
        return _generate(replace(system, decoding=settings), model, texts, batch_size, seed, direction)

    steps = [translate(loaded, test_set.sources, lang, pivot)]
    if translation.between is not None:
        texts = steps[0].outputs
        middle = TestSet(test_set.name, test_set.origin, "", texts, ((),) * len(texts), langs=(pivot,) * len(texts))
        steps.append(rewrite(translation.between, middle, batch_size=batch_size, seed=seed, loaded=loaded.between))
    back = translate(loaded.back or loaded, steps[-1].outputs, pivot, lang)
    decoding = {**back.decoding, "translation": f"{lang}-{pivot}-{lang}"}
    if ref := translation.back:
        decoding["back"] = f"{ref.name.rstrip('/').rpartition('/')[2]}@{ref.revision}"
    if (middle_system := translation.between) is not None:
        # A folder of this machine is private; an id of the Hub is not.
        on_hub = middle_system.model is not None and middle_system.model.kind == "hub"
        name = middle_system.name if on_hub else middle_system.name.rstrip("/").rpartition("/")[2]
        decoding["between"] = f"{name}@{steps[1].revision}"
    # A baseline takes no time that counts.
    times = [step.seconds for step in (*steps, back) if step.kind != "baseline"]
    seconds = None if None in times else round(sum(float(time or 0) for time in times), 1)
    return replace(back, decoding=decoding, seconds=seconds)


def _generate(
    system: System, loaded: LoadedModel, sources: Sequence[str], batch_size: int | None, seed: int,
    further: Mapping[str, Any] = MappingProxyType({}),
) -> Rewrites:  # fmt: skip
    card = card_facts(loaded.ref)
    with name_option(system.name):
        settings = generation_settings(loaded, system.decoding)
        batch_size = batch_size or default_batch_size(loaded, sources, settings)
        decoding = {**settings, "prompt": loaded.prompt, "batch_size": batch_size, **_describe_prompt(loaded)}
    decoding |= further
    if loaded.engine:
        decoding["engine"] = loaded.engine.name
    if system.dtype != DTYPES[0]:
        decoding["dtype"] = system.dtype
    if settings["do_sample"]:
        decoding["seed"] = seed
    versions = [torch.__version__, version("transformers"), loaded.device]
    key = content_hash([_CACHE_VERSION, system.revision, decoding, list(sources), versions])
    path = cache_dir() / "rewrites" / f"{key[:32]}.jsonl"
    done = RewritingProgress()
    cached = read_json_lines(path, lambda line: _is_batch(line, len(sources)))
    batch_seconds: list[float | None] = [batch.pop(_SECONDS, None) for batch in cached]
    for batch in cached:
        done.unfinished.update(batch.pop(_UNFINISHED, ()))
        done.add({int(i): text for i, text in batch.items()})
    with append_json_lines(path) as append:
        last = time.monotonic()

        def record(results: dict[int, str | None]) -> None:
            nonlocal last
            seconds, last = round(time.monotonic() - last, 3), time.monotonic()
            batch_seconds.append(seconds)
            unfinished = {_UNFINISHED: sorted(own)} if (own := done.unfinished & results.keys()) else {}
            append({**{str(i): text for i, text in results.items()}, _SECONDS: seconds, **unfinished})

        outputs = rewrite_all(
            loaded, sources, settings, description=f"rewriting, {system.name}", batch_size=batch_size, seed=seed,
            done=done, record=record,
        )  # fmt: skip
    if done.unfinished:
        limit = next(f"{key}={settings[key]}" for key in ("max_new_tokens", "max_length") if key in settings)
        count = f"{len(done.unfinished)} of {len(sources)} outputs"
        print(f"{system.name}: {count} did not end within {limit}; they are scored as they are", file=sys.stderr)
    # A batch that an older version cached does not record its seconds.
    known = [seconds for seconds in batch_seconds if seconds is not None]
    total = round(sum(known), 1) if len(known) == len(batch_seconds) else None
    device = f"{loaded.device}, {platform.machine()}, {torch.get_num_threads()} threads"
    if loaded.device == "cuda":
        device = str(torch.cuda.get_device_name())
    return Rewrites(system.name, system.kind, system.revision, decoding, tuple(outputs), total, device, card)


def _is_batch(line: Any, n: int) -> bool:
    """Whether a line of the cache is a batch of `n` sentences: lines of text, or None, by index, and its facts."""
    if not isinstance(line, dict):
        return False
    texts = {index: text for index, text in line.items() if index not in (_SECONDS, _UNFINISHED)}
    known = {str(i) for i in range(n)}
    unfinished = line.get(_UNFINISHED, [])
    return (
        is_duration(line.get(_SECONDS, 0))
        and isinstance(unfinished, list)
        and all(type(i) is int and str(i) in texts for i in unfinished)
        and bool(texts)
        and texts.keys() <= known
        and all(text is None or is_output(text) for text in texts.values())
    )


def _describe_prompt(loaded: LoadedModel) -> dict[str, Any]:
    """Return what the decoding says of system message, examples, chat template and reasoning."""
    found = describe_preamble(loaded.preamble)
    # The revision of a built-in model fixes its template: its rows had no such field from the beginning.
    if loaded.prompt.startswith(CHAT_PREFIX) and loaded.ref.kind != "built-in":
        found["chat_template"] = template_hash(loaded.tokenizer, loaded.prompt, loaded.preamble)
    if find_reasoning(loaded):
        found["reasoning"] = "cut"
    return found
