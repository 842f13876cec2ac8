"""STRAP's own DLSM outputs and per-sentence labels (Krishna et al. 2020): figures, detokeniser, line rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import metrics
from metrics.data.test_sets import TestSet
from metrics.data.text import detokenise
from metrics.profiles import load_profile
from metrics.scorers import CLASSIFIERS
from metrics.scoring.items import SentenceScores
from metrics.scoring.measures import Fluency, Style, acceptability, style
from metrics.scoring.result import Result
from metrics.scoring.signature import Signature
from metrics.systems.outputs import read_outputs
from metrics.systems.resolve import Rewrites, resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.errors import InputError
from metrics.util.files import read_lines

LINES = 2_924


def labels(data_dir: Path, name: str) -> list[str]:
    return read_lines(data_dir / "strap_golden" / f"transfer_entire_test.txt{name}")


def one_hot(first: list[bool]) -> np.ndarray:
    """Logits [n, 2] of a classifier that is sure: class 0 where `first`, class 1 elsewhere."""
    return np.array([[9.0, -9.0] if yes else [-9.0, 9.0] for yes in first])


@pytest.fixture(scope="module")
def golden(data_dir: Path) -> SentenceScores:
    """STRAP's labels as the logits they came from, under STRAP's rules: style argmax, acceptability argmax."""
    rules = load_profile("sro-release")
    # "correct,modern,modern": verdict, wanted style, found style. The last two decide, the first must agree.
    rows = [line.split(",") for line in labels(data_dir, ".roberta_labels")]
    assert {(verdict, wanted == found) for verdict, wanted, found in rows} == {("correct", True), ("incorrect", False)}
    correct = [verdict == "correct" for verdict, _, _ in rows]
    verdicts = labels(data_dir, ".acceptability_labels")
    assert set(verdicts) == {"acceptable", "unacceptable"}
    acceptable = [verdict == "acceptable" for verdict in verdicts]
    # One column per reference, of which STRAP takes the largest; there is one here.
    sim = np.array([max(map(float, line.split(","))) for line in labels(data_dir, ".pp_scores")])
    sta = style(load_profile("paradetox"), one_hot(correct))
    fl = acceptability(rules, one_hot(acceptable))
    return SentenceScores(sta=sta, sim=sim, fl=fl, soft_sta=sta, soft_fl=fl)


def test_dlsm_to_four_decimals(golden: SentenceScores) -> None:
    assert [values.shape for values in (golden.sta, golden.sim, golden.fl, golden.j)] == [(LINES,)] * 4
    assert f"{golden.sta.mean():.4f}" == "0.7110"
    assert f"{golden.sim.mean():.4f}" == "0.4346"
    assert f"{golden.fl.mean():.4f}" == "0.4938"
    assert f"{metrics.joint(golden.sta, golden.sim, golden.fl):.4f}" == "0.1633"
    assert int((golden.sim < 0).sum()) == 86 and f"{golden.sim.min():.4f}" == "-0.2647"


def test_j_is_not_the_product_of_the_means_and_keeps_negative_terms(golden: SentenceScores) -> None:
    j = metrics.joint(golden.sta, golden.sim, golden.fl)
    # .7110 · .4346 · .4938
    assert f"{golden.sta.mean() * golden.sim.mean() * golden.fl.mean():.4f}" == "0.1526"
    clipped = metrics.joint(golden.sta, np.maximum(golden.sim, 0), golden.fl)
    assert golden.j.min() < 0 and clipped > j
    assert golden.j.mean() == pytest.approx(j, abs=1e-12)


def test_a_result_shows_the_golden_figures(golden: SentenceScores, data_dir: Path) -> None:
    """The same numbers where a user sees them."""
    outputs = tuple(labels(data_dir, ""))
    sources = tuple(read_lines(data_dir / "strap_golden" / "all_test_gold.txt"))
    test_set = TestSet("shakespeare", "folder", "r", sources, ((),) * LINES)
    fields = dict.fromkeys(("profile", "sta", "sim", "fl", "joint", "test", "n", "version"), "x")
    result = Result(Rewrites("dlsm", "outputs", "1", {}, outputs), test_set, golden, Signature.of(fields, {}))
    document = result.to_json()
    means = {name: f"{interval['mean']:.4f}" for name, interval in document["summary"].items()}
    assert means == {"sta": "0.7110", "sim": "0.4346", "fl": "0.4938", "j": "0.1633"}
    assert sum(sentence["j"] < 0 for sentence in document["sentences"]) > 0
    assert all(i["low"] < i["mean"] < i["high"] for i in document["summary"].values())


# -- the detokeniser ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("well , yes ( no ) !", "well, yes (no)!"),
        ("what ? ! no . . .", "what?! no..."),
        (" . leading", ". leading"),
        ("( ( deep ) )", "((deep))"),
        # It joins nothing else: quotes, clitics, dashes, colons and semicolons stay apart.
        ("it 's a - b", "it 's a - b"),
        ('he said : " no " ; so', 'he said : " no " ; so'),
        ("do n't [ x ]", "do n't [ x ]"),
        # Only what stands before . , ! ? ) or after ( is joined.
        ("a) b (c", "a) b (c"),
        ("( .5 )", "(.5)"),
        # str.replace takes one blank, and a blank only.
        ("two  , blanks", "two , blanks"),
        ("(  x", "( x"),
        ("tab\t. line\u2028.", "tab\t. line\u2028."),
        ("", ""),
    ],
)
def test_detokeniser_by_hand(text: str, expected: str) -> None:
    assert detokenise(text) == expected


def test_detokeniser_on_straps_own_lines(data_dir: Path) -> None:
    outputs = labels(data_dir, "")
    assert [outputs[i] for i in (0, 2, 4)] == [
        "Wait except someone who knows it .",
        "As mine own faces , so lovely on war , they must have been punished for heaven , oh , when she wakes up into "
        "holy empty .",
        'Conquer , "That , a riddle , what is this !',
    ]
    assert [detokenise(outputs[i]) for i in (0, 2, 4)] == [
        "Wait except someone who knows it.",
        "As mine own faces, so lovely on war, they must have been punished for heaven, oh, when she wakes up into "
        "holy empty.",
        'Conquer, "That, a riddle, what is this!',
    ]
    joined = [detokenise(line) for line in outputs]
    assert not [line for line in joined for mark in (" .", " ,", " !", " ?", " )", "( ") if mark in line]
    assert [line.replace(" ", "") for line in joined] == [line.replace(" ", "") for line in outputs]


# -- lines ----------------------------------------------------------------------------------------------------------
def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_one_output_per_line(tmp_path: Path) -> None:
    path = tmp_path / "outputs.txt"
    # readlines() would keep "\n"; strip().split("\n") would drop the empty outputs at the end, and the first.
    assert read_outputs(write(path, b"\n a \n\n\n"), 4) == ["", " a ", "", ""]
    assert read_outputs(write(path, b"a\r\n\r\nb\r\n"), 3) == ["a", "", "b"]
    # What Python's splitlines() takes for line ends stays in its line; so does a lone carriage return.
    odd = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\rh"
    assert read_outputs(write(path, f"{odd}\nz".encode()), 2) == [odd, "z"]
    assert read_outputs(write(path, b"\xef\xbb\xbfa\nb\n"), 2) == ["a", "b"]
    assert read_outputs(write(path, b"\n"), 1) == [""]


@pytest.mark.parametrize("data", [b"a\n", b"a\nb\nc\n", b"a\nb\n\n", b""])
def test_another_count_is_refused(data: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "outputs.txt", data)
    with pytest.raises(InputError, match=f"{len(data.split(bytes([10]))) - 1} lines for 2 test sentences") as error:
        read_outputs(path, 2)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_every_output_of_straps_file_is_read(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "strap_golden" / "transfer_entire_test.txt"
    outputs = read_outputs(path, LINES)
    assert "\n".join(outputs) + "\n" == path.read_bytes().decode()
    emptied = write(tmp_path / "emptied.txt", path.read_bytes() + b"\n\n")
    assert read_outputs(emptied, LINES + 2)[-3:] == [outputs[-1], "", ""]
    with pytest.raises(InputError, match=f"{LINES} lines for {LINES + 2} test sentences"):
        read_outputs(path, LINES + 2)


def test_classifiers_get_no_line_ends_and_only_fl_gets_detokenised_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    class Recorder:
        revision = "1"

        def __init__(self, model: str, revision: str | None, max_tokens: int) -> None: ...

        def __call__(self, texts: list[str]) -> np.ndarray:
            seen.append(list(texts))
            return np.zeros((len(texts), 2))

    monkeypatch.setitem(CLASSIFIERS, "sequence-classifier", Recorder)
    path = write(tmp_path / "outputs.txt", "well , yes\r\nso\u2028what .\n".encode())
    test_set = TestSet("t", "folder", "r", ("a", "b"), ((), ()))
    outputs = rewrite(resolve_system(str(path)), test_set).outputs
    items = [(source, output, ()) for source, output in zip(test_set.sources, outputs, strict=True)]
    profile = load_profile("paradetox")
    Style(profile)(items)
    Fluency(profile)(items)
    assert seen == [["well , yes", "so\u2028what ."], ["well, yes", "so\u2028what."]]
