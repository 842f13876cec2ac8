"""Resolve model names: built-in, local folder, PEFT adapter, GGUF folder or Hub id.

Resolving is cheap and reports errors before any work starts; `metrics.models.loading` loads the model afterwards.
Only safetensors and GGUF weights are accepted: no pickles, and no code from a model repository.
"""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metrics.models.builtin import BUILT_IN, built_in_folder
from metrics.models.conversion import dequantize_gguf
from metrics.util.errors import InputError
from metrics.util.files import atomic_folder, cache_dir, content_hash, sha256_file, sha256_folder, write_json
from metrics.util.hub import HUB_ID, is_hub_failure, require_sendable_token

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_COMMIT = re.compile(r"^[0-9a-f]{40}$", re.ASCII)
_CONFIG_FILES = ["*.json", "*.txt", "*.model", "*.jinja"]
# README.md is the model card: `metrics.models.cards` reads it.
_HUB_FILES = ["*.safetensors", "README.md", *_CONFIG_FILES]


@dataclass(frozen=True)
class ModelRef:
    """A resolved model.

    Args:
        kind: "built-in", "folder", "adapter", "gguf" or "hub".
        folder: The local folder with the model's files.
        revision: A Hub commit, content hash or wheel version that identifies the files.
        base: The base model of an adapter, else None.
    """

    name: str
    kind: str
    folder: Path
    revision: str
    base: "ModelRef | None" = None


def resolve_model(name: str, revision: str | None = None) -> ModelRef:
    """Resolve a model, and download it if it is on the Hub.

    Args:
        name: A built-in name, a local folder or a Hub id.
        revision: A branch, tag or commit on the Hub; None for the default branch.

    Raises:
        InputError: No such model, a folder without weights or with pickles only, or the Hub cannot be reached.
    """
    if name in BUILT_IN:
        return ModelRef(name, "built-in", built_in_folder(name), BUILT_IN[name].revision)
    path = local_path(name)
    return _resolve_folder(name, path) if path.is_dir() else _resolve_on_hub(name, revision)


def resolve_config(name: str, revision: str | None = None) -> ModelRef:
    """Resolve config and tokenizer of a model as `resolve_model` does, but without its weights.

    The revision of a local folder covers these files only.

    Raises:
        InputError: No such model, a folder without a config, or the Hub cannot be reached.
    """
    path = local_path(name)
    if not path.is_dir():
        return _resolve_on_hub(name, revision, weights=False)
    if not (path / "config.json").is_file():
        raise InputError(f"{name}: no config.json: not a model folder")
    files = sorted(file for pattern in _CONFIG_FILES for file in path.glob(pattern))
    return ModelRef(name, "folder", path, f"sha256:{content_hash([[f.name, sha256_file(f)] for f in files])}")


def resolve_pinned(resolve: Callable[[str, str | None], ModelRef], name: str, revision: str | None) -> ModelRef:
    """Resolve a scoring model at the commit to which its branch pointed at first, so that scores stay the same.

    `pins.json` in the cache folder holds the commits. Copy it to score alike on another machine; delete it to follow
    the branches again.

    Args:
        resolve: `resolve_model` or `resolve_config`.
        name: The model's name. Built-in models and local folders need no pin.
        revision: A branch, tag or commit on the Hub; None for the default branch.

    Raises:
        InputError: As `resolve`, or `pins.json` is damaged.
    """
    if _COMMIT.match(revision or "") or name in BUILT_IN or local_path(name).exists():
        return resolve(name, revision)
    path, key = cache_dir() / "pins.json", f"{name}@{revision or 'main'}"
    pins = _read_pins(path)
    ref = resolve(name, pins.get(key, revision))
    if key not in pins:
        # Another process may have added pins in the meantime.
        write_json(path, {**_read_pins(path), key: ref.revision})
        print(f"{key}: pinned to {ref.revision} in {path}", file=sys.stderr)
    return ref


