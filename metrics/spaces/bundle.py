"""Self-contained Spaces: the files a Space needs, by explicit patterns, copied into one folder.

A Space on the Hub cannot install this project, so it carries the modules that it imports. `metrics/` and
`leaderboard/` keep their names in it: `python app.py` looks in its own folder first, so the bundle wins over an
installed version. Modules of `evaluate` get the same files as text (`packed_module`).
"""

from __future__ import annotations

import base64
import io
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from metrics.util.errors import InputError
from metrics.util.files import atomic_folder, require_writable

ROOT = Path(__file__).resolve().parent.parent.parent
METRICS_ROOT = ROOT / "metrics"
# What the four metrics need. tests/metrics/test_evaluate_modules.py imports each module with nothing else at hand.
METRIC_BUNDLE = {
    "metrics": "__init__.py",
    "metrics/data": "__init__.py text.py",
    "metrics/generation": "*.py",
    "metrics/models": "*.py",
    "metrics/profiles": "*",
    "metrics/scorers": "*.py",
    "metrics/scorers/heads": "*.safetensors __init__.py features.py offline.py",
    "metrics/scoring": "__init__.py functions.py items.py measures.py rules.py scores.py",
    "metrics/spaces": "__init__.py adapter.py page.py theme.py page.css",
    "metrics/util": "*.py",
}
_IMPORT = "from metrics.spaces.adapter import DetoxMetric\n"
_PACKED_IMPORT = "from .packed import DetoxMetric\n"
_TAIL = '''

# A zip of the package metrics, in base64.
ARCHIVE = """
BASE64"""
PACKAGE = import_archive(ARCHIVE, Path(__file__).parent)
DetoxMetric = importlib.import_module(f"{PACKAGE.__name__}.spaces.adapter").DetoxMetric
'''


def bundle(patterns: Mapping[str, str]) -> dict[str, Path]:
    """Find the files of a bundle.

    Args:
        patterns: File names or glob patterns, separated by spaces, by folder relative to the project's root.

    Returns:
        The source of each file, by its path in the bundle; sorted.

    Raises:
        FileNotFoundError: A pattern matches no file, as after a module has moved.
    """
    files: dict[str, Path] = {}
    for pattern in (f"{folder}/{name}" for folder, names in patterns.items() for name in names.split()):
        found = {path.relative_to(ROOT).as_posix(): path for path in ROOT.glob(pattern) if path.is_file()}
        if not found:
            raise FileNotFoundError(f"{pattern}: no such file in {ROOT}")
        files |= found
    return dict(sorted(files.items()))


def write_space(folder: Path, files: Mapping[str, Path | str]) -> None:
    """Write a Space completely or not at all.

    Args:
        folder: The Space; must be new or empty.
        files: The source file, or the text, of each file by its path in the Space.

    Raises:
        InputError: The folder is not empty or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not an empty folder")
    require_writable(folder / "README.md" if folder.exists() else folder)
    with atomic_folder(folder) as temporary:
        for path, source in files.items():
            target = temporary / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(source, str):
                target.write_text(source, encoding="utf-8")
            else:
                shutil.copyfile(source, target)


def write_metric_space(name: str, folder: Path) -> None:
    """Write the Space of one metric; see `metrics.stage` for its files.

    Args:
        name: "sta", "sim", "fl" or "j".
        folder: The Space; must be new or empty.

    Raises:
        InputError: The folder is not empty, cannot be written, or has the name of one of its files.
    """
    # evaluate.load looks for a module with its folder's name.
    module = folder.resolve().name
    if module in ("app", "packed", "metrics"):
        raise InputError(f"{folder}: the name of a file in it; choose another")
    own = METRICS_ROOT / name
    text = (own / f"{name}.py").read_text("utf-8")
    files = bundle(METRIC_BUNDLE)
    write_space(
        folder,
        {
            **files,
            f"{module}.py": text.replace(_IMPORT, _PACKED_IMPORT),
            "packed.py": packed_module(files),
            **{other: own / other for other in ("app.py", "README.md", "requirements.txt")},
        },
    )


def packed_module(files: Mapping[str, Path]) -> str:
    """Write a bundle as one Python module: `evaluate.load` copies Python files only, neither folders nor weights.

    Args:
        files: The source of each file, by its path in the bundle.

    Returns:
        The module's text; equal files give equal texts.
    """
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, source in sorted(files.items()):
            # A ZipInfo made from a name alone has a fixed date.
            archive.writestr(zipfile.ZipInfo(path), source.read_bytes(), zipfile.ZIP_DEFLATED)
    text = base64.encodebytes(data.getvalue()).decode("ascii")
    return (Path(__file__).parent / "private_import.py").read_text("utf-8") + _TAIL.replace("BASE64", text)
