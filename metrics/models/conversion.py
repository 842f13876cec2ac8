"""Write models as plain transformers folders that have the same bytes on every machine."""

import json
import sys
from pathlib import Path
from typing import Any

from metrics.models.weights import loading_errors, refuse_weights
from metrics.util.errors import InputError
from metrics.util.files import write_json


def dequantize_gguf(file: Path, target: Path) -> None:
    """Write the causal model of a GGUF file, dequantized to float32, to the folder `target` as safetensors.

    Raises:
        InputError: transformers cannot read the file, or weights are missing in it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise InputError(f"{file.name}: not a GGUF file: it does not begin with GGUF; copy it again")
    print(f"dequantizing {file.name} (once, about half a minute)", file=sys.stderr, flush=True)
    # transformers records the name of the file that it read: the full path would differ between machines.
    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    with loading_errors(file.name, "not a GGUF file that transformers can read"):
        quantized, info = AutoModelForCausalLM.from_pretrained(
            **source, dtype=torch.float32, trust_remote_code=False, output_loading_info=True,
            ignore_mismatched_sizes=True,
        )  # fmt: skip
        tokenizer = AutoTokenizer.from_pretrained(**source, trust_remote_code=False)
        unread = _unread_tensors(file, quantized)
    shapes = [f"{key} has the shape {found}, not {expected}" for key, found, expected in info["mismatched_keys"]]
    refuse_weights(file.name, info["missing_keys"], [*info["unexpected_keys"], *unread], sorted(shapes))
    # save_pretrained refuses a model with a quantization config, hence the new one.
    del quantized.config.quantization_config
    plain = AutoModelForCausalLM.from_config(quantized.config, dtype=torch.float32)
    plain.load_state_dict(quantized.state_dict())
    plain.tie_weights()
    plain.save_pretrained(target)
    save_tokenizer(tokenizer, target)
    _drop_tokens_beyond(target / "tokenizer.json", plain.get_input_embeddings().num_embeddings)


def _drop_tokens_beyond(path: Path, embeddings: int) -> None:
    """Remove added tokens without an embedding: transformers adds <|endoftext|> to tokenizers from GGUF files."""
    stored = json.loads(path.read_text("utf-8"))
    kept = [token for token in stored["added_tokens"] if token["id"] < embeddings]
    if len(kept) < len(stored["added_tokens"]):
        write_json(path, {**stored, "added_tokens": kept})


def _unread_tensors(file: Path, model: Any) -> list[str]:
    """Names of tensors in a GGUF file that transformers passes over without a word.

    Raises:
        InputError: The file stretches the positions, which transformers does not read from most kinds of GGUF files.
    """
    from gguf import GGUFReader
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
        read_field,
    )

    reader = GGUFReader(file)
    architecture = str(read_field(reader, "general.architecture")[0])
    scaling = read_field(reader, f"{architecture}.rope.scaling.type")
    if scaling and scaling[0] != "none" and architecture != "gpt-oss":
        reason = f"{architecture}.rope.scaling.type is {scaling[0]}, which transformers does not read from GGUF files"
        raise InputError(f"{file.name}: {reason}; use the model's safetensors")
    known = get_gguf_hf_weights_map(model, TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config={}))
    # Experts are stored in one tensor and are split by transformers; factors of 1 stretch nothing.
    return [
        tensor.name
        for tensor in reader.tensors
        if tensor.name not in known
        and "_exps." not in tensor.name
        and not (tensor.name == "rope_freqs.weight" and (tensor.data == 1).all())
    ]


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Save a tokenizer without `local_files_only`, which records how it was loaded and would change its bytes."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    config.pop("local_files_only", None)
    write_json(path, config)
