"""What a model's own files say of it: the size of its weights, and the YAML at the head of its card."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import yaml

from metrics.models.resolve import ModelRef

# A safetensors file begins with the length of its header; a longer one is damaged.
_LONGEST_HEADER = 100_000_000


def card_facts(ref: ModelRef) -> dict[str, Any]:
    """size (parameters), licence, base, training_data, as far as the model says them; nothing is checked.

    An adapter's size is that of the model with it.
    """
    card = _front_matter(ref.folder / "README.md")
    base = card.get("base_model") or (ref.base.name if ref.base else "")
    data = card.get("datasets") or []
    facts = {
        "size": parameters(ref.folder) + (parameters(ref.base.folder) if ref.base else 0),
        "licence": _text(card.get("license")),
        "base": _text(base[0] if isinstance(base, list) and base else base),
        "training_data": [_text(name) for name in (data if isinstance(data, list) else [data])],
    }
    return {name: value for name, value in facts.items() if value}


def _text(value: Any) -> str:
    return " ".join(str(value).split())[:200] if isinstance(value, str) else ""


def _front_matter(path: Path) -> dict[str, Any]:
    """The YAML between two lines of dashes at the head of a Markdown file; {} for none, or one that is none."""
    try:
        text = path.read_text("utf-8")
        head = text.removeprefix("---\n").partition("\n---")[0] if text.startswith("---\n") else ""
        found = yaml.safe_load(head)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def parameters(folder: Path) -> int:
    """How many numbers the weights of a model folder hold, from the headers of its safetensors files."""
    count = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, _LONGEST_HEADER)))
        for name, tensor in header.items():
            if name != "__metadata__":
                count += math.prod(tensor["shape"])
    return count
