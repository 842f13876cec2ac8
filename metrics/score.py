"""Rewrite a test set and score the rewrites with STA, SIM, FL and J: `python -m metrics.score SYSTEM…`.

SYSTEM is one of
    a model         a Hub id, a model folder, a PEFT adapter, a GGUF folder, or the built-in smollm2-135m-q4
    openai:MODEL    a chat model behind an OpenAI-compatible endpoint, with --endpoint URL; or openai:MODEL@URL
    back-translation:MODEL    to another language and back: a translation model of many languages, or THERE,BACK
    a file          of outputs: text with one per line, or a table aligned by id or source sentence: JSON Lines (id,
                    text), TSV, CSV or Parquet (toxic_sentence, neutral_sentence, lang; see --columns)
    a baseline      duplicate (the source), delete (rude words removed), reference (the human rewrite)

--test-set also takes a file of your own in the same formats, with any number of references (neutral_sentence,
reference, reference2, …), lang and id as it has them. Each language of a test set has its own row; --lang chooses.

Rewrites and scores are cached in the folder SRO_HOME. Interrupted runs resume: run the same command again. A second
profile scores the same rewrites.

Exit codes: 0 done, 2 bad input (one line says what), 130 interrupted.
"""

import argparse
import itertools
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from metrics.util.console import (
    add_columns_options,
    add_endpoint_option,
    add_judge_option,
    add_language_option,
    add_lexicon_option,
    command_parser,
)
from metrics.util.errors import InputError, run_command

if TYPE_CHECKING:
    from rich.console import Console

    from metrics.data.columns import Columns
    from metrics.data.test_sets import TestSet
    from metrics.profiles import Profile
    from metrics.scoring.result import Result
    from metrics.systems.resolve import Rewrites, System


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    p = command_parser("python -m metrics.score", __doc__)
    p.add_argument("systems", metavar="SYSTEM", nargs="+", help="what to score")
    test_sets = "paradetox-test (default), paradetox-dev, paradetox-500, jigsaw-10k, clef2024-dev, clef2024-test, "
    test_sets += "clef2025-dev, clef2025-test, sample, or a file"
    p.add_argument("--test-set", default="paradetox-test", metavar="NAME", help=test_sets)
    add_language_option(p)
    add_columns_options(p)
    p.add_argument("--limit", type=int, metavar="N", help="use only the first N sentences of each language")
    p.add_argument("--profile", action="append", metavar="NAME", help="metric protocol; may be repeated (offline)")
    add_judge_option(p)
    p.add_argument("--data-dir", metavar="DIR", help="the folder with the corpora (default: SRO_DATA_DIR)")
    add_lexicon_option(p)
    pivot = "the language between, of back-translation:MODEL (default: en, and fr for English)"
    p.add_argument("--pivot", metavar="CODE", help=pivot)
    p.add_argument("--between", metavar="SYSTEM", help="what rewrites between its two translations, such as delete")
    p.add_argument("--revision", help="commit, tag or branch of a Hub model (default: main)")
    add_endpoint_option(p)
    p.add_argument("--key-variable", metavar="NAME", help="the variable that holds its key (OPENAI_API_KEY)")
    p.add_argument("--prompt", help="template with {text}; with the prefix chat: it is the user's message in a chat")
    p.add_argument("--system", metavar="TEXT", help="system message; without a chat template, text before the prompt")
    p.add_argument("--few-shot", metavar="FILE", type=Path, help="examples: a line is a source, a tab and its rewrite")
    p.add_argument("--decoding", action="append", default=[], metavar="KEY=VALUE", help="a setting; may be repeated")
    p.add_argument("--cut-reasoning", action="store_true", help="cut <think>…</think> from the outputs of files")
    p.add_argument("--engine", default="", metavar="NAME", help="ctranslate2[-int8] or vllm[-float32] (transformers)")
    p.add_argument("--dtype", default="float32", metavar="NAME", help="float32 (default) or bfloat16 weights")
    p.add_argument("--batch-size", type=int, metavar="N", help="sentences per batch (32; up to 256 if greedy)")
    p.add_argument("--seed", type=int, default=0, help="the seed of systems that sample (default: 0)")
    p.add_argument("--slices", action="store_true", help="also by kind of toxicity, length, lowest metric and fault")
    p.add_argument("--json", metavar="FILE", type=Path, help="write the results, with every sentence, to FILE")
    submission = "write the outputs in the shared tasks' format: .tsv, .zip or .jsonl; scores only with --profile"
    p.add_argument("--submission", metavar="FILE", type=Path, help=submission)
    p.add_argument("--no-cache", action="store_true", help="do not use cached scores")
    p.add_argument("--push", metavar="ORG/NAME", help="show the pull request to this leaderboard on the Hub")
    p.add_argument("--yes", action="store_true", help="with --push: open the pull request")
    p.add_argument("--verbose", action="store_true", help="full signatures, and the messages of other libraries")
    return p


