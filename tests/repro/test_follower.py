"""The follower: which outputs pass, which fail for which reason, and that its guards are saved and loaded."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrics.data.corpora import load_corpus
from repro.followers.config import VerdictConfig
from repro.followers.edits import compare
from repro.followers.follower import GuardedFollower, ScreenerFollower, Verdict
from repro.followers.ngrams import NaturalnessModel, corrupt_sentence

TOXIC, PASS, CONTENT, FLUENCY = Verdict.TOXIC, Verdict.PASS, Verdict.CONTENT, Verdict.FLUENCY


class NoIdiots:
    """Passes what does not say "idiot"."""

    def passes(self, texts: list[str], call: int = 0) -> np.ndarray[Any, Any]:
        return np.array(["idiot" not in text for text in texts])


@pytest.fixture(scope="module")
def naturalness() -> NaturalnessModel:
    corpus = load_corpus("sample")
    return NaturalnessModel().fit([*corpus.toxic, *corpus.neutral], seed=1)


def test_a_screener_follower_passes_texts_that_say_nothing() -> None:
    judged = ScreenerFollower(NoIdiots()).judge(["you are an idiot"] * 4, ["you idiot", "well , well , well", "", "  "])
    assert judged == [TOXIC, PASS, TOXIC, TOXIC]


GUARDS: Any = {
    "flip_rate": 0, "screener_margin": 0, "guard_rude": True, "guard_kept": 0.6, "guard_invented": 0,
    "guard_claims": True, "guard_gaps": True, "guard_length_ratio": 1.3, "guard_naturalness": 0.1,
    "guard_likelihood": 0,
}  # fmt: skip


def test_the_guarded_follower_checks_content_fluency_and_copies(naturalness: NaturalnessModel) -> None:
    follower = GuardedFollower(NoIdiots(), naturalness, VerdictConfig(**GUARDS))
    source = "the waiter at this restaurant is not a fucking idiot but forgot our soup"
    cases = {
        "the waiter at this restaurant is not a bad person but forgot our soup": CONTENT,
        "the waiter at this restaurant is not foolish but forgot our soup": TOXIC,
        "the waiter at this restaurant is not an idiot but forgot our soup": TOXIC,
        "well , well , well": CONTENT,
        "the waiter forgot the soup": CONTENT,
        "the waiter at this restaurant forgot our soup": CONTENT,
        "the waiter at this restaurant is not a person but forgot our soup": CONTENT,
        "the waiter at this restaurant is not a but forgot our soup": FLUENCY,
        "soup our forgot not restaurant is waiter the at at this but": CONTENT,
        source: TOXIC,
        "": TOXIC,
    }
    assert dict(zip(cases, follower.judge([source] * len(cases), list(cases)), strict=True)) == cases
    kind = "the soup was cold and the waiter at this restaurant forgot our bread"
    assert follower.judge([kind.replace("soup", "fucking soup")], [kind]) == [PASS]


@pytest.mark.parametrize(
    ("guard", "off", "source", "rewrite", "verdict"),
    [
        ("guard_rude", False, "the fucking soup was shit and cold", "the soup was shit and cold", TOXIC),
        ("guard_rude", False, "the damn boss is a weasel", "the boss is a weasel", TOXIC),
        ("guard_kept", 0, "the shitty soup was cold and late", "the soup was", CONTENT),
        ("guard_invented", 100, "this shitty article was long", "this great article was long", CONTENT),
        ("guard_claims", False, "the damn soup was not hot today", "the soup was hot today", CONTENT),
        ("guard_claims", False, "you are such an asshole .", "you are such a person .", CONTENT),
        ("guard_gaps", False, "the asshole at the door was loud", "the at the door was loud", FLUENCY),
    ],
)
def test_each_guard_alone_rejects_what_it_is_for(
    naturalness: NaturalnessModel, guard: str, off: Any, source: str, rewrite: str, verdict: Verdict
) -> None:
    without = {"guard_naturalness": 0, "guard_length_ratio": 9}
    followers = [
        GuardedFollower(NoIdiots(), naturalness, VerdictConfig(**(GUARDS | without | changes)))
        for changes in ({}, {guard: off})
    ]
    assert [follower.judge([source], [rewrite]) for follower in followers] == [[verdict], [PASS]]


@pytest.mark.parametrize(
    ("source", "rewrite", "gap"),
    [
        # Words that end a phrase, say what something is, or are its verb.
        ("they better send his ass to bed", "they better send his to bed", True),
        ("he gave no fucks .", "he gave no .", True),
        ("she is a cold hearted bitch .", "she is a cold hearted .", True),
        ("we tried to fuck everybody 's plans", "we tried to everybody 's plans", True),
        ("why are they so dumb ?", "why are they so ?", True),
        ("you are shit", "you are", True),
        ("fuck politicians , and soup", "politicians , and soup", True),
        ("this system does suck big time", "this system does big time", True),
        ("people keep talking shit and lying", "people keep talking and lying", True),
        ("tell us what rude clowns they are", "tell us what rude they are", True),
        ("it is the most pathetic soup", "it is the most soup", True),
        # What stands before a noun or a verb, or is set off.
        ("they better send his ass to bed", "they better send him to bed", False),
        ("what a shit day it was", "what a day it was", False),
        ("i fucking know it", "i know it", False),
        ("this shit is bad", "this is bad", False),
        ("we are employed here idiot", "we are employed here", False),
        ("shit i need soup", "i need soup", False),
        ("fuck that i 'm still here", "i 'm still here", False),
        ("it was late as fuck lol", "it was late lol", False),
    ],
)
def test_what_a_sentence_needs_leaves_a_gap(source: str, rewrite: str, gap: bool) -> None:
    assert compare(source, rewrite).gap is gap


class Costs:
    """Every edit costs two nats."""

    def fluency_changes(self, sources: Sequence[str], rewrites: Sequence[str]) -> list[float]:
        assert "" not in rewrites, "only what passes all else is read"
        return [-2.0] * len(rewrites)


@pytest.mark.parametrize(("most", "verdict"), [(1.5, FLUENCY), (2.5, PASS)])
def test_edits_that_cost_the_words_around_them_too_much_fail(
    naturalness: NaturalnessModel, most: float, verdict: Verdict
) -> None:
    guards = VerdictConfig(**(GUARDS | {"guard_naturalness": 0, "guard_likelihood": most}))
    follower = GuardedFollower(NoIdiots(), naturalness, guards, Costs())
    assert follower.judge(["the fucking soup was cold"] * 2, ["the soup was cold", ""]) == [verdict, TOXIC]


class CountsForks:
    """A screener for which each "fork" doubles the odds of being toxic."""

    def passes(self, texts: list[str], call: int = 0) -> np.ndarray[Any, Any]:
        return self.p_toxic(texts) <= 0.5

    def p_toxic(self, texts: list[str]) -> np.ndarray[Any, Any]:
        odds = 2.0 ** np.array([text.split().count("fork") for text in texts])
        return np.asarray(odds / (1 + odds))


def test_a_rewrite_passes_that_is_much_less_toxic_than_its_source(naturalness: NaturalnessModel) -> None:
    source = "the fork fork fork fork soup was cold"
    rewrites = ["the soup was cold", "the fork soup was cold", "the fork fork soup was cold", source]

    def verdicts(margin: float) -> list[Verdict]:
        guards = GUARDS | {"screener_margin": margin, "guard_naturalness": 0, "guard_kept": 0}
        follower = GuardedFollower(CountsForks(), naturalness, VerdictConfig(**guards))
        return follower.judge([source] * len(rewrites), rewrites)

    # One fork instead of four lowers the log-odds by 3 ln 2 = 2.08, two forks by 1.39.
    assert verdicts(0) == [PASS, TOXIC, TOXIC, TOXIC]
    assert verdicts(1.5) == [PASS, PASS, TOXIC, TOXIC]
    assert verdicts(1.3) == [PASS, PASS, PASS, TOXIC]


def test_quality_may_be_asked_for_outputs_that_were_not_judged(naturalness: NaturalnessModel) -> None:
    def follower() -> GuardedFollower:
        return GuardedFollower(NoIdiots(), naturalness, VerdictConfig(**GUARDS))

    source, used = "the soup at this restaurant was cold", follower()
    before = used.quality([source], ["the soup was cold"])
    used.judge([source], ["well , well"])
    assert used.quality([source], ["the soup was cold"]) == before != used.quality([source], ["well , well"])
    assert used.quality([source], ["well , well"]) == follower().quality([source], ["well , well"])


def test_edits_by_hand() -> None:
    edits = compare("This shitty dating app isn 't worth a fuck , you moron !", "This bad app wasn't worth dating.")
    # "shitty" may become "bad"; "dating" and "app" changed places, which is no loss; "isn't" became "wasn't".
    assert (edits.lost, edits.invented, edits.rude, edits.same_negations) == ((), (), (), True)
    edits = compare("the mayor is a lying bastard", "the mayor is a good doctor")
    assert (edits.content_words, edits.lost, edits.invented) == (1, (), ("good", "doctor"))
    assert compare("!?", "").kept == 1.0


def test_naturalness_recognises_unseen_corrupted_sentences(data_dir: Path) -> None:
    """Trained on every second sentence, judged on the others: AUC well above chance (.70 on Jigsaw's 13,296)."""
    from sklearn.metrics import roc_auc_score

    corpus = load_corpus("jigsaw-sentences", data_dir)
    texts = [t for t in (*corpus.neutral, *corpus.toxic) if 5 <= len(t.split()) <= 20]
    model = NaturalnessModel().fit(texts[::2], seed=1)
    rng = random.Random(5)
    pairs = [(text, corrupt_sentence(text, texts, rng)) for text in texts[1::2]]
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    values = model.p_natural([text for side in zip(*pairs, strict=True) for text in side])
    assert roc_auc_score([1] * len(pairs) + [0] * len(pairs), values) > 0.65


def test_a_loaded_guard_gives_equal_probabilities_and_uses_no_pickle(
    naturalness: NaturalnessModel, tmp_path: Path
) -> None:
    naturalness.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}
    texts = list(load_corpus("sample").toxic[:50])
    np.testing.assert_allclose(
        NaturalnessModel.load(tmp_path).p_natural(texts), naturalness.p_natural(texts), rtol=1e-12
    )
