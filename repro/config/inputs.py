"""The inputs of a run: corpora, test sets, models and metrics, found and checked before the first stage begins."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from metrics.data.corpora import Corpus, load_corpus, without_held_out
from metrics.data.test_sets import TestSet, load_test_set
from metrics.models.prompts import NO_PREAMBLE
from metrics.models.resolve import ModelRef, resolve_model
from metrics.profiles import load_profile
from metrics.scoring.evaluator import Evaluator, require_served
from metrics.systems.preamble import describe_preamble, read_preamble
from metrics.systems.resolve import System, is_model, resolve_system
from metrics.util.errors import InputError, name_option
from repro.config.recipe import Recipe
from repro.methods import PARALLEL


@dataclass(frozen=True)
class Inputs:
    """Everything that a run reads from outside.

    Attributes:
        toxic: The texts to roll out on.
        screening: The corpora that the follower's models are fitted on.
        warming: The corpora whose neutral sentences the warm-up makes rude; none without a warm-up.
        paraphrases, parallel: Pairs, if the warm-up or the method uses them.
        screener: Revision of the classifier that screens; "" for NB-SVM, which the run fits.
        others: Systems that are neither baselines nor trained by the run, by name.
    """

    toxic: Corpus
    screening: tuple[Corpus, ...]
    warming: tuple[Corpus, ...]
    paraphrases: Corpus | None
    parallel: Corpus | None
    development: TestSet
    test: TestSet
    leader: ModelRef
    screener: str
    others: dict[str, System]
    evaluator: Evaluator

    def only(self, names: Iterable[str]) -> Self:
        """Return a copy with these attributes alone; reading another one raises `AttributeError`."""
        narrowed = copy.copy(self)
        for name in {field.name for field in fields(self)} - {*names}:
            object.__delattr__(narrowed, name)
        return narrowed

    def describe(self) -> dict[str, Any]:
        """Return names, origins and hashes of all inputs as a JSON value, for the lock file and the rows."""
        corpora = (self.toxic, *self.screening, *self.warming, self.paraphrases, self.parallel)
        return {
            "corpora": {corpus.name: _origin(corpus, corpus.rows) for corpus in corpora if corpus},
            **{
                role: {
                    "name": test_set.name,
                    **_origin(test_set, len(test_set.sources)),
                    "near_duplicates_removed": test_set.near_duplicates,
                }
                for role, test_set in (("development", self.development), ("test", self.test))
            },
            "leader": {"name": self.leader.name, "kind": self.leader.kind, "revision": self.leader.revision},
            "screener": self.screener,
            "others": {name: system.revision for name, system in self.others.items()},
        }


def _origin(texts: Corpus | TestSet, rows: int) -> dict[str, Any]:
    return {"origin": texts.origin, "revision": texts.revision, "rows": rows, "sha256": texts.sha256}


def identity(value: Any) -> Any:
    """Return a JSON value that pins an input: origin and hash, a commit, or the fields of a signature."""
    match value:
        case Corpus() | TestSet():
            return [value.name, value.origin, value.revision, value.sha256]
        case ModelRef():
            return value.revision
        case System():
            return [value.revision, describe_preamble(value.preamble)]
        case Evaluator():
            return value.signature_fields
        case tuple():
            return [identity(item) for item in value]
        case dict():
            return {name: identity(item) for name, item in value.items()}
    return value


def resolve_inputs(recipe: Recipe, data_dir: str | None) -> Inputs:
    """Find all corpora (in `data_dir`; None for SRO_DATA_DIR), test sets and models of a recipe.

    Raises:
        InputError: Something is missing or cannot be used.
    """
    profile = load_profile(recipe.profile)
    if recipe.screener in (profile.sta_model, profile.sim_model, profile.fl_model):
        raise InputError(
            f"recipe {recipe.name}: profile {recipe.profile} scores with {recipe.screener} too; a model that the "
            "leader learns from must not score it, so choose another screener or profile"
        )
    toxic = load_corpus(recipe.toxic_corpus, data_dir)
    screening = tuple(load_corpus(name, data_dir) for name in recipe.screener_corpora)
    warms_up = recipe.warmup != "none"
    warming = tuple(load_corpus(name, data_dir) for name in recipe.warmup_corpora) if warms_up else ()
    paraphrases = load_corpus("paraphrase-pairs", data_dir) if warms_up and recipe.warmup_pair_share > 0 else None
    parallel = load_corpus(recipe.parallel_corpus, data_dir) if recipe.method in PARALLEL else None
    if parallel is not None and not parallel.pairs:
        raise InputError(
            f"recipe {recipe.name}: method {recipe.method} needs parallel data, and {recipe.parallel_corpus} from the "
            f"{parallel.origin} has none; give a data folder (--data-dir or SRO_DATA_DIR)"
        )
    development = _limit(load_test_set(recipe.development_set, data_dir), recipe.development_limit)
    test = _limit(load_test_set(recipe.test_set, data_dir), recipe.test_limit)
    for test_set in (development, test):
        require_served(profile, test_set)
    inputs = Inputs(
        toxic,
        screening,
        warming,
        paraphrases,
        parallel,
        development=development,
        test=test,
        screener="" if recipe.screener == "nb-svm" else resolve_model(recipe.screener).revision,
        others=_find_others(recipe),
        leader=resolve_model(recipe.leader),
        evaluator=Evaluator(profile),
    )
    return _without_held_out(inputs)


def _find_others(recipe: Recipe) -> dict[str, System]:
    """The systems that the run does not make; `system` and `few_shot` are for the models among them."""
    with name_option(f"recipe {recipe.name}"):
        preamble = read_preamble(recipe.system, Path(recipe.few_shot) if recipe.few_shot else None)
    names = [name for name in recipe.systems if "/" in name]
    if preamble != NO_PREAMBLE and not any(map(is_model, names)):
        problem = "system and few_shot are for models from the Hub, a folder or an endpoint, and systems names none"
        raise InputError(f"recipe {recipe.name}: {problem}; a leader is trained without them")
    return {name: resolve_system(name, preamble=preamble if is_model(name) else NO_PREAMBLE) for name in names}


def _without_held_out(inputs: Inputs) -> Inputs:
    """Leave the sentences of test and development set out of the corpora; the suite's own texts keep them apart."""
    corpora = (inputs.toxic, *inputs.screening, *inputs.warming, inputs.paraphrases, inputs.parallel)
    if "file" not in {texts.origin for texts in (inputs.test, inputs.development, *corpora) if texts}:
        return inputs
    held_out = (*inputs.test.sources, *inputs.development.sources)
    kept: dict[Corpus, Corpus] = {}
    for corpus in {corpus for corpus in corpora if corpus}:
        kept[corpus], dropped = without_held_out(corpus, held_out)
        if not kept[corpus].rows:
            raise InputError(f"{corpus.name}: each text stands in the test or development set; give others")
        if dropped:
            print(f"{corpus.name}: {dropped} texts left out, which the test or development set contains")
    return replace(
        inputs,
        toxic=kept[inputs.toxic],
        screening=tuple(kept[corpus] for corpus in inputs.screening),
        warming=tuple(kept[corpus] for corpus in inputs.warming),
        paraphrases=kept[inputs.paraphrases] if inputs.paraphrases else None,
        parallel=kept[inputs.parallel] if inputs.parallel else None,
    )


def _limit(test_set: TestSet, n: int) -> TestSet:
    """The first n sentences; all of them if there are fewer or n is 0."""
    return test_set.limit(n) if 0 < n < len(test_set.sources) else test_set
