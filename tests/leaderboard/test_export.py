"""The export to Every Eval Ever, against the format's own JSON Schemas.

golden/every_eval_ever-0.3.0.schema.json and .instance.schema.json are eval.schema.json and
instance_level_eval.schema.json of the PyPI wheel every_eval_ever 0.3.0, unchanged (MIT, EvalEval: the .LICENSE beside).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from huggingface_hub import CommitOperationAdd

from leaderboard.export import main
from leaderboard.publishing.every_eval_ever import aggregate_document, aggregate_path
from leaderboard.rows.row import Row, expected_run_id, load_row, run_id
from leaderboard.rows.sentences import Sentences, summarise
from metrics.scoring.signature import ORDER, Signature
from metrics.util.errors import InputError
from tests.hub.server import HubServer

GOLDEN = Path(__file__).parent / "golden"
RECORDS: list[dict[str, Any]] = [
    # A line separator: splitlines ends a line there, JSON Lines does not.
    {"source": "go home , idiot", "output": "go home\u2028please", "sta": 1.0, "sim": 0.8, "fl": 1.0, "j": 0.8},
    {"source": "a fool you are", "output": "", "sta": 0.0, "sim": 0.0, "fl": 0.0, "j": 0.0},
]
SENTENCES = Sentences.of([{**record, "soft_sta": 0.5, "soft_fl": 0.25} for record in RECORDS], "test")


def validate(document: Any, schema: str = "schema") -> None:
    text = (GOLDEN / f"every_eval_ever-0.3.0.{schema}.json").read_text("utf-8")
    jsonschema.Draft7Validator(json.loads(text)).validate(document)


def row(name: str = "lab/detox", *, sentences: bool = True, **changes: Any) -> Row:
    """A measured row of a Hub model with two sentences; `changes` replace fields of its JSON."""
    fields = {field: "x" for field in ORDER if field != "decoding"} | {"version": "0.2.0", "sta": "heads(y)"}
    decoding: dict[str, Any] = {"prompt": "Rewrite: {text}", "max_new_tokens": 64, "num_beams": 4, "temperature": 0.5}
    decoding = changes.get("decoding", decoding)
    signature = Signature.of(fields, decoding)
    system = {"name": name, "kind": "model", "revision": "a" * 40, **changes.pop("system", {})}
    document = {
        "schema_version": 2,
        "run_id": run_id(name, system["revision"], decoding, signature.key),
        "system": system,
        "test_set": {
            "name": "paradetox-test",
            "origin": "hub",
            "revision": "b" * 40,
            "sha256": "c",
            "n": 2,
            "of": 2000,
        },
        "profile": "offline",
        "signature": signature.long,
        "decoding": decoding,
        **summarise(SENTENCES),
        "provenance": {"packages": {"transformers": "5.23.0"}},
        "submitter": "alice",
        "date": "2026-11-24T00:00:00Z",
        **changes,
    }
    return load_row(document if sentences else {**document, "sentences": ""}, "test")


def published(name: str = "CondBERT") -> Row:
    """A figure from a paper: no signature, no interval."""
    changes: dict[str, Any] = {
        "record": "published",
        "run_id": "0" * 16,
        "signature": "",
        "decoding": {},
        "scores": {"sta": {"mean": 0.94}, "sim": {"mean": 0.69}, "fl": {"mean": 0.77}, "j": {"mean": 0.5}},
        "source": {"title": "Dale et al., EMNLP 2021", "url": "https://aclanthology.org/2021.emnlp-main.629"},
    }
    made = row(name, sentences=False, system={"revision": "as published", "kind": "outputs"}, **changes)
    return made.model_copy(update={"run_id": expected_run_id(made)})


def store(folder: Path, *rows: Row) -> Path:
    """A leaderboard folder of rows, without derived tables."""
    for each in rows:
        (folder / each.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / each.path).write_text(each.to_json(), "utf-8")
        if each.sentences:
            (folder / each.sentences_path).write_bytes(SENTENCES.to_parquet())
    return folder


def written(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_aggregate_document_of_a_measured_row() -> None:
    document = aggregate_document(row())
    validate(document)
    assert document["model_info"]["id"] == "lab/detox" and document["model_info"]["developer"] == "lab"
    assert document["model_info"]["inference_engine"] == {"name": "transformers", "version": "5.23.0"}
    details = document["model_info"]["additional_details"]
    assert details["revision"] == "a" * 40 and details["model_availability"] == "open_weights"
    assert document["eval_library"]["name"] == "detox-suite" and document["eval_library"]["version"] == "0.2.0"
    assert document["retrieved_timestamp"] == "1795478400"  # date -ud 2026-11-24 +%s
    assert document["evaluation_timestamp"] == "2026-11-24T00:00:00+00:00"
    results = {result["evaluation_result_id"]: result for result in document["evaluation_results"]}
    assert set(results) == {"sta", "sim", "fl", "j"}
    joint = results["j"]
    assert joint["score_details"]["score"] == 0.4
    uncertainty = joint["score_details"]["uncertainty"]
    assert (uncertainty["num_samples"], uncertainty["num_bootstrap_samples"]) == (2, 9999)
    interval = uncertainty["confidence_interval"]
    assert (interval["lower"], interval["upper"], interval["confidence_level"]) == (0.0, 0.8, 0.95)
    config = joint["metric_config"]
    assert (config["lower_is_better"], config["min_score"], config["max_score"]) == (False, -1.0, 1.0)
    assert (results["sta"]["metric_config"]["min_score"], results["sta"]["metric_config"]["max_score"]) == (0.0, 1.0)
    assert results["sta"]["metric_config"]["additional_details"] == {"scorer": "heads(y)"}
    assert results["sta"]["score_details"]["details"] == {"n": "2", "soft_sta": "0.5"}
    assert joint["source_data"]["hf_repo"] == "s-nlp/paradetox"
    assert joint["source_data"]["additional_details"]["revision"] == "b" * 40
    assert joint["generation_config"]["generation_args"] == {
        "temperature": 0.5, "max_tokens": 64, "prompt_template": "Rewrite: {text}",
    }  # fmt: skip
    assert joint["generation_config"]["additional_details"] == {"num_beams": "4"}


def test_published_figures_are_marked_as_reported() -> None:
    document = aggregate_document(published())
    validate(document)
    assert document["source_metadata"]["source_type"] == "documentation"
    assert document["source_metadata"]["evaluator_relationship"] == "other"
    assert document["eval_library"]["name"] == "unknown"
    joint = document["evaluation_results"][-1]
    assert joint["score_details"]["score"] == 0.5 and "uncertainty" not in joint["score_details"]
    assert joint["source_data"]["url"] == ["https://aclanthology.org/2021.emnlp-main.629"]


@pytest.mark.parametrize(
    ("name", "changes", "folder", "model", "relationship"),
    [
        ("lab/detox", {}, "lab/detox", "lab/detox", "third_party"),
        ("alice/detox", {}, "alice/detox", "alice/detox", "first_party"),
        ("checkpoint", {"system": {"revision": "sha256:" + "d" * 64}, "provenance": {"recipe": {"seed": 1}}},
         "alice/checkpoint", "checkpoint", "first_party"),
        ("checkpoint", {"system": {"revision": "sha256:" + "d" * 64}}, "unspecified/checkpoint", "checkpoint", "other"),
        ("duplicate", {"system": {"kind": "baseline", "revision": "1"}}, "detox-suite/duplicate", "duplicate", "other"),
        ("ParaGeDi, mined: x", {"system": {"kind": "outputs", "revision": "sha256:" + "e" * 64}},
         "unspecified/ParaGeDi-mined-x", "ParaGeDi-mined-x", "other"),
        ("data", {"system": {"kind": "outputs", "revision": "sha256:" + "e" * 64}},
         "unspecified/data-", "data-", "other"),
    ],
)  # fmt: skip
def test_developer_and_evaluator_relationship(
    name: str, changes: dict[str, Any], folder: str, model: str, relationship: str
) -> None:
    made = row(name, **changes)
    document = aggregate_document(made)
    validate(document)
    assert aggregate_path(made).startswith(f"data/detox-suite/{folder}/")
    assert document["model_info"]["id"] == model and document["model_info"]["name"] == name
    assert document["source_metadata"]["evaluator_relationship"] == relationship


def test_scores_are_clipped_to_their_bounds() -> None:
    made = row(scores={"sim": {"mean": 1.0000001, "low": 0.9, "high": 1.0000001}})
    (result,) = aggregate_document(made)["evaluation_results"]
    assert result["score_details"]["score"] == 1.0


def test_settings_that_the_format_has_not_become_text() -> None:
    decoding = {"top_p": 0.9, "num_beams": 4, "do_sample": True, "endpoint": "u"}
    usage = {"prompt_tokens": 40, "completion_tokens": 4, "price": [0.5, 2.0], "cost": 0.000028}
    document = aggregate_document(row(decoding=decoding, schema_version=4, usage=usage))
    validate(document)
    config = document["evaluation_results"][0]["generation_config"]
    assert config["generation_args"] == {"top_p": 0.9}
    counts = {"prompt_tokens": "40", "completion_tokens": "4", "price": "[0.5, 2.0]", "cost": "2.8e-05"}
    assert config["additional_details"] == {"num_beams": "4", "do_sample": "true", "endpoint": "u", **counts}


def test_the_command_exports_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = row()
    board = store(
        tmp_path / "board",
        made,
        published(),
        row("bare", sentences=False, system={"kind": "outputs", "revision": "sha256:" + "e" * 64}),
    )
    wrong = row("wrong", system={"kind": "outputs", "revision": "sha256:" + "e" * 64})
    store(board, wrong)
    finding = {"status": "mismatch", "note": "j", "date": "2026-11-24", "version": "0.2.0", "row": wrong.sha256}
    (board / "verification").mkdir()
    (board / "verification" / f"{wrong.run_id}.json").write_text(json.dumps(finding))
    main([str(tmp_path / "out"), "--local", str(board)])
    said = capsys.readouterr().out
    assert "2 measured rows, 1 with their sentences, 1 published" in said
    assert "left out: 1 whose scores do not follow from their outputs" in said
    files = written(tmp_path / "out")
    assert len(files) == 4 and all(path.startswith("data/detox-suite/") for path in files)
    for path, data in files.items():
        if path.endswith(".json"):
            validate(json.loads(data))
    # Exporting again changes nothing.
    main([str(tmp_path / "out"), "--local", str(board)])
    assert written(tmp_path / "out") == files

    aggregate = json.loads(files[aggregate_path(made)])
    reference = aggregate["detailed_evaluation_results"]
    samples = files[reference["file_path"]]
    assert reference["checksum"] == hashlib.sha256(samples).hexdigest()
    records = [json.loads(line) for line in samples.decode().splitlines()]
    assert len(records) == reference["total_rows"] == 8
    for record in records:
        validate(record, "instance.schema")
        assert record["evaluation_id"] == aggregate["evaluation_id"]
        assert record["model_id"] == aggregate["model_info"]["id"]
    joint = [record for record in records if record["evaluation_result_id"] == "j"]
    assert [record["evaluation"] for record in joint] == [
        {"score": 0.8, "is_correct": False}, {"score": 0.0, "is_correct": False},
    ]  # fmt: skip
    assert joint[0]["output"]["raw"] == ["go home\u2028please"]
    assert [r["metadata"] for r in records if r["evaluation_result_id"] == "fl"] == [{"soft_fl": "0.25"}] * 2


def test_folder_and_hub_export_the_same_files(tmp_path: Path, hub: HubServer) -> None:
    board = store(tmp_path / "board", row(), published())
    api = hub.api("hf_alice")
    api.create_repo("lab/board", repo_type="dataset")
    operations = [CommitOperationAdd(path, data) for path, data in written(board).items()]
    api.create_commit("lab/board", operations, commit_message="Rows", repo_type="dataset")
    main([str(tmp_path / "local"), "--local", str(board)])
    main([str(tmp_path / "hub"), "--repo", "lab/board"])
    assert written(tmp_path / "hub") == written(tmp_path / "local")


def test_rows_of_schema_version_1_are_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "board").mkdir()
    shutil.copy(GOLDEN / "rows-v1.parquet", tmp_path / "board" / "rows.parquet")
    main([str(tmp_path / "out"), "--local", str(tmp_path / "board")])
    files = written(tmp_path / "out")
    assert f"{len(files)} measured rows, 0 with their sentences, 0 published\n" in capsys.readouterr().out
    assert files
    for data in files.values():
        validate(json.loads(data))


def test_invalid_exports_are_refused(tmp_path: Path) -> None:
    board = store(tmp_path / "board", row())
    with pytest.raises(InputError, match="either --local DIR or --repo"):
        main([str(tmp_path / "out")])
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        main([str(tmp_path / "file"), "--local", str(board)])
    (board / row().sentences_path).write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match=r"\.parquet: not a Parquet file"):
        main([str(tmp_path / "out"), "--local", str(board)])
