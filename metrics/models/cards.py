"""Facts that a model's own files state: the number of its parameters, and the metadata of its card."""

import json
import math
from pathlib import Path
from typing import Any

import yaml

from metrics.models.resolve import ModelRef

# A safetensors file begins with the length of its header; a longer header means a damaged file.
_MAX_HEADER_BYTES = 100_000_000


def card_facts(ref: ModelRef) -> dict[str, Any]:
    """Return what a model states about itself; none of it is checked.

    Returns:
        `size` (parameters; of an adapter, including its base), `licence`, `base` and `training_data`, each only where
        the model states it.
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
    try:
        text = path.read_text("utf-8")
        head = text.removeprefix("---\n").partition("\n---")[0] if text.startswith("---\n") else ""
        metadata = yaml.safe_load(head)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _count_parameters(folder: Path) -> int:
    """Return the number of parameters in a model folder, from the headers of its safetensors files."""
    count = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, _MAX_HEADER_BYTES)))
        for name, tensor in header.items():
            if name != "__metadata__":
                count += math.prod(tensor["shape"])
    return count
