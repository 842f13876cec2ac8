"""Rude and neutral wordings of the same thing: neutral sentences are made rude, rude words are looked up.

The table is `equivalents.yaml`, written for this project: neutral words and phrases with rude ones that say the same,
and rude words that add nothing (intensifiers, forms of address, exclamations, belittling remarks, threats).
"""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml
from lemminflect import getInflection

from metrics.systems.baselines import lexicon

_TABLE = Path(__file__).parent / "equivalents.yaml"
# Penn Treebank tags of the forms that are derived, by section; both sides of an entry get the same one.
_FORMS = {"nouns": ("NNS",), "verbs": ("VBZ", "VBD", "VBG", "VBN")} | dict.fromkeys(
    ("adjectives", "mass", "fixed", "common", "negated", "commands"), ()
)
_ADDITIONS = ("intensifiers", "degrees", "addresses", "exclamations", "remarks", "trailing")
# An intensifier may stand between one of these and a noun or an adjective.
_DETERMINERS = r"the|a|an|this|these|those|my|your|his|our|their|its|some|every|another|no|such a|of"
_BE = r"is|are|was|were|be|been|'s|'re|'m|am|not|so|too|looks?|sounds?|seems?|feels?"
# Words behind a determiner or a form of "be" that an intensifier would not stand before.
FUNCTION_WORDS = frozenset(
    "a about all also am an and any are d ll m re s ve as at be been being but by can could did do does even for from "
    "had has have he "
    "her hers him his how i if in into is it its just like may me might mine more most must my no not now of off on "
    "only or other our out over own same shall she should so some such than that the their them then there these they "
    "this those to too under up us very was we were what when where which who why will with would you your "
    "yours".split()
)
_CONTRACTION = re.compile(
    r"\b(ai|are|ca|can|could|did|do|does|had|has|have|is|must|need|should|was|were|wo|would)n[o']?t\b"
)
_VOWEL_SOUND = re.compile(r"[ai]|e(?!u)|o(?!nce?\b|ne\b)|u(?!ni(?!m|n)|se|su|ku|ti)|hon|hour|heir", re.IGNORECASE)


class Equivalents(NamedTuple):
    """The table.

    Attributes:
        phrases: All neutral phrases, in lower case.
        common: Those of them that are so common that they are seldom replaced.
        rude: Rude phrases by the neutral phrase (its `_key`) that says the same.
        neutral: Neutral phrases by rude phrase, in lower case, each with its section of the table: its part of speech.
        additions: Rude phrases that add nothing to a sentence, by kind.
        names: Insulting names of persons, in the singular, by what is meant by them ("he is …").
        vague: Those of these meanings that say less than an adjective before the name.
        traits: What is meant by adjectives before insults.
        insulting: Adjectives that stand before insults.
        turns: Turns of phrase that insult, by what they say without it; "…" stands for the rest of the sentence, and
            "INSULT" for an insult.
        harm: Words and phrases that say harm in a threat.
    """

    phrases: list[str]
    common: frozenset[str]
    rude: dict[str, list[str]]
    neutral: dict[str, dict[str, str]]
    additions: dict[str, list[str]]
    names: dict[str, list[str]]
    vague: frozenset[str]
    traits: dict[str, str]
    insulting: list[str]
    turns: dict[str, list[str]]
    harm: list[str]

    @property
    def all_names(self) -> list[str]:
        """All insulting names, whatever is meant by them."""
        return [name for names in self.names.values() for name in names]

    def meaning(self, name_meaning: str, adjectives: str) -> str:
        """Return what a name with adjectives before it means, where the name alone means `name_meaning`."""
        if name_meaning in self.vague:
            padded = f" {adjectives.replace(',', ' ')} "
            told = {adjective: padded.find(f" {adjective} ") for adjective in self.traits}
            first = min((adjective for adjective in told if told[adjective] >= 0), key=told.__getitem__, default=None)
            return self.traits[first] if first else name_meaning
        return name_meaning


