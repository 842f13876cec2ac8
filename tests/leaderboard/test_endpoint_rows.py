"""Rows of models behind endpoints: published, verified, and remade by the command that the page shows."""

from __future__ import annotations

import json
import math
import os
import shlex
from pathlib import Path

import pytest

from leaderboard.space.data import open_leaderboard
from leaderboard.space.views.details import render_details
from leaderboard.space.views.reproduce import reproduce_command
from tests.judge_server import completion, judge_server
from tests.warm_python import run_module


def test_a_row_is_published_verified_and_remade(tmp_path: Path) -> None:
    """The URL is not part of the name; two runs in different cache folders ask the same."""
    first, second, board = tmp_path / "first.json", tmp_path / "second.json", tmp_path / "board"
    arguments = ["--test-set", "sample", "--limit", "4", "--profile", "offline-v2", "--decoding", "do_sample=true"]
    priced = {**os.environ, "SRO_ENDPOINT_PRICE": "0.5,2"}
    with judge_server(lambda body, n: completion(f"kind {len(body['messages'][0]['content'])}")) as server:
        done = run_module("metrics.score", f"openai:me/m@{server.url}", *arguments, "--json", str(first), env=priced)
        assert done.returncode == 0, done.stderr
        for command in (["leaderboard.publish", str(first)], ["leaderboard.verify", "--write"]):
            done = run_module(*command, "--local", str(board))
            assert done.returncode == 0, done.stderr
        page = open_leaderboard(local=board)
        (record,) = page.records.values()
        assert (record["system"], record["kind"], record["verification"]) == ("openai:me/m", "outputs", "verified")
        assert record["revision"].startswith("sha256:") and "weights cannot be pinned" in record["note"]
        assert record["device"] == "endpoint 127.0.0.1"
        # (40 · 0.5 + 4 · 2) / 1,000,000
        assert [record[name] for name in ("prompt_tokens", "completion_tokens", "token_cost")] == [40, 4, 0.000028]
        details = render_details(page, record["key"])
        assert "look at the host first" in details and "40 prompt, 4 completion; they cost 0.000028" in details
        command = shlex.split(reproduce_command(record))
        assert command[3:6] == ["openai:me/m", "--endpoint", server.url]
        empty = {**os.environ, "SRO_HOME": str(tmp_path / "other")}
        done = run_module(*command[2:], "--json", str(second), env=empty)
        assert done.returncode == 0, done.stderr
        sent = [json.dumps(body, sort_keys=True) for body in server.requests]
        assert len(sent) == 8 and sorted(sent[:4]) == sorted(sent[4:])
    one, other = (json.loads(path.read_text("utf-8")) for path in (first, second))
    assert one["signature"] == other["signature"] and one["sentences"] == other["sentences"]


def test_a_rewriter_of_a_recipe_that_asks_an_endpoint_is_verified(tmp_path: Path) -> None:
    """Few-shot and best-of-k keep their names; their decoding names the endpoint."""
    result, board = tmp_path / "result.json", tmp_path / "board"
    arguments = ["--test-set", "sample", "--limit", "2", "--profile", "offline-v2", "--json", str(result)]
    with judge_server(lambda body, n: completion("be kind")) as server:
        assert run_module("metrics.score", f"openai:m@{server.url}", *arguments).returncode == 0
    document = json.loads(result.read_text("utf-8"))
    document["system"]["name"] = "few-shot"
    result.write_text(json.dumps(document))
    for command in (["leaderboard.publish", str(result)], ["leaderboard.verify"]):
        done = run_module(*command, "--local", str(board))
        assert done.returncode == 0, done.stderr
    assert "1 verified, 0 mismatch, 0 unverifiable" in done.stdout


def test_rows_of_a_judge_are_scored_in_many_and_verified_by_that_judge(tmp_path: Path) -> None:
    """Another judge's answers are another signature, and without a judge nothing is recomputed."""
    board = tmp_path / "board"
    many = ["duplicate", "delete", "--test-set", "sample", "--limit", "3", "--out", str(tmp_path / "many")]
    verify = ["leaderboard.verify", "--local", str(board)]
    # P(yes) = .6 / (.6 + .2)
    with judge_server(lambda body, n: completion("Yes", [("Yes", math.log(0.6)), ("No", math.log(0.2))])) as server:
        done = run_module("metrics.many", *many, "--judge", f"m@{server.url}")
        assert done.returncode == 0, done.stderr
        results = sorted(str(path) for path in (tmp_path / "many").glob("*.json"))
        assert run_module("leaderboard.publish", *results, "--local", str(board)).returncode == 0
        rows = [json.loads(path.read_text("utf-8")) for path in board.glob("results/*/*.json")]
        assert [row["scores"]["sta"]["mean"] for row in rows] == [pytest.approx(0.75)] * 2
        done = run_module(*verify, "--judge", f"m@{server.url}")
        assert "2 verified, 0 mismatch, 0 unverifiable" in done.stdout, done.stdout + done.stderr
        done = run_module(*verify, "--judge", f"other@{server.url}")
        assert "signature.sta" in done.stdout and "0 verified, 2 mismatch" in done.stdout
    done = run_module(*verify)
    assert "give --judge MODEL[@URL]" in done.stdout and "0 verified, 0 mismatch, 2 unverifiable" in done.stdout
