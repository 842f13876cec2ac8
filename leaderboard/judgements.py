"""The command `python -m leaderboard.judgements WHAT …`: human evaluation of the rewrites on a leaderboard.

    study NAME    draw the sentences that people judge, for chosen systems, and store the study in the leaderboard
    import FILE…  add the answers in files that annotators saved on the page to a leaderboard folder
    publish FILE… add them, or those of a leaderboard folder, to a data set on the Hub, by a pull request if you may not
                  write there
    export OUT    write the answers of a leaderboard to OUT: .parquet, .jsonl, .tsv or .csv

Annotators read a study on the page (`python -m leaderboard.space --local DIR`, tab Judge), without the systems' names
and in an order of their own, and save their answers as a file. A leaderboard stores them as Parquet, in
judgements/<study>/<annotator>-<hash>.parquet, with a salted hash in place of the annotator's name. FILE may also be a
table, .tsv, .csv or .jsonl, with the columns study, annotator, sentence, system, question and answer; the salt for its
names is made once, in SRO_HOME/annotators.salt, and never published. Nothing is overwritten: answers that are there
already are passed over, and of two answers of one annotator to one question the later one counts.
`python -m metrics.agreement DIR` compares the annotators with each other and with every profile.

Exit codes: 0 done; 2 nothing was written (one line says why); 130 interrupted.
"""

import argparse
from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m leaderboard.judgements", __doc__)
    commands = parser.add_subparsers(dest="command", metavar="WHAT", required=True)
    _add_study(commands.add_parser("study", help="draw the sentences that people judge"))
    for name, text in (("import", "add answers to a folder"), ("publish", "add answers to a data set on the Hub")):
        own = commands.add_parser(name, help=text)
        files = "a file that an annotator saved, a table or Parquet file of answers, or a leaderboard folder with some"
        own.add_argument("files", metavar="FILE", nargs="+", type=Path, help=files)
        if name == "import":
            own.add_argument("--local", metavar="DIR", required=True, help="the leaderboard folder")
        else:
            own.add_argument("--repo", metavar="ORG/NAME", required=True, help="the leaderboard's data set on the Hub")
            own.add_argument("--pr", action="store_true", help="open a pull request even where you have write access")
        own.add_argument("--dry-run", action="store_true", help="show what would be added, add nothing")
    export = commands.add_parser("export", help="write the answers to one file")
    export.add_argument("out", metavar="OUT", type=Path, help=".parquet, .jsonl, .tsv or .csv")
    _add_leaderboard(export)
    export.add_argument("--study", metavar="NAME", help="the answers in this study only")
    options = parser.parse_args(argv)
    if options.command != "import" and not options.repo and not getattr(options, "local", None):
        raise InputError("give the leaderboard: --repo ORG/NAME or --local DIR")
    {"study": _study, "import": _add, "publish": _add, "export": _export}[options.command](options)


def _add_leaderboard(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--local", metavar="DIR", help="a leaderboard folder")
    where.add_argument("--repo", metavar="ORG/NAME", help="a leaderboard on the Hub")


def _add_study(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME", help="of the study: small letters, digits and -")
    _add_leaderboard(parser)
    add(
        "--form",
        choices=("single", "pairs"),
        default="single",
        help="three questions, or which of two is better",
    )
    add("--systems", nargs="+", default=[], metavar="NAME", help="default: the latest rows of the first ranking")
    add("--sentences", type=int, default=50, metavar="N", help="how many are drawn (default: 50)")
    add("--seed", type=int, default=0, metavar="N", help="of the draw (default: 0)")
    add("--title", help="what annotators see above the texts (default: NAME)")
    add("--lang", metavar="CODE", help="language of the rows (default: that of the first ranking with the systems)")
    add("--guidelines", metavar="FILE", type=Path, help="plain text, in place of leaderboard/judging/guidelines-1.txt")
    add("--guidelines-version", metavar="V", help="their version; answers keep it (default: 1)")
    add("--pr", action="store_true", help="open a pull request even where you have write access")
    add("--dry-run", action="store_true", help="show what would be added, add nothing")


def _study(options: argparse.Namespace) -> None:
    from leaderboard.board.reading import load_board
    from leaderboard.judging.study import Runs, new_study
    from leaderboard.publishing.judgements import publish_study
    from leaderboard.stores import open_store
    from metrics.util.files import read_text

    if (options.guidelines is None) != (options.guidelines_version is None):
        raise InputError("--guidelines and --guidelines-version: give both, so that answers tell which ones were read")
    if options.sentences < 1 or options.seed < 0:
        raise InputError("--sentences: at least 1; --seed: at least 0")
    given = {"title": options.title, "guidelines_version": options.guidelines_version}
    given["guidelines"] = read_text(options.guidelines) if options.guidelines else None
    fields = {name: value for name, value in given.items() if value is not None}
    store = open_store(repo=options.repo, local=options.local)
    snapshot = store.snapshot()
    study = new_study(
        load_board(snapshot), Runs(snapshot), options.name, options.systems, sentences=options.sentences,
        seed=options.seed, form=options.form, lang=options.lang, **fields,
    )  # fmt: skip
    print(publish_study(store, study, pull_request=options.pr, dry_run=options.dry_run))


def _add(options: argparse.Namespace) -> None:
    from leaderboard.publishing.judgements import publish_answers
    from leaderboard.stores import open_store

    store = open_store(repo=getattr(options, "repo", None), local=getattr(options, "local", None))
    pull_request = getattr(options, "pr", False)
    print(publish_answers(store, options.files, pull_request=pull_request, dry_run=options.dry_run))


def _export(options: argparse.Namespace) -> None:
    from leaderboard.judging.export import export_judgements
    from leaderboard.judging.storage import read_judgements
    from leaderboard.stores import open_store
    from metrics.data.judgement_files import latest
    from metrics.util.files import require_writable

    require_writable(options.out)
    judgements = latest(read_judgements(open_store(repo=options.repo, local=options.local).snapshot(), options.study))
    if not judgements:
        raise InputError("no answers in this leaderboard" + (f" in the study {options.study}" if options.study else ""))
    print(export_judgements(judgements, options.out))


if __name__ == "__main__":
    run_command(main)
