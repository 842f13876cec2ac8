"""Load resolved models for rewriting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from metrics.models.prompts import NO_PREAMBLE, Preamble, default_prompt
from metrics.models.resolve import ModelRef
from metrics.util.errors import InputError, one_line

# The dtypes of a model's weights, by torch's names.
DTYPES = ("float32", "bfloat16")


class Engine(Protocol):
    """An object that generates in place of a transformers model (see `metrics.generation.engines`).

    Args:
        name: PROGRAM-VERSION-WEIGHTS, which becomes part of the decoding settings and the signature.
        device: The torch device type on which it runs.
        batch_size: The preferred number of prompts per call.
    """

    name: str
    device: str
    batch_size: int

    def __call__(self, prompts: Sequence[Sequence[int]], settings: dict[str, Any]) -> list[list[int]]:
        """Return the new tokens for each prompt of token ids under the decoding `settings`."""


@dataclass
class LoadedModel:
    """A model in eval mode, with its tokenizer and prompt template.

    Args:
        ref: The resolved model.
        model: The transformers model; on the meta device, without weights, if an engine generates.
        tokenizer: The transformers tokenizer, with a padding token.
        seq2seq: Whether it is an encoder-decoder.
        prompt: The prompt template (see `metrics.models.prompts`).
        engine: The engine that generates, or None for the model itself.
        preamble: What stands before the prompt of each text.
    """

    ref: ModelRef
    model: Any
    tokenizer: Any
    seq2seq: bool
    prompt: str
    engine: Engine | None = None
    preamble: Preamble = NO_PREAMBLE

    @property
    def device(self) -> str:
        """The torch device type on which the model or its engine generates."""
        return self.engine.device if self.engine else str(self.model.device.type)


def load_model(
    ref: ModelRef, *, prompt: str | None = None, device: str | None = None, dtype: str = DTYPES[0], weights: bool = True
) -> LoadedModel:
    """Load a resolved model for rewriting; an adapter is merged into its base model.

    Args:
        ref: The resolved model.
        prompt: A prompt template with `{text}`; None for `default_prompt`.
        device: A torch device; None for a GPU if there is one, else the CPU.
        dtype: One of `DTYPES`.
        weights: False builds the model (without its adapter) on the meta device, to read its configuration only.

    Raises:
        InputError: The weights do not fit the config, the architecture needs code from the model repository, or the
            prompt does not contain `{text}` exactly once.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig
    from transformers.utils import GENERATION_CONFIG_NAME

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    folder = ref.base.folder if ref.base else ref.folder
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        seq2seq = bool(config.is_encoder_decoder)
        auto = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model: Any
        if weights:
            model = auto.from_pretrained(
                folder, config=config, dtype=getattr(torch, dtype), use_safetensors=True, trust_remote_code=False
            )
            if ref.base:
                from peft import PeftModel

                model = PeftModel.from_pretrained(model, str(ref.folder), use_safetensors=True).merge_and_unload()
        else:
            device = "meta"
            with torch.device(device):
                model = auto.from_config(config, trust_remote_code=False)
            if (folder / GENERATION_CONFIG_NAME).is_file():
                model.generation_config = GenerationConfig.from_pretrained(folder)
    except Exception as error:
        raise InputError(f"{ref.name}: cannot be loaded ({type(error).__name__}: {one_line(error)})") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    template = prompt or default_prompt(ref, tokenizer, seq2seq)
    if template.count("{text}") != 1:
        raise InputError(f'prompt "{template}": must contain {{text}} exactly once')
    return LoadedModel(ref, model.to(device).eval(), tokenizer, seq2seq, template)


def require_dtype(dtype: str) -> None:
    """Check the value of `--dtype`; raise `InputError` if it is not one of `DTYPES`."""
    if dtype not in DTYPES:
        raise InputError(f"--dtype {dtype}: unknown; one of {', '.join(DTYPES)}")
