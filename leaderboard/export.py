"""The command `python -m leaderboard.export OUT_DIR`: writes a leaderboard in the format of Every Eval Ever 0.3.0.

The public format for results of evaluations (https://github.com/evaleval/every_eval_ever). Each row becomes

    OUT_DIR/data/detox-suite/<developer>/<model>/<uuid>.json
    OUT_DIR/data/detox-suite/<developer>/<model>/<uuid>_samples.jsonl     where the row's sentences are stored

and exporting again writes the same files. Published figures are marked as reported, not run. Left out, and counted, are
rows whose scores did not follow from their outputs. Human references are not exported: leaderboards do not store them.
"""

from __future__ import annotations

import argparse
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.util.errors import run_command

if TYPE_CHECKING:
    from leaderboard.rows.results import Sentences
    from leaderboard.rows.row import Row
    from leaderboard.stores.store import Snapshot

SCHEMA_VERSION = "0.3.0"
LIBRARY = "detox-suite"
# The format refuses "unknown" as the name of a developer.
UNSPECIFIED = "unspecified"
DESCRIPTIONS = {
    "sta": "Style transfer accuracy: whether the rewrite of a toxic sentence is no longer toxic; mean over sentences",
    "sim": "Similarity: whether the rewrite still means what the sentence meant; mean over sentences",
    "fl": "Fluency: whether the rewrite is acceptable English; mean over sentences",
    "j": "Joint score: mean over sentences of the product of STA, SIM and FL",
}
BOUNDS = {"sta": (0.0, 1.0), "sim": (-1.0, 1.0), "fl": (0.0, 1.0), "j": (-1.0, 1.0)}
# Names of folders that the format, or a file system that it wants to be portable to, does not take.
_RESERVED = re.compile(r"(data|unknown|(con|prn|aux|nul|com\d|lpt\d)(\..*)?)", re.IGNORECASE)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m leaderboard.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", metavar="OUT_DIR", type=Path, help="made if it is not there")
    parser.add_argument("--local", metavar="DIR", help="a leaderboard folder")
    parser.add_argument("--repo", metavar="ORG/NAME", help="a leaderboard on the Hub")
    options = parser.parse_args(argv)
    from leaderboard.stores.store import open_store
    from metrics.util.files import require_writable

    store = open_store(repo=options.repo, local=options.local)
    require_writable(options.out / "data" / LIBRARY / "rows")
    print(export(store.snapshot(whole=True), options.out))


def export(snapshot: Snapshot, out: Path) -> str:
    """Writes every row of a leaderboard below `out`; says how many. Errors: damaged sentences."""
    from leaderboard.board.board import load_board, read_sentences

    board = load_board(snapshot)
    written = {"measured": 0, "published": 0}
    with_sentences = mismatches = empty = 0
    for _, row in sorted(board.rows.items()):
        if board.status(row).status == "mismatch":
            mismatches += 1
        elif not row.scores:
            empty += 1
        else:
            stored = bool(row.sentences) and row.sentences_path in snapshot.files
            write(row, read_sentences(snapshot, row) if stored else None, out)
            written[row.record] += 1
            with_sentences += stored
    said = f"{out}: {written['measured']} measured rows, {with_sentences} with their sentences, "
    said += f"{written['published']} published"
    left_out = {"whose scores did not follow from their outputs": mismatches, "without a score": empty}
    reasons = [f"{count} {reason}" for reason, count in left_out.items() if count]
    return f"{said}; left out: {', '.join(reasons)}" if reasons else said


def write(row: Row, sentences: Sentences | None, out: Path) -> Path:
    """Writes a row, with its sentences if there are any; returns the path of the aggregate."""
    from metrics.util.files import sha256_bytes, write_json, write_text

    document = to_every_eval_ever(row)
    path = path_of(row)
    if sentences is not None:
        # ASCII: readers split the file where Python's splitlines does, which is also at U+2028 and others.
        lines = [json.dumps(record, sort_keys=True) for record in samples(row, sentences)]
        text = "\n".join(lines) + "\n"
        companion = path.removesuffix(".json") + "_samples.jsonl"
        write_text(out / companion, text)
        document["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": companion,
            "hash_algorithm": "sha256",
            "checksum": sha256_bytes(text.encode()),
            "total_rows": len(lines),
        }
    write_json(out / path, document)
    return out / path


def path_of(row: Row) -> str:
    """Where the format wants a row. It demands a UUID of version 4, whose random bits the run id gives here."""
    from metrics.util.files import content_hash

    developer, model = _identity(row)
    name = uuid.UUID(hex=content_hash([LIBRARY, row.run_id])[:32], version=4)
    return f"data/{LIBRARY}/{developer}/{model}/{name}.json"


