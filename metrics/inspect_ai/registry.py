"""What inspect-ai loads where this package is installed (entry point `detox_suite`): task, scorer, grader."""

from __future__ import annotations

from typing import Any

from inspect_ai._util.registry import registry_add
from inspect_ai.util import registry_info

from metrics.inspect_ai.scores import detoxification
from metrics.inspect_ai.task import detox

# inspect-ai puts the import package before a name, `metrics/detox`, and in editable installs nothing. Both times the
# names shall be detox_suite/detox and detox_suite/detoxification.
parts: tuple[Any, ...] = (detox, detoxification)
for part in parts:
    registry_add(part, registry_info(part).model_copy(update={"name": f"detox_suite/{part.__name__}"}))