def main(argv: list[str]) -> None:
    """Run the command."""
    options = parser().parse_args(argv)
    from metrics.data.test_sets import load_test_set
    from metrics.profiles import load_profiles
    from metrics.scoring.evaluator import require_served
    from metrics.scoring.result import result_document
    from metrics.systems.outputs import outputs_for, parse_columns
    from metrics.systems.rewriting import rewrite_sets
    from metrics.systems.submissions import require_submission, write_submission
    from metrics.util.files import require_writable, write_json

    # All options are checked before the first model is loaded.
    scores = options.submission is None or bool(options.profile or options.judge)
    profiles = load_profiles(options.profile, options.judge) if scores else []
    _check_options(options)
    names = dict.fromkeys(options.systems)
    columns, test_columns = parse_columns(options.columns, options.test_set_columns, names, [options.test_set])
    systems = _resolve_systems(options, columns)
    for file in filter(None, (options.json, options.submission)):
        require_writable(file)
    if options.push:
        publish = _find_publisher(options.push, send=options.yes)
    whole = load_test_set(options.test_set, options.data_dir, test_columns)
    test_sets = [one.limit(options.limit) for one in whole.by_language(options.lang)]
    if options.submission:
        require_submission(options.submission, whole)
    for system, test_set in itertools.product(systems, test_sets):
        if system.kind == "outputs":
            outputs_for(Path(system.name), test_set, columns)
    for profile in profiles:
        require_served(profile, *test_sets)

    settings = {"batch_size": options.batch_size, "seed": options.seed}
    written = [pair for system in systems for pair in rewrite_sets(system, test_sets, **settings)]
    if options.submission:
        write_submission(options.submission, whole, written)
    results = _score(written, profiles, cached=not options.no_cache)
    documents = [result_document(result, slices=options.slices) for result in results]
    if options.json:
        write_json(options.json, documents[0] if len(documents) == 1 else {"results": documents})
    if results:
        _show(results, options)
    if options.push:
        try:
            publish(documents, options.push, send=options.yes)
        except InputError as error:
            problem = f"{options.push}: {'the Hub took nothing' if options.yes else 'not shown'} ({error})"
            action = "run the same command again, or leaderboard.publish with the file of --json"
            raise InputError(f"{problem}; {action}") from None
        if not options.yes:
            print("nothing was sent; add --yes to open a pull request")


def _check_options(options: argparse.Namespace) -> None:
    if options.batch_size is not None and options.batch_size < 1:
        raise InputError(f"--batch-size {options.batch_size}: must be at least 1")
    if options.yes and not options.push:
        raise InputError("--yes: confirms --push; give --push ORG/NAME")
    if options.submission and len(dict.fromkeys(options.systems)) > 1:
        raise InputError(f"--submission {options.submission}: holds the outputs of one system; give one")
    if options.submission and (options.json or options.push) and not (options.profile or options.judge):
        raise InputError("--submission without --profile scores nothing; add --profile NAME for --json and --push")


def _score(written: "list[tuple[Rewrites, TestSet]]", profiles: "Sequence[Profile]", *, cached: bool) -> "list[Result]":
    from metrics.scoring.cache import ScoreCache
    from metrics.scoring.evaluator import Evaluator
    from metrics.util.files import cache_dir
    from metrics.util.progress import progress

    cache = ScoreCache(cache_dir() / "scores.sqlite") if cached else None
    evaluators = [Evaluator(profile, cache) for profile in profiles]
    triples = [(evaluator, *pair) for evaluator in evaluators for pair in written]
    return [e.evaluate(rewrites, test_set) for e, rewrites, test_set in progress(triples, "scoring", "systems")]


def _resolve_systems(options: argparse.Namespace, columns: "Columns") -> "list[System]":
    from metrics.generation.fields import parse_decoding
    from metrics.systems.baselines import BASELINES
    from metrics.systems.names import BACK_TRANSLATION
    from metrics.systems.preamble import read_preamble
    from metrics.systems.resolve import is_endpoint, is_model, resolve_system

    settings = {name: getattr(options, name) for name in ("revision", "prompt", "engine", "dtype")}
    settings["preamble"] = read_preamble(options.system, options.few_shot)
    settings["decoding"] = parse_decoding(options.decoding)
    endpoint = {name: getattr(options, name) for name in ("endpoint", "key_variable")}
    names = dict.fromkeys(options.systems)
    if any(endpoint.values()) and not any(map(is_endpoint, names)):
        raise InputError("--endpoint, --key-variable: none of the systems is openai:MODEL")
    # Settings of models apply to the models among the systems. Without any, the first system refuses them.
    models = [name for name in options.systems if is_model(name)] or options.systems[:1]
    # --cut-reasoning applies to the files of outputs in the same way.
    files = [name for name in names if not is_model(name) and name not in BASELINES] or options.systems[:1]
    if (options.pivot or options.between) and not any(BACK_TRANSLATION.fullmatch(name) for name in names):
        raise InputError("--pivot, --between: none of the systems is back-translation:MODEL")
    if options.lexicon and "delete" not in (*names, options.between):
        raise InputError("--lexicon: is for the system delete, which is none of those given")
    found = []
    for name in names:
        own = settings if name in models else {}
        cut = options.cut_reasoning and name in files
        own = {**own, **{key: getattr(options, key) for key in ("lexicon", "pivot", "between")}, "cut_reasoning": cut}
        found.append(resolve_system(name, columns=columns, **endpoint, **own))
    return found


