"""Scores: what an empty output is worth, what J is, what the signature pins, and the statistics around them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import metrics.scoring.evaluator
from metrics.data.test_sets import TestSet
from metrics.data.text import detokenise, is_copy, length_ratio, repetition
from metrics.profiles import load_profile
from metrics.scorers.classical import ProfanityCheck
from metrics.scorers.encoders import SentenceEncoder
from metrics.scoring.evaluator import Evaluator
from metrics.scoring.items import SentenceScores
from metrics.scoring.result import Result
from metrics.scoring.signature import ORDER, Signature, describe_decoding
from metrics.scoring.statistics import mean_interval, paired_difference
from metrics.systems.baselines import delete_rude_words
from metrics.systems.outputs import read_outputs
from metrics.systems.resolve import Rewrites
from metrics.util.errors import InputError

SOURCES = ("you are a damn fool", "what a stupid game", "shut up , idiot", "the damn cat is here")


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(load_profile("offline-v2"))


@pytest.mark.parametrize("profile", ["offline", "offline-v2"])
def test_offline_scores_of_real_models(profile: str) -> None:
    """Real models over outputs whose order of merit nobody disputes."""
    evaluator = Evaluator(load_profile(profile))
    outputs = ["you are wrong", "what a stupid game", "", "   "]
    scores = evaluator.score(SOURCES, outputs)
    assert scores.sta.tolist() == pytest.approx([1.0, 0.0, 0.0, 0.0], abs=0.02)
    # An empty output is a failure on every metric, and stays in the count.
    for name in ("sta", "sim", "fl", "j", "soft_sta", "soft_fl"):
        assert scores.metric(name)[2:].tolist() == [0.0, 0.0]
    assert scores.sim[1] == pytest.approx(1.0, abs=1e-3) and 0.02 < scores.sim[0] < 0.95
    assert scores.j.tolist() == pytest.approx((scores.sta * scores.sim * scores.fl).tolist(), abs=2e-6)
    # Word salad is less fluent than the sentence it was made from; all lie strictly inside (0, 1).
    whole, salad = (
        evaluator.score(SOURCES[:1], ["the cat sat on the mat"]),
        evaluator.score(SOURCES[:1], ["mat the on cat the sat"]),
    )
    assert 0 < salad.fl[0] < whole.fl[0] < 1
    # Permuting sentences permutes scores: batches and duplicates do not show.
    again = evaluator.score(SOURCES[::-1], outputs[::-1])
    np.testing.assert_allclose(again.fl[::-1], scores.fl, atol=1e-5)
    np.testing.assert_allclose(again.sim[::-1], scores.sim, atol=1e-5)


def test_equal_texts_have_equal_scores() -> None:
    texts = ["a fool", "a much longer sentence about the weather in the north", "a fool", "fine"]
    for scorer in (ProfanityCheck("alt-profanity-check"), SentenceEncoder("minilm-l6")):
        values = scorer(texts)
        np.testing.assert_allclose(values[0], values[2])
        alone = scorer([texts[1]])
        np.testing.assert_allclose(values[1], alone[0], atol=1e-5)


def test_j_is_the_mean_of_products_and_may_be_negative() -> None:
    sta, sim, fl = np.array([1.0, 0.0, 1.0]), np.array([0.5, 1.0, -0.2]), np.array([0.8, 1.0, 0.5])
    scores = SentenceScores(sta=sta, sim=sim, fl=fl, soft_sta=np.ones(3), soft_fl=fl)
    assert scores.j.tolist() == pytest.approx([0.4, 0.0, -0.1])
    signature = Signature.of(dict.fromkeys(MEASURED, "x"), {})
    result = Result(Rewrites("x", "outputs", "1", {}, ("a", "b", "c")), _test_set(3), scores, signature)
    assert result.summary["j"].mean == pytest.approx(0.1)  # the product of the means would be .222


def _test_set(n: int, name: str = "t") -> TestSet:
    return TestSet(name, "folder", "r", SOURCES[:n], tuple((f"polite {i}",) for i in range(n)))


# -- signatures -----------------------------------------------------------------------------------------------------
MEASURED = tuple(name for name in ORDER if name != "decoding")


@pytest.fixture(scope="module")
def base(evaluator: Evaluator) -> Signature:
    return evaluator.signature(_test_set(3), {})


def _changed(**fields: Any) -> Signature:
    """The signature of the same test set under `offline` with other fields."""
    return Evaluator(load_profile("offline-v2").model_copy(update=fields)).signature(_test_set(3), {})


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("profile", {"version": 3}),
        ("profile", {"name": "own"}),
        ("sta", {"sta_threshold": 0.4}),
        ("sta", {"sta_rule": "soft", "sta_threshold": None}),
        ("sta", {"sta_label": 1}),
        ("sta", {"sta_scorer": "profanity-check", "sta_model": "alt-profanity-check"}),
        ("sim", {"sim_anchor": "references"}),
        ("sim", {"sim_anchor": "both", "sim_source_weight": 0.4}),
        ("sim", {"sim_scorer": "sentence-encoder", "sim_model": "minilm-l6"}),
        ("fl", {"fl_detokenise": "none"}),
        ("fl", {"fl_rule": "argmax"}),
        ("fl", {"fl_rule": "probability", "fl_threshold": 0.5}),
        ("fl", {"fl_label": 1}),
    ],
)
def test_a_signature_changes_with_every_choice_of_the_profile(
    base: Signature, field: str, changed: dict[str, Any]
) -> None:
    other = _changed(**changed)
    assert other != base and other.key != base.key
    assert other.short != base.short and other.long != base.long
    differing = {line.partition(":")[0] for line in base.differences(other)}
    # Whether references count for the test set's content hangs on the anchor.
    assert differing - {"test"} == {field}
    assert ("test" in differing) == (changed.get("sim_anchor") in ("references", "both"))


def test_max_tokens_changes_the_signature_of_all_three_metrics(base: Signature) -> None:
    differing = [line.partition(":")[0] for line in base.differences(_changed(max_tokens=256))]
    assert differing == ["sta", "sim", "fl"]


def test_a_signature_changes_with_the_models_that_were_used(
    evaluator: Evaluator, base: Signature, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same profile on weights of another revision."""
    from metrics.scorers.heads.offline import OfflineHeads

    # The shared heads have computed their revision already.
    monkeypatch.setattr("metrics.scorers.heads.offline.offline_heads", OfflineHeads)
    monkeypatch.setattr(OfflineHeads, "revision", "others")
    differing = [line.partition(":")[0] for line in base.differences(_changed())]
    assert differing == ["sta", "sim", "fl"]
    assert "@others;" in _changed().long


