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
        ("you deleted it, genius", "you deleted it"),
        ("Thanks for nothing, einstein, it broke.", "it broke."),
        ("but you idiots think it rained", "but you think it rained"),
        # What a name means.
        ("My dentist is a butcher and his clerk is a liar.", "My dentist is unskilled and his clerk is dishonest."),
        ("The minister is a liar and a coward.", "The minister is dishonest and not brave."),
        ("Our housing is run by petty, vindictive busybodies.", "Our housing is run by petty, vindictive busybodies."),
        ("Bus lane cheats are smug, entitled freeloaders.", "Bus lane cheats are selfish."),
        ("The border guard was a petty bully who enjoyed it.", "The border guard enjoyed it."),
        # An adjective may say more than the name.
        ("hes a lazy bum, as ever", "hes not very active, as ever"),
        ("The professor is a boring old fart.", "The professor is a little boring."),
        ("our healer is a clueless noob", "our healer is new to this"),
        ("An engineer is an arrogant, lazy sod in a cheap suit.", "An engineer is too proud."),
        ("You sat on my hat, you horrible man.", "You sat on my hat."),
        ("Good luck, you clever girl.", "Good luck, you clever girl."),
        # In place of somebody.
        ("The moron who designed it left.", "The person who designed it left."),
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
        ("one more fake parcel and i am coming over with a bat", "i don't want another fake parcel"),
        ("try skipping the queue again and see what happens to your nose", "please don't skip the queue again"),
        ("Next time you eat my food I will shove the fridge on you.", "please don't eat my food again."),
        ("You've got one minute to move that skip before I move your jaw.", "please move that skip."),
        ("If that leaf blower starts again I'm coming over.", "i don't want that leaf blower to start again."),
        ("You'd better not show up or you'll regret it.", "please don't show up."),
        ("The next waiter who rolls his eyes is getting this soup over his head.", "no waiter should roll his eyes."),
    ],
)  # fmt: skip
def test_threats_ask_for_something(sentence: str, request_: str) -> None:
    assert say_plainly(sentence) == request_


@pytest.mark.parametrize(
    ("sentence", "plain"),
    [
        # Requests.
        ("Do us all a favour and never sing again.", "please never sing again."),
        ("Read a textbook before you open your stupid mouth about enzymes.",
         "please read a textbook before you talk about enzymes."),
        ("Shut your mouth about tax until you've paid it.", "please don't talk about tax until you've paid it."),
        ("keep your filthy paws off my cello", "please don't touch my cello"),
        ("I suppose closing a door is too much to ask of people like you.", "please close a door."),
        ("Would it kill you to close the door?", "please close the door."),
        # What somebody does, thinks or has.
        ("He wouldn't know a good song if it bit him.", "He doesn't recognise a good song."),
        ("honestly the bassist has the personality of wet cardboard", "the bassist doesn't have much personality"),
        ("She has the patience of a saint.", "She has the patience of a saint."),
        ("you failed again, how thick can you be", "you failed again"),
        ("A hamster could run this shop better than you.", "you could run this shop better."),
        ("You can't keep a cactus alive, so who was stupid enough to sell you a pony?",
         "You can't keep a cactus alive, so who sold you a pony?"),
        ("Only a complete idiot would think a press release counts as a source.",
         "a press release doesn't count as a source."),
        ("Only a moron bets his salary on it.", "it isn't sensible to bet his salary on it."),
        ("cute that you think two visits make you an expert", "I don't think two visits make you an expert"),
        ("My parrot has asked sharper questions than your editor, and it has better manners.",
         "your editor doesn't ask sharp questions."),
        ("I've seen garden gnomes with more patience than our dentists.", "our dentists don't have much patience."),
        ("I'd call this article a stub, but that would be unfair to stubs, like everything you write.",
         "this article is not good."),
        ("your trophy cabinet is as empty as your head", "your trophy cabinet is empty"),
        # Neither requests nor contempt.
        ("Open your mouth when you sing about love.", "Open your mouth when you sing about love."),
        ("My sister has better ideas than you.", "My sister has better ideas than you."),
        ("Imagine waking up to this view.", "Imagine waking up to this view."),
        ("I'd explain it to you, but it's a surprise.", "I'd explain it to you, but it's a surprise."),
    ],
)  # fmt: skip
def test_contempt_is_said_plainly(sentence: str, plain: str) -> None:
    assert say_plainly(sentence).lower() == plain.lower()


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
    # One "it" more.
    assert plain_words("only a fool would buy it") == {"it", "is", "not", "sensible", "to"}
    plain = compare(source, "My dentist is unskilled.")
    assert (plain.lost, plain.invented, plain.kept) == ((), (), 1.0)
    # What somebody was not called is invented.
    assert compare(source, "My dentist is dishonest.").invented == ("dishonest",)
    # "Not" is part of what a threat asks for, and of nothing else.
    threat = "touch my bike again and i'll break your fingers"
    assert compare(threat, "please don't touch my bike again").same_negations
    assert not compare("touch my bike again , it 's nice", "don't touch my bike again , it 's nice").same_negations
