"""The command `python -m metrics.score SYSTEM`: rewrites a test set and prints STA, SIM, FL and J.

SYSTEM is a Hub id, a model folder, a PEFT adapter, a GGUF folder, a text file with one output per line, a built-in
model (smollm2-135m-q4), or one of duplicate, delete, reference.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from metrics.errors import InputError, run_command


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m metrics.score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("system", metavar="SYSTEM")
    p.add_argument("--test-set", default="paradetox-test", help="paradetox-test (default), -dev, -500, or sample")
    p.add_argument("--limit", type=int, metavar="N", help="only the first N sentences of the test set")
    p.add_argument("--profile", default="offline", help="the metric protocol (default: offline)")
    p.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    p.add_argument("--revision", help="commit, tag or branch of a Hub model")
    p.add_argument("--prompt", help='template with {text}; "chat:…" goes through the chat template')
    p.add_argument("--decoding", action="append", default=[], metavar="KEY=VALUE", help="a generation setting")
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--seed", type=int, default=0, help="for systems that sample")
    p.add_argument("--json", metavar="FILE", help="write the result, with every sentence, to FILE")
    return p


def parse_decoding(pairs: list[str]) -> dict[str, Any]:
    """{key: value} of KEY=VALUE strings. Errors: unknown keys, naming the nearest."""
    import difflib

    from metrics.generation import DECODING_KEYS

    settings = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in DECODING_KEYS:
            near = difflib.get_close_matches(key, DECODING_KEYS, 1)
            raise InputError(f"--decoding {pair}: no such setting{f'; did you mean {near[0]}?' if near else ''}")
        try:
            settings[key] = json.loads(value.lower())
        except ValueError:
            raise InputError(f"--decoding {pair}: the value must be a number, true or false") from None
    return settings


def main(argv: list[str]) -> None:
    options = parser().parse_args(argv)
    from metrics.corpora import load_test_set
    from metrics.profiles import load_profile
    from metrics.systems import resolve_system

    profile = load_profile(options.profile)
    decoding = parse_decoding(options.decoding)
    if options.batch_size < 1:
        raise InputError(f"--batch-size {options.batch_size}: must be at least 1")
    system = resolve_system(options.system, revision=options.revision, prompt=options.prompt, decoding=decoding)
    test_set = load_test_set(options.test_set, options.data_dir).limit(options.limit)

    from pathlib import Path

    from metrics.files import write_json
    from metrics.scoring import Evaluator, evaluate, versions
    from metrics.systems import read_outputs, rewrite

    if system.kind == "outputs":
        read_outputs(Path(system.name), len(test_set.sources))
    evaluator = Evaluator(profile)
    result = evaluate(evaluator, rewrite(system, test_set, batch_size=options.batch_size, seed=options.seed), test_set)
    if options.json:
        write_json(Path(options.json), {**result.to_json(), "versions": versions()})
    print(f"{system.name} on {test_set.name} ({test_set.origin}), n = {len(test_set.sources)}")
    for name, interval in result.summary.items():
        print(f"  {name.upper():<4} {interval}")
    shown = ", ".join(f"{k}={v!r}" for k, v in result.rewrites.decoding.items()) or "none (does not generate)"
    print(f"decoding: {shown}")
    print(f"signature: {result.signature}")


if __name__ == "__main__":
    run_command(main)
