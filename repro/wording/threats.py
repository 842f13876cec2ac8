"""Threats, and what a threatening sentence asks for.

"Touch my bike again and I'll break your fingers" asks not to touch the bike again.
"""

import re
from collections.abc import Callable

from lemminflect import getAllLemmas, getLemma

from repro.wording.rudeness import FUNCTION_WORDS, load_equivalents

# Who does harm, at the beginning of a threat.
_SPEAKER = (
    r"(?:i|we|you|he|she|they)(?:['’]?(?:ll|m|re|d)| will| am| are| swear| get| shall| go| promise| can| know| might"
    r"| may| would)\b"
)
_HARM = rf"(?:{_SPEAKER}|(?:my|the|this|that|these|your) [\w ]+?(?: will| is| are|['’]ll)\b)"
_LAST = r"(?P<end>\s*[.!?]*)$"
_AGAIN = re.compile(r"\b(?:one|once) more(?: time)?\b", re.IGNORECASE)


def find_request(text: str) -> str | None:
    """Return what a threatening sentence asks for; None where there is no threat, or none that the rules know."""
    for pattern, request in _PATTERNS:
        match = pattern.match(text.strip())
        if match and _harms(match["threat"]) and (said := request(match)):
            return f"{said}{match['end'].replace('?', '.')}"
    return None


def _harms(threat: str) -> bool:
    """Whether a threat has a word or phrase of harm, in any form."""
    words = re.findall(r"[\w'’]+", threat.lower())
    lemmas = {lemma for word in words for tag in ("VERB", "NOUN") for lemma in getLemma(word, tag)}
    text = f" {' '.join(words)} "
    return any(harm in lemmas or f" {harm} " in text for harm in load_equivalents().harm)


def _lemma(verb: str) -> str:
    """Return the base form of a verb, or "" for what is no verb."""
    lemmas = getLemma(verb.lower(), "VERB")
    return lemmas[0] if lemmas else ""


def _is_base(word: str) -> bool:
    """Whether a word, or the last part of "brake-check", is the base form of a verb."""
    last = word.lower().rpartition("-")[2]
    return last in getAllLemmas(last, upos="VERB").get("VERB", ()) and last not in FUNCTION_WORDS


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _do(match: re.Match[str]) -> str:
    what = re.sub(r"^you (?:better|had better|'d better|best) ", "", match["what"], flags=re.IGNORECASE)
    asks = re.match(r"(?:do not|don't|dont|never|stop) ", what, re.IGNORECASE) or _is_base(re.split(r"[ ,]", what)[0])
    return f"please {_lower(what)}" if asks else ""


def _do_not(match: re.Match[str]) -> str:
    what = re.sub(r"^(?:go ahead(?: and)?,? |just |ever |please )", "", match["what"], flags=re.IGNORECASE)
    what = _AGAIN.sub("again", what)
    first = what.split(" ")[0]
    if " if " in what:
        return ""
    if stop := re.match(r"(?:keep|keep on|go on|carry on) (?=\w+ing\b)", what, re.IGNORECASE):
        return f"please stop {what[stop.end() :]}"
    known = first.lower() in ("do", "say", "be", "have") or _is_base(first)
    return f"please don't {_lower(what)}" if known else ""


def _do_not_try(match: re.Match[str]) -> str:
    verb, _, rest = match["what"].partition(" ")
    return f"please don't {_lemma(verb)} {rest}" if _lemma(verb) else ""


def _if(match: re.Match[str]) -> str:
    who, what = match["who"].lower(), match["what"]
    verb, _, rest = what.partition(" ")
    if who == "you":
        negated = re.match(r"(?:don't|dont|do not) ", what, re.IGNORECASE)
        return f"please {what[negated.end() :]}" if negated else f"please don't {what}" if _is_base(verb) else ""
    if _lemma(verb) in ("", verb.lower()):
        return ""
    subject = "nobody should" if who in ("anyone", "anybody", "someone") else f"i don't want {match['who']} to"
    return f"{subject} {_lemma(verb)} {rest}"


def _should(match: re.Match[str]) -> str:
    return f"{match['who']} should {match['what']}"


def _nobody(match: re.Match[str]) -> str:
    return f"no {match['noun']} should {_lemma(match['verb'])} {match['what']}" if _lemma(match["verb"]) else ""


def _no_more(match: re.Match[str]) -> str:
    return f"i don't want {match['what'].lower()} {match['noun']}"


# Expressions for threats, each with what says the request; the first that matches decides.
_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(expression + _LAST, re.IGNORECASE), request)
    for expression, request in (
        (r"^(?:just |go on,? )?try (?P<what>\w+ing\b.+?)\s*,?\s+and (?P<threat>see .*?)", _do_not_try),
        (rf"^(?P<what>one more|another) (?P<noun>.+?)\s*,?\s+and (?P<threat>{_HARM}.*?)", _no_more),
        (r"^(?P<who>[\w' -]+?)(?: had|['’]d)? (?:better|best) (?P<what>.+?) (?P<threat>before (?:i|we) .*?)", _should),
        (
            r"^(?:the next|the|that|any) (?P<noun>[\w' -]+?) (?:who|that) (?P<verb>[\w-]+s) (?P<what>.+?) "
            r"(?P<threat>(?:is (?:getting|going)|gets|goes|will|['’]?ll|had better|better) .*?)",
            _nobody,
        ),
        (
            r"^if (?P<who>you|anyone|anybody|someone|he|she|they|(?:that|the|this|my|your) \w+) (?P<what>.+?)"
            rf"(?:\s*,\s+(?:then )?(?={_HARM})|\s+(?={_SPEAKER}))(?P<threat>.*?)",
            _if,
        ),
        (rf"^(?P<what>.+?)\s*,?\s+or\s+(?P<threat>(?:{_HARM}|else\b|lose\b|get (?:a|your)\b|eat\b|face\b).*?)", _do),
        (r"^(?:you )?(?P<what>.+? (?:again|once more|one more time))\s*[,:]?\s+(?:and\s+)?(?P<threat>.*?)", _do_not),
        (
            rf"^(?:you )?(?P<what>.+?)\s*,?\s+and\s+(?P<threat>(?:{_HARM}|see (?:what|how|where)\b|your?\b|these\b"
            r"|there(?:'ll| will)\b).*?)",
            _do_not,
        ),
    )
)
