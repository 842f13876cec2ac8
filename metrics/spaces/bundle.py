"""Self-contained Spaces: the files a Space needs, by explicit patterns, copied into one folder.

A Space on the Hub cannot install this project, so it carries the modules that it imports. `metrics/` and
`leaderboard/` keep their names in it: `python app.py` looks in its own folder first, so the bundle wins over an
installed version. Modules of `evaluate` get the same files as text (packed.py).
"""

import base64
import io
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from metrics.util.errors import InputError
from metrics.util.files import atomic_folder, require_writable

ROOT = Path(__file__).resolve().parent.parent.parent
# What the four metrics need. tests/metrics/test_evaluate_modules.py imports each module with nothing else at hand.
METRIC_BUNDLE = {
    "metrics": "__init__.py",
    "metrics/data": "__init__.py text.py",
    "metrics/generation": "*.py",
    "metrics/models": "*.py",
    "metrics/profiles": "*",
    "metrics/scorers": "*.py",
    "metrics/scorers/heads": "*.safetensors __init__.py content.py features.py judged.py offline.py",
    "metrics/scorers/heads/content": "*",
    "metrics/scorers/judge": "*.py",
    "metrics/scoring": "__init__.py functions.py items.py measures.py",
    "metrics/spaces": "__init__.py adapter.py blocks.py gate.py page.py theme.py page.css",
    "metrics/util": "*.py",
}
_APP = '''"""Serves the page of a metric: `python app.py`."""

from metrics.spaces.page import serve

if __name__ == "__main__":
    serve("NAME")
'''
# The end of packed.py, whose beginning is private_import.py.
_ARCHIVE = '''

# A zip of the package metrics, in base64.
ARCHIVE = """
BASE64"""
PACKAGE = import_archive(ARCHIVE, Path(__file__).parent)
DetoxMetric = importlib.import_module(f"{PACKAGE.__name__}.spaces.adapter").DetoxMetric
'''


def bundle(patterns: Mapping[str, str]) -> dict[str, Path]:
    """Return the source of each file of a bundle by its path in the bundle, sorted.

    Args:
        patterns: File names or glob patterns, separated by spaces, by folder relative to the project's root.

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


def write_space(folder: Path, own: Path, files: Mapping[str, Path | str]) -> None:
    """Write a Space completely or not at all.

    Args:
        folder: The Space; must be new or empty.
        own: The folder with its README.md and requirements.txt.
        files: The source, or the text, of each other file by its path in the Space.

    Raises:
        InputError: The folder is not empty or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not an empty folder")
    require_writable(folder / "README.md" if folder.exists() else folder)
    with atomic_folder(folder) as temporary:
        for path, source in {**files, **{name: own / name for name in ("README.md", "requirements.txt")}}.items():
            target = temporary / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(source, str):
                target.write_text(source, encoding="utf-8")
            else:
                shutil.copyfile(source, target)


def write_metric_space(name: str, folder: Path) -> None:
    """Write the Space of a metric ("sta", "sim", "fl" or "j") to a new or empty folder; its files: see `metrics.stage`.

    Raises:
        InputError: The folder is not empty, cannot be written, or has the name of one of its files.
    """
    # evaluate.load looks for a module with its folder's name.
    module = folder.resolve().name
    if module in ("app", "packed", "metrics"):
        raise InputError(f"{folder}: the name of a file in it; choose another")
    own = ROOT / "metrics" / name
    text = (own / f"{name}.py").read_text("utf-8").replace("from metrics.spaces.adapter import", "from .packed import")
    files = bundle(METRIC_BUNDLE)
    texts = {f"{module}.py": text, "packed.py": _packed_module(files), "app.py": _APP.replace("NAME", name)}
    write_space(folder, own, {**files, **texts})


def _packed_module(files: Mapping[str, Path]) -> str:
    """A bundle as one Python module: `evaluate.load` copies Python files only. Equal files give equal texts."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, source in sorted(files.items()):
            # A ZipInfo made from a name alone has a fixed date.
            archive.writestr(zipfile.ZipInfo(path), source.read_bytes(), zipfile.ZIP_DEFLATED)
    text = base64.encodebytes(data.getvalue()).decode("ascii")
    return (Path(__file__).parent / "private_import.py").read_text("utf-8") + _ARCHIVE.replace("BASE64", text)
