"""The registers that people write in: a pair of sentences is written as chat, or with other punctuation, on both sides.

The neutral sentences of the warm-up are cleaner than what people write to each other. A leader trained on them alone
corrects, loses or repeats "don 't", "ur" and "lmaooo" instead of copying them.
"""

import random
import re

# Spellings of chat, each with how it is written there.
_CHAT = {
    "you": ("u", "ya"), "your": ("ur", "yo"), "you're": ("ur", "youre"), "are": ("r",),
    "because": ("cuz", "bc", "cause"), "with": ("w", "wit"), "people": ("ppl",),
    "though": ("tho",), "going to": ("gonna",), "want to": ("wanna",),
    "have to": ("hafta",), "got to": ("gotta",), "kind of": ("kinda",), "out of": ("outta",), "them": ("em", "'em"),
    "the": ("da", "tha"), "that": ("dat",), "this": ("dis",), "for": ("4",), "and": ("n", "&"), "what": ("wat", "wut"),
    "really": ("rly",), "before": ("b4",), "about": ("bout",), "never": ("neva",), "something": ("smth", "sumthin"),
    "know": ("kno",), "right": ("rite",), "i am": ("im",), "is not": ("aint",), "isn't": ("aint",), "okay": ("ok",),
}  # fmt: skip
_TAILS = ("lol", "lmao", "lmaooo", "haha", "hahaha", "smh", "xd", "tbh", "imo", ":)", ":(", "...", "..", "-_-", "ok",
          "man", "bro", "yo", "though", "anyway", "xx", "o_o", "rt", "i guess", "for real")  # fmt: skip
_ENDS = (" !", " ! !", " ! ! !", "!!", " ?", " . . .", "...", "")


def change_register(source: str, target: str, rng: random.Random) -> tuple[str, str]:
    """Return a pair in another register, the same on both sides; what differs between them stays.

    Args:
        source: A sentence.
        target: Its rewrite.
        rng: Draws the register: capitals, how contractions and punctuation are written, spellings of chat, typing
            errors, and words such as "lol" before and after the sentence.

    Returns:
        Source and target in that register.
    """
    texts = [source, target]
    if rng.random() < 0.6:
        texts = [text.lower() for text in texts]
    spellings = [(word, rng.choice(forms)) for word, forms in _CHAT.items() if rng.random() < 0.25]
    contraction = rng.choice((None, " '", ""))
    shared = sorted({*re.findall(r"[a-z]{4,}", source)} & {*re.findall(r"[a-z]{4,}", target)})
    slips = {word: _slip(word, rng) for word in rng.sample(shared, min(len(shared), rng.choice((0, 0, 1, 2))))}
    spaced = rng.random() < 0.5
    end = rng.choice(_ENDS) if rng.random() < 0.4 else None
    tail = f" {rng.choice(_TAILS)}" if rng.random() < 0.25 else ""
    head = f"{rng.choice(_TAILS)} " if rng.random() < 0.1 else ""
    for i, text in enumerate(texts):
        for word, spelling in spellings:
            text = re.sub(rf"(?<![\w']){word}(?![\w'])", spelling, text)
        for word, slip in slips.items():
            text = re.sub(rf"\b{word}\b", slip, text)
        if contraction is not None:
            text = re.sub(r"(?<=\w)'(?=(?:s|t|re|m|ll|ve|d)\b)", contraction, text)
        if spaced:
            text = re.sub(r"(?<=\w)([,.!?])(?=\s|$)", r" \1", text)
        if end is not None:
            text = re.sub(r"\s*[.!?]+\s*$", "", text) + end
        texts[i] = f"{head}{text}{tail}"
    return texts[0], texts[1]


def _slip(word: str, rng: random.Random) -> str:
    """Return a word with a letter lost, doubled, drawn out, or swapped with the next."""
    at = rng.randrange(1, len(word) - 1)
    return rng.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word + word[-1] * rng.randint(1, 3),
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        )
    )
