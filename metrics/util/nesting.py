"""Files of nested lists and mappings from outside, JSON and YAML: limits that keep them from wearing a program out."""

import json
from typing import Any

# Lists and mappings inside each other; a row has seven. Python ends at about a thousand, in whatever code comes next.
MAX_LEVELS = 50
# YAML takes a second per 50,000 characters to read; a recipe has 3,000.
MAX_YAML = 200_000
# Values of a YAML document, those that aliases and merges repeat counted each time.
_MAX_VALUES = 100_000
# Characters of a whole number. In hexadecimal, one of thousands is read, but Python refuses to write it.
_MAX_DIGITS = 100


def require_shallow(value: Any) -> Any:
    """Return `value`, or raise a ValueError if it has more than `MAX_LEVELS` levels of lists and dictionaries."""
    level = [value]
    for _ in range(MAX_LEVELS + 1):
        level = [part for one in level if isinstance(one, list | dict) for part in _parts(one)]
        if not level:
            return value
    raise ValueError(f"more than {MAX_LEVELS} levels of lists and mappings")


def _parts(value: list[Any] | dict[Any, Any]) -> Any:
    return value.values() if isinstance(value, dict) else value


def load_json(data: str | bytes) -> Any:
    """Return the value of a JSON document.

    Raises:
        ValueError: The document is not JSON, is nested too deeply, holds NaN or infinity, or an object has a key twice,
            of which another program may read the other value.
    """
    try:
        return require_shallow(json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse))
    except RecursionError:
        raise ValueError(f"more than {MAX_LEVELS} levels of lists and objects") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(name for name in values if sum(key == name for key, _ in pairs) > 1)
        raise ValueError(f'the key "{twice[:40]}" twice')
    return values


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def load_yaml(text: str) -> Any:
    """Return the value of one YAML document.

    Raises:
        ValueError: The document is not YAML, is nested too deeply, has a key twice in a mapping, or is too long, also
            by its aliases: nine lines of nine aliases each stand for a billion values.
    """
    import yaml

    if len(text) > MAX_YAML:
        raise ValueError(f"{len(text):,} characters, the limit is {MAX_YAML:,}")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _require_small(node, loader)
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError(f"more than {MAX_LEVELS} levels of lists and mappings") from None
    # PyYAML's constructors raise these for a scalar that its tag does not fit, such as !!int "" or !!bool x.
    except (yaml.YAMLError, LookupError, AttributeError, OverflowError, TypeError) as error:
        raise ValueError(str(error) or "a value does not fit its tag") from None


def _require_small(node: Any, loader: Any) -> None:
    """Check the values and levels of a node of PyYAML before they are made; an alias is the node itself once more."""
    level, count = [node], 0
    for _ in range(MAX_LEVELS + 1):
        parts: list[Any] = []
        for one in level:
            if isinstance(one.value, list):
                _require_unique(one.value, loader)
                # A mapping's value is a list of pairs of nodes.
                parts += [part for pair in one.value for part in (pair if isinstance(pair, tuple) else (pair,))]
            elif one.tag.endswith(":int") and len(one.value) > _MAX_DIGITS:
                raise ValueError(f"a whole number of {len(one.value):,} characters, the limit is {_MAX_DIGITS}")
            count += 1
            if count + len(parts) > _MAX_VALUES:
                raise ValueError(f"more than {_MAX_VALUES:,} values, with those that aliases repeat")
        level = parts
        if not level:
            return
    raise ValueError(f"more than {MAX_LEVELS} levels of lists and mappings")


def _require_unique(parts: list[Any], loader: Any) -> None:
    """Check the keys of a mapping's node, of which PyYAML takes the last; a merge may stand there more than once."""
    keys = set()
    for key in (part[0] for part in parts if isinstance(part, tuple)):
        if isinstance(key.value, str) and key.value != "<<":
            # As Python compares them: 1, 0x1, 1.0 and true are one key.
            value = loader.construct_object(key)
            if value in keys:
                raise ValueError(f'the key "{key.value[:40]}" twice')
            keys.add(value)
