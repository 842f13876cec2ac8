"""The command `python -m leaderboard.verify`: recomputes every row of a leaderboard from its stored outputs.

For each row it checks the schema, path and run id, the sentences against the test set, the signature, the counts, every
score of every sentence, the means and intervals, the outputs of baselines, and that no row is a copy under another
name. A row is then

    verified       all values follow from the outputs
    mismatch       a value does not follow: the line has the field, its stored value and the recomputed one
    unverifiable   the verifier lacks the outputs, the test set, the profile's models or the program's version

--write stores the verifications beside the rows. Interrupted runs resume: run the same command again.

Exit codes: 0 no mismatch; 1 at least one; 2 invalid arguments or input (one line says what is wrong); 130 interrupted.
"""

import sys

from metrics.util.console import add_judge_option, add_lexicon_option, command_parser
from metrics.util.errors import run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m leaderboard.verify", __doc__)
    add = parser.add_argument
    add("--local", metavar="DIR", help="a leaderboard folder (default: the one that tox -e reproduce left)")
    add("--repo", metavar="ORG/NAME", help="a leaderboard on the Hub")
    add("--only", action="append", metavar="RUN_ID", help="verify this row only; may be repeated")
    add("--profile", action="append", default=[], metavar="FILE", help="a profile that is not built in")
    add_judge_option(parser, "the model of the judged metrics (profile judge)")
    add("--test-set", action="append", default=[], metavar="FILE", help="a test set of your own, as in metrics.score")
    add_lexicon_option(parser)
    add("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    add("--write", action="store_true", help="store the verifications in the leaderboard")
    options = parser.parse_args(argv)
    from leaderboard.stores import DEFAULT_FOLDER, open_store
    from leaderboard.verification.leaderboard import verify, write_verifications
    from leaderboard.verification.rows import VerificationContext
    from metrics.util.characters import printable

    store = open_store(repo=options.repo, local=options.local or (None if options.repo else DEFAULT_FOLDER))
    context = VerificationContext(options.data_dir, options.profile, options.test_set, options.lexicon, options.judge)
    report = verify(store, context, options.only)
    for outcome in [*report.rows, *report.files]:
        print(f"{outcome.status}\t{printable(outcome.path)}\t{outcome.note}")
    if options.write:
        write_verifications(store, report.rows)
    print(f"{store.name}: {report.summary}")
    if report.failed:
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
