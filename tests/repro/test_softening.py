"""Polite rewrites by rule, and the choice among them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from metrics.models.loading import load_model
from metrics.models.resolve import resolve_model
from repro.followers.follower import Verdict
from repro.leader.leader import Leader
from repro.training.softened import choose_rewrites, mean_logprobs, passing_candidates
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
        ("the soup was cold , and the waiter is a moron", "the soup was cold"),
    ],
)
def test_rules_propose_what_a_person_would_write(source: str, rewrite: str) -> None:
    assert rewrite in propose_rewrites(source, 24, random.Random(1))


def test_nothing_is_proposed_for_what_the_rules_do_not_know() -> None:
    assert propose_rewrites("A team of mannequins would have marked closer.", 24, random.Random(1)) == []


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


def test_the_likelihood_is_that_of_the_model_and_decides(tiny_llama: Path) -> None:
    loaded = load_model(resolve_model(str(tiny_llama)), prompt="{text}")
    leader = Leader(loaded, train=1)
    texts = ["you are late", "the shop is closed today and tomorrow"]
    tokenizer, expected = loaded.tokenizer, []
    # This tokenizer knows no line break.
    start = [tokenizer.eos_token_id]
    for text in texts:
        target = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([[*start, *target]])).logits[0]
        logprobs = logits[len(start) - 1 : -1].log_softmax(-1)
        expected.append(float(logprobs[range(len(target)), target].mean()))
    values = mean_logprobs(leader, texts)
    assert values == pytest.approx(expected, abs=1e-4)
    # Both keep all content, so the more likely one is chosen, unless it is much less likely than the source.
    best = texts[values.index(max(values))]
    chosen = dict(choose_rewrites(leader, {best: texts}))
    assert chosen == {best: best}
