"""Resolve model names: built-in, local folder, PEFT adapter, GGUF folder, Hub id or a GGUF file on the Hub.

Resolving is cheap and reports errors before any work starts; `metrics.models.loading` loads the model afterwards.
Only safetensors and GGUF weights are accepted: no pickles, and no code from a model repository.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metrics.models.builtin import BUILT_IN, built_in_folder
from metrics.models.conversion import dequantize_gguf
from metrics.models.weights import ADAPTER_CONFIG, ADAPTER_WEIGHTS, INDEX, WEIGHTS, weight_files
from metrics.util.errors import InputError
from metrics.util.files import atomic_folder, cache_dir, content_hash, sha256_file, sha256_folder, write_json
from metrics.util.hub import HUB_ID, is_hub_failure, require_sendable_token

_COMMIT = re.compile(r"^[0-9a-f]{40}$", re.ASCII)
_CONFIG_FILES = ["*.json", "*.txt", "*.model", "*.jinja"]
# README.md is the model card: `metrics.models.cards` reads it.
_HUB_FILES = ["*.safetensors", "README.md", *_CONFIG_FILES]
# ORG/NAME:FILE.gguf, a file of a Hub repository.
_HUB_GGUF = re.compile(r"^([A-Za-z0-9][\w.-]*/[\w.-]+):([\w.-][\w./ -]*\.gguf)$", re.ASCII)
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.ASCII)
# Beside a GGUF file: the prompt template (see `metrics.models.prompts`).
_PROMPT_FILE = "rewriter.json"


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
        name: A built-in name, a local folder, a Hub id, or ORG/NAME:FILE.gguf for a GGUF file on the Hub.
        revision: A branch, tag or commit on the Hub; None for the default branch.

    Raises:
        InputError: No such model, a folder without weights or with pickles only, or the Hub cannot be reached.
    """
    if name in BUILT_IN:
        return ModelRef(name, "built-in", built_in_folder(name), BUILT_IN[name].revision)
    path = local_path(name)
    return _resolve_folder(name, path) if path.is_dir() else _resolve_on_hub(name, revision)


def _resolve_base(adapter: str, folder: Path, base: str, revision: str | None) -> ModelRef:
    """Resolve the base model that the config of an adapter in `folder` names.

    A relative path starts at the adapter's folder: where one stands must not decide which model is measured.
    """
    if base in BUILT_IN:
        ref = ModelRef(base, "built-in", built_in_folder(base), BUILT_IN[base].revision)
    else:
        # An absolute path replaces the folder.
        path = folder / local_path(base)
        if path.is_dir() and path.resolve() == folder.resolve():
            raise InputError(f"{adapter}/{ADAPTER_CONFIG}: the adapter is its own base; name the model it changes")
        if not path.is_dir() and not (HUB_ID.match(base) or _HUB_GGUF.match(base)):
            known = f"built-in names: {', '.join(BUILT_IN)}"
            problem = f"no such folder, and not a Hub id either ({known}); relative paths start at the adapter's folder"
            raise InputError(f"{adapter}: its base {base}: {problem}")
        if not path.is_dir():
            return _resolve_on_hub(base, revision, adapter=adapter)
        ref = _resolve_folder(base, path, adapter=adapter)
    if revision:
        problem = f"asks for revision {revision[:80]} of its base {base}, which is not on the Hub and has no revisions"
        raise InputError(f"{adapter}/{ADAPTER_CONFIG}: {problem}; remove the revision")
    return ref


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


def _resolve_folder(name: str, folder: Path, adapter: str = "") -> ModelRef:
    """Resolve a model in a local folder; `adapter` names the adapter whose base it is, if it is one's."""
    is_adapter = (folder / ADAPTER_CONFIG).is_file()
    if is_adapter and adapter:
        raise InputError(f"{adapter}: its base {name} is an adapter too; merge that one into its base first")
    if not is_adapter and not (folder / "config.json").is_file():
        if ggufs := sorted(folder.glob("*.gguf")):
            if len(ggufs) > 1:
                raise InputError(f"{name}: {len(ggufs)} GGUF files; leave one ({', '.join(g.name for g in ggufs)})")
            converted, digest = _convert_gguf(ggufs[0])
            return ModelRef(name, "gguf", converted, f"sha256:{digest}-dequantised")
        raise InputError(f"{name}: no config.json, adapter_config.json or .gguf file: not a model folder")
    weight_files(folder, name)
    if is_adapter and (whole := next((file for file in (WEIGHTS, INDEX) if (folder / file).is_file()), None)):
        problem = f"holds an adapter ({ADAPTER_WEIGHTS}) and a whole model ({whole})"
        raise InputError(f"{name}: {problem}; move one of them to a folder of its own")
    if not is_adapter:
        return ModelRef(name, "folder", folder, f"sha256:{sha256_folder(folder)}")
    base, base_revision = _read_base(name, folder)
    resolved = _resolve_base(name, folder, base, base_revision)
    return ModelRef(name, "adapter", folder, f"sha256:{sha256_folder(folder)}", resolved)


