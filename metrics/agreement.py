"""Measure how well the metrics agree with human judgements: `python -m metrics.agreement FILE`.

FILE is a TSV or CSV with the columns source, output, system, style, meaning, fluency: one judged rewrite per row, each
judgement in [0, 1], higher is better. An aspect on another scale is scaled by its least and largest value, and the
command says so. The mean stands for several judgements of one rewrite. `--convert OUT` writes such a file from one of
the EMNLP 2021 human evaluation (Dale et al.; columns original, rewritten, source = system).

The command prints for each metric the sentence-level Spearman and Kendall (tau-b) correlation and AUC (judged above .5
or not), and the system-level Spearman and Kendall correlation of the means, with 95 % intervals of a bootstrap over
source sentences.

Exit codes: 0 done, 2 bad input (one line says what), 130 interrupted.
"""

from pathlib import Path

from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m metrics.agreement", __doc__)
    parser.add_argument("file", metavar="FILE", type=Path, help="the judged rewrites")
    parser.add_argument("--profile", action="append", metavar="NAME", help="may be repeated (default: offline)")
    parser.add_argument("--json", metavar="OUT", type=Path, help="also write the numbers to OUT")
    parser.add_argument("--convert", metavar="OUT", type=Path, help="only convert an EMNLP 2021 file to these columns")
    options = parser.parse_args(argv)
    from metrics.profiles import load_profile
    from metrics.scoring.agreement import PAIRS, agreement, convert_emnlp, read_judgements, system_means
    from metrics.scoring.cache import ScoreCache
    from metrics.scoring.evaluator import Evaluator
    from metrics.util.files import cache_dir, require_writable, write_json

    if options.convert:
        print(f"{options.convert}: {convert_emnlp(options.file, options.convert)} rows")
        return
    profiles = [load_profile(name) for name in dict.fromkeys(options.profile or ["offline"])]
    for profile in profiles:
        if profile.needs_references:
            problem = "compares with human references, which judged rewrites do not have"
            raise InputError(f"profile {profile.name} {problem}")
    if options.json:
        require_writable(options.json)
    judged = read_judgements(options.file)
    documents = []
    for profile in profiles:
        evaluator = Evaluator(profile, ScoreCache(cache_dir() / "scores.sqlite"))
        scores = evaluator.score(judged.sources, judged.outputs)
        rows, systems = agreement(judged, scores), system_means(judged, scores)
        name, count = evaluator.signature_fields["profile"], len(judged.outputs)
        print(f"profile {name}, {count} rewrites of {len(systems)} systems")
        print("metric\tjudgement\tlevel\tstatistic\tvalue [95 %]\tn")
        for row in rows:
            interval = "undefined"
            if row["value"] is not None:
                interval = f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
            print(row["metric"], row["judgement"], row["level"], row["statistic"], interval, row["n"], sep="\t")
        print("system\t" + "\t".join(f"{aspect}\t{metric}" for metric, aspect in PAIRS))
        for system, means in systems.items():
            print(system, *(f"{means[aspect]:.3f}\t{means[metric]:.3f}" for metric, aspect in PAIRS), sep="\t")
        documents.append({"measure": evaluator.signature_fields, "agreement": rows, "systems": systems})
    if options.json:
        write_json(options.json, {"schema": 1, "file": str(options.file), "profiles": documents})


if __name__ == "__main__":
    run_command(main)
