"""The judge of content: made-up faults by hand, training that resumes and repeats, clear cases of the shipped one."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.scorers.heads import content, judged, train_content
from metrics.scorers.heads.content import KINDS, pool, rewrite_start
from metrics.scorers.heads.faults import OPPOSITES, Faults, _exchange_sides, _turn_subject, bare
from metrics.scorers.heads.judged import JudgedContent, JudgedFluency, JudgedPoliteness
from metrics.scorers.heads.pairs import PASSES, TrainingPair, rude_words, training_pairs
from metrics.util.errors import InputError

TEXTS = [
    "the new manager never reads our reports because the old server is broken .",
    "my brother paid 30 for the red bike and i told him that it is great .",
    "you forgot the keys , so we waited in the rain until seven .",
    "they closed the library before the students had their exam .",
]
RUDE = frozenset({"idiot", "fucking", "shit"})


def _faults(seed: int) -> Faults:
    return Faults(TEXTS * 3, RUDE, RUDE - {"fucking"}, random.Random(seed))


@given(st.integers(0, 10_000), st.sampled_from(TEXTS), st.sampled_from(KINDS[1:]))
def test_a_fault_damages_the_rewrite_as_its_name_says(seed: int, text: str, kind: str) -> None:
    source = text.replace("the ", "the fucking ", 1)
    bad = getattr(_faults(seed), kind.replace(" ", "_"))(source, text)
    if bad is None or bad == text:  # another sentence may be drawn that is this one; the pairs leave it out
        return
    words, before = bad.split(), text.split()
    assert words and words != before
    if kind == "lost":
        assert len(words) < len(before) and set(words) <= set(before)
    if kind in ("gap", "lost", "repetition", "swapped roles"):
        assert not RUDE & {bare(word) for word in words}
    if kind == "repetition":
        assert len(bad) > len(text) or any(a == b for a, b in pairwise(words))


def test_roles_and_sides_are_exchanged() -> None:
    rng = random.Random(0)
    assert _turn_subject("he told me about you", rng) == "i told him about you"
    assert _turn_subject("she saw them yesterday", rng) == "they saw her yesterday"
    assert _turn_subject("it rains", rng) is None
    assert _exchange_sides("the cat is older than the dog .", rng) == "the dog than the cat is older ."
    assert OPPOSITES["never"] == ["always"] and "great" in OPPOSITES["terrible"]


def test_what_human_rewriters_do_with_rude_words() -> None:
    rows = [(f"this shit game {i}", (f"this game {i}", f"this bad game {i}")) for i in range(8)]
    rude = rude_words(rows, frozenset({"idiot"}))
    # "shit" is removed 16 times in 16, half of them without a word in its place; "game" stays.
    assert rude.words == {"shit", "idiot"}
    assert rude.deleted["shit"] == 0.5 and rude.replaced["shit"] == {"bad": 8}


def test_faults_of_rollouts_are_told_by_their_words() -> None:
    rows = [("the idiot broke the red lamp", ("he broke the red lamp", "someone broke the red lamp"))] * 8
    invented, lost, faithful = "he broke the green piano", "he broke", "the person broke the red lamp"
    rollouts = [(rows[0][0], rewrite) for rewrite in (invented, lost, faithful)]
    pairs = training_pairs(rows[:1], [], TEXTS * 3, [], rollouts, RUDE, PASSES[0])
    found = {pair.rewrite: pair.kind for pair in pairs if pair.rewrite in (invented, lost, faithful)}
    assert found == {invented: "invented", lost: "lost"}


def test_where_a_rewrite_begins_and_what_is_pooled() -> None:
    import torch

    # Line breaks are 9: source 1 2, rewrite 3 4.
    assert rewrite_start([9, 1, 2, 9, 3, 4, 9], 9) == 4
    states = torch.tensor([[[7.0], [1.0], [3.0], [2.0], [50.0]]])
    # Of the states 1, 3 and 2: the last is 2, the mean 2, the maximum 3; normalised with mean 7/3, variance 2/9.
    expected = (np.array([2, 2, 3]) - 7 / 3) / np.sqrt(2 / 9)
    np.testing.assert_allclose(pool(states, [1], [4])[0].numpy(), expected, atol=1e-4)


def test_how_judge_and_heads_are_combined() -> None:
    half = np.array([0.5])
    assert judged.combine_content(half, np.array([judged._ALIGNMENT_CENTRE])) == pytest.approx(0.5)
    # A tenth of a cosine above the middle is one unit of log-odds.
    assert judged.combine_content(half, np.array([judged._ALIGNMENT_CENTRE + 0.1])) == pytest.approx(0.731059, abs=1e-6)
    # The source's own lack of fluency is no fault of the rewrite.
    assert judged.combine_fluency(np.array([0.0]), half, np.array([0.1])) > judged.combine_fluency(
        np.array([0.0]), half, np.array([0.9])
    )


CASES = [
    ("that shitty article was so damn long", "that article was so long", "that great article was so short"),
    ("you have no fucking idea what you're talking about", "you have no idea what you're talking about",
     "you have an idea what you're talking about"),
    ("the idiots at the bank lost my card", "the people at the bank lost my card", "the people at the bank lost"),
    ("this dating app is a fucking wasteland", "this dating app is a wasteland", "this dating app is a microwave"),
    ("how do you think the shit starts", "how do you think the trouble starts", "how do you think the starts"),
]  # fmt: skip


def test_clear_cases() -> None:
    sources, good, bad = zip(*CASES, strict=True)
    scorer = JudgedContent("offline-judge", None, 512)
    assert (scorer(sources, good) > scorer(sources, bad)).all()
    assert scorer.faults(sources[:3], good[:3]) == ["none"] * 3
    assert scorer.faults(sources, bad)[0] == "inverted" and scorer.faults(sources, bad)[3:] == ["invented", "gap"]
    polite = JudgedPoliteness("offline-judge", None, 512)
    assert polite(["kick this fucking clown out"] * 2, ["kick this clown out", "remove this person"]).argmax() == 1
    fluent = JudgedFluency("offline-judge", None, 512)
    source = "i 'm not gonna watch that shit"
    assert fluent([source] * 2, ["i 'm not gonna watch that", "i 'm not gonna that watch"]).argmax() == 0
    assert len(scorer([], [])) == 0


def test_loading_the_judge_draws_no_random_numbers() -> None:
    """A training that scores its development set must go on as one that does not."""
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    content.ContentJudge()(["a"], ["b"])
    assert torch.rand(3).tolist() == expected.tolist()


def test_a_damaged_adapter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "adapter_config.json").write_bytes((content.FOLDER / "adapter_config.json").read_bytes())
    monkeypatch.setattr(content, "FOLDER", tmp_path)
    for data in (None, b"", b"\x08\0\0\0\0\0\0\0{}      "):
        if data is not None:
            (tmp_path / "adapter_model.safetensors").write_bytes(data)
        with pytest.raises(InputError, match=r"run `python -m metrics\.heads train`"):
            content.ContentJudge()(["a"], ["b"])


def test_a_damaged_head_of_the_judge_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in content.ADAPTER_FILES:
        (tmp_path / file).write_bytes((content.FOLDER / file).read_bytes())
    (tmp_path / "head.safetensors").write_bytes(b"cut off")
    monkeypatch.setattr(content, "FOLDER", tmp_path)
    with pytest.raises(InputError, match=r"head\.safetensors: cannot be read .* run `python -m metrics\.heads train`"):
        content.ContentJudge()(["a"], ["b"])


def test_the_shipped_judge_was_trained_on_no_test_set(data_dir: Path) -> None:
    from safetensors import safe_open

    from metrics.data.contrast import load_contrast
    from metrics.data.test_sets import load_test_set
    from metrics.systems.baselines import lexicon
    from metrics.util.files import sha256_file

    adapter = content.FOLDER / "adapter_model.safetensors"
    assert adapter.stat().st_size <= 2_000_000
    with safe_open(content.FOLDER / "head.safetensors", "np") as head:
        trained_on = json.loads(head.metadata()["training"])["trained_on"]
    files = {file: sha256_file(data_dir / file) for file in train_content._FILES}
    assert trained_on == files | {"rollouts.tsv": sha256_file(train_content.ROLLOUTS)}
    pairs = [pair for drawing in PASSES for pair in train_content.content_pairs(data_dir, lexicon(), drawing)]
    texts = {text for pair in pairs for text in (pair.source, pair.rewrite)}
    for name in ("paradetox-500", "paradetox-dev", "paradetox-test"):
        test_set = load_test_set(name, data_dir)
        assert not texts & set(test_set.sources), name
    assert not texts & {text for c in load_contrast("all") for text in (c.source, c.good, c.bad)}


@pytest.mark.full
def test_training_repeats_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted and resumed training writes the bytes of one that was never stopped."""
    from metrics.util.files import cache_dir

    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "models").symlink_to(cache_dir() / "models")
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(train_content, "_BATCH_SIZE", 4)
    monkeypatch.setattr(train_content, "_CHECKPOINT_STEPS", 2)
    pairs = []
    for text in TEXTS:
        pairs += [TrainingPair(text, text, "none", True, True), TrainingPair(text, text[::-1], "garbled", False, None)]
        pairs += [TrainingPair(text, text.split(" ", 3)[3], "lost", None, True)]
        pairs += [TrainingPair(text, f"{text} idiot", "none", True, False)]
    train_content.write_judge([pairs, pairs[::-1]], pairs, {}, tmp_path / "one")
    save = train_content._Checkpoint.save

    def save_and_stop(self: train_content._Checkpoint, step: int) -> None:
        save(self, step)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train_content._Checkpoint, "save", save_and_stop)
        train_content.write_judge([pairs, pairs[::-1]], pairs, {}, tmp_path / "two")
    assert not (tmp_path / "two").exists()
    train_content.write_judge([pairs, pairs[::-1]], pairs, {}, tmp_path / "two")
    for file in content.ADAPTER_FILES:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