def _find_publisher(repo: str, *, send: bool) -> Callable[..., None]:
    """The function of (documents, repo, *, send) that the leaderboard, which the metrics do not import, registers."""
    import huggingface_hub as hub

    from metrics.util.hub import HUB_ID, require_sendable_token

    if not HUB_ID.match(repo) or "/" not in repo:
        raise InputError("--push: needs the id of a Hub data set, ORG/NAME")
    if send and not hub.get_token():
        raise InputError("--push --yes: no Hub token; set HF_TOKEN or run `hf auth login`")
    # Before hours of scoring.
    require_sendable_token()
    for entry_point in entry_points(group="detox_suite.publishers", name="leaderboard"):
        return entry_point.load()
    raise InputError("--push: no publisher is installed; install the suite: pip install -c constraints.txt -e .")


def _show(results: "list[Result]", options: argparse.Namespace) -> None:
    """Print a table per profile: drawn on a terminal, tab-separated lines elsewhere."""
    from rich.console import Console

    from metrics.scoring.languages import states_languages
    from metrics.scoring.slices import count_line, slice_tables

    console = Console()
    multilingual = states_languages(results)
    for profile in dict.fromkeys(result.signature.fields()["profile"] for result in results):
        group = [result for result in results if result.signature.fields()["profile"] == profile]
        group.sort(key=lambda result: (result.test_set.lang, -result.summary["j"].mean))
        _show_scores(console, group, options, multilingual=multilingual)
        names = [f"{r.rewrites.system}{f' ({r.test_set.lang})' if multilingual else ''}" for r in group]
        for name, result in zip(names, group, strict=True):
            console.print(f"{name}, {count_line(result.scored)}", markup=False, soft_wrap=True)
        if options.slices:
            scored = {name: result.scored for name, result in zip(names, group, strict=True)}
            for head, cells in slice_tables(scored):
                _print_table(console, f"by {head[0]}, profile {profile}", head, cells)
        # Systems with the same decoding share a signature.
        for signature in {result.signature.long: result.signature for result in group}.values():
            long = options.verbose or not console.is_terminal
            print(f"signature: {signature.long}\nshort: {signature.short}" if long else f"signature: {signature.short}")
    if console.is_terminal and options.json is None:
        print("\nNext: add --json FILE to compare and publish this result. Scores are cached, so that takes seconds.")
    elif console.is_terminal:
        print(f"\nNext: publish    python -m leaderboard.publish {options.json} --repo ORG/NAME")
        if len(results) == 1:
            print(f"      compare    python -m metrics.compare {options.json} OTHER.json")


def _show_scores(
    console: "Console", results: "list[Result]", options: argparse.Namespace, *, multilingual: bool
) -> None:
    """Print the table of results under one profile, with a column and the averages of languages if not all English."""
    from metrics.scoring import METRICS
    from metrics.scoring.languages import average_rows, missing_languages

    test_set, lang = results[0].test_set, ["lang"] if multilingual else []
    header = ["system", *lang, *(metric.upper() for metric in METRICS), "n", "decoding"]
    rows = [
        [
            r.rewrites.system, *([r.test_set.lang] if multilingual else []), *(str(r.summary[m]) for m in METRICS),
            str(len(r.test_set.sources)), r.signature.decoding,
        ]
        for r in results
    ]  # fmt: skip
    rows += [[*row, ""] for row in average_rows(results)] if multilingual else []
    title = f"{test_set.name} ({test_set.origin}), profile {results[0].signature.fields()['profile']}"
    # The decoding is the widest column by far.
    columns = len(header) if options.verbose or not console.is_terminal else len(header) - 1
    caption = "; 95 % bootstrap intervals over sentences" if console.is_terminal else ""
    _print_table(console, f"{title}{caption}", header[:columns], [row[:columns] for row in rows])
    for line in missing_languages(results) if multilingual else []:
        console.print(line, markup=False, soft_wrap=True)


def _print_table(console: "Console", title: str, header: list[str], rows: list[list[str]]) -> None:
    """Draw a table on a terminal; print tab-separated lines elsewhere."""
    from rich.table import Column, Table
    from rich.text import Text

    if not console.is_terminal:
        print(title, "\t".join(header), *("\t".join(row) for row in rows), sep="\n")
        return
    table = Table(*(Column(name, overflow="fold") for name in header), title=title)
    for row in rows:
        # As Text: a name may contain rich's markup.
        table.add_row(*map(Text, row))
    console.print(table)


if __name__ == "__main__":
    run_command(main)
