"""The limits that keep the code readable: sizes, imports, and how light the commands start.

Only pytest is needed, so that the lint environment runs this file too.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("metrics", "leaderboard", "repro")
HEAVY = (
    "datasets gradio huggingface_hub matplotlib pandas pyarrow pydantic scipy sklearn torch transformers trl".split()
)
# Interpreter and standard library take 30 ms of 300, and a module takes about half a millisecond.
MOST_MODULES = 300
MOST_FUNCTION_LINES = 60
MOST_CLASS_LINES = 250
MOST_FILES_IN_A_FOLDER = 18
MOST_IMPORTS_IN_FUNCTIONS = 30


@functools.cache
def trees() -> dict[Path, ast.Module]:
    """The syntax tree of each Python file outside the tests, by its path below ROOT."""
    paths = [path for folder in (*PACKAGES, "bench") for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT): ast.parse(path.read_text("utf-8")) for path in paths}


@functools.cache
def commands() -> list[str]:
    """Every module that is run with `python -m`."""
    found = [path for path in trees() if "    run_command(main)" in (ROOT / path).read_text("utf-8")]
    # A Space starts app.py, without arguments.
    found = [path for path in found if path.name != "app.py" and path.parts[0] in PACKAGES]
    return sorted(".".join(path.with_suffix("").parts).removesuffix(".__main__") for path in found)


def too_long(kinds: tuple[type[ast.AST], ...], most: int) -> list[str]:
    """Each definition of these kinds that has more than `most` lines."""
    found = []
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, kinds):
                lines = node.end_lineno - node.lineno + 1  # type: ignore[attr-defined]
                if lines > most:
                    found.append(f"{path}:{node.lineno} {node.name}: {lines} lines")  # type: ignore[attr-defined]
    return found


def test_no_function_is_too_long() -> None:
    assert too_long((ast.FunctionDef, ast.AsyncFunctionDef), MOST_FUNCTION_LINES) == []


def test_no_class_is_too_long() -> None:
    assert too_long((ast.ClassDef,), MOST_CLASS_LINES) == []


def test_no_folder_has_too_many_files() -> None:
    folders = [path.parent for path in trees() if path.name != "__init__.py"]
    assert {folder for folder in folders if folders.count(folder) > MOST_FILES_IN_A_FOLDER} == set()


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def modules() -> set[str]:
    """The names of all modules outside the tests."""
    return {module_name(path) for path in trees()}


def own_imports(path: Path, node: ast.AST) -> Iterator[str]:
    """The project's own modules that an import statement names."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        package = module_name(path).split(".") if path.name == "__init__.py" else module_name(path).split(".")[:-1]
        above = package[: len(package) - node.level + 1] if node.level else []
        module = ".".join([*above, *([node.module] if node.module else [])])
        names = [f"{module}.{alias.name}" for alias in node.names]
        names = [name if name in modules() else module for name in names]
    else:
        return
    yield from (name for name in dict.fromkeys(names) if name.partition(".")[0] in PACKAGES)


def test_own_imports_stand_at_the_top() -> None:
    """Outside the commands, which import after they have parsed their arguments."""
    found = set()
    for path, tree in trees().items():
        if path.parts[0] not in PACKAGES or module_name(path).removesuffix(".__main__") in commands():
            continue
        for function in ast.walk(tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in ast.walk(function):
                    found |= {f"{path}:{node.lineno} {name}" for name in own_imports(path, node)}  # type: ignore[attr-defined]
    assert len(found) <= MOST_IMPORTS_IN_FUNCTIONS, "\n".join(sorted(found))


def test_imports_have_no_cycle() -> None:
    """Imports inside functions and for type checkers count."""
    graph = {
        module_name(path): {name for node in ast.walk(tree) for name in own_imports(path, node)} - {module_name(path)}
        for path, tree in trees().items()
        if path.parts[0] in PACKAGES
    }
    # What imports nothing that is left is taken away until nothing changes; a cycle stays.
    while done := {name for name, imported in graph.items() if not imported & graph.keys()}:
        graph = {name: imported for name, imported in graph.items() if name not in done}
    while top := graph.keys() - set().union(*graph.values()):
        graph = {name: imported for name, imported in graph.items() if name not in top}
    assert {name: imported & graph.keys() for name, imported in graph.items()} == {}


def test_the_commands_are_found() -> None:
    known = {"metrics.score", "leaderboard.verify", "leaderboard.space", "repro.run", "repro.studies.sweep"}
    assert known <= set(commands())


@pytest.mark.parametrize("module", commands())
def test_help_stays_within_its_import_budget(module: str) -> None:
    """A budget of modules stands in for one of time, which would depend on the machine."""
    command = [sys.executable, "-X", "importtime", "-m", module, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr[-1000:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.split("\n") if "|" in line}
    assert not {name.partition(".")[0] for name in imported} & set(HEAVY)
    assert len(imported) <= MOST_MODULES
