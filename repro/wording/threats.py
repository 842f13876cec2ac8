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
_AGAIN = re.compile(r"\b(?:once more|one more time|a second time)\b", re.IGNORECASE)
_PAL = re.compile(r", (?:pal|mate|buddy|sunshine)$", re.IGNORECASE)
_OBJECTS = {"he": "him", "she": "her", "they": "them"}


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
    return threat.lower().startswith("else") or any(
        harm in lemmas or f" {harm} " in text for harm in load_equivalents().harm
    )


def verb_lemma(verb: str) -> str:
    """Return the base form of a verb, or "" for what is no verb."""
    lemmas = getLemma(verb.lower(), "VERB")
    return lemmas[0] if lemmas else ""


def is_base(word: str) -> bool:
    """Return whether a word, or the last part of "brake-check", is the base form of a verb."""
    last = word.lower().rpartition("-")[2]
    return last in getAllLemmas(last, upos="VERB").get("VERB", ()) and last not in FUNCTION_WORDS


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _do(match: re.Match[str]) -> str:
    better = r"^you(?: better| had better| ?['’]?d better| best| ?['’]?re going to| are going to) "
    what = _PAL.sub("", re.sub(better, "", match["what"], flags=re.IGNORECASE))
    what = re.sub(r"^not ", "don't ", what)
    asks = re.match(r"(?:do not|don't|dont|never|stop) ", what, re.IGNORECASE) or is_base(re.split(r"[ ,]", what)[0])
    return f"please {_lower(what)}" if asks else ""


def _do_not(match: re.Match[str]) -> str:
    what = re.sub(r"^(?:go ahead(?: and)?,? |just |ever |please )", "", match["what"], flags=re.IGNORECASE)
    what = re.sub(r"\bone more\b", "another", _AGAIN.sub("again", _PAL.sub("", what)))
    first = what.split(" ")[0]
    if " if " in what:
        return ""
    if stop := re.match(r"(?:keep|keep on|go on|carry on) (?=\w+ing\b)", what, re.IGNORECASE):
        return f"please stop {what[stop.end() :]}"
    known = first.lower() in ("do", "say", "be", "have", "pm", "dm", "text") or is_base(first)
    return f"please don't {_lower(what)}" if known else ""


def _do_not_try(match: re.Match[str]) -> str:
    verb, _, rest = match["what"].partition(" ")
    return f"please don't {verb_lemma(verb)} {rest}" if verb_lemma(verb) else ""


def _if(match: re.Match[str]) -> str:
    who, what = match["who"].lower(), _AGAIN.sub("again", match["what"])
    if who == "you":
        what = re.sub(r"^(?:ever|so much as|dare to|dare) ", "", what)
        verb = what.split(" ")[0]
        negated = re.match(r"(?:don't|dont|do not) ", what, re.IGNORECASE)
        return f"please {what[negated.end() :]}" if negated else f"please don't {what}" if is_base(verb) else ""
    # The subject may have more words: "that leaf blower starts again".
    clause = re.match(r"(?P<more>(?:\w+ ){0,2}?)(?P<verb>\w+s)\b(?P<rest>.*)", what)
    if not clause or verb_lemma(clause["verb"]) in ("", clause["verb"]):
        return ""
    anyone = who in ("anyone", "anybody", "someone")
    wants = "nobody should" if anyone else f"i don't want {_OBJECTS.get(who, match['who'])} {clause['more']}to"
    return f"{wants} {verb_lemma(clause['verb'])}{clause['rest']}"


def _do_not_again(match: re.Match[str]) -> str:
    said = _do_not(match)
    return said and f"{said} again"


def _should(match: re.Match[str]) -> str:
    return f"{match['who']} should {match['what']}"


def _nobody(match: re.Match[str]) -> str:
    return f"no {match['noun']} should {verb_lemma(match['verb'])} {match['what']}" if verb_lemma(match["verb"]) else ""


def _no_more(match: re.Match[str]) -> str:
    return f"i don't want another {match['noun']}"


# Expressions for threats, each with what says the request; the first that matches decides.
_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(expression + _LAST, re.IGNORECASE), request)
    for expression, request in (
        (rf"^next time (?:you|u) (?P<what>.+?),? (?P<threat>{_SPEAKER}.*?)", _do_not_again),
        (
            r"^(?:you(?:['’]ve| have)? got|you have) (?!to\b)[\w ]+? to (?P<what>.+?) (?P<threat>before (?:i|we) .*?)",
            _do,
        ),
        (r"^i ?['’]?d (?P<what>.+?) if i were you,? (?P<threat>before (?:i|we) .*?)", _do),
        (r"^(?P<what>(?:do not|don ?['’]?t|never|stay|keep) .+?),? (?P<threat>unless you (?:want|fancy) .*?)", _do),
        (r"^(?:just |go on,? )?try (?P<what>\w+ing\b.+?)\s*,?\s+and (?P<threat>see .*?)", _do_not_try),
        (rf"^(?:one more|another) (?P<noun>.+?)\s*,?\s+and (?P<threat>{_HARM}.*?)", _no_more),
        (r"^(?P<who>[\w' -]+?)(?: had|['’]d)? (?:better|best) (?P<what>.+?) (?P<threat>before (?:i|we) .*?)", _should),
        (r"^(?:i ain ?['’]?t asking twice, )?(?P<what>.+?),? (?P<threat>before (?:i|we) .*?)", _do),
        (
            r"^(?:the next|the|that|any) (?P<noun>[\w'-]+(?: (?!is|are|was)[\w'-]+){0,2}) (?:who|that) "
            r"(?P<verb>[\w-]+s) (?P<what>.+?) "
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
