"""Exports a leaderboard to Every Eval Ever 0.3.0 (https://github.com/evaleval/every_eval_ever).

On 30 November 2026 this was the newest release of the format's package on PyPI, every-eval-ever.

An evaluation has one aggregate document, and a JSON Lines file of instance-level records if its sentences are stored.
"""

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from leaderboard.board.reading import load_board, read_sentences
from leaderboard.rows.row import Row
from leaderboard.rows.sentences import Sentences
from leaderboard.stores.base import Store
from metrics.data.sources import HUB_DATASETS
from metrics.scoring.statistics import CONFIDENCE, RESAMPLES
from metrics.util.files import content_hash, require_writable, sha256_bytes, write_json, write_text
from metrics.util.hub import HUB_ID

SCHEMA_VERSION = "0.3.0"
LIBRARY = "detox-suite"
# The format refuses "unknown" as the name of a developer.
UNSPECIFIED = "unspecified"
_DESCRIPTIONS = {
    "sta": "Style transfer accuracy: whether the rewrite of a toxic sentence is no longer toxic; mean over sentences",
    "sim": "Similarity: whether the rewrite still means what the sentence meant; mean over sentences",
    "fl": "Fluency: whether the rewrite is acceptable English; mean over sentences",
    "j": "Joint score: mean over sentences of the product of STA, SIM and FL",
}
_LOWEST, _HIGHEST = {"sta": 0.0, "sim": -1.0, "fl": 0.0, "j": -1.0}, 1.0
# Folder names that the format, or a file system, refuses.
_RESERVED = re.compile(r"(data|unknown|(con|prn|aux|nul|com\d|lpt\d)(\..*)?)", re.IGNORECASE)


def export(store: Store, out: Path) -> str:
    """Write all rows of a leaderboard below `out`, and return a line that counts them.

    Raises:
        InputError: `out` cannot be written, or a row's sentences are damaged.
    """
    require_writable(out / "data" / LIBRARY / "rows")
    snapshot = store.snapshot(prefetch=True)
    board = load_board(snapshot)
    exported: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for _, row in sorted(board.rows.items()):
        if board.status(row).status == "mismatch":
            left_out["whose scores do not follow from their outputs"] += 1
        elif not row.scores:
            left_out["without a score"] += 1
        else:
            stored = bool(row.sentences) and row.sentences_path in snapshot.files
            sentences = read_sentences(snapshot, row) if stored else None
            if sentences is not None and row.run_id in board.j:
                sentences = replace(sentences, values={**sentences.values, "j": board.paired_j(row)})
            _write(board.shown(row), sentences, out)
            exported.update([row.record] + ["with sentences"] * stored)
    line = f"{out}: {exported['measured']} measured rows, {exported['with sentences']} with their sentences, "
    line += f"{exported['published']} published"
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    return f"{line}; left out: {reasons}" if reasons else line


def _write(row: Row, sentences: Sentences | None, out: Path) -> None:
    document, path = aggregate_document(row), aggregate_path(row)
    if sentences is not None:
        # ASCII: readers split lines as Python's splitlines does, which also splits at U+2028 and others.
        lines = [json.dumps(record, sort_keys=True) for record in _instance_records(row, sentences)]
        text = "\n".join(lines) + "\n"
        companion = path.removesuffix(".json") + "_samples.jsonl"
        write_text(out / companion, text)
        details = {"format": "jsonl", "file_path": companion, "total_rows": len(lines)}
        details |= {"hash_algorithm": "sha256", "checksum": sha256_bytes(text.encode())}
        document["detailed_evaluation_results"] = details
    write_json(out / path, document)


def aggregate_path(row: Row) -> str:
    """Return the path of a row's aggregate document, with a version 4 UUID whose bits come from the run id."""
    developer, model = _identity(row)
    name = uuid.UUID(hex=content_hash([LIBRARY, row.run_id])[:32], version=4)
    return f"data/{LIBRARY}/{developer}/{model}/{name}.json"