def _read_pins(path: Path) -> dict[str, str]:
    try:
        pins = json.loads(path.read_bytes()) if path.is_file() else {}
    except ValueError:
        pins = None
    if not isinstance(pins, dict) or not all(isinstance(pin, str) and _COMMIT.match(pin) for pin in pins.values()):
        raise InputError(f"{path}: not a list of pinned commits; delete it to pin anew")
    return pins


def local_path(name: str) -> Path:
    """Return `name` as a path, which need not exist.

    Raises:
        InputError: No file can have this name, or it begins with `~` and an unknown user.
    """
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:
        raise InputError(f"{name[:80]}: not a usable name ({getattr(error, 'strerror', None) or error})") from None
    return path


def _resolve_folder(name: str, folder: Path) -> ModelRef:
    adapter = folder / "adapter_config.json"
    if not adapter.is_file():
        if ggufs := sorted(folder.glob("*.gguf")):
            return _resolve_gguf(name, ggufs)
        if not (folder / "config.json").is_file():
            raise InputError(f"{name}: no config.json, adapter_config.json or .gguf file: not a model folder")
    if not any(folder.glob("*.safetensors")):
        if pickles := sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern)):
            reason = f"only pickle weights ({pickles[0]}), which can run code when read; refused"
            raise InputError(f"{name}: {reason}. Save them again as safetensors")
        raise InputError(f"{name}: no weights (*.safetensors) in this folder")
    revision = f"sha256:{sha256_folder(folder)}"
    if not adapter.is_file():
        return ModelRef(name, "folder", folder, revision)
    try:
        base_name = json.loads(adapter.read_text("utf-8"))["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{name}/adapter_config.json: no base_model_name_or_path; save the adapter again") from None
    return ModelRef(name, "adapter", folder, revision, resolve_model(str(base_name)))


def _resolve_gguf(name: str, files: list[Path]) -> ModelRef:
    if len(files) > 1:
        raise InputError(f"{name}: {len(files)} GGUF files; leave one ({', '.join(file.name for file in files)})")
    digest = sha256_file(files[0])
    converted = cache_dir() / "models" / f"gguf-{digest[:16]}"
    if not converted.is_dir():
        with atomic_folder(converted) as target:
            dequantize_gguf(files[0], target)
    return ModelRef(name, "gguf", converted, f"sha256:{digest}-dequantised")


def _resolve_on_hub(name: str, revision: str | None, weights: bool = True) -> ModelRef:
    require_sendable_token()
    if local_path(name).is_file():
        raise InputError(f"{name}: a file, not a model folder")
    if not HUB_ID.match(name):
        raise InputError(f"{name}: no such folder, and not a Hub id either (built-in names: {', '.join(BUILT_IN)})")
    import huggingface_hub as hub
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = hub.HfApi().model_info(name, revision=revision, timeout=30)
        if weights and not any(file.rfilename.endswith(".safetensors") for file in info.siblings or ()):
            reason = "no safetensors weights on the Hub (pickles are not read)"
            raise InputError(f"{name}: {reason}; ask its authors for them")
        patterns = _HUB_FILES if weights else _CONFIG_FILES
        folder = Path(hub.snapshot_download(name, revision=info.sha, allow_patterns=patterns))
    except HFValidationError as error:
        raise InputError(f"{name}: no such folder, and not a Hub id either ({error})") from None
    except RevisionNotFoundError:
        raise InputError(f"{name}: the Hub has no revision {revision}") from None
    except RepositoryNotFoundError:
        raise InputError(f"{name}: neither a local folder nor a model on the Hub that you may read") from None
    except Exception as error:
        if not is_hub_failure(error):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{name}: not a local folder, and the Hub cannot be reached ({reason})") from None
    ref = _resolve_folder(name, folder) if weights else resolve_config(str(folder))
    return ModelRef(name, "adapter" if ref.base else "hub", ref.folder, str(info.sha), ref.base)
