"""Put PEFT adapters on their base models, as peft does: each weight and setting of theirs is used, or refused."""

import dataclasses
import json
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from metrics.models.weights import (
    ADAPTER_CONFIG,
    OTHER_HEADS,
    loading_errors,
    refuse_weights,
    require_finite,
    weight_files,
)
from metrics.util.errors import InputError, one_line

_PREFIX = "base_model.model."
# By auto class of the base: the values of an adapter's task_type that fit it.
_TASKS = {
    "AutoModelForCausalLM": ("CAUSAL_LM", "SEQ_2_SEQ_LM"), "AutoModelForSeq2SeqLM": ("CAUSAL_LM", "SEQ_2_SEQ_LM"),
    "AutoModelForSequenceClassification": ("SEQ_CLS",),
}  # fmt: skip
# Kinds of adapters that a text alone does not serve.
_NEED_MORE_INPUT = {
    "POLY": "the number of a task with each text", "MULTITASK_PROMPT_TUNING": "the number of a task with each text",
    "XLORA": "further adapters in other folders",
}  # fmt: skip


def adapter_weights(folder: Path, name: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor in an adapter's file of weights, by its name there.

    Raises:
        InputError: The file is missing or damaged, or holds nothing.
    """
    from safetensors import SafetensorError, safe_open

    (path,) = weight_files(folder, name)
    try:
        with safe_open(path, "np") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        reason = f"not a safetensors file ({one_line(error)})"
        raise InputError(f"{name}/{path.name}: cannot be loaded: {reason}; copy it again") from None
    if not shapes:
        raise InputError(f"{name}/{path.name}: holds no weights; save the adapter again")
    return shapes


def load_adapter(
    folder: Path, name: str, build_base: Callable[[frozenset[str]], Any], vocabulary: int | None, auto_class: str = ""
) -> tuple[Any, bool]:
    """Load an adapter onto its base model, and merge it into the base's weights where its kind can be merged.

    Args:
        folder: The adapter's folder.
        name: What error messages call it.
        build_base: Loads the base model; its argument names the base's weights that the adapter brings with it.
        vocabulary: The number of tokens of the adapter's own tokenizer, None if it has none. Embeddings grow to it.
        auto_class: The name of the class of transformers that loads the base, such as "AutoModelForCausalLM".

    Returns:
        The model, and whether the adapter is merged into it.

    Raises:
        InputError: The adapter and its base, or its config and its weights, do not belong together.
    """
    import torch
    from peft import PeftConfig, PeftModel

    shapes = adapter_weights(folder, name)
    if (folder / "config.json").is_file():
        print(f"{name}: config.json is not read; as in peft, the config is its base's", file=sys.stderr)
    with loading_errors(name):
        _require_known_settings(folder, name, auto_class)
        config = PeftConfig.from_pretrained(str(folder))
    supplied = frozenset(key.removeprefix(_PREFIX) for key in shapes)

    def adapted() -> tuple[Any, range]:
        base = build_base(supplied)
        added = _resize_embeddings(base, shapes, vocabulary)
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # Missing weights are refused below.
            warnings.simplefilter("ignore")
            model = PeftModel.from_pretrained(
                base, str(folder), config=config, use_safetensors=True, low_cpu_mem_usage=False
            )
        _require_same_weights(model, name, shapes)
        return model, added

    with loading_errors(name):
        model, added = adapted()
        merged = False
        if _mergeable(model, config):
            try:
                model, merged = model.merge_and_unload(), True
            except (NotImplementedError, ValueError, TypeError, AttributeError):
                # Part of the layers may have been merged already.
                model, added = adapted()
        _require_added_tokens(model, name, added)
        require_finite(model, name)
    return model.eval(), merged


def _require_known_settings(folder: Path, name: str, auto_class: str) -> None:
    """Refuse an adapter for another task, and settings that the installed peft does not know.

    peft would ignore such settings; those that are switched off are accepted. Without a task_type, the weights decide.
    """
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    config = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
    kind = str(config.get("peft_type", "LORA"))
    if kind not in PEFT_TYPE_TO_CONFIG_MAPPING:
        raise InputError(f"{name}/{ADAPTER_CONFIG}: peft_type {kind[:80]} is unknown to the installed peft")
    task, tasks = config.get("task_type"), _TASKS.get(auto_class, ())
    if tasks and task and task not in tasks:
        problem = f"task_type {str(task)[:80]} is another task; this one needs {' or '.join(tasks)}"
        raise InputError(f"{name}/{ADAPTER_CONFIG}: {problem}")
    mapping = config.get("auto_mapping")
    declared = str((mapping if isinstance(mapping, dict) else {}).get("base_model_class"))
    if declared.endswith(OTHER_HEADS.get(auto_class, ())):
        problem = f"auto_mapping names {declared[:80]}, a model for another task"
        raise InputError(f"{name}/{ADAPTER_CONFIG}: {problem}; name an adapter that was trained for this one")
    if kind in _NEED_MORE_INPUT:
        raise InputError(f"{name}/{ADAPTER_CONFIG}: peft_type {kind} needs {_NEED_MORE_INPUT[kind]}; not supported")
    known = {field.name for field in dataclasses.fields(PEFT_TYPE_TO_CONFIG_MAPPING[kind])}
    unknown = sorted(key for key, value in config.items() if key not in known and value)
    if unknown:
        raise InputError(f"{name}/{ADAPTER_CONFIG}: {unknown[0][:80]} is unknown to the installed peft; update peft")


def _mergeable(model: Any, config: Any) -> bool:
    """Whether the adapter is a change of weights that is the same for all tokens."""
    # The weights of an "activated" LoRA count only behind its invocation tokens.
    activated = getattr(config, "alora_invocation_tokens", None)
    return not config.is_prompt_learning and not activated and hasattr(model.base_model, "merge_and_unload")


def _resize_embeddings(base: Any, shapes: dict[str, tuple[int, ...]], vocabulary: int | None) -> range:
    """Give the base as many embeddings as the adapter needs; return the tokens that are new.

    Their embeddings are not-a-number, so that `_require_added_tokens` sees those that the adapter does not bring.
    """
    import torch

    table = base.get_input_embeddings()
    rows = table.weight.shape[0]
    path = next(key for key, module in base.named_modules() if module is table)
    own = [shapes.get(f"{_PREFIX}{path}{suffix}.weight") for suffix in ("", ".base_layer")]
    wanted = next((shape[0] for shape in own if shape), max(rows, vocabulary or 0))
    if wanted == rows:
        return range(0)
    base.resize_token_embeddings(wanted, mean_resizing=False)
    added = range(rows, wanted)
    with torch.no_grad():
        for layer in (base.get_input_embeddings(), base.get_output_embeddings()):
            for weight in layer.parameters() if layer is not None else ():
                weight[rows:] = torch.nan
    return added


def _require_added_tokens(model: Any, name: str, added: range) -> None:
    """Raise an `InputError` if the adapter adds tokens and does not bring their weights."""
    import torch

    if not added:
        return
    table, output = model.get_input_embeddings(), model.get_output_embeddings()
    device = next(model.parameters()).device
    with torch.inference_mode():
        vectors = table(torch.tensor(added, device=device))
        values = [vectors] if output is None else [vectors, output(torch.ones_like(vectors[:1]))]
    if any(bool(value.isnan().any()) for value in values):
        problem = f"its tokenizer adds {len(added)} tokens, and the adapter does not hold all of their weights"
        raise InputError(f"{name}: {problem}; save it with save_embedding_layers=True, or merge it into its base")


def _require_same_weights(model: Any, name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise an `InputError` unless the file of an adapter holds exactly the weights that the adapter has."""
    from peft import get_peft_model_state_dict

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # By default peft asks the Hub whether the base model's vocabulary was changed.
        expected = get_peft_model_state_dict(model, save_embedding_layers=False)
        allowed = expected.keys() | get_peft_model_state_dict(model, save_embedding_layers=True).keys()

    def plain(keys: Iterable[str]) -> set[str]:
        # peft saves the magnitudes of DoRA with or without this suffix.
        magnitude = "lora_magnitude_vector"
        return {key.removesuffix(".weight") if key.endswith(f"{magnitude}.weight") else key for key in keys}

    found = plain(shapes)
    refuse_weights(name, plain(expected) - found, found - plain(allowed), [])
