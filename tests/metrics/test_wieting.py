"""Wieting's similarity: the released pipeline by hand on a tiny sim.pt, and files that must not be used."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.profiles import load_profile
from metrics.scorers.wieting import WietingSimilarity
from metrics.scoring.measures import Similarity
from metrics.util.errors import InputError

SENTENCES = ["you are a fool", "do n't go home", "the dog is here , stupid !", "it 's my damn house ."]
# Pieces as a word model of sentencepiece writes them. "▁are" has index 0; "fool" is a piece but not in the vocabulary.
VOCABULARY = {"▁are": 0, "▁you": 1, "▁a": 2, "▁do": 3, "▁n't": 4, "▁go": 5, "▁!": 6, "UUUNKKK": 7, "▁dog": 8}
EMBEDDINGS = [[9, 9], [3, 4], [1, 0], [0, 2], [-2, 0], [-3, -4], [4, -3], [0, 5], [0, 0]]


def save(folder: Path, **changes: Any) -> None:
    """sim.pt as released, in torch's old format; `changes` replace its entries (None: leave out)."""
    import torch

    # The released Namespace holds the arguments of a training run.
    args = argparse.Namespace(dim=2, gpu=-1, model="wordaverage", lr=0.001, save_final=True, data=None)
    state = {"embedding.weight": torch.tensor(EMBEDDINGS, dtype=torch.float32)}
    saved = {"state_dict": state, "vocab_words": VOCABULARY, "args": args, "epoch": 3, **changes}
    kept = {key: value for key, value in saved.items() if value is not None}
    torch.save(kept, folder / "sim.pt", _use_new_zipfile_serialization=False)


def save_pieces(folder: Path, kind: str) -> None:
    """sim.sp.30k.model of the sentences above. kind: "word" or "char", whose pieces a hand can tell."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 4), model_writer=model, model_type=kind, vocab_size=40,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    (folder / "sim.sp.30k.model").write_bytes(model.getvalue())


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wieting")
    save_pieces(folder, "word")
    save(folder)
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The two files in a folder of the test's own, which SRO_WIETING names."""
    own = tmp_path / "own"
    shutil.copytree(pristine, own)
    monkeypatch.setenv("SRO_WIETING", str(own))
    return own


@pytest.fixture
def scorer(folder: Path) -> WietingSimilarity:
    return WietingSimilarity("wieting-sim")


def test_pieces_by_hand(scorer: WietingSimilarity) -> None:
    # Lower case, then Treebank tokens: "Don't" falls into "do" and "n't".
    assert scorer.indices("Don't GO!") == [3, 4, 5, 6]
    assert scorer.indices("do n't go !") == [3, 4, 5, 6]
    # Unknown pieces are skipped: "fool" is missing in the vocabulary, "xyzzy" in the sentencepiece model as well.
    assert scorer.indices("you fool xyzzy a") == [1, 2]
    # So is the piece with index 0, since the released code tests the index for truth.
    assert scorer.indices("you are a") == [1, 2]
    # Repeated words count every time.
    assert scorer.indices("you you a") == [1, 1, 2]
    # With nothing left, the placeholder.
    assert scorer.indices("are") == scorer.indices("xyzzy") == scorer.indices("") == [7]


def test_pieces_of_words_are_those_of_the_lower_cased_text(folder: Path) -> None:
    save_pieces(folder, "char")
    save(folder, vocab_words={"▁": 1, "g": 2, "o": 3, "d": 4, "UUUNKKK": 0})
    scorer = WietingSimilarity("wieting-sim")
    # Capitals are unknown to the model, and would come out as one piece "GO".
    assert scorer.indices("GO dog") == scorer.indices("go DOG") == [1, 2, 3, 1, 4, 3, 2]


