"""Score many systems on many test sets: `python -m metrics.many SYSTEM…`.

SYSTEM is as for `metrics.score`; @FILE stands for the lines of FILE. Each system on each test set is one job, and each
job writes one result file into the folder --out. Jobs run one after the other, or in parallel on Ray workers: on this
machine with --workers, or on a cluster with --address, whose nodes must have the suite installed (extra `ray`).
`python -m leaderboard.publish DIR/*.json` publishes the results.

If a worker dies, another one takes over its jobs. Interrupted runs resume: run the same command again, and it runs the
jobs without a result file. A folder or a file that has changed is scored again; for a model on the Hub, first delete
its result file. A system that cannot be used does not stop the others; the command names it at the end.

Exit codes: 0 done, 1 some jobs failed (a line each says why), 2 bad input, 130 interrupted.
"""

import argparse
import sys
from pathlib import Path

from metrics.util.console import (
    add_columns_options,
    add_endpoint_option,
    add_judge_option,
    add_language_option,
    add_lexicon_option,
    command_parser,
)
from metrics.util.errors import InputError, run_command


def argument_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = command_parser("python -m metrics.many", __doc__, fromfile_prefix_chars="@")
    parser.add_argument("systems", metavar="SYSTEM", nargs="+", help="a system, or @FILE with one per line")
    parser.add_argument("--test-set", action="append", metavar="NAME", help="may be repeated (default: paradetox-test)")
    add_language_option(parser)
    add_columns_options(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="use only the first N sentences of each language")
    parser.add_argument("--profile", action="append", metavar="NAME", help="may be repeated (default: offline)")
    add_judge_option(parser)
    parser.add_argument("--data-dir", metavar="DIR", help="the folder with the corpora (default: SRO_DATA_DIR)")
    parser.add_argument("--system", metavar="TEXT", help="the system message of models (as in metrics.score)")
    parser.add_argument("--few-shot", metavar="FILE", type=Path, help="examples for models (as in metrics.score)")
    add_lexicon_option(parser)
    add_endpoint_option(parser)
    parser.add_argument("--dtype", default="float32", metavar="NAME", help="float32 (default) or bfloat16 weights")
    parser.add_argument("--batch-size", type=int, metavar="N", help="sentences per batch (as in metrics.score)")
    parser.add_argument("--out", metavar="DIR", type=Path, default="runs/many", help="the results (default: runs/many)")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="Ray workers here (default: no Ray)")
    parser.add_argument("--address", metavar="ADDRESS", help="a Ray cluster to use instead; auto: the one of this node")
    parser.add_argument("--gpus", type=float, default=0, metavar="N", help="per worker; .5 shares one (default: 0)")
    parser.add_argument("--verbose", action="store_true", help="also show the messages of other libraries")
    return parser


def main(argv: list[str]) -> None:
    """Run the command."""
    options = argument_parser().parse_args(argv)
    from metrics.data.test_sets import load_test_set
    from metrics.models.loading import require_dtype
    from metrics.profiles import load_profiles
    from metrics.scoring.jobs import Job, content_of, content_of_test_set, run_groups
    from metrics.systems.outputs import parse_columns
    from metrics.systems.preamble import read_preamble
    from metrics.systems.resolve import with_endpoint
    from metrics.util.files import write_json
    from metrics.util.progress import ProgressBar

    if (options.batch_size is not None and options.batch_size < 1) or options.workers < 0 or options.gpus < 0:
        raise InputError("--batch-size: at least 1; --workers, --gpus: at least 0")
    require_dtype(options.dtype)
    test_sets = list(dict.fromkeys(options.test_set or ["paradetox-test"]))
    load_profiles(options.profile, options.judge)
    profiles = tuple(dict.fromkeys(options.profile or ["judge" if options.judge else "offline"]))
    columns = parse_columns(options.columns, options.test_set_columns, options.systems, test_sets)
    tests: list[tuple[str, str, str]] = []
    for name in test_sets:
        whole = load_test_set(name, options.data_dir, columns[1])
        parts = [part.limit(options.limit) for part in whole.by_language(options.lang)]
        # The only language of a test set needs no choice, unless --lang states it.
        codes = [part.lang for part in parts] if len(parts) > 1 or options.lang not in (None, "all") else [""]
        content = content_of_test_set(name)
        tests += [(name, content, code) for code in codes]
    preamble = read_preamble(options.system, options.few_shot)
    settings = options.limit, profiles, options.data_dir, options.batch_size, options.dtype, preamble, *columns
    systems = [with_endpoint(name, options.endpoint) for name in options.systems]
    contents = {system: content_of(system, options.lexicon) for system in dict.fromkeys(systems)}
    jobs = [
        [
            Job(one, content, name, *settings, hash_, lang, options.lexicon if one == "delete" else None, options.judge)
            for name, hash_, lang in tests
        ]
        for one, content in contents.items()
    ]
    missing = ([job for job in group if not (options.out / job.file_name).exists()] for group in jobs)
    groups = [group for group in missing if group]
    total, todo = len(contents) * len(tests), sum(map(len, groups))
    results = run_groups(groups, workers=options.workers, address=options.address, gpus=options.gpus)
    failed = []
    with ProgressBar("scoring", total, completed=total - todo, unit="jobs") as bar:
        for result in results:
            if result.error:
                failed.append(f"{result.job.system}, {result.job.test_set}: {result.error}")
            else:
                write_json(options.out / result.job.file_name, result.document)
            bar.update()
    print(f"{options.out}: {total - len(failed)} results, {todo - len(failed)} of them new")
    if failed:
        print("\n".join(failed), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
