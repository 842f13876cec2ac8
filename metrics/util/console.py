"""The parser of a command, and a switch that silences other libraries. It imports only the standard library."""

import argparse
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

# The option of a command that lets other libraries write.
VERBOSE = "--verbose"
_ENVIRONMENT = {
    "DATASETS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # transformers' "Loading weights" follows it too
    "HF_HUB_VERBOSITY": "error",
    "TQDM_DISABLE": "1",  # trl's bars
    "TRANSFORMERS_VERBOSITY": "error",
}
# The loggers to silence.
LOGGERS = (
    "accelerate", "datasets", "evaluate", "httpx", "httpx2", "huggingface_hub", "openai", "torch", "transformers",
    "trl",
)  # fmt: skip


def command_parser(prog: str, description: str | None, **options: Any) -> argparse.ArgumentParser:
    """Build a parser whose help shows `description`, the docstring of the command's module, without wrapping it."""
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=prog, description=description, formatter_class=formatter, **options)


def add_judge_option(parser: argparse.ArgumentParser, purpose: str = "the model of --profile judge") -> None:
    """Add the option --judge; its value is for `metrics.profiles.load_profiles`."""
    text = f"{purpose}: a causal model, or a model of the OpenAI-compatible endpoint URL"
    parser.add_argument("--judge", metavar="MODEL[@URL]", help=text)


def add_columns_options(parser: argparse.ArgumentParser) -> None:
    """Add --columns and --test-set-columns; their values are for `metrics.systems.outputs.parse_columns`."""
    roles = "ROLE=COLUMN,… (roles: id, source, output, reference, lang), or SOURCE,OUTPUT,LANG"
    parser.add_argument("--columns", action="append", default=[], metavar="COLUMNS", help=f"of tables: {roles}")
    text = "the same for the test set, where it differs"
    parser.add_argument("--test-set-columns", action="append", default=[], metavar="COLUMNS", help=text)


def add_language_option(parser: argparse.ArgumentParser) -> None:
    """Add the option --lang; its value is for `metrics.data.test_sets.TestSet.by_language`."""
    text = "languages of the test set, each a row: de,ru or all (default); of a file that states none, its language"
    parser.add_argument("--lang", metavar="CODES", help=text)


def add_lexicon_option(parser: argparse.ArgumentParser) -> None:
    """Add the option --lexicon; its value is for `metrics.systems.resolve.resolve_system`."""
    text = "rude words of the system delete: text, a JSON array, or a table with text and lang (for English: built in; "
    text += "for others: textdetox/multilingual_toxic_lexicon)"
    parser.add_argument("--lexicon", metavar="FILE", type=Path, help=text)


def add_endpoint_option(parser: argparse.ArgumentParser) -> None:
    """Add the option --endpoint; its value is for `metrics.systems.resolve.resolve_system`."""
    parser.add_argument("--endpoint", metavar="URL", help="the endpoint of the systems openai:MODEL")


def quieten_libraries() -> None:
    """Switch off Python warnings, and other libraries' log messages and progress bars, here and in subprocesses.

    Values that the user has set in the environment stay as they are.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    # A library that is already imported no longer reads the environment.
    if "transformers" in sys.modules:
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
