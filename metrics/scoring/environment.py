"""The software that computed a score: versions of packages, and the commit of this project."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from metrics import __version__


def package_versions() -> dict[str, str]:
    """Return package -> version of all packages that scores may depend on."""
    names = [
        "torch", "transformers", "tokenizers", "peft", "accelerate", "numpy", "scipy", "scikit-learn", "gguf",
        "safetensors", "alt-profanity-check", "sacrebleu",
    ]  # fmt: skip
    # Only Wieting's similarity needs these two.
    names += [name for name in ("nltk", "sentencepiece") if find_spec(name)]
    return {**{name: version(name) for name in names}, "detox-suite": __version__}


def git_commit() -> str:
    """Return the commit of this checkout, with "+changed" if files differ from it; "unknown" outside a repository."""
    root = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + ("+changed" if changed.stdout.strip() else "")
