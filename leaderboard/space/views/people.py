"""What people said in a study: agreement between annotators, systems, and every profile against people."""

from collections.abc import Mapping, Sequence

import numpy as np

from leaderboard.judging.storage import read_judgements
from leaderboard.space.data import Leaderboard
from leaderboard.space.escaping import MAX_NAME, to_html
from leaderboard.space.views.tables import headings, number_cells, table
from metrics.data.judged import ASPECTS, Array, JudgedPairs, JudgedRewrites
from metrics.data.judgement_files import Judgement, judged_pairs, judged_rewrites, latest
from metrics.people import Reliability, human_means, preference_agreement, reliabilities, win_rates
from metrics.scoring import METRICS
from metrics.scoring.agreement import TITLES, rank_correlation
from metrics.scoring.statistics import Interval
from metrics.util.errors import InputError

# Rows whose sentences are read to compare profiles with people; each takes a request to the Hub.
MAX_ROWS = 64
_RESAMPLES = 300
_ASPECT_TITLES = {"style": "Polite", "meaning": "Same meaning", "fluency": "Good English", "joint": "All three"}
_QUESTION_TITLES = {
    "polite": "Polite", "meaning": "Same meaning", "fluent": "Good English", "better": "Which of two is better",
}  # fmt: skip
# The correlations that are shown, and the judgement that each is with.
_SHOWN = {"sta": "style", "sim": "meaning", "fl": "fluency", "j": "joint"}


def render_people(board: Leaderboard, study: str | None) -> str:
    """Return what people said in a study as HTML, folded: it names the systems, which readers must not know."""
    try:
        judgements = latest(read_judgements(board.snapshot, study)) if study else []
    except InputError as error:
        return f"<p>Answers were not read: {to_html(error)}.</p>"
    if not judgements:
        return "<p>No answers are stored for this study yet.</p>"
    annotators = len({one.annotator for one in judgements})
    parts = [_reliabilities(reliabilities(judgements))]
    for judged in judged_rewrites(judgements).values():
        parts += [_systems(judged), _profiles(board, judged)]
    for pairs in judged_pairs(judgements).values():
        parts += [_wins(pairs), _preferences(board, pairs)]
    count = f"{len(judgements):,} answers of {annotators} {'annotator' if annotators == 1 else 'annotators'}"
    return (
        f"<details><summary>What people said: {count}. It names the systems: read first, then look.</summary>"
        f"{''.join(parts)}{_guidelines(judgements)}</details>"
    )


def _guidelines(judgements: Sequence[Judgement]) -> str:
    versions = ", ".join(sorted({one.guidelines for one in judgements}))
    return f"<p>Answered by version {to_html(versions, 200)} of the guidelines. Intervals: 95 %, bootstrap.</p>"


def _reliabilities(rows: Sequence[Reliability]) -> str:
    lines = []
    for row in rows:
        alpha = str(row.alpha) if row.alpha else f"undefined: {row.undefined}"
        agreed = "" if row.agreed is None else f"{row.agreed:.3f}"
        cells = number_cells((f"{row.annotators}", f"{row.answers:,}", f"{row.items:,}", agreed, alpha))
        lines.append(f'<tr><th scope="row">{_QUESTION_TITLES[row.question]}</th>{cells}</tr>')
    names = ("Annotators", "Answers", "Items of two or more", "Same answer", "Krippendorff's α [95 %]")
    head = headings(["Question"]) + headings(names, numeric=True)
    return "<h3>Do annotators agree?</h3>" + table("alpha", head, lines, "Agreement between annotators")


def _systems(judged: JudgedRewrites) -> str:
    means = human_means(judged)
    lines = [
        f'<tr><th scope="row">{to_html(system, MAX_NAME)}</th>'
        f"{number_cells(str(values[aspect]) for aspect in (*ASPECTS, 'joint'))}</tr>"
        for system, values in means.items()
    ]
    head = headings(["System"]) + headings([_ASPECT_TITLES[a] for a in (*ASPECTS, "joint")], numeric=True)
    note = f"<p>{len(judged.outputs):,} rewrites with answers to all three questions; yes is 1, partly ½, no 0.</p>"
    return f"<h3>Systems, as people see them</h3>{note}" + table("human", head, lines, "Systems by people")


