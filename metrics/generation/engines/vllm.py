"""The engine vLLM (extra "vllm") for rewriting and rollouts; for causal models of .5B parameters and more on a GPU.

Its arithmetic, and so its outputs, may differ from those of transformers: its name is part of the signature.
"""

import os
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

from metrics.generation.tokens import get_eos_token_ids
from metrics.models.loading import LoadedModel
from metrics.util.errors import InputError, missing_package, one_line

# vLLM schedules as many rows as its KV cache holds and adds others as rows end.
_BATCH = 1024
# The defaults of transformers.
_DEFAULTS = {"temperature": 1.0, "top_k": 50, "top_p": 1.0, "min_p": 0.0}


def require_supported(loaded: LoadedModel) -> None:
    """Raise `InputError` if vLLM is not installed, or the model is an adapter or an encoder-decoder."""
    if not find_spec("vllm"):
        raise missing_package("vllm", "vLLM")
    if loaded.ref.base is not None or loaded.seq2seq:
        kind = "an encoder-decoder model" if loaded.seq2seq else "an adapter"
        raise InputError(f"{loaded.ref.name} is {kind}; vLLM serves merged causal models only")


class VLLM:
    """An `Engine` that serves a model's folder by vLLM in this process.

    Args:
        loaded: The model, loaded without weights.
        dtype: The dtype of the weights, by torch's name.
        max_model_len: The greatest number of tokens of prompt and output; sizes the KV cache.
        gpu_memory_utilization: The share of the device's memory that vLLM may take; scorers need the rest.

    Raises:
        InputError: vLLM is not installed or does not support the model.
    """

    # The dtype by the value of --engine.
    WEIGHTS: ClassVar = {"vllm": "bfloat16", "vllm-float32": "float32"}

    def __init__(
        self, loaded: LoadedModel, dtype: str, *, max_model_len: int = 4096, gpu_memory_utilization: float = 0.7
    ) -> None:
        require_supported(loaded)
        # vLLM reads these when it is imported: run in this process, send no usage statistics, log errors only.
        os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1"}
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        try:
            import vllm
        except (ImportError, RuntimeError) as error:
            # For example, torchvision was built for another version of torch.
            raise InputError(f"vLLM cannot be imported ({one_line(error)})") from error
        self.batch_size = _BATCH
        self.device = str(vllm.platforms.current_platform.device_type)
        self.name = f"vllm-{vllm.__version__}-{dtype}"
        self._eos_token_ids = sorted(get_eos_token_ids(loaded.model, loaded.tokenizer))
        self._sampling_params = vllm.SamplingParams
        self._max_model_len = min(getattr(loaded.model.config, "max_position_embeddings", max_model_len), max_model_len)
        try:
            self._model = vllm.LLM(
                str(loaded.ref.folder), dtype=dtype, load_format="safetensors", trust_remote_code=False, seed=0,
                skip_tokenizer_init=True, generation_config="vllm", max_model_len=self._max_model_len,
                gpu_memory_utilization=gpu_memory_utilization,
            )  # fmt: skip
        except Exception as error:
            raise InputError(f"vLLM cannot serve {loaded.ref.name} ({one_line(error)})") from error

    def __call__(self, prompts: Sequence[Sequence[int]], settings: dict[str, Any]) -> list[list[int]]:
        """Return the new tokens for each prompt, including the EOS token; torch's random state seeds the samples.

        Raises:
            InputError: A setting is not supported, or a prompt leaves too few tokens for `max_new_tokens`.
        """
        import torch

        supported = {"do_sample", "num_beams", "max_new_tokens", "repetition_penalty", *_DEFAULTS}
        unsupported = sorted(settings.keys() - supported) or ["num_beams"] * (settings.get("num_beams", 1) != 1)
        if unsupported:
            key = unsupported[0]
            raise InputError(f"decoding {key}={settings[key]}: {self.name} does not support it; leave out --engine")
        longest, limit = max(map(len, prompts)), settings["max_new_tokens"]
        if longest + limit > self._max_model_len:
            total = f"a prompt of {longest} tokens and {limit} new ones are more than {self._max_model_len}"
            raise InputError(f"{self.name}: {total}; give --decoding max_new_tokens=N, or leave out --engine")
        params: dict[str, Any] = {"temperature": 0.0}
        if settings["do_sample"]:
            params = {key: settings.get(key, value) for key, value in _DEFAULTS.items()}
        params |= {"repetition_penalty": settings.get("repetition_penalty", 1.0), "max_tokens": limit}
        params |= {"stop_token_ids": self._eos_token_ids, "ignore_eos": True, "detokenize": False}
        first = int(torch.randint(2**31, ()))
        sampling_params = [self._sampling_params(**params, seed=first + i) for i in range(len(prompts))]
        inputs = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        results = self._model.generate(inputs, sampling_params, use_tqdm=False)
        return [list(result.outputs[0].token_ids) for result in results]

    def load_weights(self, weights: Iterable[tuple[str, Any]]) -> None:
        """Replace weights of the served model by (name in its folder, tensor) pairs; each layer must be complete."""
        self._model.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
        if self.device == "cpu":
            self._model.apply_model(_repack_tied_head)
        # Its cached keys and values come from the previous weights.
        self._model.reset_prefix_cache()


def _repack_tied_head(model: Any) -> None:
    """Pack a head anew that is tied to the embeddings: on a CPU its packed copy survives a reload of the weights."""
    head = getattr(model, "lm_head", None)
    if head is not None and head.weight is model.get_submodule("model.embed_tokens").weight:
        head.quant_method.process_weights_after_loading(head)