def test_a_signature_changes_with_the_programs_version(base: Signature, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics.scoring.evaluator, "__version__", "9.9.9")
    assert _changed().differences(base) == [f"version: 9.9.9 against {metrics.__version__}"]


def test_a_signature_changes_with_the_test_set(evaluator: Evaluator, base: Signature) -> None:
    def differing(test_set: TestSet) -> list[str]:
        other = evaluator.signature(test_set, {})
        assert (other == base) == (hash(other) == hash(base)) == (other.short == base.short)
        return [line.partition(":")[0] for line in base.differences(other)]

    whole = _test_set(3)
    assert differing(whole) == []
    assert differing(_test_set(2)) == ["test", "n"]
    assert differing(_test_set(3, "u")) == ["test"]
    assert differing(replace(whole, sources=(*SOURCES[:2], "another"))) == ["test"]
    assert differing(replace(whole, sources=whole.sources[::-1])) == ["test"]
    # How the texts were found and what was left out for them do not change what they are.
    assert differing(replace(whole, origin="hub", revision="other", near_duplicates=5)) == []
    # References count where they are looked at, and nowhere else.
    assert differing(replace(whole, references=(("x",),) * 3)) == []
    anchored = Evaluator(load_profile("offline-v2").model_copy(update={"sim_anchor": "references"}))
    others = replace(whole, references=(("x",),) * 3)
    assert anchored.signature(whole, {}) != anchored.signature(others, {})


