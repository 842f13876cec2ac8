"""What insulting sentences say in plain words."""

from __future__ import annotations

import pytest

from repro.followers.edits import compare
from repro.wording.insults import insult_words, plain_words, say_plainly
from repro.wording.threats import find_request


@pytest.mark.parametrize(
    ("sentence", "plain"),
    [
        # Forms of address, at both ends and within.
        ("You dozy clot, the lid goes on first.", "the lid goes on first."),
        ("congrats moron you deleted the source", "you deleted the source"),
        ("You licked the spoon, you absolute hog.", "You licked the spoon."),
        ("use your indicator you moron, its next to the wheel", "use your indicator, its next to the wheel"),
        ("but you idiots think it rained", "but you think it rained"),
        # What a name means.
        ("My dentist is a butcher and his clerk is a liar.", "My dentist is unskilled and his clerk is dishonest."),
        ("The minister is a liar and a coward.", "The minister is dishonest and afraid."),
        ("Our housing is run by petty, vindictive busybodies.", "Our housing is run by petty, vindictive busybodies."),
        ("Bus lane cheats are smug, entitled freeloaders.", "Bus lane cheats are not generous."),
        ("The border guard was a petty bully who enjoyed it.", "The border guard enjoyed it."),
        # In place of somebody.
        ("some plank put it behind the copier", "someone put it behind the copier"),
        ("I work with a bunch of backstabbing weasels who gossip.", "I work with people who gossip."),
        ("Whichever louse dented it can pay.", "Whoever dented it can pay."),
        ("give it to somebody other than any of you losers", "give it to somebody other than any of you"),
        ("the bloviating ignoramus loves to talk", "he loves to talk"),
        ("liberals are a bunch of liars", "liberals are dishonest"),
        ("they are a bunch of halfwits running around", "they are running around"),
        ("i quit this forum, bunch of idiots", "i quit this forum"),
        ("you appear to be a troll that votes", "you appear to be a troll that votes"),
        ("made for some jerk to sell", "made for someone to sell"),
        ("you voted for this moron and paid", "you voted for him and paid"),
        ("some folks are too thick to understand it", "some folks don't understand it"),
        ("he's too dumb to know", "he doesn't know"),
        ("You must be too dumb to understand.", "You must be too dumb to understand."),
        # Not about a person, or no name.
        ("junior should fire the crook", "junior should fire the crook"),
        ("the scumbag meter is in the red", "the scumbag meter is in the red"),
        ("A rat ran across the kitchen.", "A rat ran across the kitchen."),
        ("The soup was a bit too salty for me.", "The soup was a bit too salty for me."),
    ],
)
def test_names_are_said_plainly(sentence: str, plain: str) -> None:
    assert say_plainly(sentence) == plain


@pytest.mark.parametrize("text", ["-" * 1500, f"a{' ' * 1500}b", f"well {'.-' * 700} bunch"])
def test_long_rows_of_signs_and_blanks_are_read_fast(text: str) -> None:
    """The time grew with the cube of their length: minutes for one sentence."""
    assert say_plainly(text) == text


@pytest.mark.parametrize(
    ("sentence", "request_"),
    [
        ("Touch my bike again, and I'll break your fingers.", "please don't touch my bike again."),
        ("print my name one more time and ill smash your window", "please don't print my name again"),
        ("keep talking over me and i'll knock your teeth out", "please stop talking over me"),
        ("Pay me by Sunday or I'm coming over.", "please pay me by Sunday."),
        ("hand over the remote or lose a kneecap", "please hand over the remote"),
        ("If you spill wine on this dress I will end you.", "please don't spill wine on this dress."),
        ("If that man knocks again, I'll kick him.", "i don't want that man to knock again."),
        ("one more fake parcel and i am coming over with a bat", "i don't want one more fake parcel"),
        ("try skipping the queue again and see what happens to your nose", "please don't skip the queue again"),
        ("The next waiter who rolls his eyes is getting this soup over his head.", "no waiter should roll his eyes."),
    ],
)  # fmt: skip
def test_threats_ask_for_something(sentence: str, request_: str) -> None:
    assert say_plainly(sentence) == request_


@pytest.mark.parametrize(
    "sentence",
    [
        "Call me again and I'll bring the cake.",
        "If you like the book, I will send you the next one.",
        "Take the bus or we will be late.",
        "Take the soup or the salad.",
    ],
)
def test_promises_are_no_threats(sentence: str) -> None:
    assert find_request(sentence) is None


def test_a_rewrite_may_lose_the_insult_and_gain_what_it_means() -> None:
    source = "My dentist is a slimy butcher, you clown."
    assert insult_words(source) == {"a", "slimy", "butcher", "you", "clown"}
    assert plain_words(source) == {"unskilled"}
    plain = compare(source, "My dentist is unskilled.")
    assert (plain.lost, plain.invented, plain.kept) == ((), (), 1.0)
    # What somebody was not called is invented.
    assert compare(source, "My dentist is dishonest.").invented == ("dishonest",)
    # "Not" is part of what a threat asks for, and of nothing else.
    threat = "touch my bike again and i'll break your fingers"
    assert compare(threat, "please don't touch my bike again").same_negations
    assert not compare("touch my bike again , it 's nice", "don't touch my bike again , it 's nice").same_negations
