"""Rewriting and rolling out by vLLM (extra "vllm"): causal models of half a billion weights and more, on a GPU.

Another program with other sums: what it writes may differ from what transformers writes, so that its name, version and
weights stand in the decoding, and with it in the signature.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from metrics.generation.rewriting import end_tokens
from metrics.models.loading import LoadedModel
from metrics.util.errors import InputError

if TYPE_CHECKING:
    import torch

# By the name that --engine gives: what weights have.
ENGINES = {"vllm": "bfloat16", "vllm-float32": "float32"}
# Prompt and answer together; room for keys and values is set aside for so many tokens.
_LONGEST = 4096
# It keeps as many rows at work as its memory holds, and takes others in as they end.
_BATCH = 1024
# The share of a device's memory that it may take: other models of the suite are there too.
_SHARE = 0.7
# What the library does where a decoding says nothing.
_DEFAULTS = {"temperature": 1.0, "top_k": 50, "top_p": 1.0, "min_p": 0.0}


def must_be_served(loaded: LoadedModel, asked: str) -> None:
    """Errors: vLLM not installed, adapters, encoder-decoder models. asked: by which setting, for the message."""
    if not find_spec("vllm"):
        raise InputError(f'{asked}: not installed; pip install "detox-suite[vllm]"')
    if loaded.ref.base is not None or loaded.seq2seq:
        kind = "an encoder-decoder model" if loaded.seq2seq else "an adapter"
        raise InputError(f"{asked}: {loaded.ref.name} is {kind}; it serves whole causal models")


class VLLM:
    """A loaded model's folder, served by vLLM in this process.

    asked: by which setting, for messages. weights: what they have, by torch's name. longest: of prompt and answer
    together, in tokens. share: of a device's memory that it may take.
    Errors: see `must_be_served`; models that it cannot serve.
    """

    def __init__(
        self, loaded: LoadedModel, asked: str, weights: str, *, longest: int = _LONGEST, share: float = _SHARE
    ) -> None:
        must_be_served(loaded, asked)
        # Before its import: no process of its own that could outlive this one, nothing told to its makers, no log.
        os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1"}
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        try:
            import vllm
        except (ImportError, RuntimeError) as error:
            # A build of torchvision for another torch than the one there is ends it, for example.
            raise InputError(f"{asked}: vLLM cannot be imported ({' '.join(str(error).split())[:200]})") from error
        self.batch_size = _BATCH
        self.device = str(vllm.platforms.current_platform.device_type)
        self.name = f"vllm-{vllm.__version__}-{weights}"
        self._ends = sorted(end_tokens(loaded.model, loaded.tokenizer))
        self._sampling = vllm.SamplingParams
        self._longest = min(getattr(loaded.model.config, "max_position_embeddings", longest), longest)
        try:
            self._model = vllm.LLM(
                str(loaded.ref.folder), dtype=weights, load_format="safetensors", trust_remote_code=False, seed=0,
                skip_tokenizer_init=True, generation_config="vllm", max_model_len=self._longest,
                gpu_memory_utilization=share,
            )  # fmt: skip
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{asked}: {loaded.ref.name} cannot be served ({reason})") from error

    def __call__(self, prompts: Sequence[Sequence[int]], settings: dict[str, Any]) -> list[list[int]]:
        """The new tokens for each prompt, with the end where it was written.

        What is drawn hangs on torch's seed, as the library's own draws do.
        Errors: settings it does not know, prompts that leave no room for `max_new_tokens`.
        """
        import torch

        known = {"do_sample", "num_beams", "max_new_tokens", "repetition_penalty", *_DEFAULTS}
        unknown = sorted(settings.keys() - known) or ["num_beams"] * (settings.get("num_beams", 1) != 1)
        if unknown:
            raise InputError(f"decoding {unknown[0]}={settings[unknown[0]]}: {self.name} cannot; leave --engine out")
        longest = max(map(len, prompts))
        if longest + settings["max_new_tokens"] > self._longest:
            raise InputError(
                f"{self.name}: a prompt of {longest} tokens and {settings['max_new_tokens']} new ones are more than "
                f"{self._longest}; give --decoding max_new_tokens=N, or leave --engine out"
            )
        told = {key: settings.get(key, value) for key, value in _DEFAULTS.items()}
        if not settings["do_sample"]:
            told = {"temperature": 0.0}
        told |= {
            "repetition_penalty": settings.get("repetition_penalty", 1.0),
            "max_tokens": settings["max_new_tokens"],
        }
        first = int(torch.randint(2**31, ()))
        asked = [
            self._sampling(**told, seed=first + i, stop_token_ids=self._ends, ignore_eos=True, detokenize=False)
            for i in range(len(prompts))
        ]
        answers = self._model.generate([{"prompt_token_ids": list(p)} for p in prompts], asked, use_tqdm=False)
        return [list(answer.outputs[0].token_ids) for answer in answers]

    def load(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """From now on it writes with these in place of its own, by their names in the folder; whole layers of them."""
        self._model.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
        if self.device == "cpu":
            self._model.apply_model(_lay_out_head)
        # What it has read of prompts was read with the weights before.
        self._model.reset_prefix_cache()


def _lay_out_head(model: torch.nn.Module) -> None:
    """A head that has the embeddings' weights holds on processors a copy of them, which vLLM's reload forgets."""
    head: Any = getattr(model, "lm_head", None)
    if head is not None and head.weight is model.get_submodule("model.embed_tokens").weight:
        head.quant_method.process_weights_after_loading(head)
