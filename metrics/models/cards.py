"""Facts that a model's own files state: the number of its parameters, and the metadata of its card."""

import math
from pathlib import Path
from typing import Any

from safetensors import safe_open

from metrics.models.resolve import ModelRef
from metrics.models.weights import weight_files
from metrics.util.errors import InputError, one_line
from metrics.util.nesting import load_yaml


def card_facts(ref: ModelRef) -> dict[str, Any]:
    """Return `size` (parameters; of an adapter, including its base), `licence`, `base` and `training_data` of a model.

    Each is there only if the model's own files state it; none is checked.

    Raises:
        InputError: The model card cannot be read.
    """
    card = _front_matter(ref.folder / "README.md")
    base = card.get("base_model") or (ref.base.name if ref.base else "")
    data = card.get("datasets") or []
    facts = {
        "size": _count_parameters(ref.folder) + (_count_parameters(ref.base.folder) if ref.base else 0),
        "licence": _text(card.get("license")),
        "base": _text(base[0] if isinstance(base, list) and base else base),
        "training_data": [_text(name) for name in (data if isinstance(data, list) else [data])],
    }
    return {name: value for name, value in facts.items() if value}


def _text(value: Any) -> str:
    return " ".join(str(value).split())[:200] if isinstance(value, str) else ""


def _front_matter(path: Path) -> dict[str, Any]:
    """Return the YAML front matter of a Markdown file; {} if it has none or it is not a mapping."""
    if not path.is_file():
        return {}
    try:
        start, _, rest = path.read_text("utf-8").partition("---\n")
        metadata = {} if start else load_yaml(rest.partition("\n---")[0])
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a model card ({one_line(error)}); mend or remove it") from None
    return metadata if isinstance(metadata, dict) else {}


def _count_parameters(folder: Path) -> int:
    """Return the number of parameters in a model folder, from the headers of its files of weights."""
    count = 0
    for path in weight_files(folder, folder.name):
        with safe_open(path, "np") as file:
            count += sum(math.prod(tensor.get_shape()) for tensor in map(file.get_slice, file.keys()))
    return count
