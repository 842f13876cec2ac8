"""Rewriting by CTranslate2 (extra "ctranslate2"): on a CPU, greedily, 32- or 8-bit weights.

Another program with other sums: what it writes may differ from what transformers writes, so that its name, version and
weights stand in the decoding, and with it in the signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from metrics.generation.rewriting import end_tokens
from metrics.models.loading import LoadedModel
from metrics.util.errors import InputError, missing_package
from metrics.util.files import atomic_folder, cache_dir, content_hash

# By the name that --engine gives: how weights are kept.
ENGINES = {"ctranslate2": "float32", "ctranslate2-int8": "int8"}
# Rows that have ended hold up nothing, so that it may be given many at once. Each thread works at a lot of its own:
# together they get more done than threads that wait for each other in every layer.
_BATCH, _LOT = 256, 64
_SERVED = {"do_sample": (False,), "num_beams": (1,)}


class CTranslate2:
    """A loaded model, converted once (`SRO_HOME`), whose tokens come from CTranslate2.

    asked: by which setting, for messages. weights: how they are kept.
    Errors: CTranslate2 not installed, models and families that it does not serve.
    """

    def __init__(self, loaded: LoadedModel, asked: str, weights: str) -> None:
        try:
            import ctranslate2
            from ctranslate2.converters import TransformersConverter
        except ImportError:
            raise missing_package("ctranslate2", asked) from None
        if loaded.ref.base is not None:
            raise InputError(f"{asked}: {loaded.ref.name} is an adapter; it serves whole models")
        import torch

        self.device, self.batch_size = "cpu", _BATCH
        self.name = f"ctranslate2-{version('ctranslate2')}-{weights}"
        self._tokenizer = loaded.tokenizer
        folder = cache_dir() / "ctranslate2" / content_hash([loaded.ref.revision, self.name])[:32]
        threads = torch.get_num_threads()
        kind = ctranslate2.Translator if loaded.seq2seq else ctranslate2.Generator
        try:
            if not folder.is_dir():
                with atomic_folder(folder) as target:
                    # The folder's weights are safetensors, as all that were resolved.
                    converter = TransformersConverter(str(loaded.ref.folder), trust_remote_code=False)
                    converter.convert(str(target), quantization=weights, force=True)
            self._model = kind(str(folder), device="cpu", compute_type=weights, inter_threads=threads, intra_threads=1)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{asked}: {loaded.ref.name} cannot be converted ({reason})") from error
        finally:
            # Its intra_threads become torch's own number too, and whatever came next would run on one.
            torch.set_num_threads(threads)
        self._seq2seq, self._ends = loaded.seq2seq, sorted(end_tokens(loaded.model, loaded.tokenizer))

    def __call__(self, prompts: Sequence[Sequence[int]], settings: dict[str, Any]) -> list[list[int]]:
        """The new tokens for each prompt, with the end where it was written. Errors: settings it does not know."""
        for key, value in settings.items():
            if key != "max_new_tokens" and value not in _SERVED.get(key, ()):
                raise InputError(f"decoding {key}={value}: {self.name} writes greedily only; leave --engine out")
        tokens = [self._tokenizer.convert_ids_to_tokens(list(prompt)) for prompt in prompts]
        room = settings["max_new_tokens"]
        told = {"beam_size": 1, "end_token": self._ends, "return_end_token": True, "max_batch_size": _LOT}
        if self._seq2seq:
            # By itself it writes at least one token and reads at most 1,024.
            lengths = {"max_input_length": 0, "min_decoding_length": 0, "max_decoding_length": room}
            written = self._model.translate_batch(tokens, **lengths, **told)
            return [list(self._tokenizer.convert_tokens_to_ids(result.hypotheses[0])) for result in written]
        written = self._model.generate_batch(tokens, max_length=room, include_prompt_in_result=False, **told)
        return [list(result.sequences_ids[0]) for result in written]
