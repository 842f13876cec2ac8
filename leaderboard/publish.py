"""The command `python -m leaderboard.publish RESULT…`: publishes results in a leaderboard, in a folder or on the Hub.

RESULT is a file of `python -m metrics.score … --json FILE`, or a local leaderboard folder such as a run leaves, whose
rows are published with their sentences. The command shows what changes, then makes one commit with the rows, their
sentences and the derived tables. Without write access it opens a pull request. Publishing a run
again changes nothing. Another result for the same run is refused, unless the first one lies there without sentences,
from which anybody could recompute it.

Exit codes: 0 published, now or earlier; 2 nothing was published (one line says why); 130 interrupted.
"""

from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m leaderboard.publish", __doc__)
    add = parser.add_argument
    add("results", metavar="RESULT", nargs="*", help="a result file, or a local leaderboard folder")
    add("--repo", metavar="ORG/NAME", help="the leaderboard's data set on the Hub")
    add("--local", metavar="DIR", help="a leaderboard folder; created if it does not exist")
    add("--pr", action="store_true", help="open a pull request even where you have write access")
    add("--create", action="store_true", help="create the data set if it does not exist")
    add("--name", help="the system's name on the board (one result only)")
    add("--about", metavar="FILE", help="YAML: the system's size, licence and so on (docs/leaderboard.md)")
    add("--published", action="store_true", help="also publish the figures of rows/published.yaml")
    text = "take your own earlier row of the same system out of the ranking; may be repeated"
    add("--replaces", action="append", default=[], metavar="RUN_ID", help=text)
    add("--without-texts", action="store_true", help="publish rows without sentences, for restricted texts")
    add("--submitter", default="local", help="for --local; on the Hub it is the token's user")
    add("--to-model", action="store_true", help="propose .eval_results and model-index to the models' repos")
    add("--dry-run", action="store_true", help="show what would change, change nothing")
    options = parser.parse_args(argv)
    dry_run = options.dry_run
    if not options.repo and not options.local:
        raise InputError("give the leaderboard: --repo ORG/NAME, --local DIR, or both")
    if options.to_model and not options.repo:
        raise InputError("--to-model: needs a leaderboard on the Hub to refer to; give --repo ORG/NAME")
    if options.pr and not options.repo:
        raise InputError("--pr: pull requests are for the Hub; give --repo ORG/NAME")

    from leaderboard.publishing.commit import open_targets, publish, read_entries, with_submitter
    from leaderboard.publishing.model_repo import propose_all
    from leaderboard.rows.published import published_rows
    from leaderboard.rows.systems import read_about

    about = read_about(Path(options.about)) if options.about else None
    entries = [entry for path in options.results for entry in read_entries(Path(path), options.name, about)]
    figures = [(row, None) for row in published_rows()] if options.published else []
    if not entries and not figures:
        raise InputError("nothing to publish; give a file of python -m metrics.score … --json FILE")
    if options.name is not None and len(entries) != 1:
        raise InputError(f"--name: {len(entries)} results; publish them one by one")
    if options.without_texts:
        entries = [(row, None) for row, _ in entries]
    targets = open_targets(options.repo, options.local, options.submitter, create=options.create, dry_run=dry_run)
    for store, submitter in targets:
        rows = [*with_submitter(entries, submitter), *figures]
        print(publish(store, rows, replaces=options.replaces, pull_request=options.pr, dry_run=dry_run))
    if options.to_model and not dry_run:
        propose_all([row for row, _ in entries], options.repo)


if __name__ == "__main__":
    run_command(main)
