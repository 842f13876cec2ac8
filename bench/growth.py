"""The command `python bench/growth.py`: how time and memory of each command grow with its input.

Each command runs in a process of its own, on 1, 10 and 100 times the smallest input:

- `score`: `metrics.score` on 100 of the 10,000 sentences of jigsaw-10k, and the published outputs of CondBERT for them
- `publish`, `verify`: `leaderboard.publish` of that result into a new folder, `leaderboard.verify` of it
- `board`: `leaderboard.publish` of one more result into a folder with 10 rows, and into larger ones
- `reproduce`: `repro.run smoke` with 4 updates, a test set of 8 sentences, and an unchanged warm-up

The table has seconds and peak memory, and both as multiples of the smallest input's. Linear growth is the multiple of
the input, minus the start-up of the command. The caches are the command's own and hold only unpacked models.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measuring import measure_module
from soak import isolated_environment

from metrics.data.sources import data_folder
from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command
from metrics.util.files import read_lines
from metrics.util.progress import progress

SENTENCES, ROWS, UPDATES, TESTS = 100, 10, 4, 8


@dataclass(frozen=True)
class Workspace:
    """The folder with the corpora, and a scratch folder that all commands share."""

    data: Path
    folder: Path

    def result(self, times: int) -> Path:
        """Return the result file of `score`."""
        return self.folder / f"result-{times}.json"

    def run(self, *arguments: str) -> tuple[float, float]:
        """Run `python -m …`; return its wall-clock seconds and its peak resident memory (MiB)."""
        env = {**isolated_environment(self.folder / "caches"), "SRO_DATA_DIR": str(self.data)}
        seconds, _, memory = measure_module(arguments, env, self.folder / "log.txt")
        return seconds, memory


def _score(space: Workspace, times: int) -> tuple[float, float]:
    n = SENTENCES * times
    outputs = space.folder / f"condbert-{times}.txt"
    outputs.write_text("\n".join(read_lines(space.data / "published_outputs" / "condbert.txt")[:n]) + "\n", "utf-8")
    options = ("--limit", str(n), "--no-cache", "--json", str(space.result(times)))
    return space.run("metrics.score", str(outputs), "--test-set", "jigsaw-10k", *options)


def _publish(space: Workspace, times: int) -> tuple[float, float]:
    return space.run("leaderboard.publish", str(space.result(times)), "--local", str(space.folder / f"board-{times}"))


def _verify(space: Workspace, times: int) -> tuple[float, float]:
    return space.run("leaderboard.verify", "--local", str(space.folder / f"board-{times}"))


def _board(space: Workspace, times: int) -> tuple[float, float]:
    """Publish one row into a folder of others, which have the scores of the smallest result under other names."""
    from leaderboard.publishing.commit import publish, read_entries
    from leaderboard.rows.results import row_from_result
    from leaderboard.stores import open_store

    document = json.loads(space.result(1).read_text("utf-8"))
    (row, _), *_ = read_entries(space.result(1))
    entries = []
    for i in range(ROWS * times):
        system = {**document["system"], "name": f"system-{i}", "revision": f"sha256:{i:064x}"}
        other, _ = row_from_result({**document, "system": system}, "bench", submitter="bench", date=row.date)
        entries.append((other, None))
    folder = space.folder / f"rows-{times}"
    publish(open_store(local=folder, create=True), entries, show=lambda change: None)
    return space.run("leaderboard.publish", str(space.result(1)), "--local", str(folder), "--without-texts")


def _reproduce(space: Workspace, times: int) -> tuple[float, float]:
    # The number of evaluations is the same, whatever the number of updates.
    sizes = {"steps": UPDATES, "toxic_limit": 16, "test_limit": TESTS, "evaluate_every": 2}
    settings = (part for key, size in sizes.items() for part in ("--set", f"{key}={size * times}"))
    return space.run("repro.run", "smoke", "--out", str(space.folder / f"run-{times}"), *settings)


COMMANDS = {"score": _score, "publish": _publish, "verify": _verify, "board": _board, "reproduce": _reproduce}


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python bench/growth.py", __doc__)
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 100], metavar="N", help="sizes (1 10 100)")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS), help="commands to run (all)")
    options = parser.parse_args(argv)
    data = data_folder(options.data_dir)
    if data is None:
        raise InputError("no data folder; give --data-dir or SRO_DATA_DIR")
    if min(options.times) < 1 or 1 not in options.times:
        raise InputError("--times: give positive numbers, 1 among them")
    if "score" not in options.commands and {"publish", "verify", "board"} & set(options.commands):
        raise InputError("--commands: publish, verify and board read the results of score; add score")
    print("| command | times | seconds | multiple | peak memory, MiB | multiple |")
    print("|---|--:|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        space = Workspace(data, Path(folder))
        runs = [(name, times) for name in COMMANDS if name in options.commands for times in sorted(options.times)]
        smallest: dict[str, tuple[float, float]] = {}
        for name, times in progress(runs, "commands"):
            seconds, memory = COMMANDS[name](space, times)
            least_seconds, least_memory = smallest.setdefault(name, (seconds, memory))
            columns = f"{name} | {times} | {seconds:.1f} | {seconds / least_seconds:.1f}"
            print(f"| {columns} | {memory:,.0f} | {memory / least_memory:.1f} |", flush=True)


if __name__ == "__main__":
    run_command(main)
