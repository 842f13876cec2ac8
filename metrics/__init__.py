"""Metrics of text detoxification: `style_accuracy`, `similarity`, `fluency` and `joint`."""

from typing import Any

__version__ = "0.2.0"
__all__ = ["fluency", "joint", "similarity", "style_accuracy"]


def __getattr__(name: str) -> Any:
    # Lazy, because `--help` of a command must not import numpy and the models' libraries.
    if name in __all__:
        from metrics.scoring import functions

        return getattr(functions, name)
    raise AttributeError(f"module 'metrics' has no attribute '{name}'")
