"""Batches of prompts: sorted by length, with a size that fits decoding settings and memory."""

from collections.abc import Sequence
from typing import Any

from metrics.generation.decoding import sampler_supports_decoding
from metrics.generation.lengths import fit_lengths
from metrics.generation.prompts import MAX_PROMPT_TOKENS, prompt_ids
from metrics.models.loading import LoadedModel

BATCH_SIZE = 32
# Rows leave a batch of the sampler when they end; such a batch is faster the larger it is, up to about this size.
_MAX_BATCH_SIZE = 256
# Padding costs as much time as text: one long text must not lengthen a batch of short ones by more than this.
_MAX_PADDING = 64


def length_sorted_batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Return the indices of the items in each batch: up to `batch_size` items whose lengths differ by at most 64.

    The longest come first: a batch too large for the memory fails at once.
    """
    batches: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or len(batches[-1]) == batch_size or lengths[batches[-1][0]] - lengths[i] > _MAX_PADDING:
            batches.append([])
        batches[-1].append(i)
    return batches


def default_batch_size(loaded: LoadedModel, texts: Sequence[str], settings: dict[str, Any]) -> int:
    """Return the batch size for `texts` if the user gives none.

    An engine states its own. Greedy decoding by `metrics.generation.sampler` takes up to 256 prompts, as many as need
    no more memory than 32 prompts of `MAX_PROMPT_TOKENS` (on a GPU twice that, because `cuda_graphs` caches two batch
    shapes). Everything else takes 32; samples depend on the batch, so their batch size never depends on the texts.
    """
    if loaded.engine:
        return loaded.engine.batch_size
    if settings["do_sample"] or not texts or not sampler_supports_decoding(loaded.model, settings):
        return BATCH_SIZE
    text, lengths = max(texts, key=len), fit_lengths(loaded, settings)
    (longest,) = prompt_ids(loaded.tokenizer, loaded.prompt, [text], False, lengths.prompt, loaded.preamble)
    new = lengths.settings["max_new_tokens"]
    return max(BATCH_SIZE, min(_MAX_BATCH_SIZE, BATCH_SIZE * (MAX_PROMPT_TOKENS + new) // (len(longest) + new)))
