"""The heads of the profile `offline`: their arithmetic by hand, what they learned from, and that training repeats."""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from metrics.scorers.batching import TextCache
from metrics.scorers.heads import offline, train
from metrics.scorers.heads.features import MiniLM, SmolLM2, canonical, surprisal_statistics
from metrics.scorers.heads.offline import HEADS, OfflineHeads, TokenEmbeddings, alignment_cosines, smooth_maximum
from metrics.scorers.heads.train import corrupt, respell
from metrics.util.errors import InputError
from metrics.util.files import sha256_file


@pytest.fixture(scope="module")
def heads() -> OfflineHeads:
    return OfflineHeads()


def test_smooth_maximum_by_hand() -> None:
    # T = .5: .5 · log(e² + e⁰) and a lone value, which stays itself.
    assert smooth_maximum(np.array([1.0, 0.0])) == pytest.approx(0.5 * math.log(math.exp(2) + 1))
    assert smooth_maximum(np.array([-3.0])) == -3.0
    # Ten equal tokens are a little more than one, a long neutral text does not become toxic by its length.
    assert smooth_maximum(np.full(10, -6.0)) == pytest.approx(-6 + 0.5 * math.log(10))
    assert np.isfinite(smooth_maximum(np.array([1e4, -1e4])))


def test_comparing_words_by_hand() -> None:
    """Source: words a, b on the axes x, y. Output: a, and an invented word on z of two tokens, one of them half x."""
    x, y, z = np.eye(3, dtype=np.float32)
    half = np.array([0.6, 0, 0.8], dtype=np.float32)
    source = TokenEmbeddings(x, np.stack([x, y]), ((0,), (1,)))
    output = TokenEmbeddings(y, np.stack([x, z, half]), ((0,), (1, 2)))
    # Sentences are at right angles; the invented word is supported by 0 and .6; b is not kept at all.
    assert alignment_cosines(source, output) == pytest.approx((0.0, 0.3, 0.0))
    assert alignment_cosines(source, source) == pytest.approx((1.0, 1.0, 1.0))
    assert offline.SIMILARITY_WEIGHTS.sum() == pytest.approx(1.0)


def test_surprisal_by_hand() -> None:
    plain, alone = np.array([-1.0, -3.0]), np.array([-5.0, -2.0])
    values = surprisal_statistics(plain, alone, entropy=np.array([2.0, 2.0]), largest=np.array([-1.0, -0.5]))
    # Mean, least, mean of the two least of: plain, against the word alone, with the entropy, against the likeliest.
    for start, kind in enumerate(([-1, -3], [4, -1], [1, -1], [0, -2.5])):
        expected = [np.mean(kind), min(kind), np.mean(kind)]
        assert values[5 * start : 5 * start + 3].tolist() == pytest.approx(expected)
        # Quantiles between two values: a tenth and a quarter of the way.
        spread = max(kind) - min(kind)
        assert values[5 * start + 3 : 5 * start + 5].tolist() == pytest.approx(
            [min(kind) + 0.1 * spread, min(kind) + 0.25 * spread]
        )
    assert values[20:].tolist() == pytest.approx([math.log(2), 0.5, -3.5, 1.0, -1.0])


