"""The command `python -m metrics.many SYSTEM…`: scores many systems on many test sets, one result file for each pair.

SYSTEM is what `metrics.score` takes; @FILE stands for the lines of a file. The pairs are done one after the other, a
system's together, or, with --workers or --address, each system by one of Ray's workers (`pip install
"detox-suite[ray]"`), on this machine or on a cluster whose nodes have the suite installed.
`python -m leaderboard.publish DIR/*.json` enters the results in a leaderboard.

What a worker that dies had in hand is given to another. A killed command goes on with the pairs that have no file yet.
A folder or a file of outputs that has changed is scored again; a model on the Hub, once its result's file is taken
away. A system that cannot be used is named at the end and holds nothing up.

Exit codes: 0 done, 1 some pairs failed (a line each says why), 2 something given cannot be used, 130 interrupted.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.util.errors import InputError, run_command

if TYPE_CHECKING:
    from metrics.scoring.pairs import Pair

# How often a system is tried whose worker dies: one that takes all the memory must not kill worker after worker.
TRIES = 4


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m metrics.many", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        fromfile_prefix_chars="@",
    )  # fmt: skip
    p.add_argument("systems", metavar="SYSTEM", nargs="+")
    p.add_argument("--test-set", action="append", metavar="NAME", help="may be repeated (paradetox-test)")
    p.add_argument("--limit", type=int, metavar="N", help="only the first N sentences of each test set")
    p.add_argument("--profile", action="append", metavar="NAME", help="may be repeated (offline)")
    p.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    p.add_argument("--dtype", default="float32", metavar="NAME", help="of models' weights: float32, bfloat16")
    p.add_argument("--batch-size", type=int, metavar="N", help="sentences at once (32; greedy decoding: up to 256)")
    p.add_argument("--out", metavar="DIR", default="runs/many", help="where the results go (runs/many)")
    p.add_argument("--workers", type=int, default=0, metavar="N", help="Ray workers on this machine (0: without Ray)")
    p.add_argument("--address", metavar="ADDRESS", help="a Ray cluster to use instead (auto: the one this node is of)")
    p.add_argument("--gpus", type=float, default=0, metavar="N", help="GPUs of a Ray worker; .5: two share one (0)")
    return p


def main(argv: list[str]) -> None:
    options = parser().parse_args(argv)
    from metrics.data.test_sets import load_test_set
    from metrics.models.loading import require_dtype
    from metrics.profiles import load_profile
    from metrics.scoring.pairs import answers, content_of, file_name
    from metrics.util.files import write_json
    from metrics.util.progress import ProgressBar

    if (options.batch_size is not None and options.batch_size < 1) or options.workers < 0 or options.gpus < 0:
        raise InputError("--batch-size: at least 1; --workers, --gpus: at least 0")
    require_dtype(options.dtype)
    test_sets = list(dict.fromkeys(options.test_set or ["paradetox-test"]))
    profiles = list(dict.fromkeys(options.profile or ["offline"]))
    for name in test_sets:
        load_test_set(name, options.data_dir).limit(options.limit)
    for name in profiles:
        load_profile(name)
    how = {
        "limit": options.limit, "profiles": profiles, "data_dir": options.data_dir, "batch_size": options.batch_size,
        "dtype": options.dtype,
    }  # fmt: skip
    systems = [{"system": name, "content": content_of(name)} for name in dict.fromkeys(options.systems)]
    out = Path(options.out)
    pairs = [[{**system, "test_set": test_set, **how} for test_set in test_sets] for system in systems]
    missing = ([pair for pair in own if not (out / file_name(pair)).exists()] for own in pairs)
    groups = [group for group in missing if group]
    number, todo = len(systems) * len(test_sets), sum(map(len, groups))
    found = (
        by_ray(groups, options.workers, options.address, options.gpus)
        if options.workers or options.address
        else itertools.chain.from_iterable(map(answers, groups))
    )
    failed = []
    with ProgressBar("pairs", number, completed=number - todo, unit="pairs") as bar:
        for done in found:
            if done["error"]:
                failed.append(f"{done['system']}, {done['test_set']}: {done['error']}")
            else:
                write_json(out / done["file"], done["results"])
            bar.update()
    print(f"{out}: {number - len(failed)} results, {todo - len(failed)} of them new")
    if failed:
        print("\n".join(failed), file=sys.stderr)
        sys.exit(1)


def by_ray(
    groups: Sequence[Sequence[Pair]], workers: int, address: str | None, gpus: float
) -> Iterator[dict[str, Any]]:
    """The answers to all pairs as Ray's workers give them, a group at a time. Errors: Ray is not installed."""
    import logging
    import os

    from metrics.scoring.pairs import all_answers, failure

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # By itself Ray gives way to everything else that runs on the machine.
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    if not groups:
        return
    local: dict[str, Any] = {} if address else {"num_cpus": workers, "include_dashboard": False}
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
    try:
        # An exception is a fault of the program; only a worker that died is worth another try.
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=TRIES - 1)(all_answers)
        asked = {task.remote(group): group for group in groups}
        while asked:
            (first, *_), _ = ray.wait(list(asked))
            group = asked.pop(first)
            try:
                yield from ray.get(first)
            except ray.exceptions.WorkerCrashedError:
                for pair in group:
                    yield failure(pair, f"its worker died {TRIES} times; is there memory enough?")
    finally:
        ray.shutdown()


if __name__ == "__main__":
    run_command(main)
