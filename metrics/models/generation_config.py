"""Read the generation config of a model folder."""

import json
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError, one_line


def read_generation_config(folder: Path) -> Any:
    """Return the transformers `GenerationConfig` of a model folder: that of its file, else that of its config.json.

    transformers reads a damaged file as if there were none.

    Raises:
        InputError: The file is damaged, or a value in it is none that transformers knows.
    """
    from transformers import GenerationConfig
    from transformers.utils import GENERATION_CONFIG_NAME

    path = folder / GENERATION_CONFIG_NAME
    if not path.is_file():
        return GenerationConfig.from_pretrained(folder, config_file_name="config.json", _from_model_config=True)
    try:
        stored = json.loads(path.read_bytes())
        if not isinstance(stored, dict):
            raise ValueError("not an object")
        # transformers reads further objects from these, and ends in an AttributeError.
        for name in ("watermarking_config", "compile_config"):
            if not isinstance(stored.get(name), dict | None):
                raise ValueError(f"{name}: not an object")
        config = GenerationConfig.from_pretrained(folder)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not a generation config ({one_line(error)})") from None
    # transformers drops fields that it does not know where the file says _from_model_config.
    for name in stored.keys() - vars(config).keys():
        setattr(config, name, stored[name])
    return config
