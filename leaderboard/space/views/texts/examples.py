"""Three rewrites of the leader that show what a good one looks like, and how rewrites fail."""

import numpy as np

from leaderboard.rows.sentences import Sentences
from leaderboard.space.data import Leaderboard
from leaderboard.space.escaping import MAX_NAME, is_rude, to_html
from leaderboard.space.views.bars import meters
from leaderboard.space.views.texts.differences import mark_differences
from metrics.scoring import FACTORS
from metrics.scoring.slices import lowest_metric
from metrics.util.errors import InputError

# Words of a source that reads at a glance.
_SHORTEST, _LONGEST = 5, 14
_TITLES = {"good": "A good rewrite", "SIM": "Meaning lost", "STA": "Still rude", "FL": "Badly written"}
_MAX_EXAMPLES = 3


def render_examples(board: Leaderboard, key: str | None) -> str:
    """Return up to three rewrites of the record `key` with their scores as HTML; "" if no sentences are stored."""
    record = board.records.get(key or "")
    if record is None:
        return ""
    try:
        sentences = board.sentences(record["key"])
    except InputError:
        return ""
    chosen = _choose(sentences)
    cards = [_card(sentences, title, i, lowest) for title, i, lowest in chosen]
    name = to_html(record["system"], MAX_NAME)
    return (
        f'<section class="examples" aria-label="Example rewrites"><h2>What {name} writes</h2>{"".join(cards)}'
        '<p class="source">Crossed out: words that the rewrite drops. Underlined: words that it adds. Press a blurred '
        "word to show it.</p></section>"
    )


def _choose(sentences: Sentences) -> list[tuple[str, int, str]]:
    """(title, index, metric that sank it) of the best rewrite, and of one that each of two metrics sank, SIM first."""
    values = sentences.values
    short = np.array([_SHORTEST <= len(text.split()) <= _LONGEST for text in sentences.source])
    rude = np.array([any(map(is_rude, text.split())) for text in sentences.source])
    changed = np.array([a.casefold() != b.casefold() for a, b in zip(sentences.source, sentences.output, strict=True)])
    usual = short & rude
    sunk = np.array(lowest_metric(values))
    chosen = []
    if (best := _first(usual & changed & (sunk == "none"), values["j"])) is not None:
        chosen.append((_TITLES["good"], best, ""))
    for name in ("SIM", "STA", "FL"):
        others = np.prod([values[metric] for metric in FACTORS if metric.upper() != name], axis=0)
        # Where the other two are high, one sees what the third means.
        found = (
            _first((sunk == name) & usual & changed, others)
            if name != "STA"
            else _first((sunk == name) & usual, others)
        )
        if found is not None and len(chosen) < _MAX_EXAMPLES:
            chosen.append((_TITLES[name], found, name))
    return chosen


def _first(among: np.ndarray, values: np.ndarray) -> int | None:
    """The index of the highest of `values` [n] where `among` [n] holds; None if it holds nowhere."""
    return int(np.argmax(np.where(among, values, -np.inf))) if among.any() else None


def _card(sentences: Sentences, title: str, i: int, lowest: str) -> str:
    source, output = mark_differences(sentences.source[i], sentences.output[i], False)
    why = f" <span>{lowest} sinks it</span>" if lowest else ""
    css = "bad" if lowest else "good"
    return (
        f'<article class="example {css}"><h3>{title}{why}</h3><p class="before">{source}</p>'
        f'<p class="after">{output}</p>{meters(sentences.values, i, lowest)}</article>'
    )
