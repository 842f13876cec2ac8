"""Imports the package `metrics` from text inside a Python file, under a private name.

`evaluate.load` copies a module and the Python files it imports, never folders or weights. So `metrics.stage` writes
this file, followed by the package as text, beside a staged module (packed.py). It uses the standard library only.
"""

import base64
import builtins
import hashlib
import importlib
import importlib.machinery
import importlib.util
import io
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

PUBLIC = "metrics"


class _Loader(importlib.machinery.SourceFileLoader):
    """Runs a module with an `__import__` of its own, which every import statement in the module calls."""

    def exec_module(self, module: ModuleType) -> None:
        private = module.__name__.partition(".")[0]

        def import_private(name: str, *arguments: Any, **named: Any) -> Any:
            inside = name == PUBLIC or name.startswith(f"{PUBLIC}.")
            return builtins.__import__(private + name.removeprefix(PUBLIC) if inside else name, *arguments, **named)

        # exec, which runs the module, takes built-in names from here (documented under `exec`).
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": import_private}
        super().exec_module(module)


class _Finder:
    """Finds the modules of a private package, where its `__path__` says, and has `_Loader` run them."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith(f"{self.package}."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


def import_archive(archive: str, folder: Path) -> ModuleType:
    """Unpack a package into `folder` once, and return it; its modules' imports of `metrics` lead to its own modules.

    Its name is made from its content: staged metrics of one version share it, others stay apart, and an installed
    `metrics` is neither used nor replaced.

    Args:
        archive: A zip of the folder `metrics`, in base64.
        folder: Where to unpack it.
    """
    data = base64.b64decode(archive)
    name = f"detox_suite_{hashlib.sha256(data).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    unpacked = folder / name
    if not unpacked.is_dir():
        with tempfile.TemporaryDirectory(dir=folder) as temporary, zipfile.ZipFile(io.BytesIO(data)) as files:
            files.extractall(Path(temporary) / name)
            try:
                (Path(temporary) / name).rename(unpacked)
            except OSError:
                # Another process was faster.
                if not unpacked.is_dir():
                    raise
    start = unpacked / PUBLIC / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        name, start, loader=_Loader(name, str(start)), submodule_search_locations=[str(start.parent)]
    )
    if spec is None:
        raise ImportError(f"{start.parent}: not a package")
    sys.meta_path.insert(0, _Finder(name))
    sys.modules[name] = package = importlib.util.module_from_spec(spec)
    _Loader(name, str(start)).exec_module(package)
    return package