def test_signatures_include_the_decoding_but_compare_without_it(evaluator: Evaluator, base: Signature) -> None:
    greedy = {"do_sample": False, "max_new_tokens": 64, "prompt": "rewrite | {text}", "batch_size": 32}
    first = evaluator.signature(_test_set(3), greedy)
    second = evaluator.signature(_test_set(3), {**greedy, "batch_size": 1, "num_beams": 5})
    assert first == second == base and first.differences(second) == [] and first.key == second.key == base.key
    assert len({first.long, second.long, base.long}) == len({first.short, second.short, base.short}) == 3
    # Sorted, the prompt as a hash: it may hold anything.
    assert re.fullmatch(
        r"batch_size=32,do_sample=False,max_new_tokens=64,prompt=#[0-9a-f]{8}", first.fields()["decoding"]
    )
    assert base.fields()["decoding"] == "none"
    assert "decoding:batch_size=1,do_sample=False" in second.long


def test_long_and_short_forms_are_ordered_with_the_version_last(base: Signature) -> None:
    for spelling, names in (
        (base.long, ["profile", "sta", "sim", "fl", "joint", "test", "n", "decoding", "version"]),
        (base.short, ["p", "s", "m", "f", "j", "t", "n", "d", "v"]),
    ):
        assert [part.partition(":")[0] for part in spelling.split("|")] == names
        assert spelling.endswith(f":{metrics.__version__}")
    assert base.long.startswith("profile:offline.v2|sta:heads-toxicity(offline-heads@")
    assert ";label=0,rule=probability,threshold=0.5,max_tokens=512)|" in base.long
    assert ";anchor=source,source_weight=1.0,max_tokens=512)|" in base.long
    assert ";label=0,rule=soft,detokenise=strap,max_tokens=512)|joint:product|test:t@" in base.long
    assert re.fullmatch(
        r"p:offline\.v2\|s:[0-9a-f]{8}\|m:[0-9a-f]{8}\|f:[0-9a-f]{8}\|j:product\|t:[0-9a-f]{8}\|n:3\|d:none\|v:0\.\d+\.\d+",
        base.short,
    )
    assert str(base) == base.long


# Anything but what ends a field.
VALUES = st.text(st.characters(exclude_characters="|"), max_size=30)
MEASURES = st.fixed_dictionaries(dict.fromkeys(MEASURED, VALUES))
DECODINGS = st.dictionaries(st.sampled_from(["num_beams", "prompt", "seed"]), st.text(max_size=9) | st.integers())


@given(MEASURES, DECODINGS)
def test_the_long_form_is_parsed_back(measure: dict[str, str], decoding: dict[str, Any]) -> None:
    signature = Signature.of(measure, decoding)
    again = Signature.parse(signature.long)
    assert again == signature and again.fields() == signature.fields()
    assert (again.long, again.short, again.key) == (signature.long, signature.short, signature.key)
    assert list(again.fields()) == list(ORDER) and list(again.fields())[-1] == "version"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False)
    | st.text("1aT|,=[]{}\"'\\ .", max_size=6) | st.sampled_from(["True", "None", "1", "x,y=1", "a|b", "a/b"]),
    lambda part: st.lists(part, max_size=2) | st.dictionaries(st.text("a|", max_size=2), part, max_size=2),
    max_leaves=4,
)  # fmt: skip
SETTINGS = st.dictionaries(st.text('ab,=|"', max_size=3), JSON_VALUES, max_size=3)


@given(SETTINGS, SETTINGS)
@example({"do_sample": False}, {"do_sample": "False"})
@example({"a": 1, "b": 2}, {"a": "1,b=2"})
@example({"a": "x|y"}, {"a": "x/y"})
@example({"a": [1]}, {"a": "[1]"})
def test_different_decodings_are_described_differently(first: dict[str, Any], second: dict[str, Any]) -> None:
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    texts = [describe_decoding(decoding) for decoding in (first, second)]
    assert (texts[0] == texts[1]) == same and not any("|" in text for text in texts)


def test_the_description_of_usual_decodings_stays() -> None:
    """As in rows that are stored."""
    usual = {"do_sample": False, "temperature": 0.7, "num_beams": 4, "engine": "vllm 0.29.0", "x": None, "prompt": "p"}
    expected = "do_sample=False,engine=vllm 0.29.0,num_beams=4,prompt=#1fb680aa,temperature=0.7,x=None"
    assert describe_decoding(usual) == expected and describe_decoding({}) == "none"