def test_surprisal_agrees_with_a_plain_forward_pass() -> None:
    """Log-probabilities, entropy and the rest, of texts of unlike length in one batch."""
    import torch

    backbone = SmolLM2()
    texts = ["I can't believe it.", "A", "The weather in the north is cold at this time of the year."]
    rows = backbone.extract(texts, "", lambda hidden: hidden.surprisal)
    for text, row in zip(texts, rows, strict=True):
        ids = backbone.tokenizer("\n" + text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            logp = backbone.model(ids).logits[0, :-1].double().log_softmax(-1)
        tokens = ids[0, 1:]
        plain = logp.gather(1, tokens[:, None])[:, 0].numpy()
        entropy = -(logp.exp() * logp).sum(-1).numpy()
        expected = surprisal_statistics(plain, logp[0][tokens].numpy(), entropy, logp.amax(-1).numpy())
        np.testing.assert_allclose(row, expected, atol=2e-4)


def test_canonical_form_by_hand() -> None:
    assert canonical("i ca n't , and it 's so !") == "I can't, and it's so!"
    assert canonical("SHUT UP NOW !") == "Shut up now!" and canonical("OK then") == "OK then"
    assert canonical("He said  that\ni do") == "He said that i do"
    assert canonical(canonical("you 're right")) == canonical("you 're right") == "You're right"


def test_words_of_a_text() -> None:
    mini = MiniLM()
    # [CLS] un ##bel ##ie ##va ##ble , yes [SEP], say: one group per word, none for the comma.
    groups = mini.word_indices("Unbelievable, yes")
    pieces = mini.tokenizer.convert_ids_to_tokens(mini._ids("Unbelievable, yes"))
    assert ["".join(pieces[i].removeprefix("##") for i in group) for group in groups] == ["unbelievable", "yes"]
    assert mini.word_indices("...") and mini.word_indices("") == ((0,),)


def test_clear_cases(heads: OfflineHeads) -> None:
    rude, polite = heads.toxicity(["you are a stupid idiot", "you are mistaken, I think"])
    assert rude > 0.9 and polite < 0.3
    whole, salad = heads.acceptability(["The cat sat on the mat.", "Mat the on cat the sat."])
    assert whole > 0.7 > 0.3 > salad
    source = "shut up and read the book , idiot"
    same, rewrite, invented, other = heads.similarity(
        [source] * 4, [source, "please be quiet and read the book", "please be quiet and read the oven", "I like rain"]
    )
    assert same == pytest.approx(1, abs=1e-6) and same > rewrite > invented > other
    # Spacing and a missing capital are no difference.
    assert heads.toxicity(["well , yes !"]) == pytest.approx(heads.toxicity(["Well, yes!"]))


def test_no_text_at_all(heads: OfflineHeads) -> None:
    assert heads.toxicity([]).shape == heads.acceptability([]).shape == heads.similarity([], []).shape == (0,)
    with pytest.raises(ValueError, match="1 texts against 0"):
        heads.similarity(["a"], [])


def test_the_text_cache_keeps_the_latest_and_computes_each_text_once() -> None:
    seen: list[str] = []

    def compute(texts: list[str]) -> list[int]:
        seen.extend(texts)
        return [len(text) for text in texts]

    cache = TextCache(compute, max_size=2)
    assert cache(["a", "bb", "a", "ccc"]) == [1, 2, 1, 3] and seen == ["a", "bb", "ccc"]
    assert cache(["ccc", "bb"]) == [3, 2] and seen == ["a", "bb", "ccc"]
    assert cache(["a"]) == [1] and seen[-1] == "a" and list(cache._values) == ["bb", "a"]


def test_a_damaged_head_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "HEADS", tmp_path)
    for content in (None, b"", (HEADS / "acceptability.safetensors").read_bytes()):
        if content is not None:
            (tmp_path / "toxicity.safetensors").write_bytes(content)
        with pytest.raises(InputError, match=r"run `python -m metrics\.heads train`"):
            OfflineHeads().toxicity(["a"])


def test_the_shipped_heads_were_trained_on_jigsaw_and_cola_only(data_dir: Path) -> None:
    from safetensors import safe_open

    learned = {"toxicity": set(train.JIGSAW), "acceptability": {train.COLA}}
    for name, files in learned.items():
        path = HEADS / f"{name}.safetensors"
        assert path.stat().st_size < 400_000
        with safe_open(path, "np") as head:
            trained_on = json.loads(head.metadata()["training"])["trained_on"]
        assert set(trained_on) == files
        assert trained_on == {file: sha256_file(data_dir / file) for file in files}


def _tiny_corpora(folder: Path) -> None:
    """Twenty sentences of each kind, in the files that training reads."""
    subjects = ("the dog", "my friend", "this game", "a teacher", "the car")
    predicates = ("is late", "sees the house", "likes rain", "was here")
    neutral = [f"{s} {p} ." for s in subjects for p in predicates]
    toxic = [text.replace(" .", ", you idiot !") for text in neutral]
    (folder / "jigsaw").mkdir(parents=True)
    (folder / "jigsaw" / "dev_toxic.txt").write_text("\n".join(toxic) + "\n")
    (folder / "jigsaw" / "dev_normal.txt").write_text("\n".join(neutral) + "\n")
    cola = [f"x\t1\t\t{text}\n" for text in neutral]
    cola += [f"x\t0\t*\t{' '.join(reversed(text.split()))}\n" for text in neutral]
    (folder / "cola").mkdir()
    for file in (train.COLA, *train.COLA_DEV):
        (folder / file).write_text("".join(cola))
    pairs = [f"{t}\t{n}\n" for t, n in zip(toxic, neutral, strict=True)]
    (folder / "paradetox").mkdir()
    (folder / train.PARADETOX).write_text("toxic\tneutral1\n" + "".join(pairs))


