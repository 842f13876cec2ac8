"""The explorer's two parts as HTML: the list of sentences, and one sentence with what every system made of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leaderboard.rows.sentences import Sentences
from leaderboard.space.data import Record
from leaderboard.space.escaping import MAX_NAME, MISSING, blur_rude_words, to_attribute, to_html
from leaderboard.space.views.bars import meters
from leaderboard.space.views.columns import system_name
from leaderboard.space.views.faults import SINKS
from leaderboard.space.views.selection import ANY
from leaderboard.space.views.tables import above_table, headings, page_bounds, table
from leaderboard.space.views.texts.differences import mark_differences
from leaderboard.space.views.texts.explorer import PROFILES_DIFFER, Choice, Explorer
from metrics.scoring import FACTORS
from metrics.scoring.slices import NONE, lowest_metric
from metrics.util.errors import InputError

PAGE_SENTENCES = 6


def render_list(
    explorer: Explorer, records: Sequence[Record], key: str, choice: Choice, picked: int, page: int, show_rude: bool
) -> tuple[str, int]:
    """Return a page of the sentences that pass as HTML, and the sentence to show beside it.

    Args:
        explorer: The leaderboard's sentences.
        records: The systems that pass the filters above the tabs, best first.
        key: The system whose rewrites are listed.
        choice: Which sentences, in which order.
        picked: The sentence that is shown now, from 0, which stays if it passes; −1 for none.
        page: From 0.
        show_rude: Whether rude words are shown; otherwise they are blurred.

    Returns:
        The HTML, and the place of the sentence to show; −1 if no sentence passes.
    """
    try:
        places = explorer.choose(key, choice, lambda: explorer.systems(records, key))
        own, sunk = explorer.board.sentences(key), explorer.labels(key)["sunk"]
    except InputError as error:
        return f'<p role="status">No sentences to show: {to_html(error)}.</p>', -1
    page, pages = page_bounds(len(places), PAGE_SENTENCES, page)
    shown = places[page * PAGE_SENTENCES : (page + 1) * PAGE_SENTENCES]
    if picked not in places:
        picked = shown[0] if shown else -1
    items = "".join(_item(own, i, sunk[i], i == picked, show_rude) for i in shown)
    total = len(own.source)
    count = f"{len(places):,} of {total:,} sentences" if len(places) < total else f"{total:,} sentences"
    name = str(explorer.board.records[key]["system"])
    return (
        f"{_about_profiles(explorer, key, choice)}{above_table(count, page, pages)}"
        f'<ol class="sentence-list" aria-label="Sentences with the rewrites of {to_attribute(name)}">{items}</ol>'
    ), picked


def _about_profiles(explorer: Explorer, key: str, choice: Choice) -> str:
    """Why the filter or the order by profiles has nothing to go by; "" where it has, or is not used."""
    if (choice.profiles == ANY and choice.order != PROFILES_DIFFER) or explorer.other_profiles(key):
        return ""
    return '<p role="status">On this leaderboard only one profile has scored this system’s outputs.</p>'


def _item(own: Sentences, i: int, sunk: str, picked: bool, show_rude: bool) -> str:
    current = ' aria-current="true"' if picked else ""
    source, output = mark_differences(own.source[i], own.output[i], show_rude)
    pick = f'<button type="button" class="plain" data-event="pick" data-value="{i}">Sentence {i + 1:,}</button>'
    return (
        f"<li{current}>{pick}<span>{_badge(sunk)}</span>"
        f'<p class="before">{source}</p><p class="after">{output}</p>{meters(own.values, i, sunk)}</li>'
    )


def _badge(sunk: str) -> str:
    """What sank a rewrite, in words."""
    return "" if sunk == NONE else f'<span class="sunk">{SINKS[sunk]}</span>'


def render_sentence(explorer: Explorer, records: Sequence[Record], key: str, place: int, show_rude: bool) -> str:
    """Return one sentence with the rewrites of all systems as HTML; "" if there is none at `place`, from 0.

    The other arguments are those of `render_list`.
    """
    try:
        systems, labels = explorer.systems(records, key), explorer.labels(key)
    except InputError:
        return ""
    own = next(sentences for record, sentences in systems if record["key"] == key)
    if not 0 <= place < len(own.source):
        return ""
    others = explorer.other_profiles(key)
    rows = [_rewrite(record, sentences, place, record["key"] == key, show_rude) for record, sentences in systems]
    head = headings(["System", "Rewrite", "Scores", "Sunk by"])
    kind, length = (to_html(labels[name][place]) for name in ("toxicity", "length"))
    more = f" The first {len(systems)} of {len(records):,} systems." if len(records) > len(systems) else ""
    return (
        f'<h2>Sentence {place + 1:,}</h2><p class="quoted">{blur_rude_words(own.source[place], show_rude)}</p>'
        f'<p class="source">Kind of toxicity: {kind}. Length: {length}.{_profiles(others, own, place)}</p>'
        f"{table('rewrites', head, rows, 'Rewrites of this sentence')}"
        '<p class="source">Underlined: words that the source lacks. The rewrite that drops most of the source’s words '
        f"is not the best: SIM says whether the meaning stays.{more}</p>"
    )


def _profiles(others: Mapping[str, np.ndarray[Any, Any]], own: Sentences, place: int) -> str:
    if not others:
        return ""
    values = ", ".join(f"{to_html(name, MAX_NAME)} {values[place]:.3f}" for name, values in others.items())
    return f" J of the chosen system here {own.values['j'][place]:.3f}, by other profiles: {values}."


def _rewrite(record: Record, sentences: Sentences, i: int, chosen: bool, show_rude: bool) -> str:
    output = mark_differences(sentences.source[i], sentences.output[i], show_rude)[1]
    sunk = lowest_metric({metric: sentences.values[metric][i : i + 1] for metric in (*FACTORS, "j")})[0]
    fault = f'<span class="source">{to_html(sentences.faults[i])}</span>' if sentences.faults else ""
    rank = "" if record["rank"] is None else f'<span class="source">{record["rank"]}.</span> '
    css = ' class="chosen"' if chosen else ""
    return (
        f'<tr{css}><th scope="row">{rank}{system_name(record)}</th><td class="text">{output}</td>'
        f"<td>{meters(sentences.values, i, sunk)}</td><td>{_badge(sunk) or MISSING}{fault}</td></tr>"
    )
