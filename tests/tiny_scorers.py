"""Tiny classifiers, sentence encoders that read every script, and XCOMET-lite: NumPy draws their weights."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from metrics.profiles import load_profile

# A tiny XCOMET-lite, and the scores that the original code gave with it.
XCOMET = json.loads((Path(__file__).parent / "metrics" / "golden" / "xcomet.json").read_text("utf-8"))
_CONFIG = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 512, "vocab_size": 261, "pad_token_id": 0, "num_labels": 2,
}  # fmt: skip


def draw(name: str, shape: Sequence[int]) -> Any:
    """A weight: RandomState is the generator that NumPy has frozen."""
    import torch

    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))
    if len(shape) > 1:
        values *= 3 / np.sqrt(shape[-1])
    else:
        values = 1 + 0.1 * values if name.endswith("LayerNorm.weight") else 0.3 * values
    return torch.tensor(values, dtype=torch.float32)


def write_tokenizer(folder: Path) -> None:
    """Save a tokenizer with a token per byte, between [CLS] and [SEP]."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE({token: i for i, token in enumerate(vocabulary)}, [], unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=512,
    ).save_pretrained(folder)  # fmt: skip


def write_model(folder: Path, kind: str) -> Path:
    """Save a BERT of transformers' class `kind` with its tokenizer; an encoder pools the mean of its tokens."""
    import transformers

    model = getattr(transformers, kind)(transformers.BertConfig(**_CONFIG))
    model.load_state_dict(
        {
            name: draw(f"{kind} {name}", value.shape)
            for name, value in model.state_dict().items()
            if value.is_floating_point()
        },
        strict=False,
    )
    model.save_pretrained(folder)
    write_tokenizer(folder)
    if kind == "BertModel":
        modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
        listed = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
            for i, (path, name) in enumerate(modules)
        ]
        (folder / "modules.json").write_text(json.dumps(listed))
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 512}))
        (folder / "1_Pooling").mkdir()
        pooling = {"word_embedding_dimension": _CONFIG["hidden_size"], "pooling_mode_mean_tokens": True}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def write_profile(folder: Path, name: str, **models: str) -> Path:
    """Save the profile `name` as a file that keeps its rules and has other models, given by metric."""
    profile = load_profile(name)
    fields: dict[str, Any] = {f"{metric}_model": model for metric, model in models.items()}
    fields |= {f"{metric}_revision": None for metric in models}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(profile.model_copy(update=fields).model_dump(), allow_unicode=True))
    return path


def draw_xcomet(name: str, shape: Sequence[int]) -> Any:
    """A weight of the tiny XCOMET-lite, as `draw`."""
    import torch

    seed = zlib.crc32(f"{XCOMET['seed']}{name}".encode())
    values = np.random.RandomState(seed).standard_normal(tuple(shape))
    if len(shape) > 1:
        values *= XCOMET["gain"] / np.sqrt(shape[-1])
    else:
        values = 1 + 0.1 * values if name.endswith(("LayerNorm.weight", "gamma")) else 0.3 * values
    return torch.tensor(values, dtype=torch.float32)


def write_xcomet(folder: Path, drop: str = "", **arguments: Any) -> Path:
    """Save a tiny XCOMET-lite as the original's `save_pretrained` does, with its encoder, which has a pickle too."""
    from safetensors.torch import save_file

    encoder = folder / "encoder"
    encoder.mkdir(parents=True)
    (encoder / "config.json").write_text(json.dumps(XCOMET["encoder"]))
    (encoder / "spm.model").write_bytes(base64.b64decode(XCOMET["spm_model"]))
    (encoder / "pytorch_model.bin").write_bytes(pickle.dumps("not read"))
    config = {"encoder_model": "DeBERTa", "pretrained_model": str(encoder), **XCOMET["arguments"], **arguments}
    (folder / "config.json").write_text(json.dumps(config))
    weights = {name: draw_xcomet(name, shape) for name, shape in XCOMET["shapes"].items() if name != drop}
    save_file(weights, folder / "model.safetensors")
    return folder
