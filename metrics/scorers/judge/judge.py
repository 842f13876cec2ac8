"""A judge: a backend with a cache of its answers on disk, a count of what it cost, and a check that it answers."""

import atexit
import functools
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metrics.generation.endpoint import cost_text, read_number, read_price
from metrics.scorers.batching import Array, score_unique
from metrics.scorers.judge.answers import Backend, Words
from metrics.scorers.judge.endpoint import MODES, EndpointJudge
from metrics.scorers.judge.local import LocalJudge
from metrics.util.characters import printable
from metrics.util.errors import InputError, one_line
from metrics.util.files import cache_dir, content_hash
from metrics.util.number_cache import NumberCache
from metrics.util.progress import ProgressBar

PRICE_VARIABLE = "SRO_JUDGE_PRICE"
YES_NO = ("yes", "no")
# With a larger share of unusable answers, scores would measure the judge.
MAX_UNUSABLE = 0.02
_ENDPOINT = re.compile(r"(.+?)@(https?://.*)", re.DOTALL)
# Answers are stored in groups: an interrupted run loses at most one.
_GROUP = 32


class Judge:
    """Answers prompts, each distinct one once; the cache makes interrupted runs resume.

    Args:
        backend: The model.
        cache: Where answers are stored, by model, the backend's `cache_key`, prompt and words.
        price: Cost of a million prompt tokens and of a million completion tokens; None if unknown.
    """

    def __init__(self, backend: Backend, cache: NumberCache, price: tuple[float, float] | None = None) -> None:
        self._backend, self._cache, self._price = backend, cache, price
        self.name, self.revision = backend.name, backend.revision
        self._answers = self._cached = self._prompt_tokens = self._completion_tokens = 0

    def probabilities(self, prompts: Sequence[str], words: Words = YES_NO, *, unusable: float = 0) -> Array:
        """Return P(first word) [n] for n prompts; `unusable` for answers that are neither word, which a message counts.

        Raises:
            InputError: More than `MAX_UNUSABLE` of the answers are neither word, or the backend fails.
        """
        return score_unique(prompts, lambda distinct: self._ask(distinct, words, unusable))

    def _ask(self, prompts: list[str], words: Words, default: float) -> Array:
        keys = [content_hash([self.name, self._backend.cache_key, prompt, *words]) for prompt in prompts]
        stored = self._cache.read(keys)
        values = np.array([stored.get(key, (np.nan,))[0] for key in keys])
        pending = [i for i, key in enumerate(keys) if key not in stored]
        self._cached += len(stored)
        unusable: list[str] = []
        new: list[tuple[str, Sequence[float]]] = []
        with ProgressBar(f"judge {self.name}", len(prompts), completed=len(stored), unit="answers") as bar:
            try:
                for i, answer in self._backend.ask([prompts[i] for i in pending], words) if pending else ():
                    bar.update()
                    self._answers += 1
                    self._prompt_tokens += answer.prompt_tokens
                    self._completion_tokens += answer.completion_tokens
                    if answer.p is None:
                        unusable.append(answer.text)
                        self._require_answers(unusable, len(prompts), words)
                        continue
                    values[pending[i]] = answer.p
                    new.append((keys[pending[i]], [answer.p]))
                    if len(new) == _GROUP:
                        self._cache.write(new)
                        new = []
            finally:
                self._cache.write(new)
        if unusable:
            counts = f"{len(unusable)} of {len(prompts)} answers are neither {' nor '.join(words)}"
            print(f"judge {self.name}: {counts}; they count as {default:g}", file=sys.stderr)
        return np.nan_to_num(values, nan=default)

    def _require_answers(self, unusable: list[str], total: int, words: Words) -> None:
        if len(unusable) > MAX_UNUSABLE * total:
            counts = f"at least {len(unusable)} of {total} answers are neither {' nor '.join(words)}"
            example = printable(one_line(unusable[0])[:80])
            advice = "use a model that follows instructions, and switch off its thinking"
            raise InputError(f'judge {self.name}: {counts}, such as "{example}"; {advice}')

    def print_usage(self) -> None:
        """Print the usage on standard error if this process used an answer."""
        if self._answers or self._cached:
            print(self.usage(), file=sys.stderr)

    def usage(self) -> str:
        """Return in one line how many answers this process used, their tokens and their cost."""
        read, wrote = self._prompt_tokens, self._completion_tokens
        text = f"judge {self.name}: {self._answers} new answers, {self._cached} from the cache; "
        text += f"{read:,} prompt and {wrote:,} completion tokens"
        # Of a model on this machine, nobody asks the price.
        known = self._price or isinstance(self._backend, EndpointJudge)
        return text + cost_text((read, wrote), self._price, PRICE_VARIABLE) * bool(known)


@functools.cache
def open_judge(judge: str, revision: str | None) -> Judge:
    """Open a judge, once per process; when the process ends, however it ends, it prints the judge's usage.

    Args:
        judge: MODEL, a causal model as for `resolve_model`; or MODEL@URL, a model of an endpoint.
        revision: The commit of a model on the Hub; None for its default branch.

    Raises:
        InputError: No such model, or the endpoint cannot be used, or SRO_JUDGE_PRICE or SRO_JUDGE_CONCURRENCY is wrong.
    """
    if "|" in judge or judge.splitlines() != [judge]:
        raise InputError(f"judge {judge}: its name is part of the signature, so it must be one line without |")
    price, workers = read_price(PRICE_VARIABLE), read_number("SRO_JUDGE_CONCURRENCY", 16)
    # The cache also holds which of `MODES` an endpoint has.
    cache = NumberCache(cache_dir() / "judge.sqlite", "answer", ["p"], lambda number: 0 <= number < len(MODES))
    endpoint = _ENDPOINT.fullmatch(judge)
    backend: Backend
    if endpoint:
        model, url = endpoint.groups()
        backend = EndpointJudge(model, url, cache, workers=workers)
    elif "@" in judge and not Path(judge).exists():
        raise InputError(f"judge {judge}: the URL after @ must begin with http:// or https://")
    else:
        backend = LocalJudge(judge, revision)
    opened = Judge(backend, cache, price)
    atexit.register(opened.print_usage)
    return opened
