"""The judgements in a leaderboard: judgements/<study>/<annotator>-<hash>.parquet, each file of one annotator.

Files are never changed: who answers more adds another file, and of two answers to one question the later one counts.
The page of a local folder alone rewrites a file, the one that holds what a reader answered there.
"""

import re
import sys
from collections.abc import Iterable, Sequence

from leaderboard.judging.study import Runs, read_study
from leaderboard.stores.base import Snapshot
from metrics.data.judgement_files import FOLDER, Judgement, from_parquet, latest, to_parquet
from metrics.util.characters import printable
from metrics.util.errors import InputError
from metrics.util.files import content_hash

# More than any study has had; each takes a request to the Hub.
MAX_FILES = 2_000
# In the name of the page's file, where others have the hash of their content.
_PAGE = content_hash("page")[:16]
_FILE = re.compile(rf"^{FOLDER}/([a-z0-9][a-z0-9-]{{0,59}})/([0-9a-f]{{16}})-[0-9a-f]{{16}}\.parquet", re.ASCII)


def read_judgements(
    snapshot: Snapshot, study: str | None = None, annotators: Iterable[str] | None = None
) -> list[Judgement]:
    """Return the stored answers, of a study and of annotators if they are given.

    Invalid files are skipped, each with a warning.

    Raises:
        InputError: There are more files than `MAX_FILES`.
    """
    wanted = None if annotators is None else set(annotators)
    owners = answer_files(snapshot)
    paths = [p for p, (name, who) in owners.items() if study in (None, name) and (wanted is None or who in wanted)]
    if len(paths) > MAX_FILES:
        raise InputError(f"{FOLDER}: {len(paths):,} files of answers; at most {MAX_FILES:,} are read")
    judgements: list[Judgement] = []
    for path in paths:
        try:
            judgements += _read_file(snapshot, path, owners[path])
        except InputError as error:
            print(f"warning: {printable(str(error))}; skipped", file=sys.stderr)
    return judgements


def answer_files(snapshot: Snapshot) -> dict[str, tuple[str, str]]:
    """Return the study and the annotator in the path of each file of answers, by path."""
    return {path: (match[1], match[2]) for path in sorted(snapshot.files) if (match := _FILE.fullmatch(path))}


def check_file(snapshot: Snapshot, path: str, runs: Runs) -> list[Judgement]:
    """Return the answers in a file.

    Args:
        snapshot: The leaderboard.
        path: The file's path, one of `answer_files`.
        runs: The rows and sentences of the leaderboard.

    Raises:
        InputError: The file is not valid, answers a question about an item twice, or is about texts that the
            leaderboard does not have, or about items or guidelines that its study does not have.
    """
    own = _read_file(snapshot, path, answer_files(snapshot)[path])
    if doubled := len(own) - len(latest(own)):
        raise InputError(f"{path}: {doubled} answers to a question about an item that it answers twice")
    _require_on_board(own, runs, snapshot)
    return own


def _read_file(snapshot: Snapshot, path: str, owner: tuple[str, str]) -> list[Judgement]:
    own = from_parquet(snapshot.read(path), path)
    if any((one.study, one.annotator) != owner for one in own):
        raise InputError(f"{path}: holds answers of another study or annotator")
    return own


def new_files(snapshot: Snapshot, judgements: Sequence[Judgement]) -> dict[str, bytes]:
    """Return the files, by path, with the answers that the leaderboard does not have yet.

    Raises:
        InputError: A judgement is about a rewrite that is not in the leaderboard, or has another text there.
    """
    stored = set(read_judgements(snapshot, annotators={one.annotator for one in judgements}))
    new = [one for one in latest(judgements) if one not in stored]
    _require_on_board(new, Runs(snapshot), snapshot)
    groups: dict[tuple[str, str], list[Judgement]] = {}
    for one in new:
        groups.setdefault((one.study, one.annotator), []).append(one)
    files = {}
    for (study, annotator), own in groups.items():
        digest = content_hash([one.model_dump(mode="json") for one in own])[:16]
        files[f"{FOLDER}/{study}/{annotator}-{digest}.parquet"] = to_parquet(own)
    return files


def page_file(snapshot: Snapshot, judgements: Sequence[Judgement]) -> dict[str, bytes]:
    """Return the file, by path, that holds what an annotator has answered on the local page of this leaderboard.

    Args:
        snapshot: The leaderboard.
        judgements: Further answers of one annotator in one study, about rewrites of the leaderboard.

    Raises:
        InputError: The file that is there is damaged.
    """
    if not judgements:
        return {}
    path = f"{FOLDER}/{judgements[0].study}/{judgements[0].annotator}-{_PAGE}.parquet"
    stored = from_parquet(snapshot.read(path), path) if path in snapshot.files else []
    return {path: to_parquet(latest([*stored, *judgements]))}


def _require_on_board(judgements: Sequence[Judgement], runs: Runs, snapshot: Snapshot) -> None:
    """Refuse answers about other texts than those that the rows hold, and to what their study does not ask."""
    for one in judgements:
        sides = [(one.run_id, one.system, one.output)]
        if one.other_run_id is not None:
            sides.append((one.other_run_id, str(one.other_system), str(one.other_output)))
        for run, system, output in sides:
            row, sentences = runs[run]
            known = one.sentence < len(sentences.source)
            texts = (sentences.source[one.sentence], sentences.output[one.sentence]) if known else None
            test_set = (row.test_set.name, row.test_set.revision)
            if texts != (one.source, output) or row.system.name != system:
                raise InputError(
                    f"study {one.study}: sentence {one.sentence} of run {run} has another text or system here"
                )
            if test_set != (one.test_set, one.test_set_revision):
                raise InputError(f"study {one.study}: run {run} is of another test set here")
    for name in sorted({one.study for one in judgements}):
        study, own = read_study(snapshot, name), [one for one in judgements if one.study == name]
        if other := sorted({one.guidelines for one in own} - {study.guidelines_version}):
            count = sum(one.guidelines in other for one in own)
            versions = f"guidelines {', '.join(other)[:100]}, and the study has {study.guidelines_version}"
            raise InputError(f"study {name}: {count} answers were given under {versions}")
        study_sentences, run_ids = set(study.sentences), set(study.runs)
        for one in own:
            in_study = one.question in study.questions and one.sentence in study_sentences and one.lang == study.lang
            if not in_study or not {one.run_id, one.other_run_id or one.run_id} <= run_ids:
                raise InputError(f"study {name}: does not ask {one.question} of sentence {one.sentence}, {one.run_id}")
