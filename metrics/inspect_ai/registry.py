"""Registers task, scorer and grader; inspect-ai loads this module through the entry point `detox_suite`."""

from typing import Any

from inspect_ai._util.registry import registry_add
from inspect_ai.util import registry_info

from metrics.inspect_ai.scores import detoxification
from metrics.inspect_ai.task import detox

# inspect-ai prefixes names with the import package (`metrics/detox`), and in editable installs with nothing. The
# documented names are detox_suite/detox and detox_suite/detoxification in both cases.
parts: tuple[Any, ...] = (detox, detoxification)
for part in parts:
    registry_add(part, registry_info(part).model_copy(update={"name": f"detox_suite/{part.__name__}"}))