def to_every_eval_ever(row: Row) -> dict[str, Any]:
    """The aggregate document of a row, which has at least one score."""
    fields = _signature_fields(row)
    library = {"name": "unknown", "version": "unknown"}
    if row.record == "measured":
        library = {"name": LIBRARY, "version": fields.get("version", "unknown")}
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": _evaluation_id(row),
        "evaluation_timestamp": row.date.isoformat(),
        # When the row was made rather than when it is exported, which must not change the file.
        "retrieved_timestamp": str(int(row.date.timestamp())),
        "source_metadata": _source_metadata(row),
        "eval_library": {
            **library,
            "additional_details": _texts(
                {
                    "profile": row.profile,
                    "signature": row.signature,
                    "packages": row.provenance.packages,
                    "git_commit": row.provenance.git_commit,
                }
            ),
        },
        "model_info": _model_info(row),
        "evaluation_results": [_result(row, metric, fields) for metric in BOUNDS if metric in row.scores],
    }


def samples(row: Row, sentences: Sentences) -> Iterator[dict[str, Any]]:
    """The instance-level records: one per sentence and metric, since the format lets a record have one score only."""
    from metrics.util.files import sha256_bytes

    shared = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": _evaluation_id(row),
        "model_id": _model_id(row),
        "evaluation_name": _evaluation_name(row),
        "interaction_type": "single_turn",
    }
    for number, (source, output) in enumerate(zip(sentences.source, sentences.output, strict=True)):
        extracted = {"turn_idx": 0, "source": "output.raw", "extracted_value": output}
        for metric in row.scores:
            score = float(sentences.values[metric][number])
            soft = sentences.values.get(f"soft_{metric}")
            yield {
                **shared,
                "evaluation_result_id": metric,
                "sample_id": str(number),
                "sample_hash": sha256_bytes(source.encode()),
                "input": {"raw": source, "reference": []},
                "output": {"raw": [output]},
                "answer_attribution": [{**extracted, "extraction_method": "none", "is_terminal": True}],
                # The format asks for a verdict also of what has none: only a full score counts as correct.
                "evaluation": {"score": score, "is_correct": score >= 1},
                **({} if soft is None else {"metadata": {f"soft_{metric}": _text(float(soft[number]))}}),
            }


def _evaluation_id(row: Row) -> str:
    # The format's <benchmark>/<model>/<time> would be one for two runs of a day.
    return f"{LIBRARY}/{_model_id(row)}/{row.run_id}"


def _evaluation_name(row: Row) -> str:
    return f"{row.test_set.name}/{row.profile}"


def _identity(row: Row) -> tuple[str, str]:
    """(developer, model), both fit for folders. Whoever only scored a system did not develop it."""
    from metrics.util.hub import HUB_ID

    name = row.system.name
    if "/" in name and HUB_ID.match(name):
        developer, _, name = name.partition("/")
    elif row.record == "measured" and row.system.kind in ("baseline", "human"):
        developer = LIBRARY
    else:
        developer = row.submitter if _trained_here(row) else UNSPECIFIED
    return _folder(developer), _folder(name)


def _trained_here(row: Row) -> bool:
    """Whether the model came out of the training run whose recipe the row carries."""
    return bool(row.provenance.recipe) and row.system.kind == "model" and row.system.revision.startswith("sha256:")


def _folder(name: str) -> str:
    text = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-") or UNSPECIFIED
    return f"{text}-" if _RESERVED.fullmatch(text) else text


def _model_id(row: Row) -> str:
    """The format's rule: <developer>/<model> where there is such a name, else the model alone."""
    developer, model = _identity(row)
    return f"{developer}/{model}" if "/" in row.system.name else model


def _model_info(row: Row) -> dict[str, Any]:
    system, about = row.system, row.system.about
    on_hub = "/" in system.name and re.match(r"[0-9a-f]{40}(\+|$)", system.revision) is not None
    ran_here = row.record == "measured" and system.kind in ("model", "baseline")
    info = {
        "name": system.name,
        "id": _model_id(row),
        "developer": _identity(row)[0],
        "additional_details": {
            **_texts({"kind": system.kind, "revision": system.revision, **about.model_dump(mode="json")}),
            "deployment_type": "self_deployed" if ran_here else "unknown",
            "model_availability": "open_weights" if on_hub else "unknown",
        },
    }
    version = row.provenance.packages.get("transformers")
    if ran_here and system.kind == "model" and version:
        info["inference_engine"] = {"name": "transformers", "version": version}
    return info


