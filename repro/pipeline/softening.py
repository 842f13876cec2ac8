"""Stage "softening": toxic sentences rewritten by rule; the follower and the untouched leader choose the rewrites."""

import json
import random
from itertools import chain, zip_longest
from pathlib import Path

from metrics.util.files import write_json
from metrics.util.progress import ProgressBar
from repro.config.inputs import Inputs
from repro.followers.follower import Follower
from repro.pipeline.engine import Stage, StageRun
from repro.pipeline.leader import LoadingConfig, load_likelihood
from repro.pipeline.screener import JudgingConfig, load_follower
from repro.training.config import WarmupConfig
from repro.training.softened import choose_rewrites, passing_candidates
from repro.wording.insults import say_plainly

PAIRS = "pairs.json"
# Sentences whose candidates the leader reads before the next file is written, from which a killed build goes on.
_PART = 40
# In nats: by how much a sentence in plain words needs to be less toxic; the screener was fitted on the sentence itself.
_PLAIN_MARGIN = 0.3


class _Config(WarmupConfig, JudgingConfig, LoadingConfig):
    """All fields that the softening reads."""


def _build(run: StageRun[_Config]) -> None:
    config, pairs = run.config, []
    if config.warmup != "none" and config.warmup_softened:
        likelihood = load_likelihood(run.inputs.leader, config)
        candidates = _candidates(run.inputs, run.folders["screener"], config)
        texts = [*candidates]
        with ProgressBar("softening", len(texts), unit="sentences") as bar:
            for start in range(0, len(texts), _PART):
                part, file = texts[start : start + _PART], run.work / f"{start}.json"
                if not file.exists():
                    write_json(file, list(choose_rewrites(likelihood, {text: candidates[text] for text in part})))
                pairs += json.loads(file.read_text("utf-8"))
                bar.update(len(part))
        run.log({"sentences": len(texts), "pairs": len(pairs)})
    write_json(run.work / PAIRS, pairs)


def _candidates(inputs: Inputs, screener: Path, config: _Config) -> dict[str, list[str]]:
    """Return the candidates for rewrites of toxic sentences, from all corpora in turn."""
    follower, lenient = load_follower(screener, config), _lenient_follower(screener, config)
    corpora = [
        [text for text in corpus.toxic if len(text.split()) <= config.warmup_max_words] for corpus in inputs.warming
    ]
    for texts in corpora:
        random.Random(config.seed).shuffle(texts)
    found: dict[str, list[str]] = {}
    # Without a data folder all corpora are the sample, with the same sentences.
    for text in filter(None, dict.fromkeys(chain.from_iterable(zip_longest(*corpora)))):
        judge = follower if say_plainly(text) == text else lenient
        if candidates := passing_candidates(text, judge, config.seed):
            found[text] = candidates
        if len(found) == config.warmup_softened:
            break
    return found


def _lenient_follower(screener: Path, config: _Config) -> Follower:
    """Return the follower for sentences whose insult is said plainly: their topic alone is toxic to the screener."""
    margin = min(config.screener_margin, _PLAIN_MARGIN)
    return load_follower(screener, config.model_copy(update={"screener_margin": margin}))


_INPUTS = ("leader", "warming")
SOFTENING = Stage("softening", _build, _Config, _INPUTS, ("screener",), shared=True)