def _wins(pairs: JudgedPairs) -> str:
    lines = [
        f'<tr><th scope="row">{to_html(system, MAX_NAME)}</th>{number_cells((str(rate), f"{n:,}"))}</tr>'
        for system, (rate, n) in win_rates(pairs).items()
    ]
    head = headings(["System"]) + headings(["Comparisons won [95 %]", "n"], numeric=True)
    return "<h3>Systems, by comparisons won</h3>" + table("wins", head, lines, "Comparisons won")


def _profiles(board: Leaderboard, judged: JudgedRewrites) -> str:
    """Spearman's correlation of the stored scores of every profile with people, over the rewrites that both judged."""
    keys = list(zip(judged.systems, judged.sources, judged.outputs, strict=True))
    lines = []
    for label, scores in _scores_by_profile(board, judged.systems).items():
        found = [i for i, key in enumerate(keys) if key in scores]
        if not found:
            continue
        values = np.array([scores[keys[i]] for i in found])
        places = enumerate(METRICS)
        own = {m: rank_correlation(values[:, i], judged.at(found), _SHOWN[m], _RESAMPLES) for i, m in places}
        cells = number_cells((*(str(own[metric] or "undefined") for metric in _SHOWN), f"{len(found):,}"))
        lines.append(f'<tr><th scope="row">{to_html(label, MAX_NAME)}</th>{cells}</tr>')
    titles = [f"{TITLES[metric]}, {_ASPECT_TITLES[aspect].lower()}" for metric, aspect in _SHOWN.items()]
    head = headings(["Test set and profile"]) + headings((*titles, "n"), numeric=True)
    return "<h3>Do the metrics agree with people? Spearman's correlation by rewrite</h3>" + (
        table("agreement", head, lines, "Profiles against people") if lines else _UNSCORED
    )


def _preferences(board: Leaderboard, pairs: JudgedPairs) -> str:
    """How often the stored scores of every profile prefer the rewrite that people prefer."""
    sides = [
        list(zip([names[place] for names in pairs.systems], pairs.sources, outputs, strict=True))
        for place, outputs in enumerate((pairs.first, pairs.second))
    ]
    lines = []
    for label, scores in _scores_by_profile(board, [name for names in pairs.systems for name in names]).items():
        found = [i for i, keys in enumerate(zip(*sides, strict=True)) if all(key in scores for key in keys)]
        if not found:
            continue
        own = pairs.at(found)
        first, second = (np.array([scores[side[i]] for i in found]) for side in sides)
        agreed = [preference_agreement(own, first[:, place], second[:, place]) for place in range(len(METRICS))]
        decided = next((n for one in agreed if one for n in one[1:]), 0)
        texts = [_share(one) for one in agreed]
        lines.append(
            f'<tr><th scope="row">{to_html(label, MAX_NAME)}</th>{number_cells((*texts, f"{decided:,}"))}</tr>'
        )
    head = headings(["Test set and profile"]) + headings((*map(str.upper, METRICS), "n"), numeric=True)
    return "<h3>Do the metrics prefer what people prefer?</h3>" + (
        table("preferences", head, lines, "Preferences of profiles and people") if lines else _UNSCORED
    )


_UNSCORED = "<p>No profile's scores of these rewrites are stored.</p>"


def _share(agreed: tuple[Interval, int] | None) -> str:
    return "undefined" if agreed is None else str(agreed[0])


def _scores_by_profile(board: Leaderboard, systems: Sequence[str]) -> Mapping[str, dict[tuple[str, str, str], Array]]:
    """Label of a group -> (system, source, output) -> its scores by `METRICS`."""
    wanted, read = set(systems), 0
    found: dict[str, dict[tuple[str, str, str], Array]] = {}
    for group in board.groups.values():
        for record in group.records:
            if record["system"] not in wanted or read >= MAX_ROWS:
                continue
            read += 1
            try:
                sentences = board.sentences(record["key"])
            except InputError:
                continue
            table_ = np.stack([sentences.values[metric] for metric in METRICS], axis=1)
            texts = zip(sentences.source, sentences.output, table_, strict=True)
            own = {(str(record["system"]), source, output): values for source, output, values in texts}
            found.setdefault(group.label, {}).update(own)
    return found
