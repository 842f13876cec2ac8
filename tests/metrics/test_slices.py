"""Slices: the rules on sentences written by hand, means worked out by hand, and that slices partition the sentences."""

from __future__ import annotations

import random

import numpy as np
import pytest

from metrics.scoring import METRICS
from metrics.scoring.slices import SLICINGS, ScoredSentences, count_line, count_outputs, slice_scores, slice_tables
from metrics.scoring.toxicity import TOXICITY_KINDS, toxicity_kind

# Written for this test; none stands in the sample, with which the rules were written.
KINDS = {
    "threat": (
        "Ring that bell once more and I will break your fingers.",
        "im gonna punch you if the dog barks tonight",
        "people who litter here should be shot",
        "You'll regret the day you parked on my lawn, jerk.",
        "come to my house again and i'll kill you",
        "Watch your back, old man.",
    ),
    "insult": (
        "The plumber was a greedy crook.",
        "you are so stupid it hurts",
        "sit down, clown",
        "Those lazy pigs never clean the stairs.",
        "he has no talent and a nice hat",
        "What an arrogant snob your cousin is.",
        "shut up about your holiday",
        "which of you idiots left the gate open",
    ),
    "explicit word": (
        "where the hell is my coat",
        "This soup tastes like shit.",
        "my fucking train is late again",
        "what a crappy ending for a good film",
        "A pig crossed the road and it was bloody funny.",
    ),
    "implicit": (
        "A trained hamster would file my taxes faster than your office.",
        "Congratulations, you found the only way to burn water.",
        "I will break the news to her tomorrow.",
        "did they teach you to read at all",
        "We saw a snake in the garden.",
    ),
}


@pytest.mark.parametrize(("kind", "source"), [(kind, source) for kind, texts in KINDS.items() for source in texts])
def test_the_kind_of_toxicity_of_sentences_written_by_hand(kind: str, source: str) -> None:
    assert toxicity_kind(source) == kind


def sentences(source: list[str], sta: list[float], sim: list[float], faults: tuple[str, ...] = ()) -> ScoredSentences:
    values = {"sta": np.array(sta), "sim": np.array(sim), "fl": np.full(len(sta), 0.8)}
    return ScoredSentences(source, {**values, "j": values["sta"] * values["sim"] * values["fl"]}, faults)


def test_slices_by_hand() -> None:
    """J is .72 (none sank it), 0 (STA), .16 (SIM), and .48, where FL = .8 is the lowest."""
    short, long = "what the hell", "what the hell happened to the blue boat that we painted last summer , dear ?"
    scored = sentences([short, long, short, short], [1, 0, 1, 1], [0.9, 0.9, 0.2, 0.6])
    scored.values["fl"][:] = [0.8, 0.8, 0.8, 0.5]
    scored.values["j"][:] = [0.72, 0, 0.16, 0.3]
    found = {(one.slicing, one.name): one for one in slice_scores(scored)}
    assert [name for slicing, name in found if slicing == "sunk"] == ["none", "STA", "SIM", "FL"]
    # A detached comma or question mark is no word: the long source has 14.
    assert found["length", "long, from 13"].n == 1
    few = found["length", "short, up to 8 words"]
    assert (few.n, few.sta) == (3, 1.0)
    assert few.sim == pytest.approx(1.7 / 3) and few.fl == pytest.approx(0.7) and few.j == pytest.approx(1.18 / 3)
    assert found["toxicity", "explicit word"].n == 4 and not any(slicing == "fault" for slicing, _ in found)
    assert count_line(scored) == "lowest metric if J < 0.5: none 1, STA 1, SIM 1, FL 1"


def test_the_judges_faults_take_the_place_of_the_lowest_metric() -> None:
    faults = ("lost", "none", "gap", "lost")
    scored = sentences(["a b"] * 4, [1, 1, 1, 1], [0.1, 0.9, 0.5, 0.3], faults)
    assert count_outputs(scored) == ("fault that the judge sees", {"none": 1, "lost": 2, "gap": 1})
    lost = next(one for one in slice_scores(scored) if one.name == "lost")
    assert lost.n == 2 and lost.j == pytest.approx(0.8 * 0.2)


def test_of_equal_scores_the_first_metric_counts_and_an_empty_output_is_sunk_by_sta() -> None:
    scored = sentences(["x", "y"], [0.0, 0.8], [0.0, 0.7])
    scored.values["fl"][:] = [0.0, 0.7]
    scored.values["j"][:] = [0.0, 0.8 * 0.7 * 0.7]
    assert SLICINGS["sunk"].label(scored) == ["STA", "SIM"]


@pytest.mark.parametrize("seed", range(20))
def test_slices_partition_the_sentences_and_their_weighted_means_give_the_total(seed: int) -> None:
    rng = random.Random(seed)
    n = rng.randint(1, 60)
    words = ["you", "idiot", "hell", "i", "will", "kill", "boat", ",", "red", "the"]
    source = [" ".join(rng.choices(words, k=rng.randint(0, 20))) for _ in range(n)]
    scored = sentences(
        source,
        [rng.choice([0.0, rng.random(), 1.0]) for _ in range(n)],
        [rng.uniform(-1, 1) for _ in range(n)],
        tuple(rng.choices(["none", "lost", "rude", "of another judge"], k=n)),
    )
    slices = slice_scores(scored)
    for key in SLICINGS:
        own = [one for one in slices if one.slicing == key]
        assert sum(one.n for one in own) == n and len({one.name for one in own}) == len(own)
        for metric in METRICS:
            total = sum(one.n * getattr(one, metric) for one in own) / n
            assert total == pytest.approx(float(scored.values[metric].mean()))
    assert {one.name for one in slices if one.slicing == "toxicity"} <= set(TOXICITY_KINDS)


def test_the_tables_stand_by_slice_and_then_by_system() -> None:
    good = sentences(["what the hell", "a hamster is faster"], [1, 1], [1, 1])
    bad = sentences(["what the hell", "a hamster is faster"], [0, 1], [1, 1])
    head, rows = slice_tables({"good": good, "bad": bad})[0]
    assert head == ["kind of toxicity", "system", "n", "STA", "SIM", "FL", "J"]
    assert rows == [
        ["explicit word", "good", "1", "1.000", "1.000", "0.800", "0.800"],
        ["explicit word", "bad", "1", "0.000", "1.000", "0.800", "0.000"],
        ["implicit", "good", "1", "1.000", "1.000", "0.800", "0.800"],
        ["implicit", "bad", "1", "1.000", "1.000", "0.800", "0.800"],
    ]
