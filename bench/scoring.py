"""The command `python bench/scoring.py`: this project's scoring against the loop of the published scripts, in one run.

The baseline is a plain port of how the scripts of s-nlp and STRAP score a file: one pass over the texts per metric,
batches of 32 in file order padded to their longest text, every text as often as it occurs, the whole model each time.
Models, heads, number of threads and sentence pairs are the same for both. The program fails if the scores differ.

Pairs: the published outputs of CondBERT for the 10,000 inputs (DIR/jigsaw/test_10k_toxic.txt,
DIR/published_outputs/condbert.txt). Prints seconds per step, the ratio, and the peak memory after a tenth, half and all
of the pairs. `--ours` leaves the baseline out, to measure this project's memory alone.
"""

import resource
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import transformers
from measuring import machine

from metrics.data.sources import data_folder
from metrics.data.text import detokenise
from metrics.profiles import load_profile
from metrics.scorers.batching import pad
from metrics.scorers.heads import features, judged, offline
from metrics.scorers.heads.content import load_adapter, pool, rewrite_start
from metrics.scoring.evaluator import Evaluator
from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command
from metrics.util.files import read_lines
from metrics.util.progress import progress

BATCH_SIZE = 32


class Clock:
    """Measures seconds per step; the time of a nested step does not count for the outer one."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._step = ""
        self._start = time.perf_counter()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of the block to the step `name`."""
        outer = self._switch(name)
        try:
            yield
        finally:
            self._switch(outer)

    def _switch(self, name: str) -> str:
        """End the current step, begin the step `name`, and return the one that ended; "" stands for no step."""
        now, ended = time.perf_counter(), self._step
        if ended:
            self.seconds[ended] += now - self._start
        self._step, self._start = name, now
        return ended

    def watch(self, owner: Any, name: str, step: str) -> None:
        """Add the time of every call of `owner.name` to `step`."""
        setattr(owner, name, self.step(step)(getattr(owner, name)))


def plain(clock: Clock, sources: Sequence[str], outputs: Sequence[str]) -> dict[str, Any]:
    """Score rewrites [n] as the published scripts do: "sta", "sim" and "fl" [n]. The judge reads once per metric."""
    heads, judge = offline.offline_heads(), judged.content_judge()
    not_empty = np.array([bool(text.strip()) for text in outputs])
    with torch.inference_mode():
        polite = _plain_judgements(judge, clock, sources, outputs, "STA")[2]
        sta = judged.combine_politeness(polite, _plain_toxicity(heads, clock, outputs))
        faithful = _plain_judgements(judge, clock, sources, outputs, "SIM")[0]
        sim = judged.combine_content(faithful, _plain_similarity(heads, clock, sources, outputs))
        fluent = _plain_judgements(judge, clock, sources, outputs, "FL")[1]
        fl = judged.combine_fluency(
            fluent,
            offline.sigmoid(_plain_acceptability(heads, clock, outputs)),
            offline.sigmoid(_plain_acceptability(heads, clock, sources)),
        )
    return {name: values * not_empty for name, values in {"sta": sta, "sim": sim, "fl": fl}.items()}


def _plain_judgements(judge: Any, clock: Clock, sources: Sequence[str], outputs: Sequence[str], name: str) -> Any:
    """P(the content is kept), log-odds of fluency and of politeness: [3, n]."""
    reader = judge._reader
    model = load_adapter(reader.load()).merge_and_unload().eval()
    weight, bias = reader._head["weight"], reader._head["bias"]
    columns = []
    with clock.step(f"{name}: judge"):
        for start in progress(range(0, len(sources), BATCH_SIZE), f"plain loop, judge for {name}", "batches"):
            part = zip(sources[start : start + BATCH_SIZE], outputs[start : start + BATCH_SIZE], strict=True)
            rows = [reader.ids(features.canonical(source), features.canonical(output)) for source, output in part]
            ids, mask = pad(rows)
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
            starts = [rewrite_start(row, reader.line_break[0]) for row in rows]
            pooled = pool(states, starts, [len(row) for row in rows]).double().numpy() @ weight.T + bias
            kinds = np.exp(pooled[:, :-2] - pooled[:, :-2].max(1, keepdims=True))
            columns.append(np.stack([kinds[:, 0] / kinds.sum(1), pooled[:, -2], pooled[:, -1]]))
    return np.concatenate(columns, axis=1)


def _forward_passes(backbone: Any, texts: Sequence[str], context: list[int], name: str) -> Iterator[tuple[Any, ...]]:
    """(token ids, states [tokens, width] of each layer, the model's output, row in it) of each text, in file order."""
    auto_class = getattr(transformers, backbone.auto_class)
    model = auto_class.from_pretrained(backbone.ref.folder, dtype=torch.float32, use_safetensors=True).eval()
    for start in progress(range(0, len(texts), BATCH_SIZE), f"plain loop, {name}", "batches"):
        rows = [[*context, *backbone._ids(text)] for text in texts[start : start + BATCH_SIZE]]
        ids, mask = pad(rows)
        output = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        for r, row in enumerate(rows):
            yield row, [state[r, len(context) : len(row)] for state in output.hidden_states], output, r


def _plain_toxicity(heads: Any, clock: Clock, outputs: Sequence[str]) -> Any:
    """P(toxic) [n]."""
    smol, head = heads._smol, heads._toxicity
    texts = [features.canonical(text) for text in outputs]
    tokens = []
    with clock.step("STA: SmolLM2"):
        for _, states, _, _ in _forward_passes(smol, texts, smol.line_break, "STA"):
            x = torch.cat([states[layer] for layer in smol.toxic_layers], dim=-1).numpy()
            tokens.append(offline.smooth_maximum(x @ head["tokens.weight"] + head["bias"][0]))
    with clock.step("STA: n-grams, profanity-check"):
        grams = features.character_ngrams(texts) @ head["grams.weight"] + head["bias"][1]
        members = np.column_stack([tokens, grams, features.profanity_log_odds(texts)])
        return offline.sigmoid(head["platt"][0] * (members @ head["mix"]) + head["platt"][1])


