"""Training methods: how the leader learns from texts, verdicts or pairs, all in the same budget.

Methods that use trl give it token ids instead of text, because tokens that are decoded and encoded again may differ.

To add one, write a module with `train(context: TrainingContext) -> LeaderTrainer` (`repro.methods.context`) and add its
name to `METHODS`. The function trains and leaves `best.safetensors` in `context.output_dir`; it raises `InputError` if
the method cannot train this leader or learn from these data.
"""

# Name of the module, with - for _ -> what a row's note says of a model trained with it.
METHODS = {
    "sro": "retrained with SRO",
    "dpo": "trained with DPO (trl) on the rollouts that passed, against their inputs",
    "kto": "trained with KTO (trl) on rollouts and their verdicts",
    "grpo": "trained with GRPO (trl), the verdict as reward",
    "online-dpo": "trained with Online DPO (trl), passes preferred to fails of the same text",
    "sft": "fine-tuned on parallel data (trl SFT)",
}
# Methods that learn from parallel data instead of rollouts.
PARALLEL = ("sft",)
