"""Rankings as Markdown, for the terminal and for reports."""

from collections.abc import Collection, Sequence

from leaderboard.board.board import Board
from leaderboard.board.languages import Family, families
from leaderboard.board.names import name_notes
from leaderboard.board.reading import read_sentences
from leaderboard.rows.row import Row, Score
from leaderboard.stores.base import Snapshot
from metrics.data.languages import AVERAGES
from metrics.scoring.slices import count_line
from metrics.util.errors import InputError
from metrics.util.markdown import escape_markdown


def rankings(board: Board, snapshot: Snapshot | None = None, langs: Collection[str] = ()) -> str:
    """Return each ranking of a board with its heading and its signature or source, and tables across languages.

    Args:
        board: The board.
        snapshot: Its files, whose sentences are read to count each system's outputs by fault; None for no counts.
        langs: The languages to show; empty for all.

    Raises:
        InputError: There is no row in one of the languages.
    """
    there = {row.test_set.lang for row in board.latest}
    if missing := sorted(set(langs) - there):
        raise InputError(f"--lang: no row in {', '.join(missing)}; there are rows in {', '.join(sorted(there))}")
    parts = [_across(family) for family in families(board)] if not langs else []
    for ranking in board.rankings:
        if langs and ranking[0].test_set.lang not in langs:
            continue
        source = ranking[0].source
        origin = (
            f"source: {escape_markdown(source.title)}, {source.url}"
            if source
            else f"signature: {ranking[0].comparable}"
        )
        counts = "".join(f"{line}\n" for line in _counts(ranking, snapshot)) if snapshot else ""
        parts.append(f"{_heading(ranking)}\n{table(ranking, board)}\n{counts}{origin}\n")
    return "\n".join(parts)


def _across(family: Family) -> str:
    """A table of J by language, with the averages of the shared tasks, the best system by them first."""
    averages = [name for name in AVERAGES if any(name in system.averages for system in family.systems)]
    lines = [
        f"{family.title}: J by language, with the rank among systems",
        f"| system | {' | '.join([*averages, *family.langs])} |",
        f"|---|{'---|' * (len(averages) + len(family.langs))}",
    ]
    for system in family.systems:
        places = [system.averages.get(name) for name in averages] + [system.j.get(lang) for lang in family.langs]
        cells = ["" if p is None else f"{p.j:.3f}" + ("" if p.rank is None else f" ({p.rank})") for p in places]
        lines.append(f"| {' | '.join([escape_markdown(system.name), *cells])} |")
    return "\n".join(lines) + "\n"


def _counts(ranking: Sequence[Row], snapshot: Snapshot) -> list[str]:
    """Return a line for each row of version 2 whose texts are here: how many outputs have which fault."""
    lines, names = [], _names(ranking)
    for row in ranking:
        if row.sentences_path in snapshot.files:
            # One damaged file must not end the board.
            try:
                counts = count_line(read_sentences(snapshot, row).scored)
            except InputError as error:
                counts = f"not counted: {error}"
            lines.append(f"- {names[row.run_id]}, {escape_markdown(counts)}")
    return lines


def _heading(ranking: Sequence[Row]) -> str:
    first = ranking[0]
    if first.source:
        return (
            f"{escape_markdown(first.test_set.title)}, as published (another protocol: compare within this table only)"
        )
    test_set, origin = (escape_markdown(text) for text in (first.test_set.title, first.test_set.origin))
    part = "" if first.test_set.of in (None, first.test_set.n) else f" of {first.test_set.of:,}"
    return (
        f"{test_set} ({origin}), n = {first.test_set.n:,}{part}, {escape_markdown(first.profile)}; "
        "95 % intervals; a paired test at 5 % does not separate systems that share a letter"
    )


def table(ranking: Sequence[Row], board: Board) -> str:
    """Return a ranking as a Markdown table."""
    lines = [
        "| rank | ties | system | J | STA | SIM | FL | length ratio | copies |",
        "|--:|---|---|---|---|---|---|--:|--:|",
    ]
    names = _names(ranking)
    for row in ranking:
        place = board.placing(row)
        shown = board.shown(row).scores
        scores = [_cell(shown.get(metric)) for metric in ("j", "sta", "sim", "fl")]
        ratio = "" if row.length_ratio is None else f"{row.length_ratio:.2f}"
        copies = "" if row.copies is None else f"{row.copies:.1%}"
        cells = ["–" if place.rank is None else str(place.rank), place.ties, names[row.run_id], *scores, ratio, copies]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _names(ranking: Sequence[Row]) -> dict[str, str]:
    """The names of systems as Markdown, by run id, with what tells rows of one name, or of like ones, apart."""
    notes = name_notes((row.run_id, row.system.name, row.run_id, row.date.isoformat()) for row in ranking)
    return {
        row.run_id: escape_markdown(row.system.name) + (f" ({escape_markdown(note)})" if note else "")
        for row in ranking
        for note in [notes.get(row.run_id, "")]
    }


def _cell(score: Score | None) -> str:
    if score is None:
        return ""
    return f"{score.mean:.3f}" if score.low is None else f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]"