def test_cosines_by_hand(scorer: WietingSimilarity) -> None:
    left = ["you", "you", "you a", "xyzzy", "you", "Don't", "you"]
    right = ["a", "go", "do", "are", "You", "a", "!"]
    assert scorer.cosine(left, right).tolist() == pytest.approx(
        [
            0.6,  # (3, 4) · (1, 0) / 5
            -1.0,  # (3, 4) against (−3, −4): negative and kept
            2 / np.sqrt(8),  # the mean of (3, 4) and (1, 0) is (2, 2), with (0, 2)
            1.0,  # both are the placeholder
            1.0,
            -1 / np.sqrt(2),  # the mean of (0, 2) and (−2, 0) is (−1, 1), with (1, 0)
            0.0,  # (3, 4) · (4, −3)
        ],
        abs=1e-12,
    )
    assert scorer.cosine([], []).shape == (0,)


def test_the_mean_is_over_known_pieces_only(scorer: WietingSimilarity) -> None:
    """Skipped pieces do not pull the mean: neither to zero nor to the embedding of index 0."""
    (value,) = scorer.cosine(["you are xyzzy a"], ["you a"])
    assert value == pytest.approx(1.0)


def test_a_zero_embedding_causes_no_division_by_zero(scorer: WietingSimilarity) -> None:
    assert scorer.cosine(["dog"], ["you"]).tolist() == [0.0]


