"""Polite rewrites by rule, and the choice among them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from metrics.models.loading import load_model
from metrics.models.resolve import resolve_model
from repro.followers.follower import Verdict
from repro.leader.fluency import LikelihoodModel, fluency_change, token_logprobs
from repro.leader.leader import Leader
from repro.training import softened
from repro.training.softened import choose_rewrites, passing_candidates
from repro.wording.softening import propose_rewrites


@pytest.mark.parametrize(
    ("source", "rewrite"),
    [
        ("Answer the goddamn phone.", "Answer the phone."),
        ("They don 't care , it 's shitty .", "They don 't care , it 's bad ."),
        ("You forgot the name of the client, you lazy oaf.", "You forgot the name of the client."),
        ("You pompous ass, nobody signed it.", "Nobody signed it."),
        ("Which genius planted mint here?", "Who planted mint here?"),
        ("Only a moron bets his salary on it.", "It isn't sensible to bet his salary on it."),
        ("If you had any skill at all, you would have tested it.", "You should have tested it."),
        ("My boss is a control freak who counts our breaks.", "My boss counts our breaks."),
        ("Delete it by tonight or we'll pay you a visit.", "Please delete it by tonight."),
        ("the soup was cold , and the waiter is a moron", "the soup was cold , and the waiter is unwise"),
        ("the soup was cold , and this is bullshit", "the soup was cold"),
        # Idioms, and words that say something else in each place.
        ("she gave no fucks , he sure as shit did", "she did not care , he certainly did"),
        ("keep talking shit about soup", "keep gossiping about soup"),
        ("he said a load of crap", "he said nonsense"),
        ("she doesn 't do shit , they don 't know shit", "she doesn 't do anything , they don 't know"),
        ("shit just got real", "things just got real"),
        ("it was a shit day", "it was a bad day"),
        ("he said crazy shit", "he said crazy stuff"),
        ("shit i forgot the soup", "i forgot the soup"),
        ("fuck politicians , so screw soup", "forget politicians , so forget soup"),
        ("he was slow as fuck", "he was slow"),
        ("they made an ass of themselves", "they embarrassed themselves"),
        ("they fuck up big , it was a fuck up", "they mess up big , it was a mistake"),
        ("regular idiots get soup", "regular people get soup"),
        ("tell this bitch to come", "tell this woman to come"),
    ],
)
def test_rules_propose_what_a_person_would_write(source: str, rewrite: str) -> None:
    assert rewrite in propose_rewrites(source, 24, random.Random(1))


def test_nothing_is_proposed_for_what_the_rules_do_not_know() -> None:
    assert propose_rewrites("A team of mannequins would have marked closer.", 24, random.Random(1)) == []
    # What is left of a sentence is one word.
    assert propose_rewrites("Mary , you are a disgrace .", 24, random.Random(1)) == []
    # "I won't watch that anything" is no English.
    assert not any("anything" in text for text in propose_rewrites("i wont watch that dick .", 24, random.Random(1)))


class _RejectsWords:
    """A follower that rejects outputs with one of its words."""

    def judge(self, sources: list[str], outputs: list[str], call: int = 0) -> list[Verdict]:
        return [Verdict.TOXIC if "shit" in output or "poop" in output else Verdict.PASS for output in outputs]

    def quality(self, sources: list[str], outputs: list[str]) -> list[float]:
        return [-float(len(output)) for output in outputs]


def test_candidates_pass_the_follower_and_the_best_come_first() -> None:
    candidates = passing_candidates("this shit is broken", _RejectsWords(), seed=3)  # type: ignore[arg-type]
    assert 1 <= len(candidates) <= 4
    assert not [c for c in candidates if "shit" in c or "poop" in c]
    assert candidates == sorted(candidates, key=len)
    # The same draw for the same text and seed.
    assert candidates == passing_candidates("this shit is broken", _RejectsWords(), seed=3)  # type: ignore[arg-type]


def test_the_likelihood_is_that_of_the_model_and_decides(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_model(resolve_model(str(tiny_llama)), prompt="{text}")
    leader = Leader(loaded, train=1)
    texts = ["you are late", "the shop is closed today and tomorrow"]
    tokenizer, expected = loaded.tokenizer, []
    # This tokenizer knows no line break.
    start = [tokenizer.eos_token_id]
    for text in texts:
        target = [*tokenizer(f" {text}", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([[*start, *target]])).logits[0]
        logprobs = logits[len(start) - 1 : -1].log_softmax(-1)
        expected.append((target, logprobs[range(len(target)), target].tolist()))
    for (ids, values), (target, logprobs) in zip(token_logprobs(leader, texts), expected, strict=True):
        assert ids == target
        assert values == pytest.approx(logprobs, abs=1e-4)
    # Neither loses content, so that the change decides; an edit that costs more than the margin is not made.
    changes = [fluency_change(expected[0], one) for one in expected]
    best = texts[changes.index(max(changes))]
    assert dict(choose_rewrites(LikelihoodModel(leader), {texts[0]: texts})) == {texts[0]: best}
    monkeypatch.setattr(softened, "_MARGIN", -max(changes) - 1)
    assert dict(choose_rewrites(LikelihoodModel(leader), {texts[0]: texts})) == {}


def test_an_edit_costs_what_the_words_around_it_lose() -> None:
    source = ([1, 2, 3, 4], [-1.0, -2.0, -9.0, -3.0])
    # Without the third token, the fourth is less probable by 2.5; the others are as they were.
    assert fluency_change(source, ([1, 2, 4], [-1.0, -2.0, -5.5])) == pytest.approx(-2.5)
    # What the text gains at one place counts as 1 at most.
    assert fluency_change(source, ([1, 2, 4], [-1.0, -2.0, -0.5])) == pytest.approx(1.0)
    # A new token of log-probability -4 in place of the third is 2 above -6.
    assert fluency_change(source, ([1, 2, 7, 4], [-1.0, -2.0, -4.0, -3.0])) == pytest.approx(2.0)
