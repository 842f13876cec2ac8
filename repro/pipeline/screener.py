"""Stage "screener": fits the models of the follower; and the follower that is made of them."""

from pathlib import Path

from metrics.util.files import write_json
from metrics.util.progress import progress
from repro.config.section import SeedConfig
from repro.followers.config import FollowerConfig, VerdictConfig
from repro.followers.follower import Follower, GuardedFollower, ScreenerFollower
from repro.followers.ngrams import NBSVM, NaturalnessModel
from repro.followers.screener import ClassifierScreener, FlippingScreener, Screener
from repro.leader.fluency import LikelihoodModel
from repro.pipeline.engine import Stage, StageRun

_HELD_OUT = 10  # every tenth text measures the screener


class _FittingConfig(FollowerConfig, SeedConfig):
    """The fields that decide how the follower's models are fitted."""


class JudgingConfig(FollowerConfig, VerdictConfig, SeedConfig):
    """The fields that decide what the follower answers."""


def _build(run: StageRun[_FittingConfig]) -> None:
    config, corpora = run.config, run.inputs.screening
    toxic = [text for corpus in corpora for text in corpus.toxic]
    neutral = [text for corpus in corpora for text in corpus.neutral]
    if config.follower == "guarded":
        NaturalnessModel().fit([*toxic, *neutral], config.seed).save(run.work)
    if config.screener != "nb-svm":
        write_json(run.work / "screener.json", {"model": config.screener, "threshold": config.screener_threshold})
        return
    fitted = [[text for i, text in enumerate(texts) if i % _HELD_OUT] for texts in (toxic, neutral)]
    steps = progress((fitted, (toxic, neutral)), "screener", unit="fits")
    trial, final = (NBSVM(config.screener_threshold).fit(*texts) for texts in steps)
    final.save(run.work)
    rates = [float(trial.passes(texts[::_HELD_OUT]).mean()) for texts in (toxic, neutral)]
    measured = {"toxic_passed": rates[0], "neutral_passed": rates[1]}
    write_json(run.work / "measured.json", measured)
    run.log(measured)


def load_screener(folder: Path, config: JudgingConfig) -> Screener:
    """Load the screener that the stage left in `folder`; it flips a share `flip_rate` of its verdicts."""
    nb_svm, threshold = config.screener == "nb-svm", config.screener_threshold
    screener: Screener = NBSVM.load(folder) if nb_svm else ClassifierScreener(config.screener, threshold)
    return FlippingScreener(screener, config.flip_rate, config.seed) if config.flip_rate else screener


def load_follower(folder: Path, config: JudgingConfig, likelihood: LikelihoodModel | None = None) -> Follower:
    """Load the follower that judges rollouts.

    Args:
        folder: The folder of the stage "screener".
        config: Which follower, and its guards.
        likelihood: The model of `guard_likelihood`; None switches this guard off.
    """
    screener = load_screener(folder, config)
    if config.follower == "screener":
        return ScreenerFollower(screener)
    return GuardedFollower(screener, NaturalnessModel.load(folder), config, likelihood)


SCREENER = Stage("screener", _build, _FittingConfig, inputs=("screening", "screener"), shared=True)
