"""Rewriting with a language model: prompts, length-sorted batches, decoding settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from metrics.data.text import well_formed
from metrics.generation.sampler import FAMILIES, sample_ids
from metrics.util.progress import ProgressBar

if TYPE_CHECKING:
    from metrics.models.loading import LoadedModel

# The settings of a generation config that change what is written; they enter the signature.
DECODING_KEYS = (
    "do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "num_beams", "num_beam_groups",
    "length_penalty", "early_stopping", "repetition_penalty", "no_repeat_ngram_size",
    "min_length", "min_new_tokens", "max_length", "max_new_tokens",
)  # fmt: skip
# Those that may not be 0.
POSITIVE = ("temperature", "num_beams", "num_beam_groups", "repetition_penalty", "max_length", "max_new_tokens")
DEFAULT_MAX_NEW_TOKENS = 64
MAX_PROMPT_TOKENS = 512
# Padding costs as much time as text: one long text must not make thirty short ones as long.
MAX_PADDING = 64
BATCH_SIZE = 32
# A batch whose rows leave as they end is the faster the larger it is, up to about here.
LARGE_BATCH_SIZE = 256
CHAT = "chat:"


def decoding_settings(model: Any, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """The decoding of a model: its own generation config, overridden by `given`, sorted by name.

    A model whose config sets no length gets max_new_tokens=64, never the library's silent default of 20.
    """
    config = model.generation_config
    stored = {k: getattr(config, k, None) for k in DECODING_KEYS}
    settings = {k: v for k, v in stored.items() if v is not None}
    given = dict(given or {})
    if {"max_length", "max_new_tokens"} & given.keys():
        settings = {k: v for k, v in settings.items() if k not in ("max_length", "max_new_tokens")}
    settings.update(given)
    if "max_new_tokens" in settings:
        settings.pop("max_length", None)
    elif "max_length" not in settings:
        settings["max_new_tokens"] = DEFAULT_MAX_NEW_TOKENS
    settings.setdefault("do_sample", False)
    if not settings["do_sample"]:
        # They have no effect on greedy or beam search and would make equal decodings look different.
        for key in ("temperature", "top_k", "top_p", "min_p", "typical_p"):
            settings.pop(key, None)
    return dict(sorted(settings.items()))


def prompt_ids(
    tokenizer: Any, prompt: str, texts: Sequence[str], seq2seq: bool, max_length: int = MAX_PROMPT_TOKENS
) -> list[list[int]]:
    """The tokens a model reads for each text.

    prompt: a template with `{text}`; after `chat:` it is sent as the user's message through the chat template.
    Only the text is ever truncated, so that the prompt's own words and its end survive. Where nothing is left of both,
    as of white space in some vocabularies, a special token stands for them: models must go on from something.
    """
    head, tail = prompt.split("{text}")
    chat = head.startswith(CHAT)
    if chat:
        message = [{"role": "user", "content": head.removeprefix(CHAT) + "{text}" + tail}]
        template = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        head, tail = template.split("{text}")

    def tokens(text: str) -> list[int]:
        if seq2seq:
            return list(tokenizer(head + text + tail, add_special_tokens=True)["input_ids"])
        ids = list(tokenizer(head + text + tail, add_special_tokens=False)["input_ids"])
        bos = tokenizer.bos_token_id
        # Models that were trained with a beginning-of-text token declare it; ChatML templates carry their own.
        if not chat and getattr(tokenizer, "add_bos_token", False) and bos is not None:
            ids.insert(0, bos)
        return ids

    specials = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    nothing = [token for token in specials if token is not None][:1]
    result = []
    for text in map(well_formed, texts):
        ids, step = tokens(text), 1
        while len(ids) > max_length and text:
            # The estimate hardly moves where a long end is one token or none: the least step doubles.
            keep = min(int(len(text) * max_length / len(ids)) - 1, len(text) - step)
            text, step = text[: max(0, keep)], 2 * step
            ids = tokens(text)
        result.append((ids[:max_length] if not text else ids) or nothing)
    return result


def length_sorted_batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Indices in batches of similar length, the longest first, so that a too large batch fails at once.

    No batch has lengths that differ by more than 64.
    """
    batches: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or len(batches[-1]) == batch_size or lengths[batches[-1][0]] - lengths[i] > MAX_PADDING:
            batches.append([])
        batches[-1].append(i)
    return batches


