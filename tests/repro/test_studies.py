"""Studies: the sweep's design, the perturbation's reading, intervals over seeds, runs shared and resumed."""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from metrics.scoring.statistics import mean_interval, seeds_interval
from metrics.util.errors import InputError
from repro.config.recipe import load_recipe
from repro.studies import departures, follower, methods, perturbation, sweep
from repro.studies.arms import Arm
from repro.studies.runs import do_runs, stack_scores


def test_each_level_meets_each_other_level_equally_often() -> None:
    signs = np.array(sweep.design())
    assert signs.shape == (8, 7) and len({tuple(row) for row in signs}) == 8
    assert (signs.sum(0) == 4).all()
    for left, right in combinations(signs.T, 2):
        assert (left & right).sum() == 2


def test_effects_by_hand() -> None:
    """J = .2 + .04 where factor 1 is high − .02 where factor 6 is high: those effects, all others 0."""
    values = [0.2 + 0.04 * row[0] - 0.02 * row[5] for row in sweep.design()]
    effects = list(sweep.effects(values).values())
    assert effects == pytest.approx([0.04, 0, 0, 0, 0, -0.02, 0], abs=1e-12)
    assert sweep.winner(values)[0] is True and sweep.winner(values)[5] is False


@pytest.mark.parametrize(
    "arms",
    [
        departures.ARMS,
        perturbation.ARMS,
        sweep.arms(),
        follower.ARMS,
        methods.arms(),
    ],
)
def test_every_arm_is_a_recipe(arms: list[Arm]) -> None:
    recipes = [load_recipe(arm.recipe, list(arm.overrides)) for arm in arms]
    assert len({repr({**vars(r), "name": ""}) for r in recipes}) == len(arms)


def test_the_departures_are_one_switch_each() -> None:
    published, *others = (vars(load_recipe(arm.recipe)) for arm in departures.ARMS)
    changed = [{key for key in published if own[key] != published[key]} - {"name"} for own in others]
    assert changed[:4] == [{"shift_right"}, {"rejected_with_prompt"}, {"flip_rate"}, {"rollout_dropout"}]
    assert changed[4] == set().union(*changed[:4])
    assert (published["shift_right"], published["rejected_with_prompt"]) == (True, False)
    assert (published["flip_rate"], published["rollout_dropout"], published["follower"]) == (0, 0, "screener")


def test_an_interval_over_seeds_covers_seeds_and_sentences() -> None:
    rng = np.random.default_rng(0)
    sentences = rng.normal(0.3, 0.1, 200)
    constant = seeds_interval(np.full((3, 5), 0.25))
    assert (constant.mean, constant.low, constant.high) == (0.25, 0.25, 0.25)
    same = seeds_interval(np.stack([sentences] * 3))
    alone = mean_interval(sentences)
    # Three equal seeds say as much as one: the interval is that over sentences.
    assert (same.low, same.high) == pytest.approx((alone.low, alone.high), abs=0.003)
    apart = seeds_interval(np.stack([sentences - 0.1, sentences, sentences + 0.1]))
    # The mean of three draws from {−.1, 0, .1} lies within ±.0667 in 25 of 27 cases.
    assert apart.high - apart.low > 0.13


def scores(by_rate: dict[float, float]) -> dict[float, np.ndarray]:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.05, (3, 100))
    return {rate: mean + noise + rng.normal(0, 0.001, (3, 100)) for rate, mean in by_rate.items()}


def test_the_perturbation_study_says_what_its_test_shows() -> None:
    fragile = scores({0.0: 0.3, 0.05: 0.25, 0.1: 0.2, 0.2: 0.1, 0.3: 0.1, 0.5: 0.1})
    sturdy = scores(dict.fromkeys(perturbation.RATES, 0.3))
    assert perturbation.reading(fragile).count("costs much") == 2
    assert "costs much" not in perturbation.reading(sturdy)
    assert "costs nothing that shows, and certainly not much" in perturbation.reading(sturdy)


