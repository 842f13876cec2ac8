"""Load the weights of resolved models: every tensor of their files is used, or the model is refused by name.

transformers replaces missing tensors by random ones and passes over tensors that it does not know; here that is an
error. So is a file of weights that would not be read, or would be read as a pickle.
"""

import json
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError, one_line

WEIGHTS, INDEX, ADAPTER_WEIGHTS = "model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
# The ends of the names of architectures whose head a class would leave out, or take for its own.
_HEADS = (
    "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice",
    "ForNextSentencePrediction", "ForMaskedLM", "ForPreTraining",
)  # fmt: skip
OTHER_HEADS = {
    "AutoModelForCausalLM": _HEADS, "AutoModelForSeq2SeqLM": _HEADS,
    "AutoModelForSequenceClassification": ("ForTokenClassification", "ForMultipleChoice"),
}  # fmt: skip
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# quant_method of a config -> the packages (as they are imported, and as pip calls them) that read such weights.
_QUANTIZATION_PACKAGES = {
    "awq": {"gptqmodel": "gptqmodel"}, "gptq": {"optimum": "optimum", "gptqmodel": "gptqmodel"},
    "bitsandbytes": {"bitsandbytes": "bitsandbytes"}, "aqlm": {"aqlm": "aqlm"}, "hqq": {"hqq": "hqq"},
    "auto-round": {"auto_round": "auto-round"}, "compressed-tensors": {"compressed_tensors": "compressed-tensors"},
    "quanto": {"optimum": "optimum-quanto"}, "quark": {"quark": "amd-quark"}, "spqr": {"spqr_quant": "spqr_quant"},
    "torchao": {"torchao": "torchao"}, "vptq": {"vptq": "vptq"}, "eetq": {"kernels": "kernels"},
}  # fmt: skip


def weight_files(folder: Path, name: str) -> list[Path]:
    """Return the files of weights that are loaded from a model folder, all of them safetensors.

    Args:
        folder: The folder of a model, in one file or in shards with an index, or of an adapter.
        name: What error messages call it.

    Raises:
        InputError: There are none, or the index does not name safetensors files of this folder.
    """
    adapter = (folder / ADAPTER_CONFIG).is_file()
    whole = folder / (ADAPTER_WEIGHTS if adapter else WEIGHTS)
    if whole.is_file():
        return [whole]
    if not adapter and (folder / INDEX).is_file():
        return _shards(folder / INDEX, name)
    if pickles := sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern)):
        reason = f"only pickle weights ({pickles[0]}), which can run code when read; refused"
        raise InputError(f"{name}: {reason}. Save them again as safetensors ({whole.name})")
    expected = whole.name if adapter else f"{WEIGHTS} or {INDEX}"
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    beside = f"; {others[0]} has another name and is not read" if others else ""
    raise InputError(f"{name}: no weights (*.safetensors) in this folder: it has no {expected}{beside}")


def _shards(index: Path, name: str) -> list[Path]:
    """The files that an index of shards names."""
    try:
        shards = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        if not shards or not all(isinstance(shard, str) for shard in shards):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{name}/{index.name}: not an index of weights (a JSON object with weight_map)") from None
    for shard in shards:
        # A name such as x.bin would be read as a pickle.
        if not shard.endswith(".safetensors") or Path(shard).name != shard:
            raise InputError(f"{name}/{index.name}: names {shard[:80]}, which is no safetensors file of this folder")
        if not (index.parent / shard).is_file():
            raise InputError(f"{name}: {shard} is missing, one of {len(shards)} files of weights; copy it again")
    return [index.parent / shard for shard in shards]


