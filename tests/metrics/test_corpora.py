"""Where texts come from, what is refused, and that no training text leaks into a test set."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.data.corpora import load_corpus
from metrics.data.formats import read_comments, read_paradetox
from metrics.data.near_duplicates import NearDuplicates
from metrics.data.sources import SAMPLE
from metrics.data.test_sets import load_test_set
from metrics.util.errors import InputError
from metrics.util.files import read_lines

HEADER = "toxic\tneutral1\tneutral2\n"


def test_near_duplicates_by_hand() -> None:
    index = NearDuplicates(["Go home now, the party is over and nobody likes you.", "one two three", "x y z w"])
    assert index.contains("go home now the party is over")  # all its trigrams stand in one text
    # Trigrams: go home now, home now the, now the party | the party ends, party ends here: 3 of 5 is 60 %.
    assert index.contains("go home now the party ends here")
    # 2 of 5: go home now, home now the.
    assert not index.contains("go home now the game ends here")
    # Four of its five trigrams are known, but no text has more than two.
    spread = NearDuplicates(["a b c d", "d e f g"])
    assert not spread.contains("a b c d e f g h")
    assert index.matches("ONE two three") == {1} and not index.matches("a b c d e f")
    # Short sentences must be there whole.
    assert index.contains("One, two, three!")
    assert not index.contains("two three")


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join), max_size=12), st.integers(0, 12))
def test_an_index_for_known_queries_answers_like_a_complete_one(texts: list[str], n: int) -> None:
    """An index that stores only what its queries contain gives them the same answers."""
    queries, kept = texts[:n], texts[n:]
    index, complete = NearDuplicates(kept, queries=queries), NearDuplicates(kept)
    for sentence in queries:
        assert index.matches(sentence) == complete.matches(sentence)
        index.add(sentence)
        complete.add(sentence)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HEADER.encode() + b"you fool\tyou\t", "truncated"),
        (HEADER.encode() + b"you fool\tyou\n", "row 1 has 2 columns, not 3"),
        (HEADER.encode() + b"you fool\t\t\n", "row 1 has no rewrite"),
        (b"id,text\n1,2\n", "is this ParaDetox's TSV"),
        ((HEADER + "caf\u00e9\tyou\t\n").encode("latin-1"), "not UTF-8 at byte 27"),
        ((HEADER + "you fool\tyou\t\n").encode("utf-16"), "UTF-16, not UTF-8"),
    ],
)
def test_damaged_paradetox_is_named(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "paradetox.tsv"
    path.write_bytes(data)
    with pytest.raises(InputError) as error:
        read_paradetox(path)
    assert message in str(error.value) and str(path) in str(error.value)


def test_paradetox_quoting_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "paradetox.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + (HEADER + 'a fool\t"two\nlines"\t\nb fool\tb\tbb\n').encode())
    assert read_paradetox(path) == [("a fool", ("two lines",)), ("b fool", ("b", "bb"))]


def test_comments_by_label_and_cut_off_csv(tmp_path: Path) -> None:
    path = tmp_path / "jigsaw.csv"
    path.write_text('id,comment_text,toxic,insult\n1,"you\nfool",1,0\n2,fine,0,0\n3,weak,0,1\n')
    assert read_comments(path, toxic=True) == ["you fool"]
    assert read_comments(path, toxic=False) == ["fine"]
    path.write_text('id,comment_text,toxic\n1,"you\nfo')
    with pytest.raises(InputError, match="copy the file again"):
        read_comments(path, toxic=True)


def test_without_folder_and_hub_the_sample_is_used_and_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SRO_DATA_DIR", raising=False)
    test = load_test_set("paradetox-test")
    assert (test.name, test.origin, len(test.sources)) == ("sample", "sample", 234)
    assert "paradetox-test: no data folder and no Hub; the built-in sample is used" in capsys.readouterr().err
    assert load_corpus("jigsaw-toxic").origin == "sample"


def test_the_sample_is_large_varied_and_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SRO_DATA_DIR", raising=False)
    toxic = [line.split("\t") for line in read_lines(SAMPLE / "toxic.tsv")[1:]]
    neutral = read_lines(SAMPLE / "neutral.txt")
    test = load_test_set("sample")
    assert len(toxic) >= 2_000 and len(neutral) >= 2_000 and len(test.sources) >= 150
    kinds = [kind for _, kind in toxic]
    assert {kind: kinds.count(kind) >= 200 for kind in ("profanity", "insult", "threat", "contempt")} == {
        "profanity": True, "insult": True, "threat": True, "contempt": True,
    }  # fmt: skip
    texts = [text.lower() for text, _ in toxic] + [t.lower() for t in neutral] + [t.lower() for t in test.sources]
    assert len(set(texts)) == len(texts)
    index = NearDuplicates([text for text, _ in toxic] + neutral)
    assert not [source for source in test.sources if index.contains(source)]
    held_out = set(load_test_set("paradetox-dev").sources)
    assert len(held_out) == 80
    assert not held_out & set(load_corpus("sample").toxic)


def test_limit_shortens_a_test_set_and_refuses_to_extend_it() -> None:
    test = load_test_set("sample")
    assert test.limit(3).sources == test.sources[:3]
    assert test.limit(3).sha256 != test.sha256
    with pytest.raises(InputError, match="235 sentences asked for, it has 234"):
        test.limit(235)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no jigsaw/jigsaw_toxic\.csv"):
        load_corpus("jigsaw-toxic", tmp_path)
    with pytest.raises(InputError, match=r"no paradetox/paradetox\.tsv"):
        load_test_set("paradetox-500", tmp_path)


def test_real_counts_and_disjoint_sets(data_dir: Path) -> None:
    assert len(read_paradetox(data_dir / "paradetox" / "paradetox.tsv")) == 11_927
    comments = load_corpus("jigsaw-toxic", data_dir).toxic
    assert len(comments) == 14_869
    sets = {name: load_test_set(f"paradetox-{name}", data_dir) for name in ("500", "dev", "test")}
    assert [len(sets[name].sources) for name in ("500", "dev", "test")] == [500, 400, 2000]
    together = [source for test in sets.values() for source in set(test.sources)]
    assert len(set(together)) == len(together)
    assert sets["test"].near_duplicates > 0
    sentences = load_corpus("jigsaw-sentences", data_dir)
    index = NearDuplicates([*comments, *sentences.toxic, *sentences.neutral])
    assert not [s for name in ("dev", "test") for s in sets[name].sources if index.contains(s)]


def test_real_draws_do_not_depend_on_the_order_of_rows(data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(data_dir / "jigsaw", tmp_path / "jigsaw")
    rows = read_paradetox(data_dir / "paradetox" / "paradetox.tsv")
    # Another first row: a shorter file that begins like the public one would be taken for a damaged copy.
    rows[0] = (rows[0][0], ("another rewrite",))
    tail = rows[500:]
    random.Random(1).shuffle(tail)
    (tmp_path / "paradetox").mkdir()
    # Sentences that stand twice keep the references of their first row, so only the sentences are compared.
    lines = ["\t".join([source, *references]) for source, references in [*rows[:500], *tail]]
    width = max(line.count("\t") for line in lines)
    padded = [line.replace('"', "''") + "\t" * (width - line.count("\t")) for line in lines]
    header = "toxic\t" + "\t".join(f"neutral{i}" for i in range(1, width + 1))
    (tmp_path / "paradetox" / "paradetox.tsv").write_text("\n".join([header, *padded]) + "\n")
    original, shuffled = (load_test_set("paradetox-dev", folder).sources for folder in (data_dir, tmp_path))
    # Quotes were replaced above, which moves the few sentences that have some.
    assert len(set(original) & set(shuffled)) >= 380


def test_training_pairs_are_disjoint_from_every_test_set(data_dir: Path) -> None:
    corpus = load_corpus("paradetox-train", data_dir)
    assert (corpus.name, corpus.origin, corpus.rows) == ("paradetox-train", "folder", 8_644)
    assert corpus.revision == load_test_set("paradetox-500", data_dir).revision
    assert not corpus.toxic and len({toxic for toxic, _ in corpus.pairs}) == len(corpus.pairs)
    rows = dict(reversed(read_paradetox(data_dir / "paradetox" / "paradetox.tsv")))
    assert all(rows[toxic][0] == neutral for toxic, neutral in corpus.pairs)
    sources = [s for name in ("500", "dev", "test") for s in load_test_set(f"paradetox-{name}", data_dir).sources]
    texts = [text for pair in corpus.pairs for text in pair]
    assert not set(sources) & set(texts)
    # What the rows on the leaderboard call contamination, and the other way round.
    learned, held_out = NearDuplicates(texts), NearDuplicates(sources)
    assert not [source for source in sources if learned.contains(source)]
    assert not [text for text in texts if held_out.contains(text)]


def test_drawing_the_training_pairs_moves_no_test_set(data_dir: Path) -> None:
    hashes = {name: load_test_set(f"paradetox-{name}", data_dir).sha256[:12] for name in ("500", "dev", "test")}
    assert hashes == {"500": "c670035934b6", "dev": "403953e7d841", "test": "65cb08d8f1a6"}


def test_the_sample_has_no_training_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SRO_DATA_DIR", raising=False)
    corpus = load_corpus("paradetox-train")
    assert (corpus.origin, corpus.pairs, corpus.rows) == ("sample", (), 0)


def test_half_a_copy_of_a_known_file_is_refused(data_dir: Path, tmp_path: Path) -> None:
    whole = (data_dir / "paradetox" / "paradetox.tsv").read_bytes()
    (tmp_path / "paradetox").mkdir()
    half = whole[: whole.index(b"\n", len(whole) // 2) + 1]  # at a line end: every row in it is whole
    (tmp_path / "paradetox" / "paradetox.tsv").write_bytes(half)
    with pytest.raises(InputError, match="truncated"):
        load_test_set("paradetox-500", tmp_path)


def test_the_ten_thousand_sentences_of_published_outputs(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SRO_DATA_DIR", raising=False)
    test_set = load_test_set("jigsaw-10k", data_dir)
    assert (len(test_set.sources), set(test_set.references)) == (10_000, {()})
    assert test_set.sources[0] == "you are a fucking idiot ."
    with pytest.raises(InputError, match="not on the Hub; give a data folder"):
        load_test_set("jigsaw-10k")
