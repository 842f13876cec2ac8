"""Saving a leader as a model folder."""

import copy
from pathlib import Path

from transformers import GenerationConfig

from metrics.models.conversion import save_tokenizer
from metrics.models.prompts import write_prompt
from metrics.util.files import atomic_folder
from repro.leader.leader import Leader


def export_model(leader: Leader, folder: Path, max_new_tokens: int) -> None:
    """Write the policy as a plain transformers folder that rewrites greedily; an adapter is merged.

    Args:
        leader: The leader, whose weights must not be sharded.
        folder: The folder to create, with safetensors weights, tokenizer, prompt and decoding settings.
        max_new_tokens: The decoding's limit, in tokens.
    """
    model = copy.deepcopy(leader.model).merge_and_unload() if leader.uses_lora else leader.model
    stored = leader.model.generation_config
    tokens = {key: getattr(stored, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    start = getattr(stored, "decoder_start_token_id", None)
    decoding = GenerationConfig(
        max_new_tokens=max_new_tokens, do_sample=False, **tokens, decoder_start_token_id=start
    )  # fmt: skip
    with atomic_folder(folder) as target:
        model.save_pretrained(target, safe_serialization=True)
        save_tokenizer(leader.tokenizer, target)
        write_prompt(target, leader.prompt)
        decoding.save_pretrained(target)
