"""What the folder of a sentence encoder says beside its transformer, read as sentence-transformers 6 reads it.

Everything is honoured or refused by name: pooling, dense layers, norms, prompts, lengths, lower case, the similarity.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError, one_line
from metrics.util.files import read_text

_POOLING_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
# The files that older versions wrote for one kind of transformer each.
_TRANSFORMER_FILES = [
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
]
_TEXT_MODALITY = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
# Settings with the values that mean what happens anyway.
_TRANSFORMER_DEFAULTS: dict[str, Any] = {
    "transformer_task": "feature-extraction", "module_output_name": "token_embeddings",
    "modality_config": _TEXT_MODALITY, "unpad_inputs": False,
}  # fmt: skip
_DENSE_DEFAULTS: dict[str, Any] = {
    "module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding",
}  # fmt: skip
_Module = Callable[[Any], Any]


@dataclass(frozen=True)
class SentenceSettings:
    """How a sentence encoder makes a vector of a text.

    Attributes:
        poolings: The modes of pooling whose vectors are joined, of `_POOLING_MODES`.
        modules: What follows: functions of a tensor [n, width].
        prompt: What is put before every text.
        pool_prompt: Whether the prompt's tokens are pooled too.
        max_length: The greatest number of tokens, None for the tokenizer's own.
        lower_case: Whether texts are lower-cased.
    """

    poolings: tuple[str, ...]
    modules: tuple[_Module, ...]
    prompt: str
    pool_prompt: bool
    max_length: int | None
    lower_case: bool


def read_settings(folder: Path, name: str) -> SentenceSettings:
    """Read the settings of a sentence encoder; a folder without any gives the mean of all tokens.

    Raises:
        InputError: A file is damaged, or says something that is not supported.
    """
    paths = _read_module_list(folder, name)
    pooling = read_config(paths["Pooling"][0] / "config.json")
    poolings = _read_poolings(pooling, f"{name}/{paths['Pooling'][0].name}")
    include = pooling.get("include_prompt", True)
    modules = tuple(_MODULES[kind](path, f"{name}/{path.name}") for kind, path in paths["chain"])
    normalised = bool(paths["chain"]) and paths["chain"][-1][0] == "Normalize"
    prompt = _read_prompt(read_config(folder / "config_sentence_transformers.json"), name, normalised)
    transformer = next((folder / file for file in _TRANSFORMER_FILES if (folder / file).is_file()), None)
    config = read_config(transformer) if transformer else {}
    known = {"max_seq_length": None, "do_lower_case": None, **_TRANSFORMER_DEFAULTS}
    _require_settings(config, known, f"{name}/{transformer.name if transformer else ''}")
    length = config.get("max_seq_length")
    if length is not None and (not isinstance(length, int) or length < 1):
        raise InputError(f"{name}: max_seq_length {length!r} is not a number of tokens")
    return SentenceSettings(poolings, modules, prompt, bool(include), length, bool(config.get("do_lower_case")))


def _read_module_list(folder: Path, name: str) -> dict[str, Any]:
    """{"Pooling": [its folder], "chain": [(kind, folder) of each module behind it]}."""
    listed = read_config(folder / "modules.json", list)
    if not listed:
        dense = [("Dense", folder / "2_Dense")] if (folder / "2_Dense").is_dir() else []
        return {"Pooling": [folder / "1_Pooling"], "chain": dense}
    modules: list[tuple[str, Path]] = []
    for module in listed:
        module = module if isinstance(module, dict) else {}
        type_, path = str(module.get("type")), str(module.get("path") or "")
        package, _, kind = type_.rpartition(".")
        expected = "Transformer" if not modules else "Pooling" if len(modules) == 1 else kind
        if (
            package.partition(".")[0] != "sentence_transformers"
            or kind != expected
            or (len(modules) > 1 and kind not in _MODULES)
        ):
            raise InputError(f"{name}/modules.json: {kind[:80]} is not supported as module {len(modules)}")
        if ".." in Path(path).parts or Path(path).is_absolute() or (path and not modules):
            raise InputError(f"{name}/modules.json: the path {path[:80]} of module {len(modules)} is not supported")
        # A module that stores nothing may have no folder; the model's own config is not its config.
        modules.append((kind, folder / (path or f"no folder of {kind}")))
    if len(modules) < 2:
        raise InputError(f"{name}/modules.json: names no Pooling, without which a text has no vector")
    return {"Pooling": [modules[1][1]], "chain": modules[2:]}


def _require_settings(config: dict[str, Any], known: dict[str, Any], name: str) -> None:
    """Refuse a setting that is unknown, or has another value than the one in `known`, unless that is None."""
    for key, value in config.items():
        allowed = known.get(key)
        other = value not in (None, allowed) if allowed is not None else key not in known and value
        if other:
            raise InputError(f"{name}: {key[:80]} = {one_line(value)[:80]} is not supported")


def _read_poolings(config: dict[str, Any], name: str) -> tuple[str, ...]:
    prefix = "pooling_mode_"
    old = {key.removeprefix(prefix): on for key, on in config.items() if key.startswith(prefix)}
    # Newer folders name the mode, or a list of modes, in one field.
    modes = config.get("pooling_mode")
    if modes is None:
        names = {f"{mode}_tokens": mode for mode in ("cls", "max", "mean", "weightedmean")}
        names = {"cls_token": "cls", **names}
        modes = [names.get(key, key) for key, on in old.items() if on] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    unknown = [mode for mode in modes if mode not in _POOLING_MODES] if isinstance(modes, list) else [modes]
    if unknown or not modes:
        mode = one_line(unknown[0] if unknown else modes)[:80]
        raise InputError(f"{name}: pooling by {mode} is not supported; {', '.join(_POOLING_MODES)} are")
    known = {key: None for key in config if key.startswith("pooling_mode")}
    known |= dict.fromkeys(("word_embedding_dimension", "embedding_dimension", "include_prompt"))
    _require_settings(config, known, name)
    # The order in which sentence-transformers joins them.
    return tuple(modes) if "pooling_mode" in config else tuple(mode for mode in _POOLING_MODES if mode in modes)


def _read_prompt(config: dict[str, Any], name: str, normalised: bool) -> str:
    """The prompt that `encode` puts before a text."""
    where = f"{name}/config_sentence_transformers.json"
    similarity, kind = config.get("similarity_fn_name"), config.get("model_type")
    if similarity not in (None, "cosine") and not (similarity == "dot" and normalised):
        raise InputError(f"{where}: its similarity is {similarity!r}; SIM is a cosine")
    if kind not in (None, "SentenceTransformer"):
        raise InputError(f"{where}: a {str(kind)[:80]}, not a SentenceTransformer")
    _require_settings(config, dict.fromkeys(
        ("__version__", "prompts", "default_prompt_name", "similarity_fn_name", "model_type")
    ), where)  # fmt: skip
    prompts, default = config.get("prompts") or {}, config.get("default_prompt_name")
    if default is None:
        return ""
    if not isinstance(prompts, dict) or not isinstance(prompts.get(default), str):
        raise InputError(f"{where}: default_prompt_name {str(default)[:80]} is none of its prompts")
    return str(prompts[default])


def pool(modes: tuple[str, ...], states: Any, mask: Any) -> Any:
    """Return one vector for each text.

    Args:
        modes: The modes whose vectors are joined.
        states: [n, tokens, width].
        mask: [n, tokens, 1], 0 for tokens that are not pooled.

    Returns:
        [n, width * modes].
    """
    import torch

    mask = mask.to(states.dtype)
    count = mask.sum(1).clamp(min=1e-9)
    positions = torch.arange(1, states.shape[1] + 1, dtype=states.dtype)[None, :, None]
    rows = torch.arange(len(states))
    vectors = {
        "cls": lambda: states[rows, mask[..., 0].argmax(1)],
        "max": lambda: states.masked_fill(mask == 0, -torch.inf).amax(1),
        "mean": lambda: (states * mask).sum(1) / count,
        "mean_sqrt_len_tokens": lambda: (states * mask).sum(1) / count.sqrt(),
        "weightedmean": lambda: (states * mask * positions).sum(1) / (mask * positions).sum(1).clamp(min=1e-9),
        "lasttoken": lambda: states[rows, (mask * positions)[..., 0].argmax(1)],
    }
    return torch.cat([vectors[mode]() for mode in modes], dim=-1)


def _read_tensors(folder: Path, name: str) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise InputError(f"{name}: no model.safetensors; pickled weights are not loaded")
    try:
        return {key: tensor.float() for key, tensor in load_file(weights).items()}
    except SafetensorError as error:
        raise InputError(f"{name}/model.safetensors: not a safetensors file ({one_line(error)})") from None


def _load_module(module: Any, tensors: dict[str, Any], name: str, what: str) -> Any:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{name}/model.safetensors: not {what} ({one_line(error)})") from None
    return module.eval()


def _read_dense(folder: Path, name: str) -> _Module:
    """A linear layer and its activation, perhaps with a residual connection."""
    import torch

    tensors = _read_tensors(folder, name)
    config = read_config(folder / "config.json")
    known = dict.fromkeys(("in_features", "out_features", "bias", "activation_function", "use_residual"))
    _require_settings(config, {**known, **_DENSE_DEFAULTS}, f"{name}/config.json")
    activation = _activation(str(config.get("activation_function", "torch.nn.modules.activation.Tanh")), name)
    weight = tensors.get("linear.weight")
    if weight is None or weight.ndim != 2:
        raise InputError(f"{name}/model.safetensors: not a linear layer (no linear.weight)")
    outputs, inputs = weight.shape
    if (config.get("in_features", inputs), config.get("out_features", outputs)) != (inputs, outputs):
        raise InputError(f"{name}/model.safetensors: linear.weight is {outputs} x {inputs}, its config says otherwise")
    residual = bool(config.get("use_residual"))
    bias = bool(config.get("bias", "linear.bias" in tensors))
    parts = torch.nn.ModuleDict({"linear": torch.nn.Linear(inputs, outputs, bias=bias)})
    if residual and inputs != outputs:
        parts["residual"] = torch.nn.Linear(inputs, outputs, bias=False)
    _load_module(parts, tensors, name, "a linear layer")

    def apply(vectors: Any) -> Any:
        result = activation(parts["linear"](vectors))
        if not residual:
            return result
        return result + (parts["residual"](vectors) if "residual" in parts else vectors)

    return apply


def _activation(path: str, name: str) -> Any:
    """An activation of torch by its full name; no other code is imported."""
    import torch

    kind = path.rpartition(".")[2]
    class_ = getattr(torch.nn, kind, None)
    # As sentence-transformers builds it: without arguments.
    if path not in (f"torch.nn.{kind}", f"{getattr(class_, '__module__', '')}.{kind}") or not isinstance(class_, type):
        raise InputError(f"{name}: activation {path[:80]} is not supported; those of torch.nn are")
    if class_.__module__ not in ("torch.nn.modules.activation", "torch.nn.modules.linear") or kind == "Linear":
        raise InputError(f"{name}: activation {path[:80]} is not supported; those of torch.nn are")
    try:
        return class_().eval()
    except TypeError:
        raise InputError(f"{name}: activation {path[:80]} is not supported: it needs arguments") from None


def _read_layer_norm(folder: Path, name: str) -> _Module:
    import torch

    tensors = _read_tensors(folder, name)
    _require_settings(read_config(folder / "config.json"), {"dimension": None}, f"{name}/config.json")
    width = tensors["norm.weight"].shape if "norm.weight" in tensors else (1,)
    parts = torch.nn.ModuleDict({"norm": torch.nn.LayerNorm(list(width))})
    norm: _Module = _load_module(parts, tensors, name, "a layer norm")["norm"]
    return norm


def _read_normalize(folder: Path, name: str) -> _Module:
    import torch

    _require_settings(read_config(folder / "config.json"), _DENSE_DEFAULTS, f"{name}/config.json")
    return lambda vectors: torch.nn.functional.normalize(vectors, dim=-1)


# Modules that may follow the pooling. Dropout does nothing outside training.
_MODULES: dict[str, Callable[[Path, str], _Module]] = {
    "Dense": _read_dense, "LayerNorm": _read_layer_norm, "Normalize": _read_normalize,
    "Dropout": lambda folder, name: lambda vectors: vectors,
}  # fmt: skip


def read_config(path: Path, kind: type = dict) -> Any:
    """Return the JSON object, or the array if `kind` is list, in a file; empty if there is no such file.

    Raises:
        InputError: The file holds something else.
    """
    try:
        config = json.loads(read_text(path)) if path.is_file() else kind()
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, kind):
        raise InputError(f"{path}: not a JSON {'object' if kind is dict else 'array'}")
    return config