def default_batch_size(loaded: LoadedModel, texts: Sequence[str], settings: dict[str, Any]) -> int:
    """How many of `texts` are rewritten together where nobody says.

    What an engine is best given. Else 32, or up to 256 where the likeliest tokens come from
    `metrics.generation.sampler`: as many
    as take no more memory than 32 of the longest prompts do (on a GPU twice that: two sizes are kept). What is drawn at
    random hangs on the batch, so that there it is always 32.
    """
    if loaded.engine:
        return loaded.engine.batch_size
    if settings["do_sample"] or not texts or not is_plain(loaded.model, settings):
        return BATCH_SIZE
    (longest,) = prompt_ids(loaded.tokenizer, loaded.prompt, [max(texts, key=len)], False)
    room = settings["max_new_tokens"]
    return max(BATCH_SIZE, min(LARGE_BATCH_SIZE, BATCH_SIZE * (MAX_PROMPT_TOKENS + room) // (len(longest) + room)))


def generate_ids(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    seq2seq: bool,
    settings: dict[str, Any],
) -> list[list[int]]:
    """The new tokens for each prompt, in one batch, with the end-of-sequence token where the model wrote it."""
    import torch

    pad = tokenizer.pad_token_id
    ends = end_tokens(model, tokenizer)
    if is_plain(model, settings):
        temperature = settings.get("temperature", 1.0) if settings["do_sample"] else None
        # As the library's own draws do, these hang on torch's seed.
        seed = int(torch.randint(2**53, ())) if temperature else 0
        return sample_ids(
            model, prompts, copies=1, temperature=temperature, max_new_tokens=settings["max_new_tokens"], ends=ends,
            pad=pad, seed=seed,
        )  # fmt: skip
    width = max(len(p) for p in prompts)
    device = next(model.parameters()).device
    if seq2seq:
        rows = [[*p, *[pad] * (width - len(p))] for p in prompts]
        mask = [[1] * len(p) + [0] * (width - len(p)) for p in prompts]
    else:
        rows = [[*[pad] * (width - len(p)), *p] for p in prompts]
        mask = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
    ids, attention = torch.tensor(rows, device=device), torch.tensor(mask, device=device)
    with torch.no_grad():
        # A model in training by several processes would otherwise wait, token by token, for the others.
        output = model.generate(
            input_ids=ids, attention_mask=attention, pad_token_id=pad, eos_token_id=sorted(ends), synced_gpus=False,
            **settings,
        )  # fmt: skip
    new = output[:, 1:] if seq2seq else output[:, width:]
    return [cut_after_end(row, ends) for row in new.tolist()]


# What a generation config may say that leaves a model's logits as they are.
_HARMLESS = {
    "bos_token_id", "eos_token_id", "pad_token_id", "max_new_tokens", "max_length", "do_sample", "temperature", "top_k",
    "top_p", "use_cache", "output_attentions", "output_hidden_states", "transformers_version", "_from_model_config",
}  # fmt: skip
# Settings that change no token: of greedy decoding, and of sampling from the whole vocabulary.
_IDLE: dict[bool, dict[str, Any]] = {False: {"num_beams": 1}, True: {"num_beams": 1, "top_k": 0, "top_p": 1.0}}


def is_plain(model: Any, settings: Mapping[str, Any]) -> bool:
    """Whether `settings` ask this model for the likeliest token each time, or for one drawn with softmax(logits /
    temperature), and `metrics.generation.sampler` can serve it.
    """
    sampled = settings.get("do_sample")
    if sampled is None or (sampled and settings.get("top_k") != 0):
        # Unless it is told otherwise the library draws from the 50 likeliest tokens.
        return False
    asked = {key for key in settings if (key, settings[key]) not in _IDLE[sampled].items()}
    known = {"do_sample", "max_new_tokens", *(["temperature"] if sampled else [])}
    return "max_new_tokens" in asked and asked <= known and has_bare_tokens(model)


def has_bare_tokens(model: Any) -> bool:
    """Whether `metrics.generation.sampler` can serve this model: a family it knows, a config that leaves logits as they
    are.

    And one whose layers all see the whole text: those with a window need a mask of their own.
    """
    return (
        getattr(model.config, "model_type", None) in FAMILIES
        and set(getattr(model.config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
        and model.generation_config.to_diff_dict().keys() <= _HARMLESS
    )


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """All tokens at which the model's turn ends."""
    stored = model.generation_config.eos_token_id
    ends = {stored} if isinstance(stored, int) else set(stored or [])
    if tokenizer.eos_token_id is not None:
        ends.add(tokenizer.eos_token_id)
    return ends


def cut_after_end(tokens: list[int], ends: set[int]) -> list[int]:
    for position, token in enumerate(tokens):
        if token in ends:
            return tokens[: position + 1]
    return tokens


@dataclass
class Progress:
    """How far a rewriting has come. outputs: by sentence; unfinished: sentences whose short first try did not end."""

    outputs: dict[int, str] = field(default_factory=dict)
    unfinished: set[int] = field(default_factory=set)

    def knows(self, indices: Sequence[int]) -> bool:
        return all(i in self.outputs or i in self.unfinished for i in indices)

    def add(self, results: Mapping[int, str | None]) -> None:
        self.outputs.update({i: text for i, text in results.items() if text is not None})
        self.unfinished.update(i for i, text in results.items() if text is None)


def rewrite_batches(
    loaded: LoadedModel,
    texts: Sequence[str],
    settings: dict[str, Any],
    *,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    done: Progress | None = None,
) -> Iterator[dict[int, str | None]]:
    """Rewrites `texts` batch by batch: yields {index: output}, each output one line of text.

    A greedy batch first gets little more room than its inputs are long; None stands for a sentence that needs more,
    and those come again at the end, together, with all the room there is. One runaway then no longer holds up a batch.
    Models of `metrics.generation.sampler` and engines need no second try: there a row that has ended holds up nothing.
    done: what an earlier call yielded; its batches are left out, and the others come out as they would have with them.
    """
    import torch

    model, tokenizer, seq2seq = loaded.model, loaded.tokenizer, loaded.seq2seq
    done = done or Progress()
    unfinished = set(done.unfinished)
    texts = [well_formed(text) for text in texts]
    prompts = prompt_ids(tokenizer, loaded.prompt, texts, seq2seq)
    room = settings.get("max_new_tokens", 0)
    greedy = not settings["do_sample"] and settings.get("num_beams", 1) == 1
    two_tries = bool(room) and greedy and not (loaded.engine or is_plain(model, settings))
    ends = end_tokens(model, tokenizer)

    def run(indices: list[int], number: int, limit: int) -> dict[int, str | None]:
        own = {**settings, "max_new_tokens": limit} if limit else settings
        with torch.random.fork_rng():
            torch.manual_seed(seed * 1_000_003 + number)
            read = [prompts[i] for i in indices]
            tokens = loaded.engine(read, own) if loaded.engine else generate_ids(model, tokenizer, read, seq2seq, own)
        decoded = tokenizer.batch_decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        # Only a short first try may be cut off; what fills all the room there is stays as it is.
        cut = [limit < room and (not row or row[-1] not in ends) for row in tokens]
        return {i: None if c else " ".join(t.split()) for i, t, c in zip(indices, decoded, cut, strict=True)}

    for number, indices in enumerate(length_sorted_batches([len(p) for p in prompts], batch_size)):
        if done.knows(indices):
            continue
        limit = room
        if two_tries:
            longest = max(len(tokenizer(texts[i], add_special_tokens=False)["input_ids"]) for i in indices)
            limit = min(room, longest + 4)
        results = run(indices, number, limit)
        unfinished.update(i for i, text in results.items() if text is None)
        yield results
    again = sorted(unfinished)
    for number, places in enumerate(length_sorted_batches([len(prompts[i]) for i in again], batch_size)):
        indices = [again[place] for place in places]
        if not all(i in done.outputs for i in indices):
            yield run(indices, len(texts) + number, room)


def rewrite_all(
    loaded: LoadedModel,
    texts: Sequence[str],
    settings: dict[str, Any],
    *,
    description: str,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    done: Progress | None = None,
    record: Callable[[dict[int, str | None]], None] = lambda _: None,
) -> list[str]:
    """All of `rewrite_batches` under a progress bar, in the order of `texts`; `record` sees each batch as it comes."""
    done = done or Progress()
    batches = rewrite_batches(loaded, texts, settings, batch_size=batch_size, seed=seed, done=done)
    with ProgressBar(description, len(texts), completed=len(done.outputs), unit="sentences") as bar:
        for results in batches:
            record(results)
            before = len(done.outputs)
            done.add(results)
            bar.update(len(done.outputs) - before)
    return [done.outputs[i] for i in range(len(texts))]
