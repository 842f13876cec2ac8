"""Imports a package that is kept as text inside a Python file.

`evaluate.load` copies a module and the Python files it imports, never folders or weights; so `metrics.stage` writes
this file, followed by the package, beside a staged module (packed.py). It needs nothing but the standard library.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType


def unpack(archive: str, folder: Path) -> ModuleType:
    """The package in `archive` (a zip in base64), unpacked into `folder` once.

    It is imported under a name made from its content: staged metrics of one version share it, others stay apart.
    """
    data = base64.b64decode(archive)
    name = f"detox_suite_{hashlib.sha256(data).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    package = folder / name
    if not package.is_dir():
        with tempfile.TemporaryDirectory(dir=folder) as temporary, zipfile.ZipFile(io.BytesIO(data)) as files:
            whole = Path(temporary) / name
            files.extractall(whole)
            try:
                whole.rename(package)
            except OSError:
                # Another process was faster.
                if not package.is_dir():
                    raise
    spec = importlib.util.spec_from_file_location(
        name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{package}: not a package")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
