"""The command `python bench/growth.py`: what scoring, publishing, verifying and retraining cost as their inputs grow.

Each command runs as people run it, in a process of its own, on 1, 10 and 100 times the smallest input:

- `score`: `metrics.score` on 100 of the 10,000 sentences of jigsaw-10k, and the published outputs of CondBERT for them
- `publish`, `verify`: `leaderboard.publish` of that result into a new folder, `leaderboard.verify` of it
- `board`: `leaderboard.publish` of one result more into a folder that has 10 rows, and into larger ones
- `reproduce`: `repro.run smoke` with 4 updates and a test of 8 sentences, its warm-up left as it is

Prints seconds and peak memory, and both as multiples of the smallest: linear is the multiple of the input, less what a
command needs to start. Caches are the command's own and hold nothing but unpacked models.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from soak import die_with_parent, environment

from metrics.util.errors import InputError, run_command
from metrics.util.progress import progress

SENTENCES, ROWS, UPDATES, TESTS = 100, 10, 4, 8


@dataclass(frozen=True)
class Cost:
    """What a process took. memory: greatest resident set, MiB."""

    seconds: float
    memory: float


@dataclass(frozen=True)
class Place:
    """Where commands find their data, and work. folder: what is kept from one command to the next."""

    data: Path
    folder: Path

    def run(self, *arguments: str) -> Cost:
        """`python -m …` to its end. Errors: it failed."""
        env = {**environment(self.folder / "caches"), "SRO_DATA_DIR": str(self.data)}
        start = time.perf_counter()
        with (self.folder / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments], env=env, stdout=log, stderr=log, preexec_fn=die_with_parent
            )
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            last = (self.folder / "log.txt").read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise InputError(f"{arguments[0]}: exit code {process.returncode}: {''.join(last)}")
        return Cost(seconds, usage.ru_maxrss / 1024)


def result_file(place: Place, times: int) -> Path:
    return place.folder / f"result-{times}.json"


def score(place: Place, times: int) -> Cost:
    from metrics.util.files import read_lines

    n = SENTENCES * times
    outputs = place.folder / f"condbert-{times}.txt"
    outputs.write_text("\n".join(read_lines(place.data / "published_outputs" / "condbert.txt")[:n]) + "\n", "utf-8")
    found = ("--limit", str(n), "--no-cache", "--json", str(result_file(place, times)))
    return place.run("metrics.score", str(outputs), "--test-set", "jigsaw-10k", *found)


def publish(place: Place, times: int) -> Cost:
    board = str(place.folder / f"board-{times}")
    return place.run("leaderboard.publish", str(result_file(place, times)), "--local", board)


def verify(place: Place, times: int) -> Cost:
    return place.run("leaderboard.verify", "--local", str(place.folder / f"board-{times}"))


def board(place: Place, times: int) -> Cost:
    """One row more. The rows that are there have scores of the smallest result, each under a name of its own."""
    from leaderboard.publishing.commit import publish as publish_rows
    from leaderboard.publishing.entries import read_entries
    from leaderboard.rows.results import row_from_result
    from leaderboard.stores import open_store

    document = json.loads(result_file(place, 1).read_text("utf-8"))
    (row, _), *_ = read_entries(result_file(place, 1))
    entries = []
    for i in range(ROWS * times):
        named = {**document, "system": {**document["system"], "name": f"system-{i}", "revision": f"sha256:{i:064x}"}}
        other, _ = row_from_result(named, "bench", submitter="bench", date=row.date)
        entries.append((other, None))
    folder = place.folder / f"rows-{times}"
    publish_rows(open_store(local=folder, create=True), entries, show=lambda change: None)
    return place.run("leaderboard.publish", str(result_file(place, 1)), "--local", str(folder), "--without-texts")


def reproduce(place: Place, times: int) -> Cost:
    out = place.folder / f"run-{times}"
    sizes = [f"steps={UPDATES * times}", f"toxic_limit={16 * times}", f"test_limit={TESTS * times}"]
    # Scored as often, whatever the number of updates.
    sizes.append(f"evaluate_every={2 * times}")
    return place.run("repro.run", "smoke", "--out", str(out), *(part for s in sizes for part in ("--set", s)))


COMMANDS: dict[str, Callable[[Place, int], Cost]] = {
    "score": score,
    "publish": publish,
    "verify": verify,
    "board": board,
    "reproduce": reproduce,
}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python bench/growth.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 100], metavar="N", help="sizes (1 10 100)")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS), help="which (all)")
    options = parser.parse_args(argv)
    from metrics.data.sources import data_folder

    data = data_folder(options.data_dir)
    if data is None:
        raise InputError("no data folder; give --data-dir or SRO_DATA_DIR")
    if min(options.times) < 1 or 1 not in options.times:
        raise InputError("--times: 1 and multiples of it")
    if "score" not in options.commands and {"publish", "verify", "board"} & set(options.commands):
        raise InputError("--commands: publish, verify and board read what score wrote; name it too")
    print("| command | times | seconds | of the smallest | peak memory, MiB | of the smallest |")
    print("|---|--:|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Place(data, Path(folder))
        plan = [(name, times) for name in COMMANDS if name in options.commands for times in sorted(options.times)]
        _measure(place, plan)


def _measure(place: Place, plan: Sequence[tuple[str, int]]) -> None:
    first: dict[str, Cost] = {}
    for name, times in progress(plan, "commands"):
        cost = COMMANDS[name](place, times)
        least = first.setdefault(name, cost)
        shares = cost.seconds / least.seconds, cost.memory / least.memory
        print(f"| {name} | {times} | {cost.seconds:.1f} | {shares[0]:.1f} | {cost.memory:,.0f} | {shares[1]:.1f} |",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    run_command(main)
