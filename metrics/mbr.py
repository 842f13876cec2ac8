"""Choose among candidate rewrites by minimum risk: `python -m metrics.mbr CANDIDATE… --test-set NAME --out FILE`.

CANDIDATE is any system of `python -m metrics.score`: a file of outputs, a model, openai:MODEL, a baseline. With
--samples K each model gives K samples (temperature 1 unless --decoding says otherwise) in place of its greedy output.

For each sentence the command takes the candidate with the highest expected J of --profile, with the other candidates in
the place of human references. Under a profile without references they stand, beside the source, for the text whose
content SIM compares with. FILE gets one choice per line: score it with `python -m metrics.score FILE`, by another
profile than the one that chose.

Exit codes: 0 done, 2 bad input (one line says what), 130 interrupted.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from metrics.util.console import (
    add_columns_options,
    add_endpoint_option,
    add_judge_option,
    add_language_option,
    command_parser,
)
from metrics.util.errors import InputError, run_command

if TYPE_CHECKING:
    from metrics.data.test_sets import TestSet
    from metrics.systems.resolve import System


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python -m metrics.mbr", __doc__)
    parser.add_argument("systems", metavar="CANDIDATE", nargs="+", help="where candidates come from")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the choices, one per line")
    parser.add_argument("--samples", metavar="K", type=int, default=0, help="samples of each model (its greedy output)")
    parser.add_argument("--test-set", default="paradetox-test", metavar="NAME", help="as for metrics.score")
    add_language_option(parser)
    add_columns_options(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="use only the first N sentences of the test set")
    parser.add_argument("--profile", metavar="NAME", help="metric protocol (offline)")
    add_judge_option(parser)
    parser.add_argument("--data-dir", metavar="DIR", help="the folder with the corpora (default: SRO_DATA_DIR)")
    add_endpoint_option(parser)
    parser.add_argument("--decoding", action="append", default=[], metavar="KEY=VALUE", help="as for metrics.score")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first sample (default: 0)")
    options = parser.parse_args(argv)
    from metrics.data.test_sets import load_test_set
    from metrics.generation.fields import parse_decoding
    from metrics.profiles import load_profiles
    from metrics.scoring.evaluator import require_languages
    from metrics.scoring.mbr import choose, expected_utilities
    from metrics.systems.outputs import parse_columns
    from metrics.systems.resolve import is_endpoint, is_model, resolve_system
    from metrics.util.files import require_writable, write_text

    if options.samples < 0:
        raise InputError(f"--samples {options.samples}: at least 0")
    (profile,) = load_profiles([options.profile] if options.profile else None, options.judge)
    names = list(dict.fromkeys(options.systems))
    columns, test_columns = parse_columns(options.columns, options.test_set_columns, names, [options.test_set])
    decoding = parse_decoding(options.decoding)
    if options.samples:
        decoding = {"temperature": 1.0, **decoding, "do_sample": True}
    systems = []
    for name in names:
        endpoint = options.endpoint if is_endpoint(name) else None
        settings = decoding if is_model(name) else None
        systems.append(resolve_system(name, columns=columns, endpoint=endpoint, decoding=settings))
    require_writable(options.out)
    test_set, *more = load_test_set(options.test_set, options.data_dir, test_columns).by_language(options.lang)
    if more:
        raise InputError(f"{options.test_set}: has several languages; choose one with --lang")
    test_set = test_set.limit(options.limit)
    require_languages(profile, test_set)
    labels, candidates = _candidates(systems, test_set, options)
    if len(candidates) < 2:
        raise InputError(f"{names[0]}: one candidate per sentence leaves no choice; name more, or give --samples K")
    utilities = expected_utilities(profile, test_set.sources, candidates)
    chosen = choose(utilities)
    texts = (candidates[best][i] for i, best in enumerate(chosen))
    write_text(options.out, "".join(f"{' '.join(text.split())}\n" for text in texts))
    print("candidate\tchosen\texpected utility")
    for number, label in enumerate(labels):
        print(f"{label}\t{chosen.count(number)}\t{utilities[:, number].mean():.3f}")
    print(f"choices\t{len(chosen)}\t{utilities.max(-1).mean():.3f}")


def _candidates(
    systems: "list[System]", test_set: "TestSet", options: argparse.Namespace
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Names of the lists of candidates, and the lists."""
    from metrics.systems.rewriting import load_system, rewrite

    labels, candidates = [], []
    for system in systems:
        samples = options.samples if system.kind in ("model", "endpoint") else 0
        loaded = load_system(system) if samples else None
        for number in range(max(1, samples)):
            written = rewrite(system, test_set, seed=options.seed + number, loaded=loaded)
            labels.append(f"{system.name}, sample {number + 1}" if samples else system.name)
            candidates.append(written.outputs)
    return labels, candidates


if __name__ == "__main__":
    run_command(main)
