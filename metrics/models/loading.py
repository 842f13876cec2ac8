"""Load resolved models for rewriting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from metrics.models.adapters import load_adapter
from metrics.models.generation_config import read_generation_config
from metrics.models.prompts import NO_PREAMBLE, Preamble, default_prompt
from metrics.models.resolve import ModelRef
from metrics.models.tokenizers import choose_padding, has_own_tokenizer, load_tokenizer, require_known_tokens
from metrics.models.weights import load_base, loading_errors
from metrics.util.errors import InputError

# The dtypes of a model's weights, by torch's names.
DTYPES = ("float32", "bfloat16")
GENERATION_CONFIG = "generation_config.json"


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
        merged: Whether `model` is a plain transformers model; False for an adapter that cannot be merged.
        back: The model that translates back, if it is another one.
        between: The model that rewrites between two translations.
    """

    ref: ModelRef
    model: Any
    tokenizer: Any
    seq2seq: bool
    prompt: str
    engine: Engine | None = None
    preamble: Preamble = NO_PREAMBLE
    merged: bool = True
    back: "LoadedModel | None" = None
    between: "LoadedModel | None" = None

    @property
    def device(self) -> str:
        """The torch device type on which the model or its engine generates."""
        return self.engine.device if self.engine else str(self.model.device.type)


def load_model(
    ref: ModelRef, *, prompt: str | None = None, device: str | None = None, dtype: str = DTYPES[0], weights: bool = True
) -> LoadedModel:
    """Load a resolved model for rewriting; an adapter is merged into its base model if its kind allows it.

    Args:
        ref: The resolved model.
        prompt: A prompt template with `{text}`; None for `default_prompt`.
        device: A torch device; None for a GPU if there is one, else the CPU.
        dtype: One of `DTYPES`.
        weights: False builds the model (without its adapter) on the meta device, for an engine that reads the weights.

    Raises:
        InputError: Weights are missing or do not fit the config, the tokenizer has more tokens than the model, the
            architecture needs code from the model repository, or the prompt does not contain `{text}` exactly once.
    """
    import torch
    import transformers

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    folder = ref.base.folder if ref.base else ref.folder
    with loading_errors(ref.name):
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    seq2seq = bool(config.is_encoder_decoder)
    auto_class = transformers.AutoModelForSeq2SeqLM if seq2seq else transformers.AutoModelForCausalLM
    # Before the weights, which transformers would load with a damaged file as if there were none.
    own = bool(ref.base) and (ref.folder / GENERATION_CONFIG).is_file()
    with loading_errors(ref.name):
        generation_config = read_generation_config(ref.folder if own else folder)
    tokenizer = load_tokenizer(ref)
    if weights:
        model, merged = load_weights(ref, auto_class, tokenizer, dtype=getattr(torch, dtype), config=config)
    else:
        # An engine reads the weights; here they are compared with the config, and none is kept.
        device, merged = "meta", True
        model = load_base(folder, ref.name, auto_class, dtype=getattr(torch, dtype), config=config, device_map=device)
    # Of a PEFT model that is not merged, both are read.
    for part in (model,) if merged else (model, model.base_model):
        part.generation_config = generation_config
    require_known_tokens(tokenizer, model, ref.name)
    choose_padding(tokenizer, model)
    template = prompt or default_prompt(ref, tokenizer, seq2seq)
    if template.count("{text}") != 1:
        raise InputError(f'prompt "{template}": must contain {{text}} exactly once')
    return LoadedModel(ref, model.to(device).eval(), tokenizer, seq2seq, template, merged=merged)


def load_weights(
    ref: ModelRef, auto_class: Any, tokenizer: Any, *, dtype: Any, ignore: Sequence[str] = (), **options: Any
) -> tuple[Any, bool]:
    """Load the weights of a resolved model, and of an adapter with its base; the arguments are those of `load_base`.

    Returns:
        The model in eval mode, and whether it is a plain transformers model: an adapter is merged where it can be.

    Raises:
        InputError: Not all weights of the files are weights of the model, or the reverse.
    """
    if ref.base is None:
        return load_base(ref.folder, ref.name, auto_class, dtype=dtype, ignore=ignore, **options), True
    base = ref.base

    def build(supplied: frozenset[str]) -> Any:
        return load_base(
            base.folder, f"{ref.name}: its base {base.name}", auto_class, dtype=dtype, ignore=ignore,
            supplied=supplied, **options,
        )  # fmt: skip

    vocabulary = len(tokenizer) if has_own_tokenizer(ref) else None
    return load_adapter(ref.folder, ref.name, build, vocabulary, auto_class.__name__)


def require_merged(loaded: LoadedModel, what: str) -> None:
    """Raise an `InputError` if a model is an adapter that could not be merged; `what` needs a plain model."""
    if not loaded.merged:
        problem = "an adapter of a kind that cannot be merged into its base"
        raise InputError(f"{what}: {loaded.ref.name} is {problem}; it can rewrite and be scored only")


def require_dtype(dtype: str) -> None:
    """Check the value of `--dtype`; raise `InputError` if it is not one of `DTYPES`."""
    if dtype not in DTYPES:
        raise InputError(f"--dtype {dtype}: unknown; one of {', '.join(DTYPES)}")