@cache
def load_equivalents() -> Equivalents:
    """Return the table, with the forms derived that it leaves out."""
    table = yaml.safe_load(_TABLE.read_text("utf-8"))
    neutral_phrases: dict[str, None] = {}
    rude: dict[str, list[str]] = defaultdict(list)
    neutral: dict[str, dict[str, str]] = defaultdict(dict)
    for section, tags in _FORMS.items():
        understood = table["understood"].get(section, {})
        entries = [(entry, False) for entry in table.get(section, {}).items()]
        for (word, phrases), is_understood in entries + [(entry, True) for entry in understood.items()]:
            for tag in (None, *tags):
                for phrase in phrases.split(", "):
                    left, right = (_inflect(text, tag, section) if tag else text for text in (word, phrase))
                    if not is_understood:
                        neutral_phrases[left] = None
                        if right not in rude[_key(left)]:
                            rude[_key(left)].append(right)
                    neutral[right].setdefault(left, section)
    return Equivalents(
        list(neutral_phrases),
        frozenset(table["common"]),
        dict(rude),
        dict(neutral),
        {kind: list(table[kind]) for kind in _ADDITIONS},
        {meaning: list(names) for meaning, names in table["insults"].items()},
        frozenset(table["vague_insults"]),
        (traits := {adjective: trait for trait, group in table["traits"].items() for adjective in group}),
        [*table["insulting"], *traits],
        {neutral: phrases.split(", ") for neutral, phrases in table["turns"].items()},
        list(table["harm"]),
    )


def _inflect(phrase: str, tag: str, section: str) -> str:
    """Return a phrase with its head in the form `tag`: the first word of a verb, the last one of a noun before "of"."""
    words = phrase.split()
    verb = section == "verbs"
    head = next((i for i, w in enumerate(words) if w not in ("fucking", "damn", "well", "not")), 0) if verb else (
        words.index("of") - 1 if "of" in words[1:] else words.index("in") - 1 if "in" in words[1:] else len(words) - 1
    )  # fmt: skip
    forms = getInflection(words[head], tag)
    return " ".join([*words[:head], forms[0] if forms else words[head], *words[head + 1 :]])


def phrase_pattern(phrases: Sequence[str]) -> re.Pattern[str]:
    """Return an expression for whole phrases, the longest first; contractions may be written with a blank."""
    ordered = sorted(phrases, key=len, reverse=True)
    alternatives = (re.escape(p).replace(r"\ ", r"\s+").replace("n't", " ?n ?'t").replace("'", " ?'?") for p in ordered)
    return re.compile(rf"(?<![\w']){'(?:' + '|'.join(alternatives) + ')'}(?!\w| ?'\w)", re.IGNORECASE)


