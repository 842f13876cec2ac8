"""The letters of ties, read back: which systems a paired test does not tell apart."""

import re

from leaderboard.board.ties import letter
from leaderboard.space.data import Record

# A range from outside may claim more.
_MOST_LETTERS = 1_000
_PART = re.compile(r"([a-z]{1,3})(?:–([a-z]{1,3}))?", re.ASCII)


def letters(record: Record) -> frozenset[str]:
    """Return the letters in a record's ties, "a b" or "a–d"; what is no letter counts for nothing."""
    found: list[str] = []
    for part in str(record["ties"] or "")[:_MOST_LETTERS].split():
        if match := _PART.fullmatch(part):
            first, last = (_number(name or match[1]) for name in match.groups())
            found += map(letter, range(first, min(last, first + _MOST_LETTERS) + 1))
    return frozenset(found)


def tied(first: Record, second: Record) -> bool:
    """Return whether two ranked records share a letter."""
    return bool(letters(first) & letters(second))


def _number(name: str) -> int:
    """The place of a letter's name: a is 0, z is 25, aa is 26."""
    number = 0
    for character in name:
        number = 26 * number + ord(character) - ord("a") + 1
    return number - 1
