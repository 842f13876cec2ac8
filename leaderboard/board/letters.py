"""The letters of a text, by which copies are found: what is left when everything that a thief changes first is gone."""

import functools
import re
import unicodedata

from confusable_homoglyphs.confusables import confusables_data

from metrics.util.characters import is_invisible

# Unicode (UTS 39) takes these for one another in plain ASCII.
_ALIKE = {"1": "l", "i": "l", "0": "o", "m": "rn", "w": "vv"}

# Letters and decimal digits, without modifiers (ʰ) and numbers that stand above the line or in circles.
_PLAIN = ("Lu", "Ll", "Lt", "Lo", "Nd")
# The Latin letters with a stroke or a hook, which have no decomposition, and small capitals: ø, ɗ, ᴇ.
_MARKED = re.compile(r"LATIN (?:(?:SMALL|CAPITAL) LETTER ([A-Z]) WITH .*|LETTER SMALL CAPITAL ([A-Z]))")
_LATIN = (range(0xC0, 0x300), range(0x1D00, 0x1F00), range(0x2C60, 0x2C80), range(0xA720, 0xAB70))


@functools.cache
def _look_alikes() -> dict[int, str]:
    """Character -> the ASCII letters or digits that look like it (UTS 39, or by its name), for `str.translate`."""
    table = {}
    for code in (code for block in _LATIN for code in block):
        if marked := _MARKED.fullmatch(unicodedata.name(chr(code), "")):
            table[code] = (marked[1] or marked[2]).lower()
    for character, others in confusables_data.items():
        ascii_ones = sorted(other["c"] for other in others if other["c"].isascii() and other["c"].isalnum())
        if not character.isascii() and len(character) == 1 and ascii_ones:
            table[ord(character)] = ascii_ones[0]
    return table


def letters(text: str) -> tuple[str, str]:
    """Return the letters and digits of a text in two forms; texts that share either of them read alike.

    Compatibility forms (NFKC), case, accents, strokes and hooks, punctuation, symbols, white space and letters without
    ink do not count, and a letter of another script counts as the Latin letter that looks like it. A symbol that looks
    like a letter, as × does, may replace one or stand beside the text: it does not count in the first form, and does in
    the second.
    """
    return _reduced("".join(c for c in text if unicodedata.category(c) in _PLAIN)), _reduced(text)


def _reduced(text: str) -> str:
    table = _look_alikes()
    for _ in range(2):
        # Twice: a capital may look like a Latin letter where its small letter does not, and the reverse.
        text = unicodedata.normalize("NFKD", text).translate(table).casefold()
    text = unicodedata.normalize("NFKD", text).translate(table)
    return "".join(_ALIKE.get(c, c) for c in text if unicodedata.category(c)[0] in "LN" and not is_invisible(c))