def aggregate_document(row: Row) -> dict[str, Any]:
    """Return the aggregate document of a row with at least one score."""
    fields = parsed.fields() if (parsed := row.parsed_signature) else {}
    name = LIBRARY if row.record == "measured" else "unknown"
    library = {"name": name, "version": fields.get("version", "unknown")}
    details = {"profile": row.profile, "signature": row.signature}
    details |= row.provenance.model_dump(mode="json", include={"packages", "git_commit"})
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": _ids(row)["evaluation_id"],
        "evaluation_timestamp": row.date.isoformat(),
        # The row's date instead of the export's: a second export writes the same file.
        "retrieved_timestamp": str(int(row.date.timestamp())),
        "source_metadata": _source_metadata(row),
        "eval_library": {**library, "additional_details": _texts(details)},
        "model_info": _model_info(row),
        "evaluation_results": [_result(row, metric, fields) for metric in _DESCRIPTIONS if metric in row.scores],
    }


def _instance_records(row: Row, sentences: Sentences) -> Iterator[dict[str, Any]]:
    """Yield one record per sentence and metric, since a record has one score."""
    shared = {"schema_version": SCHEMA_VERSION, **_ids(row), "interaction_type": "single_turn"}
    for number, (source, output) in enumerate(zip(sentences.source, sentences.output, strict=True)):
        sample = {"sample_id": str(number), "sample_hash": sha256_bytes(source.encode())}
        texts = {"input": {"raw": source, "reference": []}, "output": {"raw": [output]}}
        extracted = {"turn_idx": 0, "source": "output.raw", "extracted_value": output}
        attribution = {"answer_attribution": [{**extracted, "extraction_method": "none", "is_terminal": True}]}
        for metric in row.scores:
            score = float(sentences.values[metric][number])
            # The format requires a verdict: only a full score is correct.
            scored = {"evaluation_result_id": metric, "evaluation": {"score": score, "is_correct": score >= 1}}
            soft = sentences.values.get(f"soft_{metric}")
            metadata = {} if soft is None else {"metadata": {f"soft_{metric}": _text(float(soft[number]))}}
            yield {**shared, **sample, **texts, **attribution, **scored, **metadata}


def _ids(row: Row) -> dict[str, str]:
    """Return evaluation id, model id (<developer>/<model> if the name has that form) and evaluation name."""
    developer, model = _identity(row)
    model = f"{developer}/{model}" if "/" in row.system.name else model
    # The format's <benchmark>/<model>/<time> is not unique: a system may have two runs in a day.
    evaluation_id = f"{LIBRARY}/{model}/{row.run_id}"
    return {"evaluation_id": evaluation_id, "model_id": model, "evaluation_name": f"{row.test_set.title}/{row.profile}"}


def _identity(row: Row) -> tuple[str, str]:
    """Return (developer, model) as folder names; a submitter is the developer only of a model trained by its run."""
    name, system = row.system.name, row.system
    if "/" in name and HUB_ID.match(name):
        developer, _, name = name.partition("/")
    elif row.record == "measured" and system.kind in ("baseline", "human"):
        developer = LIBRARY
    else:
        trained = row.provenance.recipe and system.kind == "model" and system.revision.startswith("sha256:")
        developer = row.submitter if trained else UNSPECIFIED
    return _folder(developer), _folder(name)


def _folder(name: str) -> str:
    text = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-") or UNSPECIFIED
    return f"{text}-" if _RESERVED.fullmatch(text) else text


def _model_info(row: Row) -> dict[str, Any]:
    system = row.system
    on_hub = "/" in system.name and re.match(r"[0-9a-f]{40}(\+|$)", system.revision) is not None
    ran_here = row.record == "measured" and system.kind in ("model", "baseline")
    facts = {"kind": system.kind, "revision": system.revision, **system.about.model_dump(mode="json")}
    availability = "open_weights" if on_hub else "unknown"
    deployment = {"deployment_type": "self_deployed" if ran_here else "unknown", "model_availability": availability}
    info: dict[str, Any] = {"name": system.name, "id": _ids(row)["model_id"], "developer": _identity(row)[0]}
    info["additional_details"] = {**_texts(facts), **deployment}
    version = row.provenance.packages.get("transformers")
    if ran_here and system.kind == "model" and version:
        info["inference_engine"] = {"name": "transformers", "version": version}
    return info


