"""Writes the page as a self-contained Hugging Face Space: app.py, its card and requirements, the code it imports."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

from metrics.util.errors import InputError
from metrics.util.files import atomic_folder, require_writable

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ("leaderboard", "metrics")
# At the root of a Space; what else lies in this folder is imported or read from where it is.
TOP = ("app.py", "README.md", "requirements.txt")


def stage(folder: Path) -> None:
    """Writes the Space to `folder`, whole or not at all. Errors: a folder that is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not an empty folder")
    require_writable(folder / "README.md" if folder.exists() else folder)
    modules = needed(HERE / "app.py")
    data = {path for module in modules for path in module.parent.iterdir() if path.suffix in (".txt", ".css", ".js")}
    with atomic_folder(folder) as temporary:
        for source in sorted(modules | data):
            path = source.relative_to(ROOT)
            if source.parent == HERE and path.name in TOP:
                continue
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, temporary / path)
        for name in TOP:
            shutil.copyfile(HERE / name, temporary / name)


def needed(start: Path) -> set[Path]:
    """The modules of this project that importing `start` loads.

    What functions import late belongs to publishing and scoring, which the page does not do, and would bring models.
    """
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        for module in _imported(waiting.pop()):
            path = ROOT / module.replace(".", "/")
            new = {p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()}
            # Importing a module runs the __init__ of the packages it is in.
            new |= {p / "__init__.py" for p in path.parents if p != ROOT and (p / "__init__.py").is_file()}
            waiting += new - found
            found |= new
    return found


def _imported(source: Path) -> set[str]:
    """Names of this project's modules that the file's own statements import, not those inside functions or if's."""
    names = set()
    for node in ast.parse(source.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PACKAGES:
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names
