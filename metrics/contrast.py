"""Measure how often the metrics prefer a good rewrite to a bad one: `python -m metrics.contrast`.

The contrast set holds 325 toxic sentences written for this project, each with a good rewrite and with a bad one that
shows one of 13 kinds of fault (25 sentences each). For each kind the command prints the share of pairs in which each
metric gives the good rewrite the higher score (a tie counts half), in brackets the mean difference good - bad, and the
mean SIM of the good and the bad rewrites with the ratio bad / good; for all kinds together also the 95 % bootstrap
interval of the share.

Only the part "development" may guide the choices of a profile or train one; "held-out" measures.

Exit codes: 0 done, 2 bad input (one line says what), 130 interrupted.
"""

from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m metrics.contrast", __doc__)
    parser.add_argument("--profile", action="append", metavar="NAME", help="may be repeated (default: offline)")
    parser.add_argument("--part", default="all", choices=("development", "held-out", "all"), help="(default: all)")
    parser.add_argument("--json", metavar="OUT", type=Path, help="also write the numbers to OUT")
    options = parser.parse_args(argv)
    from metrics.data.contrast import load_contrast
    from metrics.profiles import load_profile
    from metrics.scoring.cache import ScoreCache
    from metrics.scoring.contrast import contrast_scores, preference_table, preferences
    from metrics.scoring.evaluator import Evaluator
    from metrics.util.files import cache_dir, require_writable, write_json

    profiles = [load_profile(name) for name in dict.fromkeys(options.profile or ["offline"])]
    if options.json:
        require_writable(options.json)
    contrasts = load_contrast(options.part)
    documents = []
    for profile in profiles:
        evaluator = Evaluator(profile, ScoreCache(cache_dir() / "scores.sqlite"))
        good, bad = contrast_scores(evaluator, contrasts)
        rows = preferences([c.kind for c in contrasts], good, bad)
        print(f"profile {evaluator.signature_fields['profile']}, {len(contrasts)} contrasts, part {options.part}\n")
        print(preference_table(rows))
        documents.append({"measure": evaluator.signature_fields, "preferences": rows})
    if options.json:
        write_json(options.json, {"schema": 1, "part": options.part, "profiles": documents})


if __name__ == "__main__":
    run_command(main)
