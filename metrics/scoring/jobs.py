"""Jobs of `metrics.many`: one system on one test set, rewritten and scored, in this process or by Ray workers."""

import functools
import itertools
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metrics.data.columns import Columns
from metrics.data.own_texts import USUAL, own_file
from metrics.data.test_sets import TEST_SETS, load_test_set
from metrics.models.prompts import NO_PREAMBLE, Preamble
from metrics.profiles import load_profile
from metrics.scoring.evaluator import Evaluator, require_served
from metrics.scoring.result import result_document
from metrics.systems.resolve import is_endpoint, is_model, resolve_system
from metrics.systems.rewriting import load_system, rewrite
from metrics.util.errors import InputError
from metrics.util.files import content_hash, sha256_file

# How often a group of jobs is tried when its worker dies: one that needs too much memory must not kill every worker.
_TRIES = 4
_load_test_set = functools.cache(load_test_set)


@dataclass(frozen=True)
class Job:
    """One system on one language of a test set: names and options of `metrics.score`, and hashes of files.

    The hash `content` is "" for a system without files here (see `content_of`), `test_content` for a test set that is
    no file of the user's own, and `lang` for a test set of one language. `lexicon` is the file of `delete`, `judge` the
    model of the judged metrics.
    """

    system: str
    content: str
    test_set: str
    limit: int | None
    profiles: tuple[str, ...]
    data_dir: str | None
    batch_size: int | None
    dtype: str
    preamble: Preamble = NO_PREAMBLE
    columns: Columns = USUAL
    test_columns: Columns = USUAL
    test_content: str = ""
    lang: str = ""
    lexicon: Path | None = None
    judge: str | None = None

    @property
    def file_name(self) -> str:
        """The name of the result file: readable, and different for every job that gives another result."""
        readable = re.sub(r"[^\w.-]+", "__", f"{self.system}--{self.test_set}{self.lang and f'--{self.lang}'}")[-100:]
        # Fields that jobs of earlier versions lack are hashed if they are set: results of these jobs are still found.
        later = {
            "preamble": NO_PREAMBLE, "columns": USUAL, "test_columns": USUAL, "test_content": "", "lang": "",
            "judge": None,
        }  # fmt: skip
        # The hash of a lexicon is the content of `delete`.
        left_out = {"lexicon", *(name for name, default in later.items() if getattr(self, name) == default)}
        hashed = {name: value for name, value in asdict(self).items() if name not in left_out}
        return f"{readable}-{content_hash(hashed)[:12]}.json"


@dataclass(frozen=True)
class JobResult:
    """The content of a job's result file, as `metrics.score --json` writes it, or an error in one line."""

    job: Job
    document: dict[str, Any]
    error: str = ""


def content_of_test_set(test_set: str) -> str:
    """Return the hash of a test set's file, or "" for one that a name means."""
    found = own_file(test_set) if test_set.partition(":")[0] not in TEST_SETS else None
    return sha256_file(found[0]) if found else ""


def content_of(system: str, lexicon: Path | None = None) -> str:
    """Return the hash of a system's files, or "" if it has none here or cannot be used."""
    try:
        if system == "delete":
            return sha256_file(lexicon) if lexicon else ""
        return resolve_system(system).revision if Path(system).exists() else ""
    except (InputError, OSError):
        return ""


def run_jobs(jobs: Sequence[Job]) -> Iterator[JobResult]:
    """Run the jobs of one system, which is loaded once. Scorers and test sets stay in memory for the next system."""
    system = loaded = None
    for job in jobs:
        try:
            # The list may hold systems of other kinds beside models, and those refuse settings of models.
            options: dict[str, Any] = {"preamble": job.preamble} if is_model(job.system) else {}
            if is_model(job.system) and not is_endpoint(job.system):
                options["dtype"] = job.dtype
            system = system or resolve_system(job.system, columns=job.columns, lexicon=job.lexicon, **options)
            test_set = _load_test_set(job.test_set, job.data_dir, job.test_columns)
            test_set = (test_set.by_language(job.lang)[0] if job.lang else test_set).limit(job.limit)
            for name in job.profiles:
                require_served(_evaluator(name, job.judge).profile, test_set)
            loaded = loaded or load_system(system)
            rewrites = rewrite(system, test_set, batch_size=job.batch_size, loaded=loaded)
            documents = [
                result_document(_evaluator(name, job.judge).evaluate(rewrites, test_set)) for name in job.profiles
            ]
        except InputError as error:
            yield JobResult(job, {}, " ".join(str(error).split()))
            continue
        yield JobResult(job, documents[0] if len(documents) == 1 else {"results": documents})


def run_groups(
    groups: Sequence[Sequence[Job]], *, workers: int = 0, address: str | None = None, gpus: float = 0
) -> Iterator[JobResult]:
    """Run groups of jobs, each the jobs of one system, and yield the results as they come.

    Args:
        workers: The number of Ray workers on this machine; 0 with no address: run all in this process.
        address: The Ray cluster to use instead.
        gpus: GPUs per worker; .5 lets two workers share one.
    """
    if not workers and not address:
        yield from itertools.chain.from_iterable(map(run_jobs, groups))
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's default lowers the workers' priority below everything else on the machine.
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    if not groups:
        return
    local: dict[str, Any] = {} if address else {"num_cpus": workers, "include_dashboard": False}
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
    try:
        # Only a worker's death is worth another try: an exception is a fault of the program.
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=_TRIES - 1)(_run_group)
        futures = {task.remote(group): group for group in groups}
        while futures:
            (first, *_), _ = ray.wait(list(futures))
            group = futures.pop(first)
            try:
                yield from ray.get(first)
            except ray.exceptions.WorkerCrashedError:
                for job in group:
                    yield JobResult(job, {}, f"its worker died {_TRIES} times; is there enough memory?")
    finally:
        ray.shutdown()


def _run_group(jobs: Sequence[Job]) -> list[JobResult]:
    return list(run_jobs(jobs))


@functools.cache
def _evaluator(profile: str, judge: str | None) -> Evaluator:
    # Without a score cache: each node of a cluster would have its own.
    return Evaluator(load_profile(profile).with_judge(judge))
