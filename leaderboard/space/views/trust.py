"""Why a row can be trusted or cannot, in words, and how to cite it."""

import re

from leaderboard.space.data import Leaderboard, Record
from leaderboard.space.escaping import to_html
from leaderboard.space.views.columns import STATUSES, no_rank_reason, status
from metrics.scoring import FACTORS

_LONG = 6_000
_MEANING = {
    "verified": "The program scored the stored outputs again: every score, mean and interval, the sentences, the test "
    "set and the signature agree with the row. This does not show which system wrote the outputs; to check that, run "
    "the command under “Reproduce this row”.",
    "mismatch": "Scored again, the stored outputs give other values than the row states, or parts of the row "
    "contradict each other. It has no rank.",
    "unverifiable": "Something that a check needs is missing, so that nobody can say whether the outputs give these "
    "scores. They are what the submitter states.",
    "unchecked": "No check of this row is stored, or the row or its outputs changed after it. The scores are what the "
    "submitter states; anyone can check them with the command.",
}
_PUBLISHED = (
    "A figure from a paper. It was not measured here, no outputs are stored, and its J cannot be compared with J under "
    "another protocol."
)
# Characters that have a meaning in TeX.
_TEX = {character: f"\\{character}" for character in "#$%&_{}"}
_TEX |= {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}


def render_trust(record: Record) -> str:
    """Return what is known about the row's scores, and since when, as HTML."""
    if record["record"] == "published":
        return f"<p>{_PUBLISHED}</p>"
    found = str(record["verification"] or "unchecked")
    found = found if found in STATUSES else "unchecked"
    parts = {"date": "on {}", "version": "by version {} of the program"}
    known = {part: record[f"verification_{part}"] for part in parts if record[f"verification_{part}"]}
    when = " ".join(parts[part].format(to_html(value, 40)) for part, value in known.items())
    note = (
        f"<p>What was found: {to_html(record['verification_note'], _LONG)}</p>" if record["verification_note"] else ""
    )
    unranked = f"<p>It has no rank: {no_rank_reason(record)}.</p>" if record["rank"] is None else ""
    return f"<p><strong>{status(record)}</strong> {when}</p><p>{_MEANING[found]}</p>{note}{unranked}"


def citation(board: Leaderboard, record: Record) -> str:
    """Return a BibTeX entry of a measured row, with its scores and its signature; "" for a published figure."""
    if record["record"] == "published":
        return ""
    scores = ", ".join(f"{metric.upper()} {_score(record, metric)}" for metric in ("j", *FACTORS))
    where = f"the leaderboard {board.repo}" if board.repo else "a leaderboard of detox-suite"
    checked = record["verification"] or "unchecked"
    run = re.sub(r"[^0-9a-f]", "", str(record["run_id"]))[:16] or "row"
    fields = {
        "title": f"{record['system']} on {record['test_set']}, {record['n']} sentences: {scores}",
        "howpublished": f"Row {record['run_id']} of {where} at revision {board.snapshot.revision[:12]}",
        "year": str(record["date"] or "")[:4],
        "note": f"Profile {record['profile']}; {checked}; signature {record['signature']}",
    }
    lines = "".join(f"  {name} = {{{_tex(value)}}},\n" for name, value in fields.items())
    return f"@misc{{detox_{run},\n{lines}}}"


def _score(record: Record, metric: str) -> str:
    mean, low, high = (record[name] for name in (metric, f"{metric}_low", f"{metric}_high"))
    if mean is None:
        return "unknown"
    return f"{mean:.3f}" if low is None else f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text[:_LONG])
