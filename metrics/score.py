"""The command `python -m metrics.score SYSTEM…`: rewrites a test set and prints STA, SIM, FL and J.

SYSTEM is a Hub id, a model folder, a PEFT adapter, a GGUF folder, a text file with one output per line, a built-in
model (smollm2-135m-q4), or one of duplicate, delete, reference. Rewrites and scores are kept in the cache folder
(SRO_HOME): a killed run goes on where it stopped, and another profile costs no second rewriting.

Exit codes: 0 done, 2 something given cannot be used (one line says what), 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from metrics.util.errors import InputError, run_command, suggest

if TYPE_CHECKING:
    from metrics.scoring.evaluator import Result


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m metrics.score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("systems", metavar="SYSTEM", nargs="+")
    p.add_argument(
        "--test-set", default="paradetox-test", help="paradetox-test (default), -dev, -500, jigsaw-10k, or sample"
    )
    p.add_argument("--limit", type=int, metavar="N", help="only the first N sentences of the test set")
    p.add_argument("--profile", action="append", metavar="NAME", help="the metric protocol; may be repeated (offline)")
    p.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    p.add_argument("--revision", help="commit, tag or branch of a Hub model")
    p.add_argument("--prompt", help='template with {text}; "chat:…" goes through the chat template')
    p.add_argument("--decoding", action="append", default=[], metavar="KEY=VALUE", help="a generation setting")
    p.add_argument("--engine", default="", metavar="NAME", help="ctranslate2[-int8] on CPUs, vllm[-float32] on GPUs")
    p.add_argument("--dtype", default="float32", metavar="NAME", help="of a model's weights: float32, bfloat16")
    p.add_argument("--batch-size", type=int, metavar="N", help="sentences at once (32; greedy decoding: up to 256)")
    p.add_argument("--seed", type=int, default=0, help="for systems that sample")
    p.add_argument("--json", metavar="FILE", help="write the results, with every sentence, to FILE")
    p.add_argument("--no-cache", action="store_true", help="score every sentence anew")
    p.add_argument("--push", metavar="ORG/NAME", help="show what would be sent to this Hub data set, as a pull request")
    p.add_argument("--yes", action="store_true", help="with --push: really send it")
    return p


def parse_decoding(pairs: list[str]) -> dict[str, Any]:
    """{key: value} of KEY=VALUE strings. Errors: unknown keys, naming the nearest."""
    from metrics.generation.decoding import DECODING_KEYS, POSITIVE_KEYS

    settings = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in DECODING_KEYS:
            raise InputError(f"--decoding {pair}: no such setting{suggest(key, DECODING_KEYS)}")
        try:
            settings[key] = json.loads(value.lower())
        except ValueError:
            settings[key] = None
        if type(settings[key]) not in (int, float, bool):
            raise InputError(f"--decoding {pair}: the value must be a number, true or false")
        if (key != "length_penalty" and settings[key] < 0) or (key in POSITIVE_KEYS and settings[key] == 0):
            raise InputError(f"--decoding {pair}: too small")
    return settings


def main(argv: list[str]) -> None:
    options = parser().parse_args(argv)
    from pathlib import Path

    from metrics.data.test_sets import load_test_set
    from metrics.profiles import load_profile
    from metrics.systems.outputs import read_outputs
    from metrics.systems.resolve import is_model, resolve_system
    from metrics.util.files import require_writable

    # Everything that can be wrong with what was given is found before the first model is loaded.
    profiles = [load_profile(name) for name in dict.fromkeys(options.profile or ["offline"])]
    given = parse_decoding(options.decoding)
    if options.batch_size is not None and options.batch_size < 1:
        raise InputError(f"--batch-size {options.batch_size}: must be at least 1")
    if options.yes and not options.push:
        raise InputError("--yes: sends what --push shows; give --push ORG/NAME")
    if options.json:
        require_writable(Path(options.json))
    if options.push:
        from metrics.push import check_target

        check_target(options.push, send=options.yes)
    # What is for models goes to the models of the call; where there is none, the first system refuses it.
    models = [name for name in options.systems if is_model(name)] or options.systems[:1]
    settings = {
        "revision": options.revision, "prompt": options.prompt, "decoding": given, "engine": options.engine,
        "dtype": options.dtype,
    }  # fmt: skip
    systems = [resolve_system(name, **(settings if name in models else {})) for name in dict.fromkeys(options.systems)]
    test_set = load_test_set(options.test_set, options.data_dir).limit(options.limit)
    for system in systems:
        if system.kind == "outputs":
            read_outputs(Path(system.name), len(test_set.sources))

    from metrics.scoring.cache import ScoreCache
    from metrics.scoring.evaluator import Evaluator, document, evaluate
    from metrics.systems.rewriting import rewrite
    from metrics.util.files import cache_dir, write_json

    cache = None if options.no_cache else ScoreCache(cache_dir() / "scores.sqlite")
    evaluators = [Evaluator(profile, cache) for profile in profiles]
    for evaluator in evaluators:
        if evaluator.profile.needs_references and not all(test_set.references):
            raise InputError(f"profile {evaluator.profile.name}: {test_set.name} has sentences without a reference")
    rewrites = [rewrite(system, test_set, batch_size=options.batch_size, seed=options.seed) for system in systems]
    results = [evaluate(evaluator, written, test_set) for evaluator in evaluators for written in rewrites]
    documents = [document(result) for result in results]
    if options.json:
        write_json(Path(options.json), documents[0] if len(documents) == 1 else {"results": documents})
    show(results)
    if options.push:
        from metrics.push import push

        push(documents, options.push, send=options.yes)


def show(results: list[Result]) -> None:
    """Prints a table per profile: drawn on a terminal, tab-separated lines when piped."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from metrics.scoring import METRICS

    console = Console()
    test_set = results[0].test_set
    header = ["system", *(metric.upper() for metric in METRICS), "n", "decoding"]
    for key in dict.fromkeys(result.signature.key for result in results):
        group = sorted((r for r in results if r.signature.key == key), key=lambda r: -r.summary["j"].mean)
        rows = [
            [r.rewrites.system, *(str(r.summary[m]) for m in METRICS), str(len(test_set.sources)), r.signature.decoding]
            for r in group
        ]
        title = f"{test_set.name} ({test_set.origin}), profile {group[0].signature.fields()['profile']}"
        if console.is_terminal:
            table = Table(title=f"{title}; 95 % intervals by the bootstrap over sentences")
            for name in header:
                table.add_column(name, overflow="fold")
            for row in rows:
                # As text: a name may hold what rich takes for markup.
                table.add_row(*map(Text, row))
            console.print(table)
        else:
            print(title)
            print("\t".join(header))
            print("\n".join("\t".join(row) for row in rows))
        # Systems that decode alike, or not at all, share theirs.
        for signature in {result.signature.long: result.signature for result in group}.values():
            print(f"signature: {signature.long}")
            print(f"short: {signature.short}")


if __name__ == "__main__":
    run_command(main)
