"""Checkpoints that hold the trained weights only."""

import shutil
from pathlib import Path

from safetensors.torch import save_file

from metrics.util.files import atomic_file
from repro.distributed import is_main_process
from repro.leader.leader import Leader

# File names: the trained weights in a checkpoint, those of the best step, and the mark of a complete checkpoint.
WEIGHTS = "trained.safetensors"
BEST = "best.safetensors"
COMPLETE = "complete"


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint in `folder`, or None; incomplete ones are removed."""
    complete = []
    for path in folder.glob("checkpoint-*"):
        if (path / COMPLETE).is_file():
            complete.append(path)
        else:
            shutil.rmtree(path)
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def save_trained_weights(leader: Leader, path: Path) -> None:
    """Write the trained weights from the main process; all processes call this together."""
    trained = leader.trainable_state()
    if is_main_process():
        state = {name: value.contiguous().cpu().clone() for name, value in trained.items()}
        with atomic_file(path) as temporary:
            save_file(state, temporary)