def test_training_is_byte_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once from nothing, once from the states that the first training kept; both learn their sentences."""
    from metrics.util.files import cache_dir

    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "models").symlink_to(cache_dir() / "models")
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    _tiny_corpora(tmp_path / "data")
    digests = []
    for run in ("one", "two"):
        train.train_heads(tmp_path / "data", ["toxicity", "acceptability"], tmp_path / run)
        digests.append([sha256_file(tmp_path / run / file) for file in offline.FILES])
    assert digests[0] == digests[1]
    monkeypatch.setattr(offline, "HEADS", tmp_path / "two")
    own = OfflineHeads()
    assert own.toxicity(["my friend likes rain, you idiot!"])[0] > own.toxicity(["my friend likes rain."])[0]
    assert own.acceptability(["A teacher was here."])[0] > own.acceptability([". here was teacher a"])[0]


def test_corruptions_and_spellings() -> None:
    import random

    rng = random.Random(0)
    text = "I don't see the old house on the hill"
    broken = {corrupt(text, ["oven"], rng) for _ in range(50)}
    assert text not in broken or len(broken) > 20
    assert {respell(text, rng) for _ in range(50)} == {text, text.lower(), text.lower().replace("'", "")}
    assert corrupt("too short", ["oven"], rng) == "too short"


def npy_header(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f2", "fortran_order": False, "shape": shape})
    return header.getvalue()


def encrypted(data: bytes) -> bytes:
    """A zip file whose first entry says that it is encrypted, in its own header and in the directory."""
    changed, entry = bytearray(data), data.index(b"PK\x01\x02")
    changed[6] |= 1
    changed[entry + 8] |= 1
    return bytes(changed)


def archive(rows: bytes) -> bytes:
    """An .npz with these bytes as `rows`."""
    data = io.BytesIO()
    np.savez(data, ends=np.array([1, 3, 6]))
    with zipfile.ZipFile(data, "a") as file:
        file.writestr("rows.npy", rows)
    return data.getvalue()


def test_damaged_features_in_the_cache_are_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a file, another format, pickles, and arrays that do not fit: one line, then the same features."""
    monkeypatch.setenv("SRO_HOME", str(tmp_path))
    texts = ["a", "bb", "ccc"]
    calls: list[list[str]] = []

    def extract(part: list[str], title: str, feature: object) -> list[np.ndarray]:
        calls.append(part)
        return [np.full((len(text), 2), len(text), np.float16) for text in part]

    backbone = SimpleNamespace(ref=SimpleNamespace(revision="1"), extract=extract)

    def features() -> list[list[list[float]]]:
        return [rows.tolist() for rows in train._cached_rows(backbone, texts, "k", lambda states: states)]  # type: ignore[arg-type]

    expected = [[[len(text)] * 2] * len(text) for text in texts]
    assert features() == features() == expected and len(calls) == 1
    (path,) = (tmp_path / "features").glob("*.npz")
    whole = path.read_bytes()
    rows, ends = np.zeros((6, 2), np.float16), np.array([1, 3, 6])
    # Which unpacks to a thousand times its size.
    packed = io.BytesIO()
    np.savez_compressed(packed, rows=rows, ends=ends)
    damaged: list[bytes | dict[str, Any]] = [
        b"", whole[: len(whole) // 2], whole[:-1], b"PK\x03\x04" + bytes(200), b"\x93NUMPY" + bytes(100), b"[1]",
        whole.replace(b"rows.npy", b"cows.npy"), whole[:150] + b"\xff" * 20 + whole[170:],
        {"rows": rows}, {"rows": rows, "ends": np.array([1, 3, 7])}, {"rows": rows, "ends": np.array([-1, 3, 6])},
        {"rows": rows, "ends": np.array([3, 1, 6])}, {"rows": rows, "ends": np.array(["1", "3", "6"])},
        {"rows": rows.astype(object), "ends": ends}, {"rows": rows[:, 0], "ends": ends},
        {"rows": rows, "ends": ends[1:]}, {"rows": np.full_like(rows, np.nan), "ends": ends},
        # An entry that is encrypted, an entry that is no array, and a header that claims terabytes.
        encrypted(whole), archive(b"hello"), archive(npy_header((10**12, 2))), packed.getvalue(),
    ]  # fmt: skip
    for content in damaged:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.savez(path, allow_pickle=True, **content)
        capsys.readouterr()
        assert features() == expected, content
        assert capsys.readouterr().err.count("damaged; its features are computed again") == 1, content
    assert features() == expected and len(calls) == 1 + len(damaged)
