"""What a run reads from outside: corpora, test sets and the leader, found and checked before the first stage begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metrics.data.corpora import Corpus, load_corpus
from metrics.data.test_sets import TestSet, load_test_set
from metrics.models.resolve import ModelRef, resolve_model
from metrics.profiles import load_profile
from metrics.systems.resolve import System, resolve_system
from metrics.util.errors import InputError
from repro.config.recipe import Recipe
from repro.methods import PARALLEL


@dataclass(frozen=True)
class Inputs:
    """Everything from outside, found and checked before the first stage begins.

    screener: what pins the classifier that screens, "" for NB-SVM, which is fitted here. others: the systems that are
    neither baselines nor made by the run, by their names in the recipe.
    """

    toxic: Corpus
    screening: tuple[Corpus, ...]
    rudeness: tuple[Corpus, ...]
    pairs: Corpus | None
    parallel: Corpus | None
    development: TestSet
    test: TestSet
    leader: ModelRef
    screener: str
    others: dict[str, System]

    def describe(self) -> dict[str, Any]:
        corpora = {c.name: c for c in (self.toxic, *self.screening, *self.rudeness, self.pairs, self.parallel) if c}
        tests = {"development": self.development, "test": self.test}
        return {
            "corpora": {
                name: {"origin": c.origin, "revision": c.revision, "rows": c.rows, "sha256": c.sha256}
                for name, c in corpora.items()
            },
            **{
                role: {
                    "name": t.name,
                    "origin": t.origin,
                    "revision": t.revision,
                    "rows": len(t.sources),
                    "sha256": t.sha256,
                    "near_duplicates_removed": t.near_duplicates,
                }
                for role, t in tests.items()
            },
            "leader": {"name": self.leader.name, "kind": self.leader.kind, "revision": self.leader.revision},
            "screener": self.screener,
            "others": {name: system.revision for name, system in self.others.items()},
        }


def resolve_inputs(recipe: Recipe, data_dir: str | None) -> Inputs:
    """Finds all corpora, test sets and models of a recipe. Errors: whatever cannot be used, in one line."""
    profile = load_profile(recipe.profile)
    if recipe.screener in (profile.sta_model, profile.sim_model, profile.fl_model):
        raise InputError(
            f"recipe {recipe.name}: {recipe.screener} is a model of profile {recipe.profile} too; what answers the "
            "leader must not score it, so choose another screener or profile"
        )
    toxic = load_corpus(recipe.toxic_corpus, data_dir)
    screening = tuple(load_corpus(name, data_dir) for name in recipe.screener_corpora)
    warmed = recipe.warmup != "none"
    rudeness = tuple(load_corpus(name, data_dir) for name in recipe.warmup_corpora) if warmed else ()
    use_pairs = warmed and recipe.warmup_pair_share > 0
    pairs = load_corpus("paraphrase-pairs", data_dir) if use_pairs else None
    parallel = load_corpus(recipe.parallel_corpus, data_dir) if recipe.method in PARALLEL else None
    if parallel is not None and not parallel.pairs:
        raise InputError(
            f"recipe {recipe.name}: method {recipe.method} needs parallel data, and {recipe.parallel_corpus} from the "
            f"{parallel.origin} has none; give a data folder (--data-dir or SRO_DATA_DIR)"
        )
    development = load_test_set(recipe.development_set, data_dir)
    test = load_test_set(recipe.test_set, data_dir)
    screener = "" if recipe.screener == "nb-svm" else resolve_model(recipe.screener).revision
    others = {name: resolve_system(name) for name in recipe.systems if "/" in name}
    leader = resolve_model(recipe.leader)
    return Inputs(toxic, screening, rudeness, pairs, parallel, _at_most(development, recipe.development_limit),
                  _at_most(test, recipe.test_limit), leader, screener, others)  # fmt: skip


def _at_most(test_set: TestSet, n: int) -> TestSet:
    """The first n sentences, or all when there are fewer (the sample has fewer) or n is 0."""
    return test_set.limit(n) if 0 < n < len(test_set.sources) else test_set
