"""Few-shot: the untouched leader, or `untrained_model`, prompted with six pairs of a rude and a polite sentence."""

import dataclasses
from typing import Any

from transformers import AutoConfig, GenerationConfig

from metrics.models.loading import GENERATION_CONFIG
from metrics.models.prompts import Preamble
from metrics.models.resolve import ModelRef
from metrics.models.tokenizers import load_tokenizer
from metrics.systems.resolve import Rewrites, System, resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.files import atomic_folder, cache_dir, content_hash, link_or_copy, write_json
from repro.baselines import RewriterContext, outputs_at_endpoint

# Written for this project.
_EXAMPLES = (
    ("who the hell parked in front of my garage again?", "who parked in front of my garage again?"),
    ("your new haircut looks like crap.", "your new haircut does not look good."),
    ("he is a lying bastard and nobody should vote for him", "he is not honest and nobody should vote for him"),
    ("stop spamming this thread, you stupid moron.", "please stop spamming this thread."),
    (
        "i dont give a shit what the neighbours think about our fence",
        "i don't care what the neighbours think about our fence",
    ),
    (
        "the last update fucked up my phone and support was useless",
        "the last update broke my phone and support did not help",
    ),
)
_RUDE, _POLITE = 'Rude: "', 'Polite: "'
# The best of eight formats, among them chat turns, on 48 development sentences: with quotes and a heading a small model
# stays with the sentence.
PROMPT = (
    "Each rude sentence is followed by a polite one that says the same.\n\n"
    + "".join(f'{_RUDE}{rude}"\n{_POLITE}{polite}"\n\n' for rude, polite in _EXAMPLES)
    + f'{_RUDE}{{text}}"\n{_POLITE}'
)


def rewrites(context: RewriterContext) -> Rewrites:
    """Return the leader's greedy continuation for every test sentence: one line, without its quotes."""
    config, leader = context.config, context.leader
    if config.untrained_model is not None:
        return _at_endpoint(context, config.untrained_model)
    settings = {"do_sample": False, "num_beams": 1, "max_new_tokens": config.max_new_tokens}
    # The revision differs, so that the cache of rewrites keeps these apart from outputs that do not end at a line end.
    system = System("few-shot", "model", f"{leader.revision}+line", ends_at_line(leader), PROMPT, settings)
    done = rewrite(system, context.test, batch_size=config.generation_batch_size, seed=config.seed)
    outputs, decoding = tuple(map(first_line, done.outputs)), {**done.decoding, "stop": "line end"}
    return dataclasses.replace(done, revision=leader.revision, outputs=outputs, decoding=decoding)


def _at_endpoint(context: RewriterContext, name: str) -> Rewrites:
    """The rewrites of a chat model, for which the examples are turns of the chat."""
    settings = {"max_new_tokens": context.config.max_new_tokens}
    system = resolve_system(name, decoding=settings, preamble=Preamble(examples=_EXAMPLES))
    done = rewrite(system, context.test, seed=context.config.seed)
    return dataclasses.replace(done, **outputs_at_endpoint("few-shot", done.outputs, [done]))


def first_line(output: str) -> str:
    """Return the answer without its quotes, and without further examples that the model has added."""
    # White space is folded in outputs: only the heading of an example marks where it begins.
    return output.partition(_RUDE.rstrip('"').rstrip())[0].strip().strip('"').strip()


def ends_at_line(ref: ModelRef) -> ModelRef:
    """Return the same model in a cache folder, with a generation config that ends a text at the line end.

    Otherwise the model would go on with its own examples up to `max_new_tokens`. A model whose tokenizer has no token
    for the line end is returned unchanged.
    """
    tokenizer = load_tokenizer(ref)
    # The generation config of an adapter, if it has one, replaces its base's.
    if ref.base is not None and not (ref.folder / GENERATION_CONFIG).is_file():
        return dataclasses.replace(ref, base=_ends_at_line(ref.base, tokenizer))
    return _ends_at_line(ref, tokenizer)


def _ends_at_line(ref: ModelRef, tokenizer: Any) -> ModelRef:
    """The model with another generation config, which ends at the line end as well."""
    ids = tokenizer("\n", add_special_tokens=False)["input_ids"]
    if len(ids) != 1 or tokenizer.decode(ids) != "\n":
        return ref
    name = GENERATION_CONFIG
    if (ref.folder / name).is_file():
        config = GenerationConfig.from_pretrained(ref.folder)
    else:
        config = GenerationConfig.from_model_config(AutoConfig.from_pretrained(ref.folder, trust_remote_code=False))
    own: Any = config.eos_token_id
    own = tokenizer.eos_token_id if own is None else own
    own = own if isinstance(own, list) else [own]
    ends = sorted({*ids, *(end for end in own if end is not None)})
    folder = cache_dir() / "models" / f"line-{content_hash([ref.revision, ends])[:16]}"
    if not folder.is_dir():
        stored = {**config.to_dict(), "eos_token_id": ends}
        with atomic_folder(folder) as target:
            # All files are linked except the one that differs.
            for path in sorted(p for p in ref.folder.iterdir() if p.is_file() and p.name != name):
                link_or_copy(path.resolve(), target / path.name)
            write_json(target / name, stored)
    return dataclasses.replace(ref, folder=folder)