@contextmanager
def loading_errors(name: str, what: str = "cannot be loaded") -> Iterator[None]:
    """Turn any error of the block, in which files that others wrote are read, into one line about the model `name`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{name}: {what} ({type(error).__name__}: {one_line(error)})") from error


def load_base(
    folder: Path, name: str, auto_class: Any, *, dtype: Any, ignore: Collection[str] = (),
    supplied: Collection[str] = (), **options: Any,
) -> Any:  # fmt: skip
    """Load a model that is no adapter, in eval mode.

    Args:
        folder: Its folder.
        name: What error messages call it.
        auto_class: A class such as `transformers.AutoModelForCausalLM`.
        dtype: The torch dtype of the weights.
        ignore: Beginnings of the names of modules that the caller does not use: their weights may be missing.
        supplied: Names of weights that an adapter brings with it: they may be missing.
        options: Further arguments of `from_pretrained`, such as `config`.

    Raises:
        InputError: Weights are missing, unknown or of another shape than the config says, or need a package that is
            not installed.
    """
    from transformers import AutoConfig

    with loading_errors(name):
        kinds = _tensor_kinds(folder, name)
        integers = {key for key, kind in kinds.items() if kind.startswith(("I", "U", "BOOL"))}
        config = options.setdefault("config", AutoConfig.from_pretrained(folder, trust_remote_code=False))
        require_quantization(config, name)
        model, info = auto_class.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True,
            # Otherwise transformers raises an error of many lines.
            ignore_mismatched_sizes=True, **options,
        )  # fmt: skip
    missing = {key for key in info["missing_keys"] if not key.startswith(tuple(ignore)) and key not in supplied}
    unexpected = set(info["unexpected_keys"])
    if unexpected:
        unexpected -= _other_weights(config, unexpected)
    shapes = sorted((key, tuple(found), tuple(expected)) for key, found, expected in info["mismatched_keys"])
    problems = [f"{key} has the shape {found}, not {expected}" for key, found, expected in shapes]
    problems = problems or [one_line(error) for error in info["error_msgs"]]
    if getattr(config, "quantization_config", None) is None:
        # Buffers, such as the numbers of positions, may be integers.
        floats = {key for key, value in model.named_parameters() if value.is_floating_point()}
        cast = sorted(key for key in integers if any(f".{own}".endswith(f".{key}") for own in floats))
        problems += [f"{key} holds integers, and the config names no quantization" for key in cast]
    refuse_weights(name, missing, unexpected, problems)
    require_finite(model, name)
    _require_task(model, auto_class.__name__, name)
    return model.eval()


def _tensor_kinds(folder: Path, name: str) -> dict[str, str]:
    """The dtype of each tensor in a model's files of weights; an `InputError` if two files hold the same one."""
    from safetensors import SafetensorError, safe_open

    kinds: dict[str, str] = {}
    for path in weight_files(folder, name):
        try:
            with safe_open(path, "np") as file:
                own = {key: file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            reason = f"not a safetensors file ({one_line(error)})"
            raise InputError(f"{name}/{path.name}: cannot be loaded: {reason}; copy it again") from None
        # transformers takes the last one, whatever the index says.
        if twice := sorted(kinds.keys() & own.keys()):
            raise InputError(
                f"{name}/{path.name}: cannot be loaded: another file holds {twice[0]} too; save the model again"
            )
        kinds |= own
    return kinds


def _require_task(model: Any, auto_class: str, name: str) -> None:
    """Refuse weights of a model for another task, and those whose config names code of their own for this one."""
    config, used = model.config, type(model).__name__
    declared = [str(architecture) for architecture in config.architectures or ()]
    if declared and all(one.endswith(OTHER_HEADS.get(auto_class, ())) for one in declared):
        problem = f"its config says {declared[0][:80]}, whose head {used} does not have"
        raise InputError(f"{name}: {problem}; name a model that was trained for this task")
    code = getattr(config, "auto_map", None) or {}
    require_own_code(name, "config.json", code.get("AutoConfig"), type(config).__name__)
    require_own_code(name, "config.json", code.get(auto_class), used)


def require_own_code(name: str, file: str, code: Any, used: str) -> None:
    """Refuse code of a model's own: another class of transformers would take its place.

    The code of many models is a part of transformers by now, under the same name: it is used, and a line says so.

    Args:
        name: The model's name.
        file: The file that names the code.
        code: What `auto_map` there says: a class behind a path, or a list of them.
        used: The class of transformers in its place.
    """
    named = [str(one).rpartition(".")[2] for one in (code if isinstance(code, list | tuple) else [code]) if one]
    if named and used.removesuffix("Fast") not in [one.removesuffix("Fast") for one in named]:
        problem = f"{file} names code of its own, {named[0][:80]} (auto_map), which is not run"
        raise InputError(f"{name}: {problem}; remove it there if {used} of transformers is the same model")
    if named:
        print(f"{name}: {used} of transformers takes the place of the code that {file} names", file=sys.stderr)


def require_finite(model: Any, name: str) -> None:
    """Raise an `InputError` if a weight of a model is infinite or not a number: its texts and scores mean nothing."""
    import torch

    for key, value in model.named_parameters():
        if value.is_meta or not value.is_floating_point() or not value.numel() or value.element_size() == 1:
            continue
        low, high = torch.aminmax(value.detach())
        # Not a number is the least and the greatest of all.
        if not (low.isfinite() and high.isfinite()):
            problem = f"{key} holds a value that is infinite or not a number"
            raise InputError(f"{name}: cannot be loaded: {problem}; save the model again")


def refuse_weights(name: str, missing: Collection[str], unexpected: Collection[str], others: list[str]) -> None:
    """Raise an `InputError` that names the first weights of each kind, if there are any.

    Args:
        name: The model's name.
        missing: Weights that the model has and its files have not.
        unexpected: Weights that its files have and the model has not.
        others: What is wrong with single weights, in words.
    """
    problems = [f"{_names(missing)} missing"] if missing else []
    problems += [f"{_names(unexpected)} unknown to this kind of model"] if unexpected else []
    problems += [others[0] + (f" (and {len(others) - 1} more)" if len(others) > 1 else "")] if others else []
    if problems:
        advice = "its config and its weights do not belong together, or a file is incomplete; save the model again"
        raise InputError(f"{name}: cannot be loaded: {'; '.join(problems)}: {advice}")


def _names(weights: Collection[str]) -> str:
    first, *rest = sorted(weights)
    return f"the weight {first} is" if not rest else f"the weight {first} and {len(rest)} more are"


def _other_weights(config: Any, names: Collection[str]) -> set[str]:
    """Those of `names` that belong to another head of the model, which this head rightly does not read.

    That is, to the architecture that the config declares (a masked language model whose encoder is used), or to the
    encoder itself (a pooler that the classifier of RoBERTa leaves out).
    """
    import torch
    import transformers

    known: set[str] = set()
    with torch.device("meta"):
        for architecture in config.architectures or ():
            if (declared := getattr(transformers, str(architecture), None)) is not None:
                model = declared(config)
                known |= model.state_dict().keys()
        encoder = transformers.AutoModel.from_config(config, trust_remote_code=False)
        prefix = f"{encoder.base_model_prefix}."
        known |= encoder.state_dict().keys()
    known |= {key.removeprefix(prefix) for key in known}
    return {name for name in names if name.removeprefix(prefix) in known}


def require_quantization(config: Any, name: str) -> None:
    """Raise an `InputError` if a config's weights are quantized and the package that reads them is not installed."""
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    quantization = getattr(config, "quantization_config", None)
    if quantization is None:
        return
    if not isinstance(quantization, dict):
        quantization = quantization.to_dict()
    bits = quantization.get("load_in_8bit") or quantization.get("load_in_4bit")
    # Enumerations print as their class and name.
    method = quantization.get("quant_method", "bitsandbytes" if bits else None)
    method = str(getattr(method, "value", method))
    packages = _QUANTIZATION_PACKAGES.get(method, {})
    # transformers warns of a method that it does not know, and reads the numbers as if they were not quantized.
    if not packages and method not in AUTO_QUANTIZATION_CONFIG_MAPPING:
        raise InputError(f"{name}: its weights are quantized by {method[:80]}, which transformers does not know")
    for module, package in packages.items():
        if not find_spec(module):
            needs = f"its weights are quantized ({method}) and need the package {package}"
            raise InputError(f"{name}: {needs}, which is not installed: pip install {package}")
