"""The command `python bench/scoring.py`: this project's scoring against the loop of the published scripts, one run.

The peer is a plain port of how s-nlp's and STRAP's scripts score a file: one pass over the texts per metric, batches of
32 in file order padded to their longest text, every text as often as it occurs, the whole model each time. Models,
heads, thread count and sentence pairs are the same, and so must be the scores: the program fails where they are not.

Pairs: the published outputs of CondBERT for the 10,000 inputs (DIR/jigsaw/test_10k_toxic.txt,
DIR/published_outputs/condbert.txt). Prints seconds per step, the ratio, and the peak memory after a tenth, half and all
of the pairs. `--ours` leaves the peer out, for the memory alone.
"""

from __future__ import annotations

import argparse
import platform
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from metrics.util.errors import InputError, run_command

BATCH = 32


class Clock:
    """Seconds per step; a step inside another is taken off the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[list[Any]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        own = [time.perf_counter(), 0.0]
        self._running.append(own)
        try:
            yield
        finally:
            spent = time.perf_counter() - own[0]
            self._running.pop()
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - own[1]
            if self._running:
                self._running[-1][1] += spent

    def watch(self, owner: Any, name: str, step: str) -> None:
        """Counts every call of `owner.name` as `step`."""
        original = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            with self.step(step):
                return original(*arguments, **named)

        setattr(owner, name, timed)


def plain(heads: Any, clock: Clock, sources: Sequence[str], outputs: Sequence[str]) -> dict[str, Any]:
    """sta, sim and fl [n] by the published scripts' loop. heads: an OfflineHeads, whose models and weights it uses."""
    import torch
    from transformers import AutoModel, AutoModelForCausalLM

    from metrics.data.text import detokenise
    from metrics.scorers.heads import features, scorers

    def load(auto: Any, backbone: Any) -> Any:
        return auto.from_pretrained(backbone.ref.folder, dtype=torch.float32, use_safetensors=True).eval()

    def batches(texts: Sequence[str], ids: Callable[[str], list[int]], step: str) -> Iterator[tuple[Any, Any, Any]]:
        """(token ids, mask, per-text ids) of each batch in file order."""
        for start in features.progress(range(0, len(texts), BATCH), f"plain loop, {step}"):
            rows = [ids(text) for text in texts[start : start + BATCH]]
            width = max(map(len, rows))
            yield (
                torch.tensor([[*row, *[0] * (width - len(row))] for row in rows]),
                torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
                rows,
            )

    smol, mini = heads._smol, heads._mini
    start = len(smol.context)

    def line(text: str) -> list[int]:
        return [*smol.context, *smol._ids(text)]

    toxic, acceptable = heads._toxicity, heads._acceptability
    texts = [features.canonical(text) for text in outputs]
    with torch.inference_mode(), clock.step("STA: SmolLM2"):
        model = load(AutoModelForCausalLM, smol)
        tokens = []
        for ids, mask, rows in batches(texts, line, "STA"):
            states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
            for r, row in enumerate(rows):
                own = torch.cat([states[layer][r, start : len(row)] for layer in smol.toxic_layers], dim=-1).numpy()
                tokens.append(scorers.smooth_maximum(own @ toxic["tokens.weight"] + toxic["bias"][0]))
    with clock.step("STA: n-grams, profanity-check"):
        grams = features.character_ngrams(texts) @ toxic["grams.weight"] + toxic["bias"][1]
        members = np.column_stack([tokens, grams, features.profanity_log_odds(texts)])
        p_toxic = scorers._sigmoid(toxic["platt"][0] * (members @ toxic["mix"]) + toxic["platt"][1])
    with torch.inference_mode(), clock.step("FL: SmolLM2"):
        model = load(AutoModelForCausalLM, smol)
        fluent = []
        for ids, mask, rows in batches([features.canonical(detokenise(text)) for text in outputs], line, "FL"):
            read = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
            logp = read.logits.log_softmax(-1)
            for r, row in enumerate(rows):
                own = {layer: read.hidden_states[layer][r, start : len(row)] for layer in smol.acceptable_layers}
                before, places = logp[r, start - 1 : len(row) - 1], torch.tensor(row[start:])
                values = (
                    before.gather(1, places[:, None])[:, 0],
                    before[0][places],
                    -(before.exp() * before).sum(-1),
                    before.amax(-1),
                )
                natural = features.surprise(*(value.double().numpy() for value in values))
                pooled = features.pooled_states(features.Reading(own, natural))
                fluent.append(pooled @ acceptable["weight"] + acceptable["bias"][0])
    sim = np.zeros(len(outputs))
    with torch.inference_mode(), clock.step("SIM: MiniLM"):
        model = load(AutoModel, mini)
        sides = []
        for side, name in ((sources, "sources"), (outputs, "outputs")):
            read_side = []
            canonical = [features.canonical(text) for text in side]
            place = 0
            for ids, mask, rows in batches(canonical, mini._ids, f"SIM, {name}"):
                states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
                for r, row in enumerate(rows):
                    sentence = scorers._unit(states[6][r, : len(row)].mean(0).numpy())
                    words = scorers._unit(states[scorers.WORD_LAYER][r, : len(row)].numpy())
                    read_side.append(scorers.Words(sentence, words, mini.words(canonical[place])))
                    place += 1
            sides.append(read_side)
        for i, (source, output) in enumerate(zip(*sides, strict=True)):
            sim[i] = np.array(scorers.compare_words(source, output)) @ scorers.SIMILARITY_WEIGHTS
    alive = np.array([bool(text.strip()) for text in outputs])
    return {
        "sta": (p_toxic <= 0.5) * alive,
        "soft_sta": (1 - p_toxic) * alive,
        "sim": sim * alive,
        "fl": scorers._sigmoid(np.array(fluent)) * alive,
    }


