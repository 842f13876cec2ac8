"""Mask and infill (after Wu et al. 2019, arXiv 1908.08039): rude words are marked, then each place is filled anew.

There a masked language model that was told the style fills in; here the untouched causal leader does: it proposes
words from what stands to the left, and nothing, and the likeliest text is taken. Marked are the words of the lexicon.
Marking also those by which the NB-SVM screener still fails a sentence won STA .05 and lost SIM .04 on 64 development
sentences, J the same, and was left out.
"""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metrics.models.cards import card_facts
from metrics.models.loading import load_model
from metrics.systems.baselines import lexicon
from metrics.systems.outputs import Rewrites
from metrics.util.errors import InputError
from metrics.util.files import append_json_lines, cache_dir, content_hash, read_json_lines
from metrics.util.progress import progress

if TYPE_CHECKING:
    from metrics.models.loading import LoadedModel
    from repro.baselines.setting import Setting

# As the delete baseline finds them.
WORD = re.compile(r"[\w'*@$]+")
# Words proposed for a place.
PROPOSED = 50
# Tokens after the place that a proposal is judged by; what the later ones cost is hardly the proposal's doing.
WINDOW = 3
# What a word may cost in log-likelihood: without it nothing nearly always wins, as a shorter text is the likelier one.
# 2, 4, 6 and the mean per token were tried on 64 development sentences: J .294, .280, .270, .292.
ALLOWANCE = 2.0

Span = tuple[int, int]


def rewrites(setting: Setting) -> Rewrites:
    """Each test sentence with its rude words filled anew; finished ones are kept, and a killed run goes on after them.

    Errors: a leader that is not causal.
    """
    import torch
    import transformers

    leader, sources = setting.leader, setting.test.sources
    marked = [rude_words(source) for source in sources]
    loaded = load_model(leader)
    if loaded.seq2seq:
        raise InputError(f"mask-infill: {leader.name} is no causal model; choose another leader")
    settings = {"proposed": PROPOSED, "window": WINDOW, "allowance": ALLOWANCE}
    device = loaded.model.device.type
    versions = [torch.__version__, transformers.__version__, device]
    # The lexicon decides what is marked and what may be proposed.
    key = content_hash([leader.revision, settings, sources, marked, sorted(lexicon()), versions])
    infiller = Infiller(loaded)
    done = kept(
        cache_dir() / "mask-infill" / f"{key[:32]}.jsonl",
        len(sources),
        lambda i: infiller.fill(sources[i], marked[i]),
        "rewriting, mask-infill",
    )
    return Rewrites(
        "mask-infill",
        "model",
        leader.revision,
        settings,
        tuple(text for text, _ in done),
        round(sum(seconds for _, seconds in done), 1),
        f"{device}, {platform.machine()}, {torch.get_num_threads()} threads",
        card_facts(leader),
    )


def kept(path: Path, n: int, work: Callable[[int], str], description: str) -> list[tuple[str, float]]:
    """(work(i), its seconds) for i in 0 … n − 1, each kept as a line of `path` and not worked on again."""
    done = {i: (text, seconds) for i, text, seconds in read_json_lines(path)}
    with append_json_lines(path) as append:
        for i in progress(range(n), description):
            if i not in done:
                begun = time.monotonic()
                done[i] = work(i), round(time.monotonic() - begun, 3)
                append([i, *done[i]])
    return [done[i] for i in range(n)]


def rude_words(text: str) -> list[Span]:
    """Where the words of `text` that stand in the lexicon begin and end, in order."""
    return [found.span() for found in WORD.finditer(text) if found[0].lower() in lexicon()]


def without(text: str, spans: Sequence[Span]) -> str:
    """`text` without these parts, white space folded."""
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:]
    return " ".join(text.split())


class Infiller:
    """Fills places with what a causal model finds likeliest."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.model, self.tokenizer = loaded.model, loaded.tokenizer
        specials = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id)
        # Models must go on from something.
        self.start = self._ids("\n") or [token for token in specials if token is not None][:1]
        self.words = self._words()

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _words(self) -> dict[int, str]:
        """The tokens that make a word of their own behind another, and these words: what may be proposed."""
        before = self._ids("the")
        head = self.tokenizer.decode(before)
        texts = self.tokenizer.batch_decode([[*before, token] for token in range(len(self.tokenizer))])
        found = {token: re.fullmatch(f"{head} ([a-z]+|I)", text) for token, text in enumerate(texts)}
        return {token: match[1] for token, match in found.items() if match and match[1] not in lexicon()}

    def fill(self, source: str, marked: Sequence[Span]) -> str:
        """`source` with the marked words filled anew from left to right; those still to come are left out meanwhile.

        Nothing else changes but white space; without marked words nothing does.
        """
        if not marked:
            return source
        left, place = "", 0
        for number, (start, end) in enumerate(marked):
            left += source[place:start]
            right = source[end:]
            rest = without(right, [(a - end, b - end) for a, b in marked[number + 1 :]])
            words, scores = self.judge(left.rstrip(), " " + rest if right[:1].isspace() else rest)
            scores = [score + ALLOWANCE * bool(word) for word, score in zip(words, scores, strict=True)]
            left += words[scores.index(max(scores))]
            place = end
        return " ".join((left + source[place:]).split())

    def judge(self, left: str, right: str) -> tuple[list[str], list[float]]:
        """What may stand between `left` and `right`, "" for nothing first; ln P(it and the next tokens | left) of each.

        `left` is read once for all, the proposals in one batch behind it.
        """
        import torch

        context, after = [*self.start, *self._ids(left)], self._ids(right)[:WINDOW]
        device = self.model.device
        allowed = torch.tensor(sorted(self.words), device=device)
        with torch.no_grad():
            read = self.model(torch.tensor([context], device=device), use_cache=True, logits_to_keep=1)
            first = read.logits[0, -1].log_softmax(-1)
            proposed = allowed[first[allowed].topk(min(PROPOSED, len(allowed))).indices].tolist()
            # Nothing is one token shorter than a word; the token that pads it is not counted.
            rows = torch.tensor([[*after, 0], *([word, *after] for word in proposed)], device=device)
            tokens = first[rows[:, :1]]
            if after:
                cache = read.past_key_values
                cache.batch_repeat_interleave(len(rows))
                logits = self.model(rows[:, :-1], past_key_values=cache, use_cache=True).logits
                chosen = logits.gather(2, rows[:, 1:].unsqueeze(2)).squeeze(2)
                tokens = torch.cat([tokens, chosen - logits.logsumexp(2)], 1)
            tokens[0, -1] = 0.0
        return ["", *(self.words[word] for word in proposed)], tokens.sum(1).tolist()