@given(texts=st.lists(st.text(max_size=12) | st.sampled_from(SENTENCES), min_size=1, max_size=6))
def test_any_text_has_a_cosine(pristine: Path, texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRO_WIETING", str(pristine))
        values = WietingSimilarity("wieting-sim").cosine(texts, texts[::-1])
    assert np.isfinite(values).all() and (np.abs(values) <= 1).all()
    assert values.tolist() == values[::-1].tolist()


def test_over_long_and_odd_texts(scorer: WietingSimilarity) -> None:
    values = scorer.cosine(["you " * 2_000, "\ud800 you", "x" * 200_000], ["you", "you", "are"])
    assert values.tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_anchors_of_the_three_profiles(folder: Path) -> None:
    """The source for paradetox and emnlp2021, the nearest reference for sro-release."""
    items = [("you", "a", ("go", "!")), ("go", "you", ("go", "go"))]
    # (1, 0) with (3, 4); (3, 4) with (−3, −4).
    for name in ("paradetox", "emnlp2021"):
        assert Similarity(load_profile(name))(items)[:, 0].tolist() == pytest.approx([0.6, -1.0])
    # (1, 0) with (−3, −4) is −.6, with (4, −3) is .8; the second has the same reference twice.
    assert Similarity(load_profile("sro-release"))(items)[:, 0].tolist() == pytest.approx([0.8, -1.0])


def test_the_revision_pins_both_files(folder: Path, scorer: WietingSimilarity) -> None:
    revisions = [scorer.revision]
    assert f"wieting(wieting-sim@{scorer.revision};" in Similarity(load_profile("paradetox")).signature_field
    shutil.copytree(folder, folder.parent / "elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRO_WIETING", str(folder.parent / "elsewhere"))
        assert WietingSimilarity("wieting-sim").revision == revisions[0]
    for name in ("sim.pt", "sim.sp.30k.model"):
        with (folder / name).open("ab") as file:
            file.write(b"\0")
        revisions.append(WietingSimilarity("wieting-sim").revision)
    assert len(set(revisions)) == 3


# -- what is refused ------------------------------------------------------------------------------------------------
def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as error:
        WietingSimilarity("wieting-sim").cosine(["you"], ["you"])
    message = str(error.value)
    assert "\n" not in message
    return message


class Payload:
    """What a malicious pickle holds: reading it runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("place", ["args", "vocab_words", "plain"])
def test_a_malicious_pickle_is_refused_and_not_executed(folder: Path, tmp_path: Path, place: str) -> None:
    mark = tmp_path / "executed"
    payload = Payload(f"touch {mark}")
    if place == "plain":
        (folder / "sim.pt").write_bytes(pickle.dumps(payload, protocol=2))
    else:
        save(folder, **{place: payload})
    message = refusal(folder)
    assert f"{folder / 'sim.pt'}: cannot be read with weights-only unpickling, which executes no code (" in message
    assert "posix.system" in message and "Re-running" not in message
    assert not mark.exists()
    # The payload is a real one: whoever unpickles it gets the file.
    pickle.loads(pickle.dumps(payload))
    assert mark.exists()


def test_missing_files_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sim.sp.30k.model").unlink()
    assert refusal(folder).startswith("wieting-sim: sim.sp.30k.model not found; set SRO_WIETING to the folder that hol")
    (folder / "sim.pt").unlink()
    assert "sim.pt and sim.sp.30k.model not found" in refusal(folder)
    monkeypatch.setenv("SRO_WIETING", str(folder / "gone"))
    assert "sim.pt and sim.sp.30k.model not found" in refusal(folder)
    monkeypatch.delenv("SRO_WIETING")
    assert "sim.pt and sim.sp.30k.model not found; set SRO_WIETING" in refusal(folder)
    # An empty SRO_WIETING is none, even where the working directory happens to hold the files.
    monkeypatch.setenv("SRO_WIETING", "")
    save(folder)
    monkeypatch.chdir(folder)
    assert "not found; set SRO_WIETING" in refusal(folder)


@pytest.mark.parametrize("name", ["paradetox", "emnlp2021", "sro-release"])
def test_profiles_do_not_substitute_another_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SRO_WIETING", raising=False)
    with pytest.raises(InputError, match=r"wieting-sim: sim\.pt and sim\.sp\.30k\.model not found; set SRO_WIETING"):
        Similarity(load_profile(name))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vocab_words": None}, "KeyError: 'vocab_words'"),
        ({"state_dict": None}, "KeyError: 'state_dict'"),
        ({"state_dict": {}}, "KeyError: 'embedding.weight'"),
        ({"vocab_words": ["▁you"]}, "AttributeError"),
        ({"vocab_words": {"▁you": "1", "UUUNKKK": 0}}, "no UUUNKKK, or fewer embeddings than pieces"),
        ({"vocab_words": {"▁you": 1}}, "no UUUNKKK, or fewer embeddings than pieces"),
        ({"vocab_words": {"▁you": 9, "UUUNKKK": 0}}, "no UUUNKKK, or fewer embeddings than pieces"),
        ({"vocab_words": {"▁you": -1, "UUUNKKK": 0}}, "no UUUNKKK, or fewer embeddings than pieces"),
    ],
)
def test_other_structures_are_refused(folder: Path, changes: dict[str, Any], reason: str) -> None:
    save(folder, **changes)
    message = refusal(folder)
    assert f"{folder / 'sim.pt'}: not Wieting's sim.pt" in message and reason in message


def test_other_files_are_refused(folder: Path, pristine: Path) -> None:
    import torch

    torch.save(["a", "list"], folder / "sim.pt")
    assert f"{folder / 'sim.pt'}: not Wieting's sim.pt" in refusal(folder)
    (folder / "sim.pt").write_bytes(b"garbage")
    assert f"{folder / 'sim.pt'}: cannot be read with weights-only unpickling" in refusal(folder)
    (folder / "sim.pt").write_bytes((pristine / "sim.pt").read_bytes()[:-200])
    assert f"{folder / 'sim.pt'}: cannot be read with weights-only unpickling" in refusal(folder)
    save(folder)
    (folder / "sim.sp.30k.model").write_bytes(b"garbage")
    assert f"{folder / 'sim.sp.30k.model'}: not a sentencepiece model" in refusal(folder)


@pytest.mark.parametrize("package", ["nltk", "sentencepiece"])
def test_a_missing_package_names_the_extra(folder: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError) as error:
        Similarity(load_profile("paradetox"))
    assert str(error.value) == (
        f"wieting-sim needs the package {package}; install it with: pip install -c constraints.txt -e '.[wieting]'"
    )
