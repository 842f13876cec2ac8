"""The commands that reproduce and verify a row; names are quoted, so that they are safe to paste into a shell."""

import functools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

import metrics
from leaderboard.rows.row import folder_name
from leaderboard.space.data import Record
from leaderboard.space.escaping import hub_commit
from metrics.data.languages import ENGLISH
from metrics.generation.engines import engine_option
from metrics.generation.fields import DECODING_KEYS
from metrics.systems.names import ENDPOINT

_WRITE_OUTPUTS = "import pandas, sys; print(*pandas.read_parquet(sys.argv[1]).output, sep='\\n')"


def reproduce_command(record: Record) -> str:
    """Return the shell command that reproduces a row; "" for a published figure.

    It trains a model that came from a recipe, with the recipe's values, and scores any other system; a model of an
    endpoint is asked again. Outputs that were submitted as a file are read from the row's stored sentences.
    """
    if record["record"] == "published":
        return ""
    recipe = (json_mapping(record["provenance"]) or {}).get("recipe")
    if record["kind"] == "model" and isinstance(recipe, dict):
        return _train(recipe.get("recipe", recipe))
    if endpoint_of(record):
        return _score(record, str(record["system"]))
    if record["kind"] == "outputs":
        file = f"{folder_name(str(record['system']))}.txt"
        sentences = _argument(str(record["path"]).removesuffix(".json") + ".parquet")
        return f"python -c {shlex.quote(_WRITE_OUTPUTS)} {sentences} > {_argument(file)}\n{_score(record, file)}"
    return _score(record, str(record["system"]))


def verify_command(record: Record, repo: str | None) -> str:
    """Return the shell command that recomputes a row of `repo` (None: of a folder); "" for a published figure."""
    if record["record"] == "published":
        return ""
    where = f"--repo {shlex.quote(repo)}" if repo else "--local DIR"
    return f"python -m leaderboard.verify {where} --only{_option_value(record['run_id'])}"


def endpoint_of(record: Record) -> str:
    """Return the URL of the endpoint that wrote a row's outputs; "" if none did."""
    if record["kind"] != "outputs" or not ENDPOINT.fullmatch(str(record["system"])):
        return ""
    return str((json_mapping(record["decoding"]) or {}).get("endpoint", "")).partition(",model=")[0]


def _train(recipe: Any) -> str:
    text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)
    name = recipe.get("name") if isinstance(recipe, dict) else None
    file = _argument(f"{folder_name(str(name or 'recipe'))}.yaml")
    return f"printf %s {shlex.quote(text)} > {file}\npython -m repro.run {file}"


def _score(record: Record, system: str) -> str:
    decoding = json_mapping(record["decoding"]) or {}
    part = record["n"] is not None and record["n"] < (record["test_set_size"] or 0)
    settings = {key: json.dumps(value) if isinstance(value, bool) else value for key, value in decoding.items()}
    options = [
        ("--revision", hub_commit(system, str(record["revision"])) or None),
        ("--endpoint", endpoint_of(record) or None),
        ("--test-set", record["test_set"]),
        ("--lang", record["lang"] if record["lang"] != ENGLISH else None),
        ("--pivot", _pivot(str(decoding.get("translation", "")), str(record["lang"])) or None),
        ("--between", str(decoding.get("between", "")).rpartition("@")[0] or None),
        ("--limit", record["n"] if part else None),
        ("--profile", _profile_option(str(record["profile"]))),
        ("--prompt", decoding.get("prompt") or None),
        ("--system", decoding.get("system") or None),
        *(("--decoding", f"{key}={settings[key]}") for key in sorted(settings) if key in DECODING_KEYS),
        *((f"--{key.replace('_', '-')}", decoding[key]) for key in ("batch_size", "seed") if key in decoding),
        ("--engine", engine_option(str(decoding["engine"])) if decoding.get("engine") else None),
        ("--dtype", decoding.get("dtype") or None),
    ]
    arguments = "".join(f" {name}{_option_value(value)}" for name, value in options if value is not None)
    name = shlex.quote(system)
    # After "--" a name that begins with a dash is a name.
    arguments = f"{arguments} -- {name}" if system.startswith("-") else f" {name}{arguments}"
    return f"python -m metrics.score{arguments}"


def _pivot(translation: str, lang: str) -> str:
    """The language between, of a back-translation such as de-en-de; "" for other systems."""
    return translation.removeprefix(f"{lang}-").removesuffix(f"-{lang}")


@functools.cache
def _profile_option(profile: str) -> str:
    """The name under which --profile finds a profile and its version, such as offline-v2 for offline.v2."""
    return _profile_files().get(profile) or re.sub(r"\.v\d+$", "", profile)


@functools.cache
def _profile_files() -> dict[str, str]:
    """Return the name of each profile's file by its name and version.

    The files are read here, because `metrics.profiles` imports the scorers, which the staged Space has not.
    """
    texts = {path.stem: path.read_text("utf-8") for path in (Path(metrics.__file__).parent / "profiles").glob("*.yaml")}
    loaded = {stem: yaml.safe_load(text) for stem, text in texts.items()}
    return {f"{profile['name']}.v{profile['version']}": stem for stem, profile in loaded.items()}


def _option_value(value: Any) -> str:
    """The value of an option, after a space, or after "=" if it begins with a dash like an option."""
    text = str(value)
    return f"={shlex.quote(text)}" if text.startswith("-") else f" {shlex.quote(text)}"


def _argument(path: str) -> str:
    """A path as one shell word that does not begin with a dash like an option."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def json_mapping(text: Any) -> dict[str, Any] | None:
    """Return the JSON object in `text`, None if it holds anything else."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