def _read_base(name: str, folder: Path) -> tuple[str, str | None]:
    """The base model that an adapter's config names, and its revision."""
    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
        base, revision = config["base_model_name_or_path"], config.get("revision")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        base = revision = None
    if not base or not isinstance(base, str):
        raise InputError(f"{name}/{ADAPTER_CONFIG}: no base_model_name_or_path; save the adapter again")
    if revision is not None and not isinstance(revision, str):
        raise InputError(f"{name}/{ADAPTER_CONFIG}: the revision of its base is not a text; save the adapter again")
    return base, revision or None


def _convert_gguf(file: Path) -> tuple[Path, str]:
    """Dequantize a GGUF file, once, into the cache folder; return the folder and the hash of the file."""
    if _SHARD.search(file.name):
        raise InputError(f"{file.name}: one of several parts of a GGUF file; join them with llama-gguf-split --merge")
    digest, prompt = sha256_file(file), file.parent / _PROMPT_FILE
    suffix = f"-{sha256_file(prompt)[:16]}" if prompt.is_file() else ""
    converted = cache_dir() / "models" / f"gguf-{digest[:16]}{suffix}"
    if not converted.is_dir():
        with atomic_folder(converted) as target:
            dequantize_gguf(file, target)
            if suffix:
                shutil.copyfile(prompt, target / prompt.name)
    return converted, digest


def _resolve_on_hub(name: str, revision: str | None, weights: bool = True, adapter: str = "") -> ModelRef:
    require_sendable_token()
    if local_path(name).is_file():
        raise InputError(f"{name}: a file, not a model folder")
    gguf = _HUB_GGUF.match(name)
    if not HUB_ID.match(name) and not gguf:
        raise InputError(f"{name}: no such folder, and not a Hub id either (built-in names: {', '.join(BUILT_IN)})")
    repo, file = gguf.groups() if gguf else (name, None)
    folder, commit = _download(name, repo, file, revision, weights)
    if file:
        return ModelRef(name, "hub", _convert_gguf(folder / file)[0], commit)
    # Errors name the Hub id.
    ref = _resolve_folder(name, folder, adapter) if weights else resolve_config(str(folder))
    return ModelRef(name, "adapter" if ref.base else "hub", ref.folder, commit, ref.base)


def _download(name: str, repo: str, file: str | None, revision: str | None, weights: bool) -> tuple[Path, str]:
    """Download a model, or the GGUF `file` of it, from the Hub; return the folder and the commit."""
    import huggingface_hub as hub
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = hub.HfApi().model_info(repo, revision=revision, timeout=30)
        names = sorted(sibling.rfilename for sibling in info.siblings or ())
        if file:
            if file not in names:
                ggufs = ", ".join(path for path in names if path.endswith(".gguf")) or "none"
                raise InputError(f"{name}: the Hub repository has no file {file} (its GGUF files: {ggufs})")
            patterns = [file, _PROMPT_FILE]
        else:
            if weights:
                _require_hub_weights(name, names)
            patterns = _HUB_FILES if weights else _CONFIG_FILES
        return Path(hub.snapshot_download(repo, revision=info.sha, allow_patterns=patterns)), str(info.sha)
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


def _require_hub_weights(name: str, files: list[str]) -> None:
    """Raise an `InputError` if none of the files of a Hub repository holds weights, before they are downloaded."""
    if {WEIGHTS, INDEX, ADAPTER_WEIGHTS} & set(files):
        return
    ggufs = [file for file in files if file.endswith(".gguf")]
    if ggufs:
        raise InputError(f"{name}: GGUF files only; name one of them: {', '.join(f'{name}:{g}' for g in ggufs)}")
    raise InputError(f"{name}: no safetensors weights on the Hub (pickles are not read); ask its authors for them")
