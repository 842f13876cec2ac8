"""Minimum risk: choices worked out by hand, with a judge whose answers are a rule on words, and with chrF."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from metrics.mbr import main
from metrics.profiles import load_profile
from metrics.scorers.judge.judge import open_judge
from metrics.scoring.mbr import choose, expected_utilities
from metrics.util.errors import InputError
from tests.judge_server import Reply, Server, completion, judge_server


def answer(body: dict[str, Any], number: int) -> Reply:
    """Polite without "damn": P(yes) 1, else .5. The same content: the share of the first text's words in the second."""
    question = body["messages"][-1]["content"]
    same = re.search(r"Rude text: (.*)\nRewrite: (.*)\n", question)
    if same:
        first, second = ({*text.split()} for text in same.groups())
        p = len(first & second) / len(first)
    else:
        p = 0.5 if re.search(r"Text: .*damn.*\n", question) else 1.0
    # Of two candidates, the better one first; a probability of 0 has a logarithm of a very unlikely token.
    pairs = sorted([("Yes", max(p, 1e-12)), ("No", max(1 - p, 1e-12))], key=lambda pair: -pair[1])
    return completion(pairs[0][0], [(word, math.log(probability)) for word, probability in pairs])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    open_judge.cache_clear()
    with judge_server(answer) as running:
        yield running
    open_judge.cache_clear()


def test_agreement_with_the_others_wins(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test.tsv").write_text("toxic_sentence\na b c damn\ndamn d\n")
    for name, lines in {"one": ("a b damn", ""), "two": ("a b c", "x"), "three": ("a b c", "d d")}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
    files = [str(tmp_path / f"{name}.txt") for name in ("one", "two", "three")]
    out = tmp_path / "out.txt"
    main([*files, "--judge", f"m@{server.url}", "--test-set", str(tmp_path / "test.tsv"), "--out", str(out)])
    # Sentence 1: see the next test; of the equals two and three, two is first. Sentence 2: one is empty, two shares no
    # word with any text; three shares one of two words with the source, which also stands for the empty text.
    assert out.read_text() == "a b c\nd d\n"
    lines = dict(line.split("\t", 1) for line in capsys.readouterr().out.strip().split("\n"))
    assert [lines[name].split("\t")[0] for name in files] == ["0", "1", "1"]


def test_utilities_by_hand_with_the_source_and_the_others(server: Server) -> None:
    profile = load_profile("judge").with_judge(f"m@{server.url}")
    candidates = [["a b damn"], ["a b c"], ["a b c"]]
    utilities = expected_utilities(profile, ["a b c damn"], candidates)
    expected = [0.25 * (3 / 4 + 2 / 3 + 2 / 3) / 3, (3 / 4 + 2 / 3 + 1) / 3, (3 / 4 + 2 / 3 + 1) / 3]
    assert utilities == pytest.approx(np.array([expected]), abs=1e-6)
    assert choose(utilities) == [1]


def test_others_stand_for_references(server: Server, tmp_path: Path) -> None:
    """FL is chrF with each other candidate, as in clef2024; STA and SIM are the judge's."""
    fields = load_profile("judge").with_judge(f"m@{server.url}").model_dump()
    fields |= {"fl_scorer": "chrf", "fl_model": "sacrebleu", "fl_prompt": None, "name": "mixed"}
    (tmp_path / "mixed.yaml").write_text(yaml.safe_dump(fields))
    profile = load_profile(tmp_path / "mixed.yaml")
    # Equal texts have a chrF of 1, texts without a common character one of 0. SIM with the source "ab xy": 1/2 each.
    utilities = expected_utilities(profile, ["ab xy"], [["ab"], ["ab"], ["xy"], [""]])
    # The source stands for the empty candidate: chrF of "ab" with "ab xy".
    own = expected_utilities(profile, ["ab xy"], [["ab"], ["ab xy"]])[0][0] * 2
    assert own == pytest.approx(utilities[0][0] * 6 - 1, abs=1e-5) and 0 < own < 1
    assert utilities[0][3] == 0 and choose(utilities) == [0]
    assert utilities[0][2] == pytest.approx(own / 6, abs=1e-5)  # as long as "ab", and as much in the source


def test_what_leaves_no_choice_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("x\n")
    one = str(tmp_path / "one.txt")
    with pytest.raises(InputError, match="one candidate per sentence leaves no choice"):
        main([one, "--test-set", "sample", "--limit", "1", "--out", str(tmp_path / "out.txt")])
    with pytest.raises(InputError, match="--samples -1: at least 0"):
        main([one, "--samples", "-1", "--out", str(tmp_path / "out.txt")])
    assert not (tmp_path / "out.txt").exists()
    with pytest.raises(ValueError, match="2 lists of candidates for 2 sentences"):
        expected_utilities(load_profile("offline"), ["a", "b"], [["a", "b"], ["a"]])