@cache
def rude_pattern() -> re.Pattern[str]:
    """Return an expression for all rude words and phrases of the table and of the lexicon."""
    equivalents = load_equivalents()
    additions = (text for kind in equivalents.additions.values() for text in kind)
    return phrase_pattern(list(dict.fromkeys([*equivalents.neutral, *additions, *lexicon()])))


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; contractions, with an apostrophe or without, are several words."""
    text = re.sub(r" ?'(s|re|m|ll|ve|d)\b", r" \1", text.lower())
    text = _CONTRACTION.sub(r"\1 not", _key(text)).replace("ca not", "can not").replace("wo not", "will not")
    return re.findall(r"[^\W_]+", text)


def find_rude(texts: Sequence[str]) -> Iterator[tuple[Sequence[str], list[str]]]:
    """Yield each rude phrase of the table in a sequence of `words`, with its neutral ones; an addition has none."""
    table, longest = _rude_phrases()
    for start in range(len(texts)):
        for end in range(start + 1, min(start + longest, len(texts)) + 1):
            phrase = " ".join(texts[start:end])
            if phrase in table:
                yield texts[start:end], table[phrase]


@cache
def _rude_phrases() -> tuple[dict[str, list[str]], int]:
    """Return neutral phrases by rude phrase, written as `words` writes it, and the most words of a rude phrase."""
    equivalents = load_equivalents()
    table: dict[str, list[str]] = {}
    for phrase in (text for kind in equivalents.additions.values() for text in kind):
        table.setdefault(" ".join(words(phrase)), [])
    for phrase, neutral in equivalents.neutral.items():
        table.setdefault(" ".join(words(phrase)), []).extend(neutral)
    return table, max(len(phrase.split()) for phrase in table)


@cache
def _neutral_pattern() -> re.Pattern[str]:
    return phrase_pattern(load_equivalents().phrases)


def find_neutral(phrase: str) -> dict[str, str]:
    """Return the neutral wordings of a rude phrase with their sections, however the phrase is spelt."""
    return _neutral_by_key().get(_key(phrase), {})


@cache
def _neutral_by_key() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for phrase, neutral in load_equivalents().neutral.items():
        found[_key(phrase)].update(neutral)
    return dict(found)


def _key(text: str) -> str:
    """Return what the spellings of a phrase share: lower case, single blanks, contractions in one piece."""
    return re.sub(r" ?'", "", re.sub(r" ?n ?'t", "nt", re.sub(r"\s+", " ", text.lower())))


def add_rudeness(text: str, max_changes: int, rng: random.Random) -> str:
    """Return a neutral sentence made rude; case and punctuation of the rest stay.

    Args:
        text: The sentence.
        max_changes: Upper limit of the number of changes, which is drawn uniformly from 1 to it.
        rng: Draws the changes.

    Returns:
        The sentence with words replaced by rude ones that say the same, and with rude additions: intensifiers before
        nouns and adjectives, forms of address, exclamations, remarks and threats at its ends.
    """
    changes = rng.randint(1, max_changes)
    if (turned := _add_turn(text, rng)) != text:
        return fix_articles(turned)
    matches = [match for match in _neutral_pattern().finditer(text) if _may_be_replaced(match, rng)]
    replaced = sorted(rng.sample(matches, min(changes, len(matches))), key=lambda m: -m.start())
    done = 0
    for match in replaced:
        if rng.random() < _REPLACED:
            phrase = rng.choice(load_equivalents().rude[_key(match[0])])
            text = text[: match.start()] + with_case(phrase, match[0]) + text[match.end() :]
            done += 1
    # Within the sentence first: what is added at its ends is not changed again.
    for adder in sorted(rng.choices(range(len(_ADDERS)), k=changes - done)):
        text = _ADDERS[adder](text, rng)
    return fix_articles(text)


# Share of the common words of the table that may be replaced, where they are objects: "send him to bed".
_COMMON = 0.25
_BEFORE_OBJECT = re.compile(r"\w[ ]+$")
_BEHIND_OBJECT = re.compile(r"\s*(?:[.,!?;:]|$|(?:" + "|".join(sorted(FUNCTION_WORDS)) + r")\b)", re.IGNORECASE)


def _may_be_replaced(match: re.Match[str], rng: random.Random) -> bool:
    if match[0].lower() not in load_equivalents().common:
        return True
    before = match.string[: match.start()]
    is_object = _BEFORE_OBJECT.search(before) and _BEHIND_OBJECT.match(match.string, match.end())
    return bool(is_object) and rng.random() < _COMMON


# Share of the drawn words of the table that are replaced; the other changes are additions.
_REPLACED = 0.8
# Share of the pairs of `call_names` that keep the rest of their sentence.
_WITH_REST = 0.6
# Share of the forms of address that are composed of an adjective and an insult.
_COMPOSED = 0.5


def with_case(phrase: str, like: str) -> str:
    if like.isupper() and len(like) > 1:
        return phrase.upper()
    return phrase[0].upper() + phrase[1:] if like[0].isupper() else re.sub(r"\bi\b", "i", phrase)


def fix_articles(text: str) -> str:
    """Write "a" or "an" as the next word demands, and drop an article before another determiner."""
    text = re.sub(r"\b(the|an?|my|your|his|our|their|this) (?=(?:some|that|those|these|every|any|all this) )", "", text)

    def article(match: re.Match[str]) -> str:
        fits = bool(_VOWEL_SOUND.match(match[2]))
        return match[1][0] + ("n" if fits else "") + " " + match[2]

    return re.sub(r"\b([Aa]n?) (\w+)", article, text)


def _add_before(before: str, additions: str) -> Callable[[str, random.Random], str]:
    place = re.compile(rf"(?<![\w'])(?:{before}) (?=([A-Za-z]+))", re.IGNORECASE)

    def add(text: str, rng: random.Random) -> str:
        places = [m.end() for m in place.finditer(text) if m[1].lower() not in FUNCTION_WORDS]
        if not places:
            return _add_address(text, rng)
        at = rng.choice(places)
        return f"{text[:at]}{rng.choice(load_equivalents().additions[additions])} {text[at:]}"

    return add


def _split_end(text: str) -> tuple[str, str]:
    """Return a sentence and the punctuation at its end, with the blank before it if there is one."""
    match = re.search(r"\s*[.!?\s]*$", text)
    assert match is not None
    return text[: match.start()], match[0]


def _add_address(text: str, rng: random.Random) -> str:
    phrase = rng.choice(load_equivalents().additions["addresses"])
    if rng.random() < _COMPOSED:
        phrase = f"you {_name(rng)}"
    comma = rng.choice((" , ", " ")) if re.search(r"\w [.,!?]", text) else rng.choice((", ", ", ", " "))
    if rng.random() < 0.65:
        sentence, end = _split_end(text)
        return f"{sentence}{comma}{phrase}{end}"
    return _join_front(phrase, comma, text)


def _name(rng: random.Random) -> str:
    """Return an insult with an adjective or two before it."""
    table = load_equivalents()
    adjectives = rng.sample(table.insulting, rng.choice((0, 1, 1, 2)))
    return " ".join([*adjectives, rng.choice(table.all_names)])


_LACKED = ("brains", "sense", "skill", "decency", "manners", "talent", "shame", "clue")
# "The waiter forgot …": a subject, and a verb in the past or the third person.
_SUBJECT = re.compile(
    r"((?:the|my|our|his|her|their|that|this|your) \w+|he|she) (?=(?:(?:never|always|still|just|even|also) )?"
    r"(?:\w{2,}ed|\w{2,}[^s]s|had|went|took|made|got|gave|said|told|left|lost|forgot|kept|sold|came|ran|put|let|can't"
    r"|cannot|won't|didn't|doesn't) \w)",
    re.IGNORECASE,
)


def _add_name(text: str, rng: random.Random) -> str:
    """Say of the subject that it is "a … who" does what the sentence says."""
    match = _SUBJECT.match(text)
    if not match or match[1].lower().endswith("s"):
        return _add_address(text, rng)
    return f"{match[1]} {rng.choice(('is', 'is', 'was'))} a {_name(rng)} who {text[match.end() :]}"


def call_names(text: str, rng: random.Random) -> tuple[str, str] | None:
    """Return a pair of sentences that insults the subject of a neutral one, and that says plainly what is meant.

    Args:
        text: A neutral sentence, such as "The waiter forgot our soup."
        rng: Draws the insult, and whether the rest of the sentence is kept.

    Returns:
        Source and target, such as "The waiter is a clueless oaf and forgot our soup." and "The waiter is unskilled and
        forgot our soup."; None if the sentence does not begin with a subject and a verb that the rules know.
    """
    match = _SUBJECT.match(text)
    if not match or match[1].lower().endswith("s"):
        return None
    meaning, names = rng.choice(list(load_equivalents().names.items()))
    adjectives = rng.sample(load_equivalents().insulting, rng.choice((0, 1, 1, 2)))
    called = " ".join([rng.choice(("a", "a", "such a")), *adjectives, rng.choice(names)])
    be = rng.choice((" is", " is", " was"))
    rest = f" and {text[match.end() :]}" if rng.random() < _WITH_REST else _split_end(text)[1]
    meaning = load_equivalents().meaning(meaning, " ".join(adjectives))
    return fix_articles(f"{match[1]}{be} {called}{rest}"), f"{match[1]}{be} {meaning}{rest}"


def _add_turn(text: str, rng: random.Random) -> str:
    """Say with an insulting turn of phrase, or a threat, what a neutral one says at the beginning of the text."""
    text = re.sub(r"^(please) (?:dont|do not) ", r"\1 don't ", text, flags=re.IGNORECASE)
    for neutral, rude in load_equivalents().turns.items():
        start = neutral.removesuffix(" …")
        if text.lower().startswith(start + " "):
            turn = rng.choice(rude).replace("INSULT", _name(rng)).replace("WORD", rng.choice(_LACKED))
            said, end = _split_end(text[len(start) + 1 :])
            return with_case(turn.replace("…", said) + end, text)
    return text


def _join_front(phrase: str, between: str, text: str) -> str:
    if text[:1].isupper():
        phrase = phrase[0].upper() + phrase[1:]
        text = text if re.match(r"I\b|[A-Z]{2}", text) else text[0].lower() + text[1:]
    return f"{phrase}{between}{text}"


def _add_exclamation(text: str, rng: random.Random) -> str:
    phrase = rng.choice(load_equivalents().additions["exclamations"])
    blank = " " if re.search(r"\w [.,!?]", text) else ""
    if rng.random() < 0.7:
        between = rng.choice((f"{blank}, ", " ", f"{blank}! ", f"{blank}. "))
        if between.strip() in ("!", "."):
            return f"{with_case(phrase, text)}{between}{text}"
        return _join_front(phrase, between, text)
    sentence, end = _split_end(text)
    return f"{sentence}{rng.choice((f'{blank}, ', ' '))}{phrase}{end}"


def _add_remark(text: str, rng: random.Random) -> str:
    phrase = rng.choice(load_equivalents().additions["remarks"])
    sentence, end = _split_end(text)
    blank = " " if end.startswith(" ") else ""
    if text[:1].isupper():
        phrase = phrase[0].upper() + phrase[1:]
    if not end.strip():
        return f"{sentence}{rng.choice((', ', ' , ', ' ... '))}{phrase[0].lower()}{phrase[1:]}"
    if rng.random() < 0.25:
        return f"{phrase}{blank}{rng.choice('.!')} {text}"
    return f"{sentence}{end} {phrase}{blank}{rng.choice('.!')}"


_ADDERS = (
    _add_before(_DETERMINERS, "intensifiers"),
    _add_before(_DETERMINERS, "intensifiers"),
    _add_before(_BE, "degrees"),
    _add_address,
    _add_name,
    _add_exclamation,
    _add_remark,
)
