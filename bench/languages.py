"""The command `python bench/languages.py`: time and memory of a run in fifteen languages, by the number of sentences.

Each run is a process of its own: `metrics.score` rewrites N sentences of each language of clef2025-dev by `duplicate`
or `delete`, writes the submission, and scores it by the rules of CLEF 2024 or 2025. A linear classifier, MiniLM and
chrF stand in for the large models, which the Hub has, and the words of each source in the opposite order for the human
rewrites. The lexicon of a language has the ten words that most of its sentences have. Scores are not cached.

The table has seconds of the processor and peak memory, and what each further sentence takes of both.
"""

import tempfile
from collections import Counter
from pathlib import Path

import yaml
from measuring import measure_module
from soak import isolated_environment

from metrics.data.sources import data_folder
from metrics.data.test_sets import load_test_set
from metrics.profiles import load_profile
from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command

TEST_SET = "clef2025-dev"
PROFILES = ("clef2024", "clef2025")
_MODELS = {
    "sta_scorer": "profanity-check", "sta_model": "alt-profanity-check", "sta_label": 0, "sta_revision": None,
    "sim_model": "minilm-l6", "sim_revision": None,
    "fl_scorer": "chrf", "fl_model": "sacrebleu", "fl_revision": None,
}  # fmt: skip


def _prepare(folder: Path, data: Path, per_language: int) -> tuple[Path, Path]:
    """Write the test set with references and the lexicon; return their paths."""
    import pandas as pd

    parts = [part.limit(per_language) for part in load_test_set(TEST_SET, data).by_language()]
    rows = [(source, part.lang) for part in parts for source in part.sources]
    columns = {"toxic_sentence": [source for source, _ in rows], "lang": [lang for _, lang in rows]}
    columns["neutral_sentence"] = [" ".join(source.split()[::-1]) + " ." for source, _ in rows]
    own = folder / f"own-{per_language}.tsv"
    pd.DataFrame(columns).to_csv(own, sep="\t", index=False)
    lexicon = folder / "lexicon.tsv"
    common = [
        (word, part.lang)
        for part in parts
        for word, _ in Counter(word for source in part.sources for word in set(source.split())).most_common(10)
    ]
    pd.DataFrame(common, columns=["text", "lang"]).to_csv(lexicon, sep="\t", index=False)
    return own, lexicon


def _run(folder: Path, *arguments: str) -> tuple[float, float]:
    """Run `metrics.score`; return the processor's seconds and the peak resident memory (MiB)."""
    command = ["metrics.score", *arguments, "--no-cache"]
    _, seconds, memory = measure_module(command, isolated_environment(folder / "caches"), folder / "log.txt")
    return seconds, memory


def main(argv: list[str]) -> None:
    """Run the bench."""
    parser = command_parser("python bench/languages.py", __doc__)
    parser.add_argument("--data-dir", metavar="DIR", help="the folder with the corpora (default: SRO_DATA_DIR)")
    parser.add_argument(
        "--per-language", type=int, nargs="+", default=[25, 50, 100], metavar="N", help="sizes, at most 100 (25 50 100)"
    )
    parser.add_argument("--profiles", nargs="+", choices=PROFILES, default=PROFILES, help="(clef2024 clef2025)")
    options = parser.parse_args(argv)
    data = data_folder(options.data_dir)
    if data is None:
        raise InputError("needs the folder with the corpora: --data-dir or SRO_DATA_DIR")
    if not 1 <= min(options.per_language) <= max(options.per_language) <= 100:
        raise InputError("--per-language: from 1 to 100, which every language has")
    print("| profile | system | sentences | CPU seconds | MiB | ms per further sentence | KiB per further sentence |")
    print("|---|---|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.profiles:
            profile = load_profile(name).model_copy(update=_MODELS)
            path = Path(scratch, f"{name}.yaml")
            path.write_text(yaml.safe_dump(profile.model_dump()), "utf-8")
            for system in ("duplicate", "delete"):
                _measure(Path(scratch), data, system, path, sorted(options.per_language))


def _measure(folder: Path, data: Path, system: str, profile: Path, sizes: list[int]) -> None:
    """Print a row per size."""
    before: tuple[int, float, float] | None = None
    langs = load_profile(profile).languages
    for n in sizes:
        own, lexicon = _prepare(folder, data, n)
        files = ["--test-set", str(own), "--lang", ",".join(langs), "--submission", str(folder / "submission.zip")]
        extra = ["--lexicon", str(lexicon)] if system == "delete" else []
        seconds, memory = _run(folder, system, *files, "--profile", str(profile), *extra)
        total, further = n * len(langs), ["", ""]
        if before:
            more = total - before[0]
            further = [f"{(seconds - before[1]) / more * 1000:.1f}", f"{(memory - before[2]) * 1024 / more:.0f}"]
        row = [profile.stem, system, f"{total:,}", f"{seconds:.1f}", f"{memory:,.0f}", *further]
        print(f"| {' | '.join(row)} |", flush=True)
        before = total, seconds, memory


if __name__ == "__main__":
    run_command(main)
