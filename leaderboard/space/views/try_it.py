"""Scores of a rewrite that a visitor typed, and the reasons. The models are loaded at the first use."""

import re
from threading import Lock

import numpy as np

from leaderboard.space.escaping import blur_rude_words, is_rude, to_html
from leaderboard.space.views.tables import headings, number_cells, table
from metrics.data.text import is_copy, length_ratio, well_formed
from metrics.scoring import FACTORS, METRICS
from metrics.scoring.slices import NONE, SUNK, lowest_metric
from metrics.scoring.toxicity import toxicity_kind
from metrics.util.errors import InputError

# Of each text; a test set's longest sentence has 300.
MAX_CHARACTERS = 1_000
# Their models come from PyPI, so that any Space can load them; they are for English.
BUILT_IN_PROFILES = ("offline", "offline-v2")
# Those whose models come from the Hub: hundreds of megabytes, which a Space may not have room for.
HUB_PROFILES = ("paradetox", "emnlp2021")
EXAMPLE = ("why is this stupid thing so damn slow?", "Why is this so slow?")
_LOCK = Lock()
_MEANINGS = {
    "sta": "STA: is it no longer toxic?", "sim": "SIM: does it keep the meaning?", "fl": "FL: is it fluent?",
    "j": "J: the product of the three",
}  # fmt: skip
# What each fault means, in the words of a reader; of metrics.scorers.FAULTS.
_FAULTS = {
    "none": "The judge sees no fault.",
    "lost": "The judge finds that the rewrite has lost something that the source says.",
    "inverted": "The judge finds that the rewrite says the opposite of the source somewhere.",
    "swapped roles": "The judge finds that the rewrite has swapped who does what to whom.",
    "invented": "The judge finds something in the rewrite that the source does not say.",
    "other content": "The judge finds that the rewrite is about something else.",
    "gap": "The judge finds a gap, as of a word that was only left out.",
    "repetition": "The judge finds a repetition.",
    "garbled": "The judge finds the rewrite garbled.",
    "rude": "The judge still finds the rewrite rude.",
}


def render_scores(source: str, output: str, profile: str, show_rude: bool) -> str:
    """Return the scores of one rewrite under a profile with their reasons as HTML, or why there are none.

    Args:
        source: The toxic sentence.
        output: Its rewrite; an empty one scores 0.
        profile: One of `BUILT_IN_PROFILES` and `HUB_PROFILES`; the page offers the latter only where it runs locally.
        show_rude: Whether rude words are shown; otherwise they are blurred.
    """
    source, output = (" ".join(well_formed(str(text or "")).split()) for text in (source, output))
    if not source:
        return '<p role="status">Write the toxic sentence first.</p>'
    if max(len(source), len(output)) > MAX_CHARACTERS:
        return f'<p role="status">At most {MAX_CHARACTERS:,} characters, please.</p>'
    try:
        with _LOCK:
            values, fault = _score(source, output, profile)
    except InputError as error:
        return f'<p role="status">Not scored: {to_html(error, 300)}</p>'
    rows = [f'<tr><th scope="row">{_MEANINGS[m]}</th>{number_cells([f"{values[m]:.3f}"])}</tr>' for m in METRICS]
    head = headings(["Metric"]) + headings(["Score"], numeric=True)
    texts = "".join(
        f"<dt>{name}</dt><dd>{blur_rude_words(text, show_rude)}</dd>"
        for name, text in (("Source", source), ("Rewrite", output))
    )
    reasons = "".join(f"<li>{reason}</li>" for reason in _reasons(source, output, values, fault))
    return (
        f'<div role="status"><p><strong>J {values["j"]:.3f}</strong> under the profile {to_html(profile)}</p>'
        f"<dl>{texts}</dl></div>{table('tried', head, rows, 'Scores')}<h3>Why</h3><ul>{reasons}</ul>"
    )


def _score(source: str, output: str, profile: str) -> tuple[dict[str, float], str]:
    """The scores by `METRICS`, and the judge's fault; "" for a profile without such a judge, or an empty rewrite."""
    # It imports torch, which takes seconds: the page starts without.
    from metrics.scoring.functions import load_measure, metric_values

    values = {name: float(value[0]) for name, value in metric_values("j", [source], [output], profile=profile).items()}
    judge = load_measure("sim", profile)
    tells = bool(output) and getattr(judge, "tells_faults", False)
    return values, judge.faults([source], [output])[0] if tells else ""  # type: ignore[attr-defined]


def _reasons(source: str, output: str, values: dict[str, float], fault: str) -> list[str]:
    """Why the scores are what they are, as HTML."""
    if not output:
        return ["An empty rewrite scores 0 in every metric."]
    sunk = lowest_metric({metric: np.array([value]) for metric, value in values.items()})[0]
    reasons = [
        f"J is below {SUNK}, and {sunk} is the lowest of the three." if sunk != NONE
        else f"None of {', '.join(map(str.upper, FACTORS))} sinks it: J is {SUNK} or more."
    ]  # fmt: skip
    if fault:
        reasons.append(_FAULTS.get(fault, f"The judge names the fault: {to_html(fault, 40)}."))
    rude = [word for word in re.findall(r"[\w'*@$#!-]+", output) if is_rude(word)]
    if rude:
        reasons.append(f"The list of rude words has {blur_rude_words(', '.join(dict.fromkeys(rude)), False)}.")
    if is_copy(source, output):
        reasons.append("It is a copy of the source.")
    ratio = length_ratio(source, output)
    if not 0.5 <= ratio <= 2:
        reasons.append(f"It has {ratio:.1f} times as many words as the source.")
    return [*reasons, f"The source is of the kind: {toxicity_kind(source)}."]