@given(MEASURES, MEASURES, st.data())
def test_short_forms_differ_if_long_forms_do(
    first: dict[str, str], second: dict[str, str], data: st.DataObject
) -> None:
    taken = data.draw(st.sets(st.sampled_from(MEASURED)))
    a = Signature.of(first, {})
    b = Signature.of({name: second[name] if name in taken else first[name] for name in MEASURED}, {})
    assert (a.long == b.long) == (a.short == b.short) == (a == b) == (a.key == b.key) == (not a.differences(b))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.short,
        lambda s: "",
        lambda s: s.long + "|more:x",
        lambda s: s.long.partition("|")[2],
        lambda s: s.long.replace("|sta:", "|style:"),
        lambda s: "|".join(reversed(s.long.split("|"))),
    ],
)
def test_other_lines_are_not_signatures(base: Signature, spoil: Callable[[Signature], str]) -> None:
    with pytest.raises(InputError, match="not a signature of this program"):
        Signature.parse(spoil(base))


def test_a_signature_needs_all_fields_and_no_separator_in_them() -> None:
    good = dict.fromkeys(MEASURED, "x")
    for bad in ({**good, "sta": "a|b"}, {**good, "extra": "x"}, {k: v for k, v in good.items() if k != "n"}):
        with pytest.raises(ValueError, match="not the fields of a signature"):
            Signature.of(bad, {})


def test_a_result_contains_both_forms_of_its_signature(evaluator: Evaluator, base: Signature) -> None:
    rewrites = Rewrites("x", "outputs", "1", {}, ("you are wrong", "", "the cat is here"))
    document = evaluator.evaluate(rewrites, _test_set(3)).to_json()
    assert document["signature"] == base.long and document["signature_short"] == base.short
    assert document["test_set"]["n"] == len(document["sentences"]) == 3


# -- statistics and text --------------------------------------------------------------------------------------------
def test_intervals() -> None:
    ones = mean_interval(np.ones(10))
    assert (ones.mean, ones.low, ones.high) == (1.0, 1.0, 1.0)
    # A fair coin thrown 400 times: ±1.96 · .5/√400 = ±.049.
    coin = mean_interval(np.array([0.0, 1.0] * 200))
    assert coin.mean == 0.5
    assert (coin.low, coin.high) == (pytest.approx(0.451, abs=0.004), pytest.approx(0.549, abs=0.004))
    same = paired_difference(np.array([0.1, 0.9, 0.4]), np.array([0.1, 0.9, 0.4]))
    assert (same.mean, same.low, same.high) == (0.0, 0.0, 0.0) and not same.excludes_zero
    rng = np.random.default_rng(0)
    left = rng.random(200)
    assert paired_difference(left + 0.05 + 0.01 * rng.random(200), left).excludes_zero
    with pytest.raises(ValueError, match="paired"):
        paired_difference(left, left[1:])


def test_text_rules_by_hand() -> None:
    assert detokenise("well , yes ( no ) !") == "well, yes (no)!"
    assert detokenise("it 's a - b") == "it 's a - b"  # STRAP joins nothing else
    # well , | , well | well , | , well: 2 distinct of 4.
    assert repetition("well , well , well") == pytest.approx(0.5)
    assert repetition("one two three") == repetition("one") == repetition("") == 0.0
    assert length_ratio("a b c d", "a b") == 0.5
    assert is_copy("a  b ", "a b") and not is_copy("a b", "A b")


def test_delete_by_hand() -> None:
    assert delete_rude_words("you damn fool , go home") == "you , go home"
    assert delete_rude_words("The DAMN class passed the assessment") == "The class passed the assessment"
    assert delete_rude_words("fuck") == ""


def test_output_files_keep_their_number_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "outputs.txt"
    path.write_bytes(b"one\r\n\nthr\xe2\x80\xa8ee\n")
    assert read_outputs(path, 3) == ["one", "", "thr\u2028ee"]
    with pytest.raises(InputError, match="3 lines for 4 test sentences"):
        read_outputs(path, 4)
