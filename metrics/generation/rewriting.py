"""Rewrite texts with a language model, batch by batch."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import StoppingCriteriaList

from metrics.data.text import well_formed
from metrics.generation.batching import BATCH_SIZE, length_sorted_batches
from metrics.generation.decoding import is_unmerged, rescaling_position, sampler_supports_decoding
from metrics.generation.fields import OVERRIDDEN_FIELDS
from metrics.generation.lengths import fit_lengths
from metrics.generation.prompts import tokenize_prompts
from metrics.generation.reasoning import decode_without_reasoning, find_reasoning
from metrics.generation.sampler import sample_ids
from metrics.generation.stop_strings import StopStrings
from metrics.generation.tokens import cut_after_eos, get_eos_token_ids, pad
from metrics.models.loading import LoadedModel
from metrics.util.progress import ProgressBar

# Fields that look at sequences of tokens in the prompt. Padding must not be among them.
_NGRAM_FIELDS = ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size")


def generate_ids(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], seq2seq: bool, settings: dict[str, Any]
) -> list[list[int]]:
    """Generate outputs for one batch: with `metrics.generation.sampler` if it supports the settings, else transformers.

    Args:
        prompts: The token ids of each prompt.
        seq2seq: Whether the model is an encoder-decoder.
        settings: The decoding settings; samples depend on torch's global random state.

    Returns:
        The new tokens of each prompt, including the EOS token.
    """
    eos_token_ids = get_eos_token_ids(model, tokenizer)
    if sampler_supports_decoding(model, settings):
        temperature = settings.get("temperature", 1.0) if settings["do_sample"] else None
        seed = int(torch.randint(2**53, ())) if temperature else 0
        return sample_ids(
            model, prompts, num_return_sequences=1, temperature=temperature, max_new_tokens=settings["max_new_tokens"],
            eos_token_ids=eos_token_ids, pad_token_id=tokenizer.pad_token_id, seed=seed,
        )  # fmt: skip
    device = next(model.parameters()).device
    # A config of watermarks is no dictionary; the model's own generation config holds it.
    options = {**OVERRIDDEN_FIELDS, **{key: value for key, value in settings.items() if key != "watermarking_config"}}
    stored = {**model.generation_config.to_dict(), **settings}
    # Padding would lie between an adapter's vectors and the prompt, and move them apart; max_length would count it.
    counted = not seq2seq and "max_new_tokens" not in settings
    unpadded = counted or is_unmerged(model) or any(stored.get(key) for key in _NGRAM_FIELDS)
    # A longer row of the batch must not decide about the angles of the others.
    reach = max(map(len, prompts)) + settings.get("max_new_tokens", 0)
    unpadded = unpadded or reach > (rescaling_position(model) or reach)
    if unpadded and len(set(map(len, prompts))) > 1:
        return _generate_by_length(model, tokenizer, prompts, seq2seq, settings)
    strings = options.pop("stop_strings", model.generation_config.stop_strings)
    ids, mask = pad(prompts, tokenizer.pad_token_id, "right" if seq2seq else "left", device)
    if stored.get("encoder_repetition_penalty") not in (None, 1.0):
        # It also counts what stands at padded positions, which then must be a token of the prompt.
        ids = torch.where(mask.bool(), ids, torch.tensor([[prompt[0]] for prompt in prompts], device=device))
    stops = [StopStrings(tokenizer, strings, 1 if seq2seq else ids.shape[1])] if strings else []
    with torch.no_grad():
        # synced_gpus: in distributed training every process would otherwise wait for the others at every token.
        output = model.generate(
            input_ids=ids, attention_mask=mask, pad_token_id=tokenizer.pad_token_id,
            eos_token_id=sorted(eos_token_ids) or None, synced_gpus=False, stop_strings=None,
            stopping_criteria=StoppingCriteriaList(stops), **options,
        )  # fmt: skip
    new = output[:, 1 if seq2seq else ids.shape[1] :]
    rows = [cut_after_eos(row, eos_token_ids) for row in new.tolist()]
    return [stops[0].cut(row) for row in rows] if stops else rows


def _generate_by_length(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], seq2seq: bool, settings: dict[str, Any]
) -> list[list[int]]:
    """Generate outputs for prompts of one length at a time, without padding."""
    outputs: dict[int, list[list[int]]] = {}
    copies = settings.get("num_return_sequences", 1)
    for length in sorted(set(map(len, prompts)), reverse=True):
        indices = [i for i, prompt in enumerate(prompts) if len(prompt) == length]
        rows = generate_ids(model, tokenizer, [prompts[i] for i in indices], seq2seq, settings)
        outputs.update({i: rows[k * copies : (k + 1) * copies] for k, i in enumerate(indices)})
    return [row for i in range(len(prompts)) for row in outputs[i]]


@dataclass
class RewritingProgress:
    """The results of the batches so far, from which an interrupted rewriting resumes.

    Args:
        outputs: The finished outputs by the index of their text.
        cut_off: The indices of the texts whose output the first pass of `rewrite_batches` cut off.
        unfinished: The indices of the finished outputs that reached the token limit before they ended;
            `rewrite_batches` adds those of its batches.
    """

    outputs: dict[int, str] = field(default_factory=dict)
    cut_off: set[int] = field(default_factory=set)
    unfinished: set[int] = field(default_factory=set)

    def add(self, results: Mapping[int, str | None]) -> None:
        """Add a batch that `rewrite_batches` yielded."""
        self.outputs.update({i: text for i, text in results.items() if text is not None})
        self.cut_off.update(i for i, text in results.items() if text is None)


def rewrite_batches(
    loaded: LoadedModel, texts: Sequence[str], settings: dict[str, Any], *, batch_size: int = BATCH_SIZE, seed: int = 0,
    done: RewritingProgress | None = None,
) -> Iterator[dict[int, str | None]]:  # fmt: skip
    """Rewrite texts, at first with a small token limit where one long output would delay its batch.

    The small limit applies only to greedy decoding by transformers' `generate`, not engines or the sampler. There the
    first pass allows four tokens more than the text has; outputs that it cuts off are generated again at the end.

    Args:
        loaded: The model with its prompt template.
        settings: The decoding settings (see `decoding_settings`).
        batch_size: The greatest number of texts in a batch.
        seed: Seeds the samples, together with the number of the batch.
        done: The results of an interrupted call. Its batches are skipped; the others give the same outputs.

    Yields:
        The outputs of a batch, one line each, by the index of their text; None where the first pass cut it off.
    """
    done = done or RewritingProgress()
    cut_off = set(done.cut_off)
    texts = [well_formed(text) for text in texts]
    lengths = fit_lengths(loaded, settings)
    settings = lengths.settings
    tokenized = tokenize_prompts(
        loaded.tokenizer, loaded.prompt, texts, loaded.seq2seq, lengths.prompt, loaded.preamble
    )
    prompts = tokenized.ids
    if tokenized.shortened:
        count = f"{tokenized.shortened} of {len(texts)} texts"
        print(f"{loaded.ref.name}: {count} were cut: a prompt has up to {lengths.prompt} tokens", file=sys.stderr)
    if tokenized.changed:
        count = f"{tokenized.changed} of {len(texts)} texts"
        print(f"{loaded.ref.name}: {count} were changed: the chat template does not show all of them", file=sys.stderr)
    limit = settings.get("max_new_tokens", 0)
    greedy = not settings["do_sample"] and settings.get("num_beams", 1) == 1
    one_pass = loaded.engine or sampler_supports_decoding(loaded.model, settings)
    two_passes = bool(limit) and greedy and not one_pass and not _needs_full_limit(loaded, settings)
    for number, indices in enumerate(length_sorted_batches([len(p) for p in prompts], batch_size)):
        if all(i in done.outputs or i in done.cut_off for i in indices):
            continue
        short_limit = limit
        if two_passes:
            tokens = (len(loaded.tokenizer(texts[i], add_special_tokens=False)["input_ids"]) for i in indices)
            short_limit = min(limit, max(tokens) + 4)
        batch = {i: prompts[i] for i in indices}
        outputs = _rewrite_batch(loaded, batch, settings, short_limit, seed * 1_000_003 + number, done.unfinished)
        cut_off.update(i for i, output in outputs.items() if output is None)
        yield outputs
    rest = sorted(cut_off)
    for number, positions in enumerate(length_sorted_batches([len(prompts[i]) for i in rest], batch_size), len(texts)):
        batch = {rest[position]: prompts[rest[position]] for position in positions}
        if not batch.keys() <= done.outputs.keys():
            yield _rewrite_batch(loaded, batch, settings, limit, seed * 1_000_003 + number, done.unfinished)


def _rewrite_batch(
    loaded: LoadedModel, prompts: dict[int, list[int]], settings: dict[str, Any], max_new_tokens: int, seed: int,
    unfinished: set[int],
) -> dict[int, str | None]:  # fmt: skip
    """Return the line for each prompt, None where `max_new_tokens`, smaller than in `settings`, cuts the output off.

    Add the prompts whose output does not end within the limit of `settings` to `unfinished`.
    """
    limited = {**settings, "max_new_tokens": max_new_tokens} if max_new_tokens else settings
    tokenizer = loaded.tokenizer
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if loaded.engine:
            tokens = loaded.engine(list(prompts.values()), limited)
        else:
            tokens = generate_ids(loaded.model, tokenizer, list(prompts.values()), loaded.seq2seq, limited)
    if reasoning := find_reasoning(loaded):
        texts = decode_without_reasoning(tokenizer, tokens, reasoning)
    else:
        texts = tokenizer.batch_decode(tokens, skip_special_tokens=True)
    eos_token_ids = get_eos_token_ids(loaded.model, tokenizer)
    short = max_new_tokens < settings.get("max_new_tokens", 0)
    cut_off = [short and (not row or row[-1] not in eos_token_ids) for row in tokens]
    if not short:
        stops = settings.get("stop_strings") or ()
        stops = (stops,) if isinstance(stops, str) else stops
        # Padding follows an output that a stop string has ended.
        ends = {*eos_token_ids, tokenizer.pad_token_id}
        for i, row, text in zip(prompts, tokens, texts, strict=True):
            if row and row[-1] not in ends and not any(stop in text for stop in stops):
                unfinished.add(i)
    return {i: None if cut else " ".join(text.split()) for i, text, cut in zip(prompts, texts, cut_off, strict=True)}


def _needs_full_limit(loaded: LoadedModel, settings: Mapping[str, Any]) -> bool:
    """Whether a smaller token limit gives other outputs: it forces their last token, or they have a least length.

    It also costs time where outputs are longer than their text, because the model reasons.
    """
    stored = loaded.model.generation_config
    least = (settings.get(key, getattr(stored, key)) for key in ("min_length", "min_new_tokens"))
    return find_reasoning(loaded) is not None or stored.forced_eos_token_id is not None or any(least)


def rewrite_all(
    loaded: LoadedModel, texts: Sequence[str], settings: dict[str, Any], *, description: str,
    batch_size: int = BATCH_SIZE, seed: int = 0, done: RewritingProgress | None = None,
    record: Callable[[dict[int, str | None]], None] = lambda _: None,
) -> list[str]:  # fmt: skip
    """Return the output of each text, in order, and show a progress bar; the other arguments are `rewrite_batches`'.

    Args:
        description: The label of the progress bar.
        done: Batches of an earlier call; this function adds the new ones.
        record: Called with each new batch, as `rewrite_batches` yields it.
    """
    done = done or RewritingProgress()
    batches = rewrite_batches(loaded, texts, settings, batch_size=batch_size, seed=seed, done=done)
    with ProgressBar(description, len(texts), completed=len(done.outputs), unit="sentences") as bar:
        for results in batches:
            record(results)
            before = len(done.outputs)
            done.add(results)
            bar.update(len(done.outputs) - before)
    return [done.outputs[i] for i in range(len(texts))]
