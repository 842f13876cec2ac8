"""Write models as plain transformers folders that have the same bytes on every machine."""

import json
import sys
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError
from metrics.util.files import write_json


def dequantize_gguf(file: Path, target: Path) -> None:
    """Write the causal model of a GGUF file, dequantized to float32, to the folder `target` as safetensors.

    Raises:
        InputError: transformers cannot read the file.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    print(f"dequantizing {file.name} (once, about half a minute)", file=sys.stderr, flush=True)
    # transformers records the name of the file that it read: the full path would differ between machines.
    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
        quantized = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(**source, trust_remote_code=False)
    except (ValueError, OSError, KeyError, NotImplementedError) as error:
        raise InputError(f"{file}: not a GGUF file that transformers can read ({error})") from None
    # save_pretrained refuses a model with a quantization config, hence the new one.
    del quantized.config.quantization_config
    plain = AutoModelForCausalLM.from_config(quantized.config, dtype=torch.float32)
    plain.load_state_dict(quantized.state_dict())
    plain.tie_weights()
    plain.save_pretrained(target)
    save_tokenizer(tokenizer, target)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Save a tokenizer without `local_files_only`, which records how it was loaded and would change its bytes."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    config.pop("local_files_only", None)
    write_json(path, config)
