"""Few-shot: the untouched leader, shown six rude sentences with polite ones before the one it is asked."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from metrics.systems.outputs import Rewrites
from metrics.systems.resolve import System
from metrics.systems.rewriting import rewrite
from metrics.util.files import atomic_folder, cache_dir, content_hash, link_or_copy, write_json

if TYPE_CHECKING:
    from metrics.models.resolve import ModelRef
    from repro.baselines.setting import Setting

# Written for this project.
EXAMPLES = (
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
RUDE, POLITE = 'Rude: "', 'Polite: "'
# The best of eight formats, chat turns among them, on 48 development sentences: quotes and a heading keep a small model
# at the sentence.
PROMPT = (
    "Each rude sentence is followed by a polite one that says the same.\n\n"
    + "".join(f'{RUDE}{rude}"\n{POLITE}{polite}"\n\n' for rude, polite in EXAMPLES)
    + f'{RUDE}{{text}}"\n{POLITE}'
)


def rewrites(setting: Setting) -> Rewrites:
    """The leader's greedy line for every test sentence, cut at the line end and without the quotes around it."""
    config, leader = setting.config, setting.leader
    settings = {"do_sample": False, "num_beams": 1, "max_new_tokens": config.max_new_tokens}
    # The cache of rewrites must not take what the leader writes beyond the line end, for this prompt, for these.
    system = System("few-shot", "model", f"{leader.revision}+line", ends_at_line(leader), PROMPT, settings)
    done = rewrite(system, setting.test, batch_size=config.generation_batch_size, seed=config.seed)
    return dataclasses.replace(
        done,
        revision=leader.revision,
        outputs=tuple(map(first_line, done.outputs)),
        decoding={**done.decoding, "stop": "line end"},
    )


def first_line(output: str) -> str:
    """The answer alone: without its quotes, and without further examples of a model that knows no line ends.

    `metrics.systems.rewriting.rewrite` gives outputs with white space folded; what starts the next example still tells
    its place.
    """
    return output.partition(RUDE.rstrip('"').rstrip())[0].strip().strip('"').strip()


def ends_at_line(ref: ModelRef) -> ModelRef:
    """The same model, in a folder of the cache whose generation config ends a text at the line end.

    Without it the model would go on with examples of its own until there is no more room. A model whose tokenizer has
    no token for the line end is returned as it is.
    """
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    if ref.base is not None:
        return dataclasses.replace(ref, base=ends_at_line(ref.base))
    tokenizer = AutoTokenizer.from_pretrained(ref.folder, trust_remote_code=False)
    ids = tokenizer("\n", add_special_tokens=False)["input_ids"]
    if len(ids) != 1 or tokenizer.decode(ids) != "\n":
        return ref
    name = "generation_config.json"
    folder = cache_dir() / "models" / f"line-{content_hash([ref.revision, ids])[:16]}"
    if not folder.is_dir():
        if (ref.folder / name).is_file():
            config = GenerationConfig.from_pretrained(ref.folder)
        else:
            config = GenerationConfig.from_model_config(AutoConfig.from_pretrained(ref.folder, trust_remote_code=False))
        own: Any = config.eos_token_id
        ends = own if isinstance(own, list) else [own, tokenizer.eos_token_id]
        stored = {**config.to_dict(), "eos_token_id": sorted({*ids, *(end for end in ends if end is not None)})}
        with atomic_folder(folder) as target:
            # The weights are linked, not copied; the file that differs must be a new one.
            for path in sorted(p for p in ref.folder.iterdir() if p.is_file() and p.name != name):
                link_or_copy(path.resolve(), target / path.name)
            write_json(target / name, stored)
    return dataclasses.replace(ref, folder=folder)