def _source_metadata(row: Row) -> dict[str, Any]:
    details = _texts({"record": row.record, "run_id": row.run_id, "row": row.path, "submitter": row.submitter})
    shared = {"additional_details": details, "evaluator_relationship": "other"}
    if row.source is not None:
        # The relationship is "other" too: papers report their own systems beside others'.
        names = dict.fromkeys(("source_name", "source_organization_name"), row.source.title)
        return {**shared, **names, "source_type": "documentation", "source_organization_url": row.source.url}
    developer = _identity(row)[0]
    if developer not in (UNSPECIFIED, LIBRARY):
        party = "first_party" if developer == _folder(row.submitter) else "third_party"
        shared["evaluator_relationship"] = party
    run = {"source_type": "evaluation_run", "source_name": LIBRARY, "source_organization_name": row.submitter}
    return {**shared, **run}


def _result(row: Row, metric: str, fields: Mapping[str, str]) -> dict[str, Any]:
    names = {"metric_id": f"{LIBRARY}.{metric}", "metric_name": metric.upper(), "metric_kind": metric}
    bounds = {"min_score": _LOWEST[metric], "max_score": _HIGHEST}
    scale = {"metric_unit": "proportion", "score_type": "continuous", "lower_is_better": False, **bounds}
    config = {
        **names,
        **scale,
        "evaluation_description": _DESCRIPTIONS[metric],
        "metric_parameters": {"profile": row.profile},
        "additional_details": _texts({"scorer": fields.get("joint" if metric == "j" else metric)}),
    }
    result = {
        "evaluation_result_id": metric,
        "evaluation_name": _ids(row)["evaluation_name"],
        "source_data": _source_data(row),
        "metric_config": config,
        "score_details": _score_details(row, metric),
    }
    return {**result, "generation_config": _generation_config(row)} if row.decoding else result


def _score_details(row: Row, metric: str) -> dict[str, Any]:
    score = row.scores[metric]
    details: dict[str, Any] = {"n": row.test_set.n}
    if metric == "j":
        details |= {"length_ratio": row.length_ratio, "copies": row.copies, "empty": row.empty}
    else:
        details[f"soft_{metric}"] = {"sta": row.soft_sta, "fl": row.soft_fl}.get(metric)
    # Rows may exceed a bound by a rounding error, which the format refuses.
    within = min(max(score.mean, _LOWEST[metric]), _HIGHEST)
    result: dict[str, Any] = {"score": within, "details": _texts(details)}
    if score.low is not None and score.high is not None:
        method = "percentile bootstrap over sentences"
        interval = {"lower": score.low, "upper": score.high, "confidence_level": CONFIDENCE, "method": method}
        samples = {"num_samples": row.test_set.n, "num_bootstrap_samples": RESAMPLES}
        result["uncertainty"] = {"confidence_interval": interval, **samples}
    return result


def _source_data(row: Row) -> dict[str, Any]:
    test_set = row.test_set
    details = test_set.model_dump(include={"origin", "revision", "sha256", "lang", "n", "of"})
    data: dict[str, Any] = {"dataset_name": test_set.name, "additional_details": _texts(details)}
    repo = HUB_DATASETS.get(test_set.name) or HUB_DATASETS.get(test_set.name.partition("-")[0])
    if row.source is not None:
        return {**data, "source_type": "url", "url": [row.source.url]}
    if test_set.origin == "hub" and repo:
        return {**data, "source_type": "hf_dataset", "hf_repo": repo, "samples_number": test_set.of}
    return {**data, "source_type": "other"}


def _generation_config(row: Row) -> dict[str, Any]:
    """Return the settings that the format names; other settings become text."""
    rest = dict(row.decoding)
    names = {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k"}
    names |= {"max_new_tokens": "max_tokens", "prompt": "prompt_template"}
    args = {theirs: rest.pop(ours) for ours, theirs in names.items() if ours in rest}
    usage = row.usage.model_dump() if row.usage else {}
    return {"generation_args": args, "additional_details": _texts({**rest, **row.cost.model_dump(), **usage})}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the known values as text, the only type of the format's additional details."""
    return {name: _text(value) for name, value in values.items() if value not in (None, "", [], {})}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
