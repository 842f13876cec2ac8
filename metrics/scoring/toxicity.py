"""Kinds of toxicity of a source, decided by rules on its text. The rules slice results; they never score."""

import re

from metrics.systems.baselines import lexicon

# In the order in which the rules are tried: the first that applies names the kind.
TOXICITY_KINDS = ("threat", "insult", "explicit word", "implicit")

# Names for a person or a group that insult wherever they stand.
_NAMES = """
airhead arsehole asshat asshole bastard bigot bimbo blockhead blowhard bonehead bootlicker bozo brat buffoon coward
creep cretin crook crybaby cunt deadbeat degenerate dickhead dimwit dipshit dirtbag doofus dolt dork douche douchebag
dumbass dummy dunce fool fraud fucker fuckwit goon hag halfwit hypocrite idiot ignoramus imbecile jackass jerk knobhead
knucklehead lardass liar loser loudmouth lunatic meathead moron motherfucker muppet nitwit noob numbskull nutcase nutjob
oaf pervert psycho psychopath quack scoundrel scumbag shithead shyster simpleton slimeball slut sociopath thug tosser
traitor turd twat twerp twit wanker weirdo whore wimp windbag xenophobe
""".split()
# Names that insult only a person who is called one: "you snake", "she is such a cow", but not "a cow in the road".
_OTHER_NAMES = """
amateur animal ass baby bitch bum bully butcher cheat child chimp clown cow dick dictator disgrace dog donkey dragon
failure freak garbage genius ghoul gorilla hack hog joke leech maggot monkey monster nazi parasite parrot pig plague
potato prick punk pussy rat savage scum sheep snake snob snowflake swine thief toad tool trash troll vermin vulture
weasel witch worm
""".split()
_PLURALS = "basteds cowards crybabies dummies nobodies pussies sissies thieves wolves"
_NAME = "|".join([*(f"{name}(?:e?s)?" for name in _NAMES), *_PLURALS.split()])
_OTHER_NAME = "|".join(f"{name}(?:e?s)?" for name in _OTHER_NAMES)
_DEFECT = (
    r"(?:stupid|dumb|dumber|dumbest|idiotic|moronic|ignorant|pathetic|worthless|useless|brainless|clueless|gutless|"
    r"spineless|delusional|demented|insane|crazy|evil|vile|disgusting|despicable|inept|incompetent|corrupt|crooked|"
    r"greedy|lazy|ugly|filthy|sick|retarded|inbred|cowardly|weak|two-faced|obnoxious|nasty|dense|thick|trash|scum|"
    r"garbage|nuts)"
)
_IS = r"(?:'re|'s|re| are| r| is| was| were| look| looks| sound| sounds)"
_ADJECTIVES = r"(?:[\w'-]+ ){0,3}?"
_INSULTS = (
    rf"\b(?:{_NAME})\b",
    # "you greedy snake", "those pigs"
    rf"\b(?:you|u|ya|these|those|them|such an?|what an?|some) (?:[\w'-]+ ){{0,2}}?(?:{_OTHER_NAME})\b(?! move)",
    # "the agent is a lying weasel"
    rf"(?:\b\w+{_IS}|\bbe) (?:an?|just|such an?|nothing but) {_ADJECTIVES}(?:{_OTHER_NAME})\b(?! to | in )",
    # "clown, read the manual", "nice work, genius"
    rf"(?:^|^\w+ |, )(?:{_OTHER_NAME})\s*(?:[.,!?]|$)",
    rf"\b(?:you|u|he|she|they|who|people){_IS} {_ADJECTIVES}{_DEFECT}\b",
    rf"\b(?:are|r) (?:you|u|they) {_ADJECTIVES}{_DEFECT}\b",
    rf"\b(?:you|these|those|this|that) {_ADJECTIVES}{_DEFECT} (?:\w+ )?"
    r"(?:man|woman|men|women|people|kids?|person|guys?|lot)\b",
    r"\b(?:shut (?:up|your)|get a life|get lost|drop dead|(?:fuck|screw|damn) (?:you|u|off|him|her)|go to hell|"
    r"piss off|kiss my|stfu|gtfo|nobody (?:likes|wants|listens to|cares about) you)\b",
    r"\b(?:you|he|she|they)(?: have|'ve| has|ve| got)? (?:no|zero) "
    r"(?:talent|brains?|clue|shame|spine|guts|life|friends|taste|class)\b",
)
_HARM = (
    r"(?:kill|murder|shoot|stab|slap|punch|kick|beat|hit|hurt|smash|break|burn|choke|strangle|drown|hang|cut|crush|thump|"
    r"whip|whoop|knock|drag|bury|destroy|end|slay|execute|batter|bash|rape|poison|smack|flatten|rip|throw|run|find|make)"
)
# Not "I'll break the news": the owner of what is harmed must be somebody.
_VICTIM = (
    r"(?:you|u|ya|yo|him|them|your|ur|his|their|her|(?:both|all|every\w*) (?:of )?\w+|the (?:guy|man|driver)\w*)\b"
)
_BODY = r"(?:arms?|legs?|neck|nose|face|jaw|teeth|fingers|bones?|skull|head|ass|asses|lights)"
_WILL = r"\b(?:i|we|he|she|they)(?:'ll| will|ll|'m going to|m going to| am going to|'m gonna|m gonna| gonna|'d| would)"
_YOU_WILL = r"\b(?:you|u)(?:'ll| will|ll|'re going to|re going to| gonna| are going to)"
_THREATS = (
    rf"(?:{_WILL}|\bgonna|\bimma|\bi[m']+ (?:gonna|going to|coming)|\band)(?: \w+){{0,4}}? "
    rf"(?:kill|stab|shoot|slap|punch|thump|beat|smash|flatten|strangle|choke|murder|slay) {_VICTIM}",
    rf"(?:{_WILL}|\bgonna|\bimma|\bim going to) (?:\w+ )?{_HARM} {_VICTIM}"
    r"(?! (?:an? |the |out\b|some|know|understand|laugh))",
    r"\b(?:break|kick|smash|beat|knock|punch|rip)(?: in)? (?:both |all )?(?:of )?"
    rf"(?:you|yer|your|ur|his|their|her) (?:\w+ )?{_BODY}\b",
    rf"(?:{_WILL}|\bbefore i|\b(?:im|i'm) (?:gonna|going to))(?: \w+){{0,3}}? "
    r"(?:slap|punch|drag|shove|slash|wring|crack|throw|knock you) ",
    rf"{_YOU_WILL} (?:\w+ )?(?:die|bleed|pay for|regret|be sorry|suffer|leave with|go home without|need an ambulance|"
    r"be (?:dead|beaten|killed|shot|next|wearing|eating|the one on the ground))\b",
    r"\b(?:should|ought to|deserves? to|needs? to|must|hope(?: \w+)?|wish(?: \w+)?) (?:all )?"
    r"(?:be (?:shot|hanged|hung|strung up|killed|beaten|executed|burned|burnt|slapped)|die|dies|rot|burn|choke)\b",
    r"\b(?:you'?re|ur|your|you are) (?:\w+ )?(?:dead meat|dead|getting (?:whooped|beat|beaten|killed))\b",
    r"\b(?:watch your back|sleep with one eye open|kill yourself|kys|i know where you (?:live|park)|"
    r"or else\s*(?:[.!]|$))",
)
_THREAT, _INSULT = (re.compile("|".join(patterns), re.IGNORECASE) for patterns in (_THREATS, _INSULTS))
# The words of the delete baseline.
_WORD = re.compile(r"[\w'*@$]+")


def toxicity_kind(source: str) -> str:
    """Return the kind of toxicity of a source, one of `TOXICITY_KINDS`.

    A threat announces or wishes harm to somebody. An insult calls somebody an insulting name or a bad person, or sends
    them away. An explicit word is a word of the lexicon of the `delete` baseline, in a source that is neither. What no
    rule finds is implicit: contempt, sarcasm, comparisons, and words that the lists lack.
    """
    text = " ".join(source.replace("’", "'").split())
    if _THREAT.search(text):
        return "threat"
    if _INSULT.search(text):
        return "insult"
    words = lexicon()
    return "explicit word" if any(word.lower() in words for word in _WORD.findall(text)) else "implicit"
