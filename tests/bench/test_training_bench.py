"""The training bench runs on tiny leaders; its speeds mean something only on a quiet machine."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from tests.benches import bench_module, run_bench


@pytest.mark.full
@pytest.mark.parametrize(
    ("kind", "arms"), [("tiny_llama", ["ours", "ours-bfloat16", "trl"]), ("tiny_t5", ["ours", "released"])]
)
def test_every_arm_reports_its_texts_and_updates(kind: str, arms: list[str], request: pytest.FixtureRequest) -> None:
    size = ["--layers", "1", "--rollouts", "4", "--copies", "2", "--steps", "1", "--repeats", "1"]
    leader = str(request.getfixturevalue(kind))
    printed = run_bench("training", "--leader", leader, *size, "--arms", *arms)
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith("| ")]
    assert [row[0].strip() for row in rows[1:]] == arms
    # 4 rollouts a step: of 2 texts, or of 4 with an update each.
    assert [tuple(map(int, row[1:3])) for row in rows[1:]] == [(4, 4) if arm == "released" else (2, 1) for arm in arms]
    assert ("billion useful operations" in printed) == (kind == "tiny_llama")


def test_useful_operations_by_hand() -> None:
    """Layers of 10, 10 and 30 weights, the two upper ones trained, a head of 7; one prompt of 5 tokens, two rollouts.

    Rolling out: 50 weights meet 5 + (3 − 1) + (2 − 1) tokens, the head 5. Of the two the first passed, so that its text
    of 4 tokens is a target: 5 + 2 + 1 + 3 tokens through 10 frozen weights once, through 40 trained ones twice and back
    (twice as much, less half of that for the lowest of them, of 10), and 9 times the head, three times.
    """
    layers = [torch.nn.Linear(1, n, bias=False) for n in (10, 10, 30)]
    model = SimpleNamespace(model=SimpleNamespace(layers=layers), lm_head=torch.nn.Linear(1, 7, bias=False))
    bench = bench_module("training")
    counted = bench.useful_operations(model, 2, [[0] * 5], [[0] * 3, [0] * 2], [0, 0], [[0] * 4], [True, False])
    rolling = 2 * 50 * 8 + 2 * 7 * 5
    learning = 11 * (2 * 10 + 2 * 40 * 2 + 4 * 40 - 2 * 10) + 9 * 3 * 2 * 7
    assert counted == rolling + learning
