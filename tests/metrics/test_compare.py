"""Comparing two results: only under one signature, with the statistics a hand can check."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrics.compare import main
from metrics.data.test_sets import TestSet
from metrics.scoring.items import SentenceScores
from metrics.scoring.result import Result, compare, read_result
from metrics.scoring.signature import Signature
from metrics.scoring.statistics import holm, randomisation_test
from metrics.systems.resolve import Rewrites
from metrics.util.errors import InputError

MEASURE = {"profile": "p.v1", "sta": "a", "sim": "b", "fl": "c", "joint": "product", "test": "t@1", "n": "6"}


def result(name: str, sta: list[float], decoding: dict[str, Any] | None = None) -> dict[str, Any]:
    n = len(sta)
    test_set = TestSet("t", "folder", "r", tuple(f"s{i}" for i in range(n)), ((),) * n)
    ones = np.ones(n)
    scores = SentenceScores(sta=np.array(sta), sim=ones, fl=ones, soft_sta=ones, soft_fl=ones)
    signature = Signature.of({**MEASURE, "version": "1"}, decoding or {})
    return Result(Rewrites(name, "outputs", "1", decoding or {}, ("x",) * n), test_set, scores, signature).to_json()


def test_difference_and_p_by_hand() -> None:
    a, b = result("a", [1, 1, 1, 1, 1, 1]), result("b", [0, 0, 0, 0, 0, 0], {"num_beams": 5})
    differences = {difference.metric: difference for difference in compare(a, b)}
    j, sim = differences["j"], differences["sim"]
    assert (j.first, j.second, j.interval.mean) == (1.0, 0.0, 1.0)
    # All six signs equal in 2 of 2^6 equally likely assignments.
    assert j.p == pytest.approx(2 / 64)
    assert sim.p == 1.0 and not sim.interval.excludes_zero


def test_p_values_are_uniform_enough_under_the_null() -> None:
    rng = np.random.default_rng(0)
    values = [randomisation_test(rng.random(40), rng.random(40), seed=i) for i in range(60)]
    assert min(values) > 0 and 0.3 < np.mean(values) < 0.7


def test_unequal_signatures_are_refused_and_named(tmp_path: Path) -> None:
    a, b = result("a", [1.0] * 6), result("b", [0.0] * 6)
    b["signature"] = b["signature"].replace("sim:b", "sim:other").replace("test:t@1", "test:u@2")
    with pytest.raises(InputError, match=r"sim: b against other; test: t@1 against u@2"):
        compare(a, b)
    altered = copy.deepcopy(a)
    altered["sentences"][2]["source"] = "swapped"
    with pytest.raises(InputError, match="different sentences under one signature"):
        compare(a, altered)


def test_files_and_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, sta in (("a", [1.0] * 6), ("b", [0.0, 1.0] * 3)):
        (tmp_path / f"{name}.json").write_text(json.dumps(result(name, sta)))
    main([str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    out = capsys.readouterr().out
    assert "A = a, B = b, n = 6" in out and "STA\t1.000\t0.500\t0.500 [" in out
    # No judge's faults in these files: three of B's outputs have an STA of 0.
    assert "\nB, lowest metric if J < 0.5: " in out and "STA 3" in out
    for text, message in (("{", "not JSON"), ("{}", "not a result"), ('{"results": [{}, {}]}', "several results")):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError, match=message):
            read_result(tmp_path / "bad.json")


def test_holm_by_hand() -> None:
    # .01 x 3, then .03 x 2, then .04 x 1, which must not be below the one before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0] and holm([0.02]) == [0.02] and holm([]) == []


def test_every_pair_of_three_systems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"a": [0.0] * 6, "b": [1.0] * 6, "c": [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]}
    documents = [result(name, sta) for name, sta in scores.items()]
    (tmp_path / "ab.json").write_text(json.dumps({"results": documents[:2]}))
    (tmp_path / "c.json").write_text(json.dumps(documents[2]))
    main([str(tmp_path / "ab.json"), str(tmp_path / "c.json"), "--plot", str(tmp_path / "j.svg")])
    lines = [line.split("\t") for line in capsys.readouterr().out.split("\n")]
    # Of 2^6 signs: b - a 2 as far out, b - c (five ones) 2 of 2^5, c - a (one) all. Holm: 2/64 x 3, 2/32 x 2.
    rows = [(line[1:3], line[3:5], line[6:]) for line in lines if line[0] == "J"]
    assert rows == [
        (["b", "c"], ["1.000", "0.167"], ["0.0625", "0.1250"]),
        (["b", "a"], ["1.000", "0.000"], ["0.0312", "0.0938"]),
        (["c", "a"], ["0.167", "0.000"], ["1.0000", "1.0000"]),
    ]
    drawn = (tmp_path / "j.svg").read_text()
    assert drawn.startswith("<?xml") and drawn.count("<!-- ") >= 3
    with pytest.raises(InputError, match=r"--plot .*j\.txt: name a file that ends in"):
        main([str(tmp_path / "ab.json"), "--plot", str(tmp_path / "j.txt")])
    with pytest.raises(InputError, match="one system; give the results of another"):
        main([str(tmp_path / "c.json")])
    with pytest.raises(InputError, match="--judge: compares two systems, and these files hold 3"):
        main([str(tmp_path / "ab.json"), str(tmp_path / "c.json"), "--judge", "m"])


def test_too_many_systems_are_refused(tmp_path: Path) -> None:
    """The work grows with the number of pairs."""
    documents = [result(str(n), [0.0] * 6) for n in range(51)]
    (tmp_path / "all.json").write_text(json.dumps({"results": documents}))
    with pytest.raises(InputError, match="51 systems in these files; at most 50 are compared, pair by pair"):
        main([str(tmp_path / "all.json")])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda r: r["sentences"][3].pop("j"), "sentence 3 lacks a score"),
        (lambda r: r["sentences"][3].update(j="x"), "sentence 3 lacks a score"),
        (lambda r: r["sentences"][3].update(sim=float("nan")), "NaN is no number"),
        (lambda r: r["sentences"][3].update(sta=True), "sentence 3 lacks a score"),
        # Where STA is 0, J says nothing about SIM.
        (lambda r: r["sentences"][3].update(sta=0, j=0, sim=1e300), "sentence 3: sim is not between -1 and 1"),
        (lambda r: r["sentences"][3].update(fl=10**400), "sentence 3: fl is not between 0 and 1"),
        (lambda r: r["sentences"][3].update(fault=[]), "1 of 6 sentences have a fault"),
        (lambda r: [s.update(fault=[]) for s in r["sentences"]], "sentence 0: its fault is no text"),
        (lambda r: r["sentences"][3].update(output=None), "sentence 3 has no source or no output"),
        (lambda r: r.update(schema=2.0), "schema 2.0, this program reads 2"),
        (lambda r: r["sentences"][0].update(sta=0.5), "sentence 0: j is not sta"),
        (lambda r: r["sentences"][1].pop("source"), "sentence 1 has no source"),
        (lambda r: r["sentences"].pop(), "not the 6 sentences of its signature"),
        (lambda r: r.update(sentences="abcdef"), "not the 6 sentences"),
        (lambda r: r.update(signature=5), "no system name or signature"),
        (lambda r: r.update(signature="a:b"), "not a signature"),
        (lambda r: r["system"].pop("name"), "no system name"),
    ],
)
def test_damaged_results_are_named(tmp_path: Path, edit: Any, message: str) -> None:
    document = result("a", [1.0] * 6)
    edit(document)
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=message):
        read_result(tmp_path / "a.json")


def test_a_result_has_each_key_once_and_its_name_no_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, name in zip(files, ("a\x1b[2J\u202e", "b"), strict=True):
        path.write_text(json.dumps(result(name, [0.0] * 6)))
    main([str(path) for path in files])
    shown = capsys.readouterr().out
    assert "A = a⟨U+001B⟩[2J⟨U+202E⟩, B = b" in shown and "\x1b" not in shown
    files[1].write_text(files[1].read_text().replace('"signature":', '"signature": "x", "signature":', 1))
    with pytest.raises(InputError, match=r'not JSON \(the key "signature" twice'):
        main([str(path) for path in files])
