"""From rewrites to scores: the measures of a profile, their cache and their signature."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from metrics import __version__
from metrics.data.languages import ENGLISH
from metrics.data.sources import HUB_DATASETS
from metrics.data.test_sets import TestSet
from metrics.profiles import Profile, load_profile, profile_names
from metrics.scorers import FAULTS
from metrics.scoring import COLUMNS
from metrics.scoring.cache import CACHE_VERSION, ScoreCache
from metrics.scoring.items import CHUNK, SentenceScores, Texts, score_chunks, to_items
from metrics.scoring.measures import MEASURES, Similarity
from metrics.scoring.result import Result
from metrics.scoring.signature import Signature
from metrics.systems.resolve import Rewrites
from metrics.util.errors import InputError
from metrics.util.files import content_hash


def evaluators_that_run(
    names: Iterable[str], cache: ScoreCache | None = None, judge: str | None = None
) -> tuple[dict[str, "Evaluator"], dict[str, str]]:
    """Return the evaluators of those profiles that can score rewrites here, and the reason why others cannot.

    `judge`, MODEL or MODEL@URL, is the model of judged metrics. Both dictionaries have the profile and its version as
    keys, such as "offline.v2". Each evaluator has scored one sentence: its models are there.
    """
    evaluators, reasons = {}, {}
    for profile in map(load_profile, names):
        if judge is not None:
            profile = profile.with_judge(judge)
        name = f"{profile.name}.v{profile.version}"
        if profile.needs_references:
            reasons[name] = "compares with human references, which these sentences do not have"
            continue
        try:
            evaluator = Evaluator(profile)
            evaluator.score(["It is late."], ["It is late."])
        except InputError as error:
            reasons[name] = str(error)
            continue
        evaluator.cache = cache
        evaluators[name] = evaluator
    return evaluators, reasons


def require_served(profile: Profile, *test_sets: TestSet) -> None:
    """Raise an `InputError` if the profile lacks references that it needs, or does not serve one of the languages."""
    require_languages(profile, *test_sets)
    if profile.needs_references and not all(all(test_set.references) for test_set in test_sets):
        name = test_sets[0].name
        dataset = HUB_DATASETS.get(name) if test_sets[0].origin == "folder" else None
        advice = f"; {dataset} on the Hub, which is read without a data folder, has them" if dataset else ""
        raise InputError(f"profile {profile.name}: {name} has sentences without a reference{advice}")


def require_languages(profile: Profile, *test_sets: TestSet) -> None:
    """Raise an `InputError` if the profile does not serve one of the languages."""
    name = test_sets[0].name
    languages = {lang for test_set in test_sets for lang in test_set.languages}
    unserved = sorted(lang for lang in languages if not profile.serves(lang))
    if unserved:
        others = ", ".join(other for other in profile_names() if all(map(load_profile(other).serves, unserved)))
        served = "English" if profile.languages == [ENGLISH] else ", ".join(profile.languages)
        advice = f"choose another profile ({others})" if others else "choose other languages with --lang"
        if languages - set(unserved):
            advice += f", or --lang {','.join(sorted(languages - set(unserved)))}"
        problem = f"is for {served}; {name} has sentences in {', '.join(unserved)}"
        raise InputError(f"profile {profile.name} {problem}: {advice}")


class Evaluator:
    """Scores any number of systems under one profile; the models are loaded once. Without a cache nothing is stored.

    Raises:
        InputError: A model of the profile cannot be found.
    """

    def __init__(self, profile: Profile, cache: ScoreCache | None = None) -> None:
        self.profile = profile
        self.cache = cache
        self._measures = {name: measure(profile) for name, measure in MEASURES.items()}

    def evaluate(self, rewrites: Rewrites, test_set: TestSet) -> Result:
        """Score the outputs of one system on a test set of one language; raises as `score` and `require_served` do."""
        require_served(self.profile, test_set)
        signature = self.signature(test_set, rewrites.decoding)
        scores = self.score(test_set.sources, rewrites.outputs, test_set.references)
        faults = self.faults(test_set.sources, rewrites.outputs)
        return Result(rewrites, test_set, scores, signature, faults)

    def score(self, sources: Texts, outputs: Texts, references: Sequence[Texts] | None = None) -> SentenceScores:
        """Score each output [n] for its source [n]; profiles that compare with references [n] need those as well.

        Raises:
            InputError: Unequal counts, a sentence without a reference where the profile needs one, or a model that
                cannot be loaded.
        """
        measures = self._measures.values()
        items = to_items(sources, outputs, references, measures)
        # A judge has a cache of its own, and each run must count the answers that it cannot use.
        cache = None if self.profile.judged_metrics else self.cache
        keys = {} if cache is None else {i: self._key(*i) for i in items}
        cached = {} if cache is None else cache.read(sorted(set(keys.values())))
        scored: dict[Any, Sequence[float]] = {item: cached[key] for item, key in keys.items() if key in cached}
        pending = [item for item in items if item not in scored]
        for chunk in score_chunks(pending, measures, f"scoring, {self.profile.name}"):
            scored.update(chunk)
            if cache is not None:
                cache.write((keys[item], values) for item, values in chunk.items())
        failed = (0.0,) * len(COLUMNS)
        table = np.array([scored.get(item, failed) for item in items], dtype=np.float64).reshape(-1, len(COLUMNS))
        return SentenceScores(**dict(zip(COLUMNS, table.T, strict=True)))

    def faults(self, sources: Texts, outputs: Texts) -> tuple[str, ...]:
        """Return the fault [n] that the scorer of SIM sees in each output, one of `FAULTS`; () if it tells none.

        An empty output has lost everything: "lost".
        """
        similarity = self._measures["sim"]
        if not isinstance(similarity, Similarity) or not similarity.tells_faults:
            return ()
        pairs = [(source, output) for source, output, _ in to_items(sources, outputs, None, ())]
        keys = {pair: self._key(FAULTS, *pair) for pair in pairs if pair[1].strip()}
        cached = {} if self.cache is None else self.cache.faults.read(sorted(keys.values()))
        found = {pair: FAULTS[int(cached[key][0])] for pair, key in keys.items() if key in cached}
        pending = [pair for pair in keys if pair not in found]
        for start in range(0, len(pending), CHUNK):
            chunk = pending[start : start + CHUNK]
            new = dict(zip(chunk, similarity.faults([p[0] for p in chunk], [p[1] for p in chunk]), strict=True))
            found |= new
            if self.cache is not None:
                self.cache.faults.write((keys[p], [FAULTS.index(name)]) for p, name in new.items())
        return tuple(found.get(pair, "lost") for pair in pairs)

    def _key(self, *parts: Any) -> str:
        """The key of a cached number."""
        return content_hash([CACHE_VERSION, self.signature_fields, *parts])

    @cached_property
    def signature_fields(self) -> dict[str, str]:
        """The fields of the signature that depend on the profile and on the models in use."""
        fields = {name: measure.signature_field for name, measure in self._measures.items()}
        profile = f"{self.profile.name}.v{self.profile.version}"
        return {"profile": profile, **fields, "joint": self.profile.joint, "version": __version__}

    def signature(self, test_set: TestSet, decoding: dict[str, Any]) -> Signature:
        """Return the signature of scores on `test_set`; `decoding` is {} for systems that do not generate."""
        content = [test_set.sources, test_set.references if self.profile.needs_references else []]
        test = f"{test_set.name}@{content_hash(content)[:16]}"
        n = str(len(test_set.sources))
        return Signature.of({**self.signature_fields, "test": test, "lang": test_set.lang, "n": n}, decoding)