def _plain_acceptability(heads: Any, clock: Clock, outputs: Sequence[str]) -> Any:
    """Log-odds of being acceptable [n]."""
    smol, head = heads._smol, heads._acceptability
    texts = [features.canonical(detokenise(text)) for text in outputs]
    start, log_odds = len(smol.line_break), []
    with clock.step("FL: SmolLM2"):
        for row, states, output, r in _forward_passes(smol, texts, smol.line_break, "FL"):
            if r == 0:
                log_softmax = output.logits.log_softmax(-1)
            predicted, targets = log_softmax[r, start - 1 : len(row) - 1], torch.tensor(row[start:])
            log_probs, entropy = predicted.gather(1, targets[:, None])[:, 0], -(predicted.exp() * predicted).sum(-1)
            values = (log_probs, predicted[0][targets], entropy, predicted.amax(-1))
            surprisal = features.surprisal_statistics(*(value.double().numpy() for value in values))
            pooled = features.pooled_states(features.HiddenStates(dict(enumerate(states)), surprisal))
            log_odds.append(pooled @ head["weight"] + head["bias"][0])
    return np.array(log_odds)


def _plain_similarity(heads: Any, clock: Clock, sources: Sequence[str], outputs: Sequence[str]) -> Any:
    """Similarities [n] of the pairs."""
    sides: list[list[Any]] = []
    with clock.step("SIM: MiniLM"):
        for side, name in ((sources, "sources"), (outputs, "outputs")):
            texts = [features.canonical(text) for text in side]
            passes = _forward_passes(heads._mini, texts, [], f"SIM, {name}")
            sides.append([])
            for text, (_, states, _, _) in zip(texts, passes, strict=True):
                sentence = offline.unit_length(states[6].mean(0).numpy())
                tokens = offline.unit_length(states[offline.WORD_LAYER].numpy())
                sides[-1].append(offline.TokenEmbeddings(sentence, tokens, heads._mini.word_indices(text)))
        cosines = [offline.alignment_cosines(source, output) for source, output in zip(*sides, strict=True)]
        return np.array(cosines) @ offline.SIMILARITY_WEIGHTS


def ours(clock: Clock, sources: Sequence[str], outputs: Sequence[str]) -> tuple[dict[str, Any], list[int]]:
    """(the scores as `plain` returns them, the peak memory (KiB) after a tenth, half and all pairs)."""
    heads = offline.offline_heads()
    clock.watch(judged.content_judge()._reader, "extract", "judge")
    clock.watch(heads._smol, "extract", "STA and FL: SmolLM2")
    clock.watch(heads._mini, "extract", "SIM: MiniLM")
    clock.watch(heads, "similarity", "SIM: comparing words")
    clock.watch(features, "character_ngrams", "STA: n-grams, profanity-check")
    clock.watch(features, "profanity_log_odds", "STA: n-grams, profanity-check")
    evaluator = Evaluator(load_profile("offline"))
    peaks, parts, n = [], [], len(sources)
    with clock.step("other"):
        for part in (slice(0, n // 10), slice(n // 10, n // 2), slice(n // 2, n)):
            parts.append(evaluator.score(sources[part], outputs[part]))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return {name: np.concatenate([part.metric(name) for part in parts]) for name in ("sta", "sim", "fl")}, peaks


def main(argv: list[str]) -> None:
    parser = command_parser("python bench/scoring.py", __doc__)
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pairs")
    parser.add_argument("--ours", action="store_true", help="only this project's own time and memory")
    options = parser.parse_args(argv)
    if options.limit is not None and options.limit < 10:
        raise InputError(f"--limit {options.limit}: at least 10 pairs")
    folder = data_folder(options.data_dir)
    if folder is None:
        raise InputError("no data folder; give --data-dir or SRO_DATA_DIR")
    sources = read_lines(folder / "jigsaw" / "test_10k_toxic.txt")[: options.limit]
    outputs = read_lines(folder / "published_outputs" / "condbert.txt")[: options.limit]
    print(f"{len(sources):,} pairs, {machine()}")
    clock = Clock()
    scores, peaks = ours(clock, sources, outputs)
    seconds = _print_steps("this project", clock)
    tenth, half, all_ = (f"{peak / 1024:,.0f} MiB" for peak in peaks)
    print(f"peak memory: {tenth} after a tenth of the pairs, {half} after half, {all_} after all")
    if options.ours:
        return
    clock = Clock()
    expected = plain(clock, sources, outputs)
    print(f"ratio: {_print_steps('plain loop', clock) / seconds:.2f}")
    for name, values in scores.items():
        print(f"largest difference in {name}: {np.abs(values - expected[name]).max():.1e}")
    if any(np.abs(values - expected[name]).max() > 1e-3 for name, values in scores.items()):
        raise InputError("the two ways of scoring disagree: their times cannot be compared")


def _print_steps(name: str, clock: Clock) -> float:
    """Print the steps of a clock, the longest first, and return their sum in seconds."""
    total = clock.seconds.total()
    print(f"{name}: {total:.1f} s")
    for step, spent in clock.seconds.most_common():
        print(f"    {spent:8.1f} s  {spent / total:4.0%}  {step}", flush=True)
    return total


if __name__ == "__main__":
    run_command(main)
