"""Characters that a reader cannot see, found and escaped in text from outside."""

import unicodedata

# Letters and marks without ink: fillers of scripts, joiners, variation selectors, the empty Braille cell.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code) for start, end in ((0x180B, 0x1810), (0xFE00, 0xFE10), (0xE0100, 0xE01F0)) for code in range(start, end)
}
# Thai has two on a letter, a vowel and a tone; NFC joins the accents of Latin letters with them.
MAX_MARKS = 2
_SYMBOLS = {"\n": "↵", "\t": "⇥"}


def is_invisible(character: str) -> bool:
    """Return whether a character leaves no ink or reorders its line: control, format, unassigned and blank ones."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or character in _BLANK


def printable(text: str, limit: int = 500) -> str:
    """Return `text` with its invisible characters spelled out, as ⟨U+202E⟩; line breaks and tabs become ↵ and ⇥.

    After `limit` characters of `text` the result tells how many more there are.
    """
    # Nearly all texts; the others are looked at character by character.
    if text.isascii() and text.isprintable() and len(text) <= limit:
        return text
    cut = "".join(_SYMBOLS.get(c) or f"⟨U+{ord(c):04X}⟩" if is_invisible(c) else c for c in text[:limit])
    return cut if len(text) <= limit else f"{cut}… ({len(text) - limit:,} more characters)"


def require_visible(text: str) -> str:
    """Return `text`, or raise a ValueError if it has an invisible character, or white space at an end."""
    for character in text:
        if is_invisible(character):
            raise ValueError(f"character U+{ord(character):04X} is not allowed here")
    if text != text.strip():
        raise ValueError("white space at an end")
    return text


def require_name(text: str) -> str:
    """Return `text`, or raise a ValueError as `require_visible` does, or if marks pile up on a letter.

    More than `MAX_MARKS` combining marks in a row, after NFC, cover the lines above and below.
    """
    marks = 0
    for character in unicodedata.normalize("NFC", require_visible(text)):
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks > MAX_MARKS:
            raise ValueError(f"more than {MAX_MARKS} combining marks in a row")
    return text