def _source_metadata(row: Row) -> dict[str, Any]:
    details = _texts({"record": row.record, "run_id": row.run_id, "row": row.path, "submitter": row.submitter})
    if row.source is not None:
        # Papers report their own systems beside others': who evaluated whom is not known.
        return {
            "source_name": row.source.title,
            "source_type": "documentation",
            "source_organization_name": row.source.title,
            "source_organization_url": row.source.url,
            "evaluator_relationship": "other",
            "additional_details": details,
        }
    developer = _identity(row)[0]
    known = developer not in (UNSPECIFIED, LIBRARY)
    first = developer == _folder(row.submitter)
    return {
        "source_name": LIBRARY,
        "source_type": "evaluation_run",
        "source_organization_name": row.submitter,
        "evaluator_relationship": ("first_party" if first else "third_party") if known else "other",
        "additional_details": details,
    }


def _result(row: Row, metric: str, fields: Mapping[str, str]) -> dict[str, Any]:
    lowest, highest = BOUNDS[metric]
    result = {
        "evaluation_result_id": metric,
        "evaluation_name": _evaluation_name(row),
        "source_data": _source_data(row),
        "metric_config": {
            "evaluation_description": DESCRIPTIONS[metric],
            "metric_id": f"{LIBRARY}.{metric}",
            "metric_name": metric.upper(),
            "metric_kind": metric,
            "metric_unit": "proportion",
            "metric_parameters": {"profile": row.profile},
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": lowest,
            "max_score": highest,
            "additional_details": _texts({"scorer": fields.get("joint" if metric == "j" else metric)}),
        },
        "score_details": _score_details(row, metric),
    }
    if row.decoding:
        result["generation_config"] = _generation_config(row)
    return result


def _score_details(row: Row, metric: str) -> dict[str, Any]:
    from metrics.scoring.statistics import CONFIDENCE, RESAMPLES

    score = row.scores[metric]  # type: ignore[index]
    details: dict[str, Any] = {"n": row.test_set.n}
    if metric == "j":
        details |= {"length_ratio": row.length_ratio, "copies": row.copies, "empty": row.empty}
    else:
        details[f"soft_{metric}"] = {"sta": row.soft_sta, "fl": row.soft_fl}.get(metric)
    lowest, highest = BOUNDS[metric]
    # Rows may pass a bound by a rounding error, which the format does not allow.
    found: dict[str, Any] = {"score": min(max(score.mean, lowest), highest), "details": _texts(details)}
    if score.low is not None and score.high is not None:
        method = "percentile bootstrap over sentences"
        interval = {"lower": score.low, "upper": score.high, "confidence_level": CONFIDENCE, "method": method}
        uncertainty = {"confidence_interval": interval, "num_samples": row.test_set.n}
        found["uncertainty"] = {**uncertainty, "num_bootstrap_samples": RESAMPLES}
    return found


def _source_data(row: Row) -> dict[str, Any]:
    from metrics.data.sources import HUB

    test_set = row.test_set
    kept = ("origin", "revision", "sha256", "n", "of")
    data: dict[str, Any] = {
        "dataset_name": test_set.name,
        "additional_details": _texts({name: getattr(test_set, name) for name in kept}),
    }
    repo = HUB.get(test_set.name.partition("-")[0])
    if row.source is not None:
        return {**data, "source_type": "url", "url": [row.source.url]}
    if test_set.origin == "hub" and repo:
        return {**data, "source_type": "hf_dataset", "hf_repo": repo, "samples_number": test_set.of}
    return {**data, "source_type": "other"}


def _generation_config(row: Row) -> dict[str, Any]:
    """The settings that the format names; all others, and values of another type, as text."""
    rest, args = dict(row.decoding), {}
    for name in ("temperature", "top_p", "top_k"):
        if type(rest.get(name)) in (int, float):
            args[name] = rest.pop(name)
    if type(rest.get("max_new_tokens")) is int and rest["max_new_tokens"] >= 1:
        args["max_tokens"] = rest.pop("max_new_tokens")
    if isinstance(rest.get("prompt"), str):
        args["prompt_template"] = rest.pop("prompt")
    cost = {"seconds": row.cost.seconds, "device": row.cost.device}
    return {"generation_args": args, "additional_details": _texts({**rest, **cost})}


def _signature_fields(row: Row) -> dict[str, str]:
    """The signature's fields; none for published figures and for signatures of versions that spelled them otherwise."""
    from metrics.scoring.signature import Signature
    from metrics.util.errors import InputError

    try:
        return Signature.parse(row.signature).fields()
    except InputError:
        return {}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """What is known of `values`, as text: the format's additional details take nothing else."""
    return {name: _text(value) for name, value in values.items() if value not in (None, "", [], {})}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


if __name__ == "__main__":
    run_command(main)
