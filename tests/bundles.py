"""The imports of a staged Space: read from its files, and run in a process without this checkout."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.conftest import ROOT

_IMPORT_ALL = """
import importlib, json, sys

folder, root, *names = sys.argv[1:]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path[:] = [folder, *(path for path in sys.path if path not in ("", root))]
for name in names:
    importlib.import_module(name)
own = {n: m.__file__ for n, m in sys.modules.items() if n.partition(".")[0] in ("leaderboard", "metrics", "repro")}
outside = [name for name, file in own.items() if not file.startswith(folder)]
assert own and not outside, outside
print(json.dumps(sorted(sys.modules)))
"""


def import_every_module(space: Path, *more: str) -> set[str]:
    """The names of the modules loaded by importing every module of a Space's packages, and `more`."""
    names = [
        module_name(path.relative_to(space).as_posix())
        for p in ("leaderboard", "metrics")
        for path in (space / p).rglob("*.py")
    ]
    return import_modules(space, *sorted(names), *more)


def import_modules(space: Path, *names: str) -> set[str]:
    """The names of the modules loaded by importing modules of a Space."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, str(space), str(ROOT), *names],
        cwd=space.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.strip().split("\n")[-1]))
    assert loaded >= set(names)
    return loaded


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def missing_modules(files: Mapping[str, Path]) -> set[str]:
    """Modules of this project that a bundle's files import, at the top or inside functions, and that it lacks."""
    names = {module_name(path) for path in files if path.endswith(".py")}
    missing = set()
    for path, source in files.items():
        if not path.endswith(".py"):
            continue
        for node in _runtime_nodes(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                found = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            else:
                continue
            missing |= {name for name in found - names if _is_own_module(name)}
    return missing


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from _runtime_nodes(child)


def _is_own_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    own = name.partition(".")[0] in ("leaderboard", "metrics", "repro")
    return own and (path.with_suffix(".py").is_file() or path.is_dir())