def ours(clock: Clock, sources: Sequence[str], outputs: Sequence[str]) -> tuple[dict[str, Any], Any, list[int]]:
    """Those scores by this project, its heads, and the peak memory (KiB) after a tenth, half and all of the pairs."""
    from metrics.profiles import load_profile
    from metrics.scorers import _shared
    from metrics.scorers.heads import scorers
    from metrics.scoring.evaluator import Evaluator
    from metrics.scoring.measures import MEASURES

    heads = _shared(scorers.OfflineHeads)
    clock.watch(heads._smol, "read", "STA and FL: SmolLM2")
    clock.watch(heads._mini, "read", "SIM: MiniLM")
    clock.watch(heads, "similarity", "SIM: comparing words")
    clock.watch(scorers, "character_ngrams", "STA: n-grams, profanity-check")
    clock.watch(scorers, "profanity_log_odds", "STA: n-grams, profanity-check")
    assert set(MEASURES) == {"sta", "sim", "fl"}
    evaluator = Evaluator(load_profile("offline"))
    peaks, parts = [], []
    n = len(sources)
    with clock.step("all else"):
        for part in (slice(0, n // 10), slice(n // 10, n // 2), slice(n // 2, n)):
            parts.append(evaluator.score(sources[part], outputs[part]))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    names = ("sta", "soft_sta", "sim", "fl")
    return {name: np.concatenate([part.metric(name) for part in parts]) for name in names}, heads, peaks


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python bench/scoring.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pairs")
    parser.add_argument("--ours", action="store_true", help="only this project's own time and memory")
    options = parser.parse_args(argv)
    if options.limit is not None and options.limit < 10:
        raise InputError(f"--limit {options.limit}: at least 10 pairs")
    import torch

    from metrics.data.sources import data_folder
    from metrics.util.files import read_lines

    folder = data_folder(options.data_dir)
    if folder is None:
        raise InputError("no data folder; give --data-dir or SRO_DATA_DIR")
    sources = read_lines(folder / "jigsaw" / "test_10k_toxic.txt")[: options.limit]
    outputs = read_lines(folder / "published_outputs" / "condbert.txt")[: options.limit]
    print(f"{len(sources):,} pairs, {torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}")
    clock = Clock()
    scores, heads, peaks = ours(clock, sources, outputs)
    seconds = _tell("this project", clock)
    tenth, half, all_ = (f"{peak / 1024:,.0f} MiB" for peak in peaks)
    print(f"peak memory: {tenth} after a tenth of the pairs, {half} after half, {all_} after all")
    if options.ours:
        return
    clock = Clock()
    expected = plain(heads, clock, sources, outputs)
    print(f"ratio: {_tell('plain loop', clock) / seconds:.2f}")
    for name, values in scores.items():
        print(f"largest difference in {name}: {np.abs(values - expected[name]).max():.1e}")
    if any(np.abs(scores[name] - expected[name]).max() > 1e-4 for name in ("soft_sta", "sim", "fl")):
        raise InputError("the two ways of scoring disagree: their times cannot be compared")


def _tell(name: str, clock: Clock) -> float:
    """Prints the steps of a clock, the longest first; returns their sum in seconds."""
    total = sum(clock.seconds.values())
    print(f"{name}: {total:.1f} s")
    for step, spent in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        print(f"    {spent:8.1f} s  {spent / total:4.0%}  {step}", flush=True)
    return total


if __name__ == "__main__":
    run_command(main)
