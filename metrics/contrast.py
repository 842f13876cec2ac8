"""Measure how often the metrics prefer a good rewrite to a bad one: `python -m metrics.contrast`.

The contrast set holds 325 toxic sentences written for this project, each with a good rewrite and with a bad one that
shows one of 13 kinds of fault (25 sentences each). For each kind the command prints the share of pairs in which each
metric gives the good rewrite the higher score (a tie counts half), in brackets the mean difference good - bad, and the
mean SIM of the good and the bad rewrites with the ratio bad / good; for all kinds together also the 95 % bootstrap
interval of the share.

Only the part "development" may guide the choices of a profile or train one; "held-out" measures.

`--table docs/results/contrast.md` measures every profile that can run here, or those of `--profile`, on both halves and
replaces the part of the file between its two marks.

Exit codes: 0 done, 2 bad input (one line says what), 130 interrupted.
"""

import sys
from pathlib import Path

from metrics.util.console import add_judge_option, command_parser
from metrics.util.errors import InputError, run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m metrics.contrast", __doc__)
    parser.add_argument("--profile", action="append", metavar="NAME", help="may be repeated (default: offline)")
    add_judge_option(parser)
    parser.add_argument("--part", default="all", choices=("development", "held-out", "all"), help="(default: all)")
    parser.add_argument("--json", metavar="OUT", type=Path, help="also write the numbers to OUT")
    parser.add_argument("--table", metavar="MD", type=Path, help="write both halves into this Markdown file instead")
    options = parser.parse_args(argv)
    from metrics.data.contrast import PARTS, load_contrast
    from metrics.profiles import profile_names
    from metrics.scoring.cache import ScoreCache
    from metrics.scoring.contrast import contrast_scores, preference_table, preferences
    from metrics.scoring.evaluator import evaluators_that_run
    from metrics.util.files import cache_dir, require_writable, write_generated, write_json

    for path in filter(None, (options.json, options.table)):
        require_writable(path)
    names = options.profile or (profile_names() if options.table else ["judge" if options.judge else "offline"])
    cache = ScoreCache(cache_dir() / "scores.sqlite")
    evaluators, reasons = evaluators_that_run(dict.fromkeys(names), cache, options.judge)
    for name, reason in reasons.items():
        print(f"{name}: not measured, {reason}", file=sys.stderr)
    if not evaluators or (reasons and not options.table):
        raise InputError(f"profile {next(iter(reasons))} cannot score the contrast set here")
    documents, tables = [], []
    for part in PARTS if options.table else [options.part]:
        contrasts = load_contrast(part)
        for name, evaluator in evaluators.items():
            rows = preferences([c.kind for c in contrasts], *contrast_scores(evaluator, contrasts))
            title = f"profile {name}, {len(contrasts)} contrasts, part {part}"
            tables.append(f"{'## ' * bool(options.table)}{title}\n\n{preference_table(rows)}")
            documents.append({"measure": evaluator.signature_fields, "part": part, "preferences": rows})
    if options.table:
        write_generated(options.table, "python -m metrics.contrast --table", "\n".join(tables))
    else:
        print("\n".join(tables))
    if options.json:
        write_json(options.json, {"schema": 1, "profiles": documents})


if __name__ == "__main__":
    run_command(main)
