"""`python -m tests.held FOLDER ARGUMENTS`: `repro.run`, whose processes write down what each held of the last training.

held-RANK.json: how many numbers the trained weights have; how many of them, and of the optimiser's, were here.
removes-RANK: there if that process removed what a kill had left.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from repro import run
from repro.distributed import rank
from repro.pipeline import pipeline
from repro.training.trainer import LeaderTrainer


def here(tensor: torch.Tensor) -> int:
    """How many of its numbers this process has."""
    return (tensor.to_local() if isinstance(tensor, DTensor) else tensor).numel()


def main(folder: Path, arguments: list[str]) -> None:
    train, remove = LeaderTrainer.train_or_resume, pipeline.remove_temporaries

    def train_and_record(trainer: LeaderTrainer) -> None:
        train(trainer)
        trained = [p for p in trainer.model.parameters() if p.requires_grad]
        states = [trainer.optimizer.state[p][key] for p in trained for key in ("exp_avg", "exp_avg_sq")]
        held = [sum(p.numel() for p in trained), sum(map(here, trained)), sum(map(here, states))]
        (folder / f"held-{rank()}.json").write_text(json.dumps(held))

    def remove_and_record(out: Path) -> None:
        (folder / f"removes-{rank()}").touch()
        remove(out)

    pipeline.remove_temporaries = remove_and_record
    LeaderTrainer.train_or_resume = train_and_record  # type: ignore[method-assign]
    run.main(arguments)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
