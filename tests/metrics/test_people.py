"""People's answers: files, hostile files, agreement between annotators and with a profile, by hand."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from metrics.agreement import main
from metrics.data.judged import JudgedPairs
from metrics.data.judgement_files import (
    Judgement,
    from_parquet,
    judged_pairs,
    judged_rewrites,
    read_judgement_files,
    to_parquet,
)
from metrics.data.parquet import read_parquet, write_parquet
from metrics.people import human_means, preference_agreement, reliabilities, win_rates
from metrics.util.errors import InputError

NOON = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)
A, B, C = "a" * 16, "b" * 16, "c" * 16


def answer(
    annotator: str, sentence: int, answer: str, question: str = "polite", run: str = "1", other: str = "", **more: Any
) -> Judgement:
    """An answer about the rewrite of system `run`, or about it and that of `other`, shown in this order."""
    pair = {"other_system": f"s{other}", "other_run_id": other * 16, "other_output": f"out {other}"} if other else {}
    values = {
        "study": "pilot", "guidelines": "1", "annotator": annotator, "question": question, "answer": answer,
        "time": NOON, "test_set": "t", "test_set_revision": "r", "sentence": sentence, "source": f"you fool {sentence}",
        "system": f"s{run}", "run_id": run * 16, "output": f"out {run}", **pair, **more,
    }  # fmt: skip
    return Judgement.model_validate(values)


def test_alpha_is_that_of_krippendorff() -> None:
    """The binary example of Krippendorff (2011), "Computing Krippendorff's alpha-reliability", section A.

    1 appears 6 times, 0 14 times, and four of ten units differ: 1 − .4 / (2 · 6 · 14 / (20 · 19)) = .095.
    """
    first, second = "0100000010", "1110010000"
    words = {"0": "no", "1": "yes"}
    given = [
        answer(who, i, words[value]) for who, values in ((A, first), (B, second)) for i, value in enumerate(values)
    ]
    (row,) = reliabilities([*given, answer(C, 99, "partly")])
    assert row.alpha is not None and round(row.alpha.mean, 3) == 0.095
    assert (row.answers, row.annotators, row.items, row.agreed) == (21, 3, 10, 0.6)
    assert row.alpha.low < 0.095 < row.alpha.high


def test_alpha_without_two_annotators_or_without_two_answers_is_undefined() -> None:
    rows = reliabilities([answer(A, 1, "yes"), answer(A, 1, "no", "meaning"), answer(B, 1, "no", "meaning")])
    assert [(r.question, r.alpha, r.undefined) for r in rows] == [
        ("polite", None, "no item has two annotators"),
        ("meaning", None, "all answers are the same"),
    ]


def test_pairs_agree_whichever_rewrite_was_shown_first() -> None:
    given = [
        answer(A, 1, "first", "better", "1", "2"), answer(B, 1, "second", "better", "2", "1"),
        answer(A, 2, "equal", "better", "1", "2"), answer(B, 2, "equal", "better", "2", "1"),
        answer(A, 3, "second", "better", "2", "1"),
    ]  # fmt: skip
    (row,) = reliabilities(given)
    assert row.alpha is not None and row.alpha.mean == 1 and row.items == 2
    pairs = judged_pairs(given)["en"]
    assert pairs.outcomes.tolist() == [1, 0.5, 1] and pairs.first == ["out 1"] * 3
    rates = win_rates(pairs)
    # 1, ½ and 1 of three for the first system.
    assert list(rates) == ["s1", "s2"] and rates["s1"][0].mean == pytest.approx(2.5 / 3) and rates["s1"][1] == 3


def test_a_metric_is_compared_where_people_prefer_one_rewrite() -> None:
    pairs = JudgedPairs(["s"] * 4, ["a"] * 4, ["b"] * 4, [("x", "y")] * 4, np.array([1, 0.75, 0, 0.5]))
    scores = np.array([0.9, 0.1, 0.5, 0.9]), np.array([0.1, 0.9, 0.5, 0.1])
    found = preference_agreement(pairs, *scores)
    # Right, wrong, and a tie that counts half; people find the fourth pair equal.
    assert found is not None and found[0].mean == 0.5 and found[1] == 3


def test_rewrites_are_the_mean_of_their_annotators_and_need_all_three_answers() -> None:
    given = [
        *(answer(who, 1, word) for who, word in ((A, "yes"), (B, "partly"))),
        *(answer(A, 1, "yes", question) for question in ("meaning", "fluent")),
        answer(A, 2, "yes"),
    ]
    judged = judged_rewrites(given)["en"]
    assert judged.sources == ["you fool 1"] and judged.judgements["style"].tolist() == [0.75]
    assert human_means(judged)["s1"]["joint"].mean == 0.75


def test_files_keep_every_value_and_the_last_answer_counts(tmp_path: Path) -> None:
    later = NOON + datetime.timedelta(seconds=1)
    given = [answer(A, 1, "yes"), answer(B, 2, "second", "better", "1", "2", lang="de", output="ü\n\x00<b>")]
    changed = [answer(A, 1, "no", time=later)]
    (tmp_path / "judgements" / "pilot").mkdir(parents=True)
    for name, part in (("a", changed), ("b", given)):
        (tmp_path / "judgements" / "pilot" / f"{name}.parquet").write_bytes(to_parquet(part))
    assert from_parquet(to_parquet(given), "x") == given
    assert sorted(read_judgement_files(tmp_path), key=lambda one: one.annotator) == [changed[0], given[1]]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no judgements"):
        read_judgement_files(tmp_path / "empty")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"answer": "first"}, "judgement 1: answer first to the question polite"),
        ({"annotator": "Ann Example"}, "judgement 1: annotator"),
        ({"study": "../../x"}, "judgement 1: study"),
        ({"system": "a\u202eb"}, "U\\+202E is not allowed"),
        ({"source": "x" * 10_001}, "source: String should have at most 10000"),
        ({"time": datetime.datetime(1850, 1, 1, tzinfo=datetime.UTC)}, "time: not between"),
        ({"other_system": "x"}, "is about two rewrites"),
        ({"sentence": -1}, "sentence"),
        ({"answer": None}, "answer"),
    ],
)
def test_values_that_no_judgement_can_have_are_refused(values: dict[str, Any], message: str) -> None:
    table = read_parquet(to_parquet([answer(A, 1, "yes")]), "x")
    record = {**table.to_pylist()[0], **values}
    with pytest.raises(InputError, match=message):
        from_parquet(write_parquet(pa.Table.from_pylist([record], table.schema)), "x.parquet")


def test_other_columns_and_bombs_are_refused() -> None:
    table = read_parquet(to_parquet([answer(A, 1, "yes")]), "x")
    with pytest.raises(InputError, match="has the columns"):
        from_parquet(write_parquet(table.append_column("email", pa.array(["a@b"]))), "x")
    with pytest.raises(InputError, match="has the columns"):
        from_parquet(write_parquet(table.drop_columns(["answer"])), "x")
    with pytest.raises(InputError, match="more than 64,000,000 bytes unpacked"):
        # A few kilobytes that unpack to 100 MB.
        texts = pa.array(["x" * 10_000]).dictionary_encode().take(pa.array([0] * 10_000))
        many = pa.concat_tables([table] * 10_000).drop_columns(["source"]).append_column("source", texts)
        from_parquet(write_parquet(many), "x")
    with pytest.raises(InputError, match="not a Parquet file"):
        from_parquet(b"PAR1 and no more", "x")


def test_the_command_compares_annotators_and_profiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One polite copy, one rude copy, and pairs of both."""
    texts = [("you are a damn fool", "you are wrong"), ("shut up , idiot", "please be quiet")]
    given = []
    for i, (source, polite) in enumerate(texts):
        for who in (A, B):
            for question in ("polite", "meaning", "fluent"):
                given.append(answer(who, i, "yes", question, source=source, output=polite))
                word = "no" if question == "polite" else "yes"
                given.append(answer(who, i, word, question, "2", source=source, output=source))
            given.append(
                answer(who, i, "second", "better", "2", "1", source=source, output=source, other_output=polite)
            )
    path = tmp_path / "answers.parquet"
    path.write_bytes(to_parquet(given))
    main([str(path), "--profile", "offline-v2", "--json", str(tmp_path / "out.json")])
    lines = capsys.readouterr().out.split("\n")
    assert "polite\t8\t2\t4\t1.000\t1.000 [1.000, 1.000]" in lines
    assert "meaning\t8\t2\t4\t1.000\tundefined: all answers are the same" in lines
    assert "profile offline.v2, 4 rewrites of 2 systems" in lines
    # STA tells a polite rewrite from a copy of the insult in both pairs.
    assert "sta\t1.000 [1.000, 1.000]\t2" in lines
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["annotators"][0]["alpha"]["mean"] == 1 and document["profiles"][1]["preferences"]["sta"]["n"] == 2
