"""The engine CTranslate2 (extra "ctranslate2"): greedy decoding on a CPU with 32- or 8-bit weights.

Its arithmetic, and so its outputs, may differ from those of transformers: its name is part of the signature.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, ClassVar

from metrics.generation.tokens import get_eos_token_ids
from metrics.models.loading import LoadedModel
from metrics.util.errors import InputError, missing_package, one_line
from metrics.util.files import atomic_folder, cache_dir, content_hash

# CTranslate2 drops ended rows, so large batches pay. Each thread decodes a chunk of its own: that is faster than
# threads that wait for each other in every layer.
_BATCH, _CHUNK = 256, 64
_SUPPORTED = {"do_sample": (False,), "num_beams": (1,)}


class CTranslate2:
    """An `Engine` that converts a model once, into the cache folder, and decodes it with CTranslate2.

    Raises:
        InputError: CTranslate2 is not installed or does not support the model.
    """

    # The type of the weights by the value of --engine.
    WEIGHTS: ClassVar = {"ctranslate2": "float32", "ctranslate2-int8": "int8"}

    def __init__(self, loaded: LoadedModel, weights: str) -> None:
        try:
            import ctranslate2
            from ctranslate2.converters import TransformersConverter
        except ImportError:
            raise missing_package("ctranslate2", "CTranslate2") from None
        if loaded.ref.base is not None:
            raise InputError(f"{loaded.ref.name} is an adapter; CTranslate2 needs a merged model")
        import torch

        self.device, self.batch_size = "cpu", _BATCH
        self.name = f"ctranslate2-{version('ctranslate2')}-{weights}"
        self._tokenizer = loaded.tokenizer
        folder = cache_dir() / "ctranslate2" / content_hash([loaded.ref.revision, self.name])[:32]
        threads = torch.get_num_threads()
        model_class = ctranslate2.Translator if loaded.seq2seq else ctranslate2.Generator
        try:
            if not folder.is_dir():
                with atomic_folder(folder) as target:
                    # Resolved folders contain safetensors only: the converter reads no pickle.
                    converter = TransformersConverter(str(loaded.ref.folder), trust_remote_code=False)
                    converter.convert(str(target), quantization=weights, force=True)
            self._model = model_class(
                str(folder), device="cpu", compute_type=weights, inter_threads=threads, intra_threads=1
            )
        except Exception as error:
            raise InputError(f"CTranslate2 cannot convert {loaded.ref.name} ({one_line(error)})") from error
        finally:
            # intra_threads changes torch's number of threads too, and scoring would run on one.
            torch.set_num_threads(threads)
        self._seq2seq, self._eos_token_ids = loaded.seq2seq, sorted(get_eos_token_ids(loaded.model, loaded.tokenizer))

    def __call__(self, prompts: Sequence[Sequence[int]], settings: dict[str, Any]) -> list[list[int]]:
        """Return the new tokens for each prompt, including the EOS token; raise `InputError` for other decoding."""
        for key, value in settings.items():
            if key != "max_new_tokens" and value not in _SUPPORTED.get(key, ()):
                raise InputError(f"decoding {key}={value}: {self.name} decodes greedily only; leave out --engine")
        tokens = [self._tokenizer.convert_ids_to_tokens(list(prompt)) for prompt in prompts]
        limit = settings["max_new_tokens"]
        options = {"beam_size": 1, "end_token": self._eos_token_ids, "return_end_token": True, "max_batch_size": _CHUNK}
        if self._seq2seq:
            # The defaults write at least one token and truncate prompts to 1,024.
            options |= {"max_input_length": 0, "min_decoding_length": 0, "max_decoding_length": limit}
            results = self._model.translate_batch(tokens, **options)
            return [list(self._tokenizer.convert_tokens_to_ids(result.hypotheses[0])) for result in results]
        results = self._model.generate_batch(tokens, max_length=limit, include_prompt_in_result=False, **options)
        return [list(result.sequences_ids[0]) for result in results]
