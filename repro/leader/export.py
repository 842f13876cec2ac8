"""Saving a leader as a transformers folder."""

from __future__ import annotations

import copy
from pathlib import Path

from metrics.models.conversion import save_tokenizer
from repro.leader.leader import Leader


def export_model(leader: Leader, folder: Path) -> None:
    """Write the policy as a plain transformers folder (safetensors and tokenizer), with an adapter merged."""
    model = leader.model
    if leader.uses_lora:
        model = copy.deepcopy(model).merge_and_unload()
    model.save_pretrained(folder, safe_serialization=True)
    save_tokenizer(leader.tokenizer, folder)
