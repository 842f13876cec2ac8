"""Rows of the warm-up, and the table of rude and neutral wordings that they are made with."""

from __future__ import annotations

import random
import re

import pytest

from metrics.data.corpora import load_corpus
from metrics.systems.baselines import lexicon
from repro.training.config import WarmupConfig
from repro.training.warmup import warmup_rows
from repro.wording.insults import say_plainly
from repro.wording.registers import change_register
from repro.wording.rudeness import add_rudeness, call_names, find_rude, load_equivalents, words

NEUTRAL = ["the soup was cold when it came", "we waited for an hour at the door"]


def test_rows_have_the_given_shares_and_no_rude_target() -> None:
    pairs, softened = [("it rained a lot", "there was much rain")], [("this is shit", "this is bad")]
    config = WarmupConfig(
        warmup="denoise", warmup_corpora=[], warmup_steps=100, warmup_batch_size=20, warmup_learning_rate=0,
        warmup_changes=3, warmup_pair_share=0.25, warmup_softened=1,
        warmup_softened_share=0.4, warmup_max_words=14, warmup_registers=0.0,
        warmup_names=0.0,
    )  # fmt: skip
    rows = warmup_rows([*NEUTRAL, "you are a damn fool"], pairs, softened, config, seed=1)
    sources = [(row["source"], row["target"]) for row in rows]
    # A quarter are pairs. 2,000 draws: standard deviation .01.
    assert sources.count(pairs[0]) / 2_000 == pytest.approx(0.25, abs=0.04)
    restored = [row for row in rows if row["target"] in NEUTRAL]
    # Of the other three quarters, four tenths: standard deviation .01.
    assert sources.count(softened[0]) / 2_000 == pytest.approx(0.3, abs=0.04)
    assert len(restored) == 2_000 - sources.count(pairs[0]) - sources.count(softened[0])
    assert all(row["source"] != row["target"] for row in restored)
    assert rows == warmup_rows([*NEUTRAL, "you are a damn fool"], pairs, softened, config, seed=1)


def test_names_are_paired_with_what_they_mean() -> None:
    rng = random.Random(5)
    assert call_names("We waited for an hour.", rng) is None
    for _ in range(200):
        pair = call_names("The waiter forgot our soup.", rng)
        assert pair is not None
        source, target = pair
        # The name or an adjective stands under its meaning in the table, and the rest of the sentence on both sides or
        # on neither.
        called = re.fullmatch(r"The waiter (?:is|was) (?:an?|such an?) (.+?)(?: and forgot our soup)?\.", source)
        meant = re.fullmatch(r"The waiter (?:is|was) (.+?)(?: and forgot our soup)?\.", target)
        assert called and meant, pair
        table = load_equivalents()
        traits = [adjective for adjective, meaning in table.traits.items() if meaning == meant[1]]
        named = any(called[1].endswith(name) for name in table.names.get(meant[1], ()))
        assert named or any(adjective in called[1] for adjective in traits), pair
        assert source.endswith("forgot our soup.") == target.endswith("forgot our soup.")


def test_requests_become_threats_and_are_found_again() -> None:
    rude = {add_rudeness("Please don't park here.", 1, random.Random(seed)) for seed in range(100)}
    threats = {"Park here again and you will regret it.", "Park here and i will smash your face in."}
    assert threats < rude
    assert {say_plainly(text) for text in threats} == {"please don't park here again.", "please don't park here."}


def test_another_register_is_the_same_on_both_sides() -> None:
    """What the source has beside its target, and nothing else, is what was rude."""
    rng = random.Random(3)
    for _ in range(300):
        source, target = change_register("You don't know a damn thing about rain.", "You don't know rain.", rng)
        before, after = source.split(), target.split()
        remaining = iter(before)
        assert all(word in remaining for word in after), (source, target)
        added = [word for word in before if before.count(word) > after.count(word)]
        assert len(added) == 4 and "damn" in added[1], (source, target)


def test_the_table_has_entries_for_every_part_of_speech_and_derives_their_forms() -> None:
    table = load_equivalents()
    assert len(table.phrases) > 600
    # Plural, past, third person and participle, on both sides; the head of a phrase is inflected.
    assert "assholes" in table.rude["people"] and "pieces of shit" in table.rude["things"]
    assert "screwed up" in table.rude["ruined"] and "pisses off" in table.rude["annoys"]
    assert "scaring the shit out of" in table.rude["frightening"]
    assert set(table.neutral["bitching"]) >= {"complaining"}
    # Every rude wording says it with a rude word, or is a phrase.
    mild = [p for p in table.neutral if " " not in p and not {*words(p)} & lexicon()]
    assert len(mild) < 0.12 * len(table.neutral), mild


def test_what_is_made_rude_keeps_the_other_words_their_case_and_their_punctuation() -> None:
    """Every word of the neutral sentence stands in the rude one, in order, or has a rude wording that replaces it."""
    rng, texts = random.Random(4), load_corpus("sample").neutral[:300]
    for text in texts:
        rude = add_rudeness(text, 1, rng)
        if any(text.lower().startswith(turn.removesuffix("…")) for turn in load_equivalents().turns):
            continue
        supported = {word for _, neutral in find_rude(words(rude)) for phrase in neutral for word in words(phrase)}
        lost = [word for word in words(text) if word not in words(rude) and word not in supported]
        # Articles follow the next word, and give way to "some".
        assert {*lost} <= {"a", "an", "the", "my", "your", "his", "our", "their", "this"}, (text, rude)
        assert re.findall(r"[;:()]", text) == re.findall(r"[;:()]", rude)
        assert rude[0].isupper() == text[0].isupper() or text[0].isdigit() or not text[0].isalpha(), (text, rude)


@pytest.mark.parametrize(
    ("neutral", "rude"),
    [
        ("what an interesting place", "what a fucking place"),
        ("They don 't care about it .", "They don 't give a shit about it ."),
        ("The food was bad .", "The food was shitty ."),
    ],
)
def test_wordings_of_the_table_are_found_again(neutral: str, rude: str) -> None:
    supported = {word for _, phrases in find_rude(words(rude)) for phrase in phrases for word in words(phrase)}
    assert {*words(neutral)} - {*words(rude)} - {"interesting", "an"} <= supported


def test_articles_follow_the_word_behind_them() -> None:
    changed = {add_rudeness("it is an old house", 1, random.Random(seed)) for seed in range(200)}
    assert not [text for text in changed if re.search(r"\ban [b-df-gj-np-tv-z]|\ba [aeio]", text)]
    assert any(re.search(r"\ba (freaking|goddamn)", text) for text in changed)
