"""Training methods: how the leader learns from texts, verdicts or pairs, all under one recipe's budget.

A new method is a file with `train(task: repro.methods.task.Task) -> repro.training.trainer.LeaderTraining`, which trains
and leaves `best.safetensors` in the task's folder, and a line in `METHODS`.
"""

from __future__ import annotations

# name -> what readers of a table should know of it.
METHODS = {
    "sro": "retrained with SRO",
    "dpo": "trained with DPO (trl) on the rollouts that passed, against their inputs",
    "kto": "trained with KTO (trl) on rollouts and their verdicts",
    "grpo": "trained with GRPO (trl), the verdict as reward",
    "sft": "fine-tuned on parallel data (trl SFT)",
}
# Methods that learn from parallel data, which SRO does without.
PARALLEL = ("sft",)
