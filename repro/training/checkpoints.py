"""Saving a leader: checkpoints that hold the trained weights only, and the export of a model folder."""

import copy
import shutil
from pathlib import Path

from safetensors.torch import save_file
from transformers import GenerationConfig

from metrics.models.conversion import save_tokenizer
from metrics.models.prompts import write_prompt
from metrics.util.files import atomic_file, atomic_folder
from repro.distributed import is_main_process
from repro.leader.leader import Leader

# File names: the trained weights in a checkpoint, those of the best step, and the mark of a complete checkpoint.
WEIGHTS = "trained.safetensors"
BEST = "best.safetensors"
COMPLETE = "complete"


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint in `folder`, or None; incomplete ones are removed."""
    for path in list(folder.glob("checkpoint-*")):
        if not (path / COMPLETE).is_file():
            shutil.rmtree(path)
    return max(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def save_trained_weights(leader: Leader, path: Path) -> None:
    """Write the trained weights from the main process; all processes call this together."""
    trained = leader.trainable_state()
    if is_main_process():
        state = {name: value.contiguous().cpu().clone() for name, value in trained.items()}
        with atomic_file(path) as temporary:
            save_file(state, temporary)


def export_model(leader: Leader, folder: Path, max_new_tokens: int) -> None:
    """Write the policy, which must not be sharded, as a transformers folder that rewrites greedily; merge an adapter.

    The folder holds safetensors weights, tokenizer, prompt and decoding settings.
    """
    model = copy.deepcopy(leader.model).merge_and_unload() if leader.uses_lora else leader.model
    names = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
    tokens = {name: getattr(leader.model.generation_config, name, None) for name in names}
    decoding = GenerationConfig(max_new_tokens=max_new_tokens, do_sample=False, **tokens)
    with atomic_folder(folder) as target:
        model.save_pretrained(target, safe_serialization=True)
        save_tokenizer(leader.tokenizer, target)
        write_prompt(target, leader.prompt)
        decoding.save_pretrained(target)
