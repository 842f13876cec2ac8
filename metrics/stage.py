"""The command `python -m metrics.stage NAME DIR`: writes a metric as a self-contained Hugging Face Space.

NAME is sta, sim, fl or j. DIR must not exist or be empty. It gets

    DIR.py           the module that evaluate.load(DIR) loads, from any working directory; called like the folder
    packed.py        the code and models it needs, as text: evaluate copies Python files only
    detox_suite/     the same, to read; app.py imports it
    app.py, README.md, requirements.txt

and nothing in it needs this project to be installed. To publish: create_repo(repo_type="space", space_sdk="gradio"),
then upload_folder(folder_path=DIR), into a Space called like the folder.

Exit codes: 0 done, 2 something given cannot be used (one line says what), 130 interrupted.
"""

from __future__ import annotations

import argparse
import ast
import base64
import io
import re
import shutil
import zipfile
from pathlib import Path

from metrics.util.errors import InputError, run_command
from metrics.util.files import atomic_folder, require_writable

ROOT = Path(__file__).resolve().parent
NAMES = ("sta", "sim", "fl", "j")
PACKAGE = "detox_suite"
_IMPORT = re.compile(r"^([ \t]*from )metrics(?=[. ])\.?", re.MULTILINE)
_TAIL = '''

# A zip of the folder detox_suite, in base64.
ARCHIVE = """
BASE64"""
PACKAGE = unpack(ARCHIVE, Path(__file__).parent)
DetoxMetric = importlib.import_module(f"{PACKAGE.__name__}.spaces.adapter").DetoxMetric
'''


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m metrics.stage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("name", metavar="NAME", choices=NAMES, help="sta, sim, fl or j")
    p.add_argument("folder", metavar="DIR", type=Path, help="where to write; must not exist or be empty")
    return p


def main(argv: list[str]) -> None:
    options = parser().parse_args(argv)
    stage(options.name, options.folder)
    print(f"{options.folder}: evaluate.load loads it; python app.py in it shows its page")


def stage(name: str, folder: Path) -> None:
    """Writes the Space of metric `name` to `folder`, whole or not at all. Errors: a folder that is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not an empty folder")
    require_writable(folder / "README.md" if folder.exists() else folder)
    # evaluate.load looks for a module with its folder's name.
    module_name = folder.resolve().name
    if module_name in ("app", "packed", PACKAGE):
        raise InputError(f"{folder}: the name of a file in it; choose another")
    own = ROOT / name
    sources = needed([own / f"{name}.py", own / "app.py"])
    with atomic_folder(folder) as temporary:
        for source in [*sources, *data_files(sources)]:
            path = source.relative_to(ROOT)
            target = temporary / PACKAGE / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".py":
                # Relative imports: the package then works under any name, and beside an installed `metrics`.
                target.write_text(_renamed(source, "." * len(path.parts)), encoding="utf-8")
            else:
                shutil.copyfile(source, target)
        (temporary / "packed.py").write_text(pack(temporary / PACKAGE), encoding="utf-8")
        module = (own / f"{name}.py").read_text("utf-8")
        (temporary / f"{module_name}.py").write_text(
            module.replace("from metrics.spaces.adapter ", "from .packed "), "utf-8"
        )
        (temporary / "app.py").write_text(_renamed(own / "app.py", f"{PACKAGE}."), encoding="utf-8")
        for other in ("README.md", "requirements.txt"):
            shutil.copyfile(own / other, temporary / other)


def needed(sources: list[Path]) -> list[Path]:
    """The files of this package that `sources` import, directly or not, at the top or inside functions; sorted."""
    found: set[Path] = set()
    waiting = list(sources)
    while waiting:
        for module in _imported(waiting.pop()):
            path = ROOT.parent / module.replace(".", "/")
            new = {p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()}
            # Importing a module runs the __init__ of the packages it is in.
            new |= {p / "__init__.py" for p in path.parents if p.is_relative_to(ROOT) and (p / "__init__.py").is_file()}
            waiting += new - found
            found |= new
    return sorted(found)


def _imported(source: Path) -> set[str]:
    """metrics.… names that a file may import: of `from metrics.a import b` both metrics.a and metrics.a.b."""
    names = set()
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "metrics":
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def data_files(sources: list[Path]) -> list[Path]:
    """Profiles, weights and word lists beside the sources; sorted."""
    folders = {source.parent for source in sources}
    return sorted(p for folder in folders for p in folder.iterdir() if p.is_file() and p.suffix not in (".py", ".md"))


def _renamed(source: Path, package: str) -> str:
    """The text of a source file with `from metrics.x import` as `from {package}x import`."""
    return _IMPORT.sub(rf"\g<1>{package}", source.read_text("utf-8"))


def pack(folder: Path) -> str:
    """packed.py: `folder` as text and what imports it from there. Equal folders give equal texts."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as files:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            # A ZipInfo made from a name alone has a fixed date.
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            files.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    archive = base64.encodebytes(data.getvalue()).decode("ascii")
    return (ROOT / "spaces" / "unpack.py").read_text("utf-8") + _TAIL.replace("BASE64", archive)


if __name__ == "__main__":
    run_command(main)
