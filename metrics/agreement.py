"""Measure how well the metrics agree with human judgements: `python -m metrics.agreement FILE`.

FILE is a TSV or CSV with the columns source, output, system, style, meaning, fluency: one judged rewrite per row, each
judgement in [0, 1], higher is better. An aspect on another scale is scaled by its least and largest value, and the
command says so. The mean stands for several judgements of one rewrite. A column lang gives each language tables of its
own; a column style_question says "pairwise" where people judged whether a rewrite is less toxic than its source.

`--convert OUT` writes such a file from one of the EMNLP 2021 human evaluation (Dale et al.; columns original,
rewritten, source = system), or from a file or folder of the TextDetox CLEF 2024 human evaluation (a folder a team, a
file a language), where toxicity is pairwise.

The command prints for each metric the sentence-level Spearman and Kendall (tau-b) correlation and AUC (judged above .5
or not), and the system-level Spearman and Kendall correlation of the means, with 95 % intervals of a bootstrap over
source sentences.

FILE may also be a Parquet file of answers that people gave on the leaderboard's page, the folder of a study, or a
leaderboard folder (`python -m leaderboard.judgements`). The command then prints Krippendorff's alpha (nominal) between
the annotators for each question first, and for pairs how often each metric prefers the rewrite that people prefer.

`--table docs/results/agreement.md` measures every profile that can run here, or those of `--profile`, on all
judgements of the data folder and on the held-out half of the contrast set. It replaces the part of the file between
its two marks, and records each version's figures in metrics/scoring/agreement.json. `--check` measures the profile and
compares: a version must not fall below its own record or that of the version before it.

Exit codes: 0 done, 1 a version falls, 2 bad input (one line says what), 130 interrupted.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.util.console import add_judge_option, command_parser
from metrics.util.errors import InputError, run_command

if TYPE_CHECKING:
    from metrics.data.judged import JudgedPairs, JudgedRewrites
    from metrics.people import Reliability
    from metrics.scoring.cache import ScoreCache
    from metrics.scoring.evaluator import Evaluator


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m metrics.agreement", __doc__)
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        nargs="?",
        help="the judged rewrites; a folder of judgements, or with --convert of a team",
    )
    parser.add_argument("--profile", action="append", metavar="NAME", help="may be repeated (default: offline)")
    add_judge_option(parser)
    parser.add_argument("--json", metavar="OUT", type=Path, help="also write the numbers to OUT")
    parser.add_argument(
        "--convert", metavar="OUT", type=Path, help="only convert FILE (EMNLP 2021, CLEF 2024) to these columns"
    )
    parser.add_argument("--table", metavar="MD", type=Path, help="write the standing table into this Markdown file")
    parser.add_argument("--check", action="store_true", help="refuse a version that falls below the recorded figures")
    parser.add_argument("--data-dir", metavar="DIR", help="for --table and --check (default: SRO_DATA_DIR)")
    options = parser.parse_args(argv)
    if sum(map(bool, (options.file, options.table, options.check))) != 1:
        raise InputError("give one of FILE, --table MD and --check")
    if not options.file and (options.json or options.convert or options.judge):
        raise InputError("--json, --convert and --judge: need FILE")
    from metrics.data.judgements import convert
    from metrics.scoring.cache import ScoreCache
    from metrics.util.files import cache_dir, require_writable

    if options.convert:
        if options.file.suffix.lower() == ".parquet":
            raise InputError(f"{options.file}: Parquet is read as it is, without --convert")
        require_writable(options.convert)
        print(f"{options.convert}: {convert(options.file, options.convert)} rows")
        return
    cache = ScoreCache(cache_dir() / "scores.sqlite")
    if options.file:
        _print_agreement(options, cache)
    else:
        _measure_versions(options, cache)


def _print_agreement(options: argparse.Namespace, cache: "ScoreCache") -> None:
    """Print the agreement with the judgements of FILE."""
    from metrics.data.judgement_files import judged_pairs, judged_rewrites, read_judgement_files
    from metrics.data.judgements import judgements_by_language
    from metrics.people import reliabilities
    from metrics.profiles import load_profiles
    from metrics.scoring.evaluator import Evaluator
    from metrics.util.files import require_writable, write_json

    profiles = load_profiles(options.profile, options.judge)
    for profile in profiles:
        if profile.needs_references:
            problem = "compares with human references, which judged rewrites do not have"
            raise InputError(f"profile {profile.name} {problem}")
    if options.json:
        require_writable(options.json)
    between: list[dict[str, Any]] = []
    pairs: dict[str, JudgedPairs] = {}
    if options.file.is_dir() or options.file.suffix.lower() == ".parquet":
        judgements = read_judgement_files(options.file)
        sets, pairs = judged_rewrites(judgements), judged_pairs(judgements)
        between = _print_reliabilities(reliabilities(judgements))
    else:
        sets = judgements_by_language(options.file)
    languages = [*dict.fromkeys([*sets, *pairs])]
    if not languages:
        raise InputError(f"{options.file}: no rewrite with answers to all three questions, and no pair")
    served = [(profile, code) for profile in profiles for code in languages if profile.serves(code)]
    unserved = [(profile, code) for profile in profiles for code in languages if not profile.serves(code)]
    reasons = [f"profile {p.name} serves {', '.join(p.languages)} and not {code}" for p, code in unserved]
    if not served:
        raise InputError(f"{options.file}: not measured: {'; '.join(reasons)}; choose another --profile")
    for reason in reasons:
        print(f"not measured: {reason}", file=sys.stderr)
    # Versions of a profile share its name.
    evaluators = {(profile.name, profile.version): Evaluator(profile, cache) for profile, _ in served}
    documents: list[dict[str, Any]] = []
    for profile, code in served:
        evaluator = evaluators[profile.name, profile.version]
        if code in sets:
            documents.append(_print_tables(sets[code], evaluator, alone=len(languages) == 1))
        if code in pairs:
            documents.append(_print_preferences(pairs[code], evaluator))
    if options.json:
        document = {"schema": 1, "file": str(options.file), "profiles": documents}
        write_json(options.json, document | ({"annotators": between} if between else {}))


def _print_reliabilities(rows: "list[Reliability]") -> list[dict[str, Any]]:
    """Print the agreement between annotators, and return it as a JSON value."""
    print("question\tanswers\tannotators\titems of two or more\tsame answer\tKrippendorff's alpha [95 %]")
    for row in rows:
        agreed = "undefined" if row.agreed is None else f"{row.agreed:.3f}"
        alpha = row.alpha or f"undefined: {row.undefined}"
        print(row.question, row.answers, row.annotators, row.items, agreed, alpha, sep="\t")
    return [{**vars(row), "alpha": vars(row.alpha) if row.alpha else None} for row in rows]


def _print_preferences(pairs: "JudgedPairs", evaluator: "Evaluator") -> dict[str, Any]:
    """Print how often the metrics of a profile prefer what people prefer, and return it as a JSON value."""
    from metrics.people import preference_agreement
    from metrics.scoring import METRICS

    first, second = (evaluator.score(pairs.sources, outputs) for outputs in (pairs.first, pairs.second))
    name = evaluator.signature_fields["profile"]
    print(f"profile {name}, {len(pairs.sources)} pairs, language {pairs.language}")
    print("metric\tprefers the same rewrite as people [95 %]\tn")
    found = {}
    for metric in METRICS:
        agreed = preference_agreement(pairs, first.metric(metric), second.metric(metric))
        text = "undefined: people prefer none\t0" if agreed is None else f"{agreed[0]}\t{agreed[1]}"
        print(metric, text, sep="\t")
        found[metric] = None if agreed is None else {**vars(agreed[0]), "n": agreed[1]}
    return {"measure": evaluator.signature_fields, "language": pairs.language, "preferences": found}


def _print_tables(judged: "JudgedRewrites", evaluator: "Evaluator", *, alone: bool) -> dict[str, Any]:
    """Print the tables of one language under one profile, and return them as a JSON value."""
    from metrics.scoring.agreement import PAIRS, agreement, interval_text, system_means

    scores = evaluator.score(judged.sources, judged.outputs)
    rows, systems = agreement(judged, scores), system_means(judged, scores)
    name, count = evaluator.signature_fields["profile"], len(judged.outputs)
    language = "" if alone and judged.language == "en" else f", language {judged.language}"
    print(f"profile {name}{language}, {count} rewrites of {len(systems)} systems")
    if judged.style_question == "pairwise":
        print(
            "style (pairwise): people judged whether a rewrite is less toxic than its source, not whether it is neutral"
        )
    print("metric\tjudgement\tlevel\tstatistic\tvalue [95 %]\tn")
    for row in rows:
        cells = row["metric"], judged.title(row["judgement"]), row["level"], row["statistic"]
        print(*cells, interval_text(row), row["n"], sep="\t")
    print("system\t" + "\t".join(f"{judged.title(aspect)}\t{metric}" for metric, aspect in PAIRS))
    for system, means in systems.items():
        print(system, *(f"{means[aspect]:.3f}\t{means[metric]:.3f}" for metric, aspect in PAIRS), sep="\t")
    facts = {"language": judged.language, "style_question": judged.style_question}
    return {"measure": evaluator.signature_fields, **facts, "agreement": rows, "systems": systems}


def _measure_versions(options: argparse.Namespace, cache: "ScoreCache") -> None:
    """Compare the profiles with the recorded figures; with --table, write the table and record the figures."""
    from metrics.data.contrast import load_contrast
    from metrics.data.judgements import judgement_sets
    from metrics.data.sources import data_folder
    from metrics.profiles import load_profile, profile_names
    from metrics.scoring.agreement_table import RECORD, agreement_table, falls, figures, read_record
    from metrics.scoring.evaluator import evaluators_that_run
    from metrics.util.files import require_writable, write_generated, write_json

    folder = data_folder(options.data_dir)
    if folder is None:
        raise InputError("the judgements are in the data folder: give --data-dir or set SRO_DATA_DIR")
    if options.table:
        require_writable(options.table)
    sets, held_out, record = judgement_sets(folder), load_contrast("held-out"), read_record()
    names = options.profile or (profile_names() if options.table else ["offline"])
    evaluators, reasons = evaluators_that_run(dict.fromkeys(names), cache)
    if not evaluators or (options.check and reasons):
        raise InputError(
            f"cannot be measured here: {'; '.join(f'{name}: {reason}' for name, reason in reasons.items())}"
        )
    for name, reason in reasons.items():
        print(f"{name}: not measured, {reason}", file=sys.stderr)
    measured = {name: figures(evaluator, sets["emnlp_eval"], held_out) for name, evaluator in evaluators.items()}
    problems = []
    for name, values in measured.items():
        print(name, *(f"{figure} {value:.3f}" for figure, value in values.items()), sep="\t")
        problems += falls(name, values, record)
        if options.check and name not in record:
            problems.append(f"{name}: has no record; --table records it")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        sys.exit(1)
    if options.table:
        # The part in brackets repeats the Hub's own message.
        skipped = "".join(f"- {name}: {reason.partition(' (')[0]}\n" for name, reason in reasons.items())
        text = f"Not measured here:\n\n{skipped}\n" * bool(skipped) + agreement_table(evaluators, sets, held_out)
        write_generated(options.table, "python -m metrics.agreement --table", text)
        # Not those of a profile that is being built in a file of its own.
        shipped = {f"{p.name}.v{p.version}" for p in map(load_profile, profile_names())}
        write_json(RECORD, record | {name: values for name, values in measured.items() if name in shipped})


if __name__ == "__main__":
    run_command(main)
