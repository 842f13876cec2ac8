"""`python -m tests.kill_in_cleanup STAGE ARGUMENTS`: `repro.run`, killed while STAGE removes its checkpoints.

At that moment the weights of the last checkpoint are gone, and its other files are still there.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from repro import run


def main(stage: str, arguments: list[str]) -> None:
    remove = shutil.rmtree

    def remove_or_kill(path: Path, *args: Any, **named: Any) -> None:
        checkpoints = list(Path(path).rglob("checkpoint-*"))
        if checkpoints and any(part.startswith(f".{stage}-") for part in Path(path).parts):
            for checkpoint in checkpoints:
                (checkpoint / "trained.safetensors").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        remove(path, *args, **named)

    shutil.rmtree = remove_or_kill  # type: ignore[assignment]
    run.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
