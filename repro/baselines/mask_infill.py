"""Mask and infill (after Wu et al. 2019, arXiv 1908.08039): rude words are masked, and each place is filled again.

There, a masked language model with a style label fills the places. Here, the untouched causal leader does: it proposes
words from the text to the left, and no word at all, and the likeliest text wins. The masked words are those of the
lexicon. Masking also the words by which the NB-SVM screener rejected a sentence gained STA .05 and lost SIM .04 on
64 development sentences, with the same J.
"""

import platform
import re
import time
from collections.abc import Sequence
from typing import Any

import torch
import transformers

from metrics.data.text import well_formed
from metrics.models.cards import card_facts
from metrics.models.loading import LoadedModel, load_model, require_merged
from metrics.systems.baselines import lexicon
from metrics.systems.resolve import Rewrites
from metrics.util.errors import InputError
from metrics.util.files import append_json_lines, cache_dir, content_hash, is_duration, read_json_lines
from metrics.util.progress import progress
from repro.baselines import RewriterContext

# Words as the delete baseline finds them.
_WORD = re.compile(r"[\w'*@$]+")
# Number of words proposed for a place.
_PROPOSED = 50
# Number of tokens after the place whose likelihood counts; later ones hardly depend on the proposal.
_WINDOW = 3
# Log-likelihood that a word may cost. Without it "no word" nearly always wins: a shorter text is likelier. Tried
# on 64 development sentences: 2, 4, 6 and the mean per token gave J .294, .280, .270, .292.
_ALLOWANCE = 2.0


def rewrites(context: RewriterContext) -> Rewrites:
    """Replace the rude words of each test sentence. Finished sentences are cached, so that a run resumes.

    Raises:
        InputError: The leader is not a causal model.
    """
    leader, sources = context.leader, context.test.sources
    rude = [[word for word in _WORD.finditer(source) if word[0].lower() in lexicon()] for source in sources]
    masked = [[word.span() for word in words] for words in rude]
    loaded = load_model(leader)
    require_merged(loaded, "mask-infill")
    if loaded.seq2seq:
        raise InputError(f"mask-infill: {leader.name} is not a causal model; choose another leader")
    settings = {"proposed": _PROPOSED, "window": _WINDOW, "allowance": _ALLOWANCE}
    device = loaded.model.device.type
    versions = [torch.__version__, transformers.__version__, device]
    # The lexicon decides which words are masked and which may be proposed.
    key = content_hash([leader.revision, settings, sources, masked, sorted(lexicon()), versions])
    path = cache_dir() / "mask-infill" / f"{key[:32]}.jsonl"
    infiller = Infiller(loaded)
    done = {i: (text, seconds) for i, text, seconds in read_json_lines(path, _is_written)}
    with append_json_lines(path) as append:
        for i, source in enumerate(progress(sources, "rewriting, mask-infill", unit="sentences")):
            if i not in done:
                start = time.monotonic()
                done[i] = infiller.fill(source, masked[i]), round(time.monotonic() - start, 3)
                append([i, *done[i]])
    outputs, seconds = zip(*(done[i] for i in range(len(sources))), strict=True)
    where = f"{device}, {platform.machine()}, {torch.get_num_threads()} threads"
    card = card_facts(leader)
    return Rewrites("mask-infill", "model", leader.revision, settings, outputs, round(sum(seconds), 1), where, card)


def _is_written(line: Any) -> bool:
    """Whether a line of the cache holds the index of a sentence, its text and the seconds that it took."""
    return (
        isinstance(line, list) and len(line) == 3 and type(line[0]) is int and line[0] >= 0
        and isinstance(line[1], str) and well_formed(line[1]) == line[1] and is_duration(line[2])
    )  # fmt: skip


class Infiller:
    """Fills masked places with the words that a causal model finds likeliest."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.model, self.tokenizer = loaded.model, loaded.tokenizer
        specials = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id)
        # A causal model needs at least one token of context.
        self.start = self._ids("\n") or [token for token in specials if token is not None][:1]
        self.words = self._words()

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _words(self) -> dict[int, str]:
        """The proposals: each token that is a word of its own after another word, and that word."""
        before = self._ids("the")
        head = self.tokenizer.decode(before)
        texts = self.tokenizer.batch_decode([[*before, token] for token in range(len(self.tokenizer))])
        found = {token: re.fullmatch(f"{head} ([a-z]+|I)", text) for token, text in enumerate(texts)}
        return {token: match[1] for token, match in found.items() if match and match[1] not in lexicon()}

    def fill(self, source: str, masked: Sequence[tuple[int, int]]) -> str:
        """Fill the masked places of `source` from left to right; places further right are empty meanwhile.

        `masked` has start and end of each masked word, in order. White space is folded unless nothing is masked.
        """
        if not masked:
            return source
        ends = [0, *(end for span in masked for end in span), len(source)]
        text, *gaps = (source[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True))
        for number, gap in enumerate(gaps):
            rest = " ".join("".join(gaps[number:]).split())
            words, scores = self.score(text.rstrip(), " " + rest if gap[:1].isspace() else rest)
            scores = [score + _ALLOWANCE * bool(word) for word, score in zip(words, scores, strict=True)]
            text += words[scores.index(max(scores))] + gap
        return " ".join(text.split())

    def score(self, left: str, right: str) -> tuple[list[str], list[float]]:
        """Score the proposals for the place between two texts.

        Returns:
            The proposals, "" for no word first, and for each ln P(proposal and the next tokens | left).
        """
        context, after = [*self.start, *self._ids(left)], self._ids(right)[:_WINDOW]
        device = self.model.device
        allowed = torch.tensor(sorted(self.words), device=device)
        with torch.no_grad():
            prefill = self.model(torch.tensor([context], device=device), use_cache=True, logits_to_keep=1)
            first = prefill.logits[0, -1].log_softmax(-1)
            proposed = allowed[first[allowed].topk(min(_PROPOSED, len(allowed))).indices].tolist()
            # "No word" is one token shorter than the others; the token that pads it does not count.
            rows = torch.tensor([[*after, 0], *([word, *after] for word in proposed)], device=device)
            tokens = first[rows[:, :1]]
            if after:
                cache = prefill.past_key_values
                cache.batch_repeat_interleave(len(rows))
                logits = self.model(rows[:, :-1], past_key_values=cache, use_cache=True).logits
                chosen = logits.gather(2, rows[:, 1:].unsqueeze(2)).squeeze(2)
                tokens = torch.cat([tokens, chosen - logits.logsumexp(2)], 1)
            tokens[0, -1] = 0.0
        return ["", *(self.words[word] for word in proposed)], tokens.sum(1).tolist()