def test_slope_by_hand() -> None:
    """Means .3, .2 at rates 0, .5: the slope is −.2; two seeds with two rates each have four orders, two as steep."""
    slope, p = perturbation.slope_test({0.0: np.full((2, 4), 0.3), 0.5: np.full((2, 4), 0.2)})
    assert slope == pytest.approx(-0.2)
    assert p == pytest.approx(1 / 2, abs=0.02)


def test_the_methods_table_compares_sentence_by_sentence() -> None:
    """SRO's seeds have J .3 and .5 on every sentence, the others' single runs .1 and .35."""

    def made(*j: float) -> dict[str, np.ndarray]:
        values = np.array([[value] * 20 for value in j])
        return dict.fromkeys(("j", "sta", "sim", "fl"), values)

    rows = methods.methods_table({"delete": made(0.1), "sro": made(0.3, 0.5), "sft": made(0.35)}).split("\n")[2:5]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == ["sro", "sft", "delete"]
    # The smallest two-sided p of 9,999 resamples is 2 in 10,000.
    assert "0.300 [0.200, 0.400] | 0.0002" in rows[2] and "| no |" in rows[2]
    # It began where SRO's first seed began.
    assert "-0.050 [-0.050, -0.050]" in rows[1] and "| yes |" in rows[1]
    asked = {"sro": made(0.3, 0.5), "sro, best of k": made(0.4, 0.5), "sft": made(0.35)}
    best, own, tuned = methods.methods_table(asked).split("\n")[2:5]
    assert best.split(" | ")[7:] == ["-0.050 [-0.100, 0.000]", "0.0002", "", " |"]
    assert own.split(" | ")[9] == "0.050 [0.000, 0.100]" and tuned.split(" | ")[9] == "0.050 [0.050, 0.050]"


SMALL = (
    "steps=2", "epochs=1", "toxic_limit=8", "evaluate_every=2", "development_limit=3", "test_limit=4",
    "generation_batch_size=4", "max_new_tokens=8", "batch_size=2", "systems=[sro]",
    "stop_length_ratio=0", "stop_repetition=1",
)  # fmt: skip


def test_runs_are_shared_resumed_and_fail_in_one_line(
    tiny_t5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SRO_DATA_DIR", raising=False)
    options = argparse.Namespace(seeds=2, workers=2, set=[f"leader={tiny_t5}"], data_dir=None, out=str(tmp_path))
    arms = [Arm("plain", "t5-paper", SMALL), Arm("again", "t5-paper", (*SMALL, "flip_rate=0.0"))]
    arms.append(Arm("once", "t5-paper", SMALL, most_seeds=1))
    runs = do_runs(arms, options)
    # Two arms of equal content are one run per seed.
    assert [run.folder for run in runs["plain"]] == [run.folder for run in runs["again"]]
    assert [run.folder for run in runs["once"]] == [runs["plain"][0].folder]
    assert stack_scores(runs["plain"], "sro")["j"].shape == (2, 4)
    assert [d.step for d in runs["plain"][0].outcome.history] == [0, 2]
    logs = {run.folder: run.folder.with_name(f"{run.folder.name}.log").read_text() for run in runs["plain"]}
    do_runs(arms, options)
    for folder, before in logs.items():
        after = folder.with_name(f"{folder.name}.log").read_text()[len(before) :]
        assert after.count("done before") == 10
    # The screener was fitted once per seed and linked, not fitted again, where it is shared.
    assert len(list((tmp_path / "shared").glob("screener-*.lock"))) == 2
    with pytest.raises(InputError, match=r"run broken, seed [12]: .*no such folder"):
        do_runs(
            [Arm("broken", "t5-paper", (*SMALL, "leader=./nowhere"))],
            argparse.Namespace(**{**vars(options), "set": []}),
        )
