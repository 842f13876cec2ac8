"""The pipeline of a run: corpora, screener, warm-up, training, choice of checkpoint, rewriting, scoring, report."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.data.near_duplicates import NearDuplicates
from metrics.data.text import is_copy, length_ratio, repetition
from metrics.generation.engines.vllm import require_supported
from metrics.models.loading import load_model
from metrics.models.prompts import write_prompt
from metrics.models.resolve import ModelRef, resolve_model
from metrics.profiles import load_profile
from metrics.scoring import COLUMNS
from metrics.scoring.environment import git_commit, package_versions
from metrics.scoring.evaluator import Evaluator
from metrics.scoring.result import Result
from metrics.scoring.scores import SentenceScores
from metrics.systems.baselines import delete_rude_words
from metrics.systems.outputs import Rewrites
from metrics.systems.resolve import System, resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.errors import InputError, name_option
from metrics.util.files import atomic_file, atomic_folder, remove_folder, remove_temporaries, write_json
from metrics.util.progress import progress
from repro.baselines import UNTOUCHED, UNTRAINED, Setting, untrained
from repro.baselines.config import BaselineConfig, BestOfKConfig
from repro.config.inputs import Inputs, resolve_inputs
from repro.config.recipe import Recipe, to_dict
from repro.config.section import RewritingConfig, ScoringConfig, Section, SeedConfig
from repro.distributed import broadcast_from_main, is_main_process, is_sharded, main_process_first, num_processes
from repro.followers.config import FollowerConfig, VerdictConfig
from repro.followers.content import ContentModel
from repro.followers.follower import Follower, GuardedFollower, ScreenerFollower
from repro.followers.naturalness import NaturalnessModel
from repro.followers.screener import NBSVM, ClassifierScreener, FlippingScreener, Screener
from repro.leader.config import LeaderConfig, RolloutConfig
from repro.methods import METHODS, PARALLEL
from repro.methods.config import ContextConfig, MethodConfig, ObjectiveConfig
from repro.pipeline.stages import Stages
from repro.training.config import DevelopmentConfig, TextsConfig, TrainingConfig, WarmupConfig

if TYPE_CHECKING:
    from repro.leader.leader import Leader
    from repro.training.development import DevelopmentScores


def run(recipe: Recipe, data_dir: str | None, out: Path, shared: Path | None = None) -> None:
    """Runs a recipe to its report in `out`. shared: where runs keep the stages that they have in common."""
    if num_processes() > 1 and recipe.method not in ("sro", "none"):
        raise InputError(f"method {recipe.method}: trained by one process only; start it without accelerate")
    inputs = main_process_first(lambda: resolve_inputs(recipe, data_dir))
    Pipeline(recipe, inputs, out, shared).run()


_TRAINING = (
    VerdictConfig, TextsConfig, MethodConfig, TrainingConfig, RolloutConfig, ObjectiveConfig, DevelopmentConfig,
)  # fmt: skip


class Pipeline:
    def __init__(self, recipe: Recipe, inputs: Inputs, out: Path, shared: Path | None = None) -> None:
        self.recipe = recipe
        self.inputs = inputs
        self.out = out
        self.stages = Stages(out, shared)

    def run(self) -> None:
        recipe, inputs, do = self.recipe, self.inputs, self.stages.do
        # By the first alone: when the others come to it, what it works at may be there already.
        broadcast_from_main(lambda: remove_temporaries(self.out))
        described, settings = inputs.describe(), to_dict(recipe)
        screening = [corpus.sha256 for corpus in inputs.screening]
        corpora = do("corpora", described, self._corpora)
        fitting = [self._fields(FollowerConfig), recipe.seed, screening, inputs.screener, self._needs_guards]
        fitted = do("screener", fitting, self._fit_screener)
        pairs = inputs.pairs.sha256 if inputs.pairs else None
        warmed = [
            self._fields(LeaderConfig, SeedConfig, WarmupConfig),
            recipe.max_new_tokens,
            inputs.leader.revision,
            screening,
            pairs,
        ]
        warmed += [[corpus.sha256 for corpus in inputs.rudeness], num_processes(), is_sharded()]
        warm = do("warm-up", warmed, self._warm_up)
        paraphraser = resolve_model(str(warm / "model")) if recipe.warmup != "none" else inputs.leader
        decoding = [recipe.max_new_tokens, recipe.generation_batch_size]
        measure = self.evaluator.signature_fields
        asked = [self._fields(*_TRAINING), recipe.screener_threshold, self._guards, num_processes(), is_sharded()]
        models, made = {"warm-up": paraphraser}, ["warm-up", "screener"]
        trained: Path | None = None
        chosen: Path | None = None
        if recipe.method != "none":
            texts = [inputs.toxic.sha256, inputs.parallel.sha256 if inputs.parallel else None]
            played = [
                asked,
                self._fields(LeaderConfig, SeedConfig),
                decoding,
                *texts,
                inputs.development.sha256,
                measure,
            ]
            trained = do("training", played, lambda work: self._train(work, paraphraser, fitted), made)
            chosen = do("choice", [], lambda work: self._choose(work, paraphraser, trained), ["training"])
            models[recipe.method] = resolve_model(str(chosen / "model"))
            made = [*made, "choice"]
        others = {name: system.revision for name, system in inputs.others.items()}
        generating = [
            self._fields(RewritingConfig, ScoringConfig, BestOfKConfig),
            asked,
            recipe.prompt,
            recipe.seed,
            inputs.test.sha256,
            others,
        ]
        setting = Setting(
            recipe.narrow(BaselineConfig),
            inputs.leader,
            models.get(recipe.method, paraphraser),
            inputs.test,
            # Not the guards: half of a model's likeliest rewrites fail them, and hardly a sample passes.
            lambda: ScreenerFollower(self._screener(fitted)),
        )
        rewrites = do("rewriting", generating, lambda work: self._rewrite(work, models, setting), made)
        scores = do("scoring", measure, lambda work: self._score(work, rewrites), ["rewriting"])
        told = [described, settings]
        rows = do("rows", told, lambda work: self._rows(work, rewrites, scores), ["scoring"])
        do(
            "report",
            told,
            lambda work: self._report(work, corpora, trained, rows, rewrites, scores, chosen),
            ["corpora", *made, "rows"],
        )
        if is_main_process():
            print((self.out / "report.md").read_text("utf-8"))

    def _fields(self, *sections: type[Section]) -> dict[str, Any]:
        """The recipe's values in these sections."""
        return {key: getattr(self.recipe, key) for section in sections for key in section.model_fields}

    # -- corpora ----------------------------------------------------------------------------------------------------
    def _corpora(self, work: Path) -> None:
        described = self.inputs.describe()
        for name, corpus in progress(described["corpora"].items(), "corpora"):
            self.stages.log("corpora", {"corpus": name, **corpus})
        write_json(work / "corpora.json", described)

    @cached_property
    def toxic_texts(self) -> list[str]:
        """The toxic texts to roll out on, shuffled by the recipe's seed, then cut to the recipe's number.

        Nothing can be kept of a text that says nothing but its rude words: the recipe may leave those out.
        """
        import random

        recipe = self.recipe
        longest = recipe.toxic_max_words or 10**9
        texts = [t for t in self.inputs.toxic.toxic if 3 <= len(t.split()) <= longest]
        if recipe.toxic_min_content > 0:
            kept = ContentModel().cosine(texts, [delete_rude_words(text) for text in texts])
            texts = [text for text, cosine in zip(texts, kept, strict=True) if cosine >= recipe.toxic_min_content]
        random.Random(recipe.seed).shuffle(texts)
        texts = texts[: recipe.toxic_limit or None]
        if not texts:
            raise InputError(f"recipe {recipe.name}: no toxic text of at most {longest} words in {recipe.toxic_corpus}")
        return texts

    # -- screener ---------------------------------------------------------------------------------------------------
    def _fit_screener(self, work: Path) -> None:
        """NB-SVM, unless the recipe names a classifier, and the guard of fluency, which learns from the same texts."""
        recipe = self.recipe
        toxic = [t for corpus in self.inputs.screening for t in corpus.toxic]
        neutral = [t for corpus in self.inputs.screening for t in corpus.neutral]
        if self._needs_guards:
            NaturalnessModel().fit([*toxic, *neutral], recipe.seed).save(work)
        if recipe.screener != "nb-svm":
            write_json(work / "screener.json", {"model": recipe.screener, "threshold": recipe.screener_threshold})
            return
        # Every tenth text is kept back to measure the screener, then it is fitted again on all.
        held_out = [texts[::10] for texts in (toxic, neutral)]
        parts = [[t for i, t in enumerate(texts) if i % 10] for texts in (toxic, neutral)]
        for step in progress(("measure", "fit"), "screener"):
            if step == "measure":
                trial = NBSVM(recipe.screener_threshold).fit(*parts)
                rates = [float(trial.passes(texts).mean()) for texts in held_out]
                measured = {"toxic_passed": rates[0], "neutral_passed": rates[1]}
            else:
                NBSVM(recipe.screener_threshold).fit(toxic, neutral).save(work)
        write_json(work / "measured.json", measured)
        self.stages.log("screener", measured)

    @property
    def _needs_guards(self) -> bool:
        """Whether the run asks the guarded follower."""
        return self.recipe.follower == "guarded"

    @property
    def _guards(self) -> str | None:
        used = self._needs_guards or self.recipe.toxic_min_content > 0
        return ContentModel().revision if used else None

    def _screener(self, fitted: Path) -> Screener:
        """fitted: the folder of the stage "screener"."""
        recipe = self.recipe
        screener: Screener
        if recipe.screener == "nb-svm":
            screener = NBSVM.load(fitted)
        else:
            screener = ClassifierScreener(recipe.screener, recipe.screener_threshold)
        return FlippingScreener(screener, recipe.flip_rate, recipe.seed) if recipe.flip_rate else screener

    def _follower(self, fitted: Path) -> Follower:
        """Who answers the rollouts. fitted: the folder of the stage "screener"."""
        recipe, screener = self.recipe, self._screener(fitted)
        if recipe.follower == "screener":
            return ScreenerFollower(screener)
        return GuardedFollower(
            screener,
            ContentModel(),
            NaturalnessModel.load(fitted),
            min_content=recipe.guard_content,
            min_words_kept=recipe.guard_words_kept,
            max_length_ratio=recipe.guard_length_ratio,
            min_naturalness=recipe.guard_naturalness,
        )

    # -- training ---------------------------------------------------------------------------------------------------
    def _leader(self, ref: ModelRef) -> Leader:
        import torch

        from repro.leader.leader import Leader

        # The adapter's first weights are drawn; nothing else in a leader is random.
        torch.manual_seed(self.recipe.seed)
        recipe = self.recipe
        loaded = load_model(ref, prompt=recipe.prompt)
        if recipe.rollout_engine == "vllm":
            # Here, so that it is said before a training, and not after the warm-up.
            with name_option("rollout_engine: vllm"):
                require_supported(loaded)
        return Leader(
            loaded,
            train=recipe.train,
            max_length=recipe.max_length,
            lora_rank=recipe.lora_rank,
            dtype=recipe.train_dtype,
        )

    def _export(self, leader: Leader, folder: Path) -> None:
        """A model folder that rewrites as this run did: weights, tokenizer, prompt, decoding."""
        from transformers import GenerationConfig

        from repro.leader.export import export_model

        with atomic_folder(folder) as target:
            export_model(leader, target)
            write_prompt(target, leader.prompt)
            config = leader.model.generation_config
            settings = {"max_new_tokens": self.recipe.max_new_tokens, "do_sample": False}
            tokens = {k: getattr(config, k) for k in ("bos_token_id", "eos_token_id", "pad_token_id")}
            start = getattr(config, "decoder_start_token_id", None)
            GenerationConfig(**settings, **tokens, decoder_start_token_id=start).save_pretrained(target)

    def _warm_up(self, work: Path) -> None:
        recipe = self.recipe
        if recipe.warmup == "none" or self._has_trained(work, work / "model"):
            return
        from repro.training.denoising import MAX_TOXIC_WORDS, denoising_rows
        from repro.training.trainer import training_arguments
        from repro.training.warmup import WarmupTrainer

        seen = [t for corpus in self.inputs.rudeness for t in corpus.toxic]
        toxic = [t for t in dict.fromkeys(seen) if len(t.split()) <= MAX_TOXIC_WORDS]
        rows = denoising_rows(
            [t for corpus in self.inputs.screening for t in corpus.neutral],
            toxic,
            self.inputs.pairs.pairs if self.inputs.pairs else (),
            rows=recipe.warmup_steps * recipe.warmup_batch_size * num_processes(),
            changes=recipe.warmup_changes,
            substitutions=recipe.warmup_substitutions,
            pair_share=recipe.warmup_pair_share,
            max_words=recipe.warmup_max_words,
            seed=recipe.seed,
        )
        arguments = training_arguments(
            work / "training",
            max_steps=recipe.warmup_steps,
            per_device_train_batch_size=recipe.warmup_batch_size,
            learning_rate=recipe.warmup_learning_rate,
            lr_scheduler_type="linear",
            save_steps=max(10, recipe.warmup_steps // 10),
            seed=recipe.seed,
        )
        leader = self._leader(self.inputs.leader)
        WarmupTrainer(leader, arguments, rows, log=lambda event: self.stages.log("warm-up", event)).train_or_resume()
        trained = leader.trainable_state()
        if is_main_process():
            if is_sharded():
                # What is divided cannot be exported.
                leader = self._leader(self.inputs.leader)
                leader.load_trainable_state(trained)
            self._export(leader, work / "model")
            remove_folder(work / "training")

    def _train(self, work: Path, paraphraser: ModelRef, fitted: Path) -> None:
        from repro.methods.context import TrainingContext, training_method
        from repro.training.checkpoints import BEST
        from repro.training.development import stop_reason

        if self._has_trained(work, work / BEST):
            return
        recipe = self.recipe
        leader = self._leader(paraphraser)

        def stop(history: Sequence[DevelopmentScores]) -> str | None:
            return stop_reason(
                history,
                max_repetition=recipe.stop_repetition,
                max_length_ratio=recipe.stop_length_ratio,
                patience=recipe.patience,
            )

        context = TrainingContext(
            recipe.narrow(ContextConfig),
            leader,
            self._follower(fitted),
            self.toxic_texts,
            self.inputs.parallel.pairs if self.inputs.parallel else (),
            log=lambda event: self.stages.log("training", event),
            evaluate=lambda step: self._develop(leader, step),
            stop=stop,
            output_dir=work / "training",
        )
        outcome = training_method(recipe.method)(context).outcome()
        if is_main_process():
            write_json(work / "outcome.json", {**outcome, "texts": len(self.toxic_texts)})
            os.replace(work / "training" / BEST, work / BEST)
            remove_folder(work / "training")

    @staticmethod
    def _has_trained(work: Path, made: Path) -> bool:
        """Whether a training that was killed had come to its end: what it `made` is there before its folder goes."""
        if not broadcast_from_main(made.exists):
            return False
        if is_main_process():
            remove_folder(work / "training")
        return True

    @cached_property
    def evaluator(self) -> Evaluator:
        return Evaluator(load_profile(self.recipe.profile))

    def _develop(self, leader: Leader, step: int) -> DevelopmentScores:
        from metrics.generation.decoding import decoding_settings
        from metrics.generation.rewriting import rewrite_all
        from repro.training.development import DevelopmentScores

        sources = self.inputs.development.sources
        settings = decoding_settings(
            leader.model, {"do_sample": False, "num_beams": 1, "max_new_tokens": self.recipe.max_new_tokens}
        )
        outputs = rewrite_all(
            leader.loaded,
            sources,
            settings,
            description=f"development, step {step}",
            batch_size=self.recipe.generation_batch_size,
        )
        scores = self.evaluator.score(sources, outputs, self.inputs.development.references)
        pairs = list(zip(sources, outputs, strict=True))
        n = len(pairs)
        return DevelopmentScores(
            step=step,
            j=float(scores.j.mean()),
            sta=float(scores.sta.mean()),
            sim=float(scores.sim.mean()),
            fl=float(scores.fl.mean()),
            copies=sum(is_copy(*pair) for pair in pairs) / n,
            length_ratio=sum(length_ratio(*pair) for pair in pairs) / n,
            repetition=sum(repetition(output) for output in outputs) / n,
        )

    def _choose(self, work: Path, paraphraser: ModelRef, trained: Path) -> None:
        from safetensors.torch import load_file

        from repro.training.checkpoints import BEST

        for file in progress([trained / BEST], "choice"):
            leader = self._leader(paraphraser)
            leader.load_trainable_state(load_file(file))
            self._export(leader, work / "model")

    # -- rewriting and scoring --------------------------------------------------------------------------------------
    def _rewrite(self, work: Path, models: dict[str, ModelRef], setting: Setting) -> None:
        import pandas as pd

        test = self.inputs.test
        frames, systems = [], []
        for name in self.recipe.systems:
            if name in UNTRAINED:
                rewrites = untrained(name)(setting)
            else:
                rewrites = rewrite(
                    self._system(name, models),
                    test,
                    batch_size=self.recipe.generation_batch_size,
                    seed=self.recipe.seed,
                )
            if rewrites.kind == "model" and name not in self.inputs.others:
                rewrites = dataclasses.replace(rewrites, card={**rewrites.card, **self.card(name)})
            systems.append(
                {f.name: getattr(rewrites, f.name) for f in dataclasses.fields(Rewrites) if f.name != "outputs"}
            )
            frames.append(pd.DataFrame({"system": name, "source": test.sources, "output": rewrites.outputs}))
        with atomic_file(work / "rewrites.parquet") as temporary:
            pd.concat(frames).to_parquet(temporary, index=False)
        write_json(work / "systems.json", systems)

    def _system(self, name: str, models: dict[str, ModelRef]) -> System:
        if name not in models:
            return self.inputs.others.get(name) or resolve_system(name)
        ref = models[name]
        system = System(name, "model", ref.revision, ref, self.recipe.prompt)
        if name == "warm-up" and self.recipe.warmup == "none":
            # The untouched leader must be read with the decoding that the trained checkpoint has stored.
            settings = {"do_sample": False, "num_beams": 1, "max_new_tokens": self.recipe.max_new_tokens}
            system = dataclasses.replace(system, decoding=settings)
        return system

    def card(self, name: str) -> dict[str, Any]:
        """What readers of a row want to know of a model that this run used or trained
        (`leaderboard.rows.row.About`)."""
        from leaderboard.rows.systems import system_facts
        from metrics.models.cards import card_facts

        inputs = self.inputs
        warmed = "warmed up as a paraphraser" if self.recipe.warmup != "none" else "as it is, without a warm-up"
        how = {"warm-up": warmed, **UNTRAINED, **METHODS}[name]
        # Whose weights it has: best-of-k asks what the recipe's method trained.
        learned = self.recipe.method if name == "best-of-k" else name
        how += f" (a model trained by {learned})" if learned in METHODS and learned != name else ""
        untouched = name in UNTOUCHED or (self.recipe.warmup == "none" and learned not in METHODS)
        trained_on = (
            [] if untouched else [*inputs.screening, *inputs.rudeness, *([inputs.pairs] if inputs.pairs else [])]
        )
        trained_on += [inputs.toxic] if learned in METHODS and learned not in PARALLEL else []
        trained_on += [inputs.parallel] if learned in PARALLEL and inputs.parallel else []
        seen = NearDuplicates(
            t for c in trained_on for t in (*c.toxic, *c.neutral, *(x for pair in c.pairs for x in pair))
        )
        count = sum(map(seen.contains, inputs.test.sources))
        leader = system_facts(inputs.leader.name, inputs.test.name, card_facts(inputs.leader))
        return {
            "licence": leader.licence,
            "base": inputs.leader.name,
            "training_data": list(dict.fromkeys("sample" if c.origin == "sample" else c.name for c in trained_on)),
            # The warm-up's pairs are paraphrases; no toxic sentence came with a neutral one.
            "parallel_data": learned in PARALLEL or name == "few-shot",
            "contamination": "contaminated" if count else "clean",
            "note": f"{how}, recipe {self.recipe.name}; {count} of {len(inputs.test.sources)} test sentences stand "
            "nearly word for word in its training texts",
        }

    def read_rewrites(self, folder: Path) -> list[Rewrites]:
        import pandas as pd

        frame = pd.read_parquet(folder / "rewrites.parquet")
        systems = json.loads((folder / "systems.json").read_text("utf-8"))
        return [
            Rewrites(**system, outputs=tuple(frame.loc[frame["system"] == system["system"], "output"]))
            for system in systems
        ]

    def _score(self, work: Path, rewrites: Path) -> None:
        import pandas as pd

        frames = []
        for system in progress(self.read_rewrites(rewrites), "scoring"):
            scores = self.evaluator.score(self.inputs.test.sources, system.outputs, self.inputs.test.references)
            columns = {name: scores.metric(name) for name in (*COLUMNS, "j")}
            frames.append(
                pd.DataFrame(
                    {"system": system.system, "source": self.inputs.test.sources, "output": system.outputs, **columns}
                )
            )
        with atomic_file(work / "scores.parquet") as temporary:
            pd.concat(frames).to_parquet(temporary, index=False)

    def results(self, rewrites: Path, scores: Path) -> list[Result]:
        import pandas as pd

        frame = pd.read_parquet(scores / "scores.parquet")
        results = []
        for system in self.read_rewrites(rewrites):
            own = frame[frame["system"] == system.system]
            values = SentenceScores(**{name: own[name].to_numpy() for name in COLUMNS})
            pinned = self.evaluator.signature(self.inputs.test, system.decoding)
            results.append(Result(system, self.inputs.test, values, pinned))
        return results

    # -- rows and report --------------------------------------------------------------------------------------------
    def provenance(self) -> dict[str, Any]:
        return {
            "recipe": to_dict(self.recipe),
            "inputs": self.inputs.describe(),
            "packages": {**package_versions(), **{name: version(name) for name in ("trl", "wordllama")}},
            "guards": self._guards,
            "git_commit": git_commit(),
        }

    def _rows(self, work: Path, rewrites: Path, scores: Path) -> None:
        from leaderboard.publishing.commit import publish
        from leaderboard.rows.published import published_rows
        from leaderboard.rows.results import row_from_result
        from leaderboard.stores import open_store

        told = self.provenance()
        packages, commit = told.pop("packages"), told.pop("git_commit")
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        entries = [
            row_from_result(
                {**result.to_json(), "versions": packages, "git_commit": commit},
                result.rewrites.system,
                submitter="local",
                date=now,
                recipe=told,
            )
            for result in progress(self.results(rewrites, scores), "rows")
        ]
        others = [(row, None) for row in published_rows()]
        publish(open_store(local=work / "leaderboard", create=True), [*entries, *others], show=lambda change: None)

    def _report(
        self,
        work: Path,
        corpora: Path,
        trained: Path | None,
        rows: Path,
        rewrites: Path,
        scores: Path,
        chosen: Path | None,
    ) -> None:
        from leaderboard.board.reading import load_board
        from leaderboard.stores import open_store
        from repro.pipeline.report import write_report

        board = rows / "leaderboard"
        write_report(
            self.out,
            recipe=self.recipe,
            inputs=json.loads((corpora / "corpora.json").read_text("utf-8")),
            outcome=json.loads((trained / "outcome.json").read_text("utf-8")) if trained else None,
            board=load_board(open_store(local=board).snapshot()),
            results=self.results(rewrites, scores),
            lock={**self.provenance(), "stages": self.stages.keys},
            folders={
                **({"checkpoint": chosen / "model"} if chosen else {}),
                "screener": self.out / "stages" / "screener",
                "leaderboard": board,
            },
            files=[rewrites / "rewrites.parquet", scores / "scores.parquet"],
        )
