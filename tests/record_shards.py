"""`python -m tests.record_shards FOLDER ARGUMENTS`: `repro.run`, whose processes record their shards in FOLDER.

shards-RANK.json: after the last training, the number of trained weights, and how many of them and of the optimizer's
states this process holds. cleanup-RANK: exists if this process removed temporary files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from repro import run
from repro.distributed import rank
from repro.pipeline import engine
from repro.training.trainer import LeaderTrainer


def local_size(tensor: torch.Tensor) -> int:
    """Return how many elements of the tensor this process holds."""
    return (tensor.to_local() if isinstance(tensor, DTensor) else tensor).numel()


def main(folder: Path, arguments: list[str]) -> None:
    train, remove = LeaderTrainer.train_or_resume, engine.remove_temporaries

    def train_and_record(trainer: LeaderTrainer) -> LeaderTrainer:
        train(trainer)
        trained = [p for p in trainer.model.parameters() if p.requires_grad]
        states = [trainer.optimizer.state[p][key] for p in trained for key in ("exp_avg", "exp_avg_sq")]
        held = [sum(p.numel() for p in trained), sum(map(local_size, trained)), sum(map(local_size, states))]
        (folder / f"shards-{rank()}.json").write_text(json.dumps(held))
        return trainer

    def remove_and_record(out: Path) -> None:
        (folder / f"cleanup-{rank()}").touch()
        remove(out)

    engine.remove_temporaries = remove_and_record
    LeaderTrainer.train_or_resume = train_and_record  # type: ignore[method-assign]
    run.main(arguments)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
