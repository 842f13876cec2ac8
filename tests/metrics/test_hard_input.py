"""Hard input: 10,000 strings through every function and the command. Scores are finite, and n never changes.

`tox -e full` has 10,000 strings, `tox` 2,000. Twelve are given, of 100 kB each; hypothesis draws the others, the same
in every run. How many of them each test gets:

    all        text rules, prompts, files of judgements, names of systems; the five published protocols with tiny
               models behind the real tokenizer; the command, those that a line of a text file can hold
    a tenth    the profile `offline` with its real models, SmolLM2 and MiniLM: functions, evaluate modules, Evaluator

Nothing here is allowed to raise: each of these strings can be scored. What must be refused is in the last tests.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import metrics
from metrics.data.judgements import convert, read_judgements
from metrics.data.test_sets import TestSet, load_test_set
from metrics.data.text import detokenise, is_copy, length_ratio, repetition, well_formed
from metrics.generation.batching import length_sorted_batches
from metrics.generation.prompts import prompt_ids
from metrics.models.builtin import BUILT_IN
from metrics.profiles import load_profile
from metrics.score import main as score_main
from metrics.scorers.classical import ChrF, ProfanityCheck
from metrics.scorers.heads.features import MiniLM, SmolLM2, canonical, character_ngrams, profanity_log_odds
from metrics.scorers.heads.judged import JudgedContent, JudgedFluency, JudgedPoliteness
from metrics.scoring.agreement import _numbered, agreement
from metrics.scoring.cache import ScoreCache
from metrics.scoring.evaluator import Evaluator
from metrics.scoring.items import SentenceScores
from metrics.scoring.result import compare, read_result
from metrics.systems.baselines import BASELINES, delete_rude_words
from metrics.systems.resolve import Rewrites, resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.errors import InputError, run_command
from metrics.util.files import write_json
from tests.warm_python import run_module

ROOT = Path(__file__).resolve().parent.parent.parent
N = 10_000
LONG = 100_000
# (source, output, references)
Item = tuple[str, str, tuple[str, ...]]

CONTROLS = [chr(i) for i in (*range(0x20), *range(0x7F, 0xA0))]
BREAKS = ["\n", "\r", "\r\n", "\t", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"]
SPACES = [" ", "  ", "\xa0", "\u2003", "\u3000"]
SURROGATES = ["\ud83d", "\udbff", "\ude00", "\udfff", "\ud83d\ude00", "\ude00\ud83d"]
RIGHT_TO_LEFT = ["שלום", "مرحبا", *"\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]
EMOJI = ["😀", "🤬", "👍🏽", "❤️", "👩‍👩‍👧‍👦", "🇩🇪", "\ufe0f", "\u20e3"]
MARKS = ["\u0300", "\u0301", "\u0323", "\u0489", "\u05b4", "\u064b", "\u3099", "e\u0301"]
INVISIBLE = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\xad", "\u180e", "\U000e0041"]
WORDS = ["you", "damn", "idiot", "shut up", "please", "ca n't", "'s", "I", ".", ",", "!", "?", "(", ")", "Fuck"]
WORDS += ["f*ck", "naïve", "ﬁne", "İ", "ß", "漢字", "𝐝𝐚𝐦𝐧", "ｄａｍｎ", "¡", "-", "1/2", "3.14"]
MARKUP = ['{"a": [1, null]}', 'a,"b ""c""",d', '"', "'", "<script>alert(1)</script>", "&lt;b&gt;", "%s %d", "{text}"]
MARKUP += ["{0}", "{", "\\n", "\\ud83d", "$HOME", "../..", "|", "[/b]", "```", "=1+1", "--json", "NaN", "null", "# a"]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "<s>", "</s>"]
SPECIAL += ["<pad>", "<unk>", "<mask>", "<extra_id_0>", "##a", "▁", "Ġ", "UUUNKKK"]
KINDS = {
    "control characters": CONTROLS, "line breaks and tabs": BREAKS, "spaces": SPACES, "surrogates": SURROGATES,
    "right to left": RIGHT_TO_LEFT, "emoji": EMOJI, "combining marks": MARKS, "invisible": INVISIBLE, "words": WORDS,
    "markup": MARKUP, "special tokens": SPECIAL,
}  # fmt: skip


def long(unit: str, size: int = LONG) -> str:
    """`unit` again and again, `size` bytes in UTF-8."""
    return unit * (size // len(unit.encode("utf-8", "surrogatepass")))


UNITS = ["a", "damn fool ", "漢", "😀", "👩‍👩‍👧‍👦", "\u0301", "\0", "\ud83d", "(", "<|im_end|>"]
# White space alone is blank; between two words it is work for the text rules.
HUGE = [*map(long, UNITS), f"you{long(' ')}fool", f"you{long(chr(10))}."]


def built_of(pieces: Sequence[str], size: int = 7) -> st.SearchStrategy[str]:
    """Up to `size` pieces side by side."""
    # One character stands for each piece while hypothesis draws: lists of strings take it three times as long.
    table = {0xE000 + i: piece for i, piece in enumerate(pieces)}
    drawn = st.text(st.sampled_from([chr(i) for i in table]), min_size=1, max_size=size)
    return drawn.map(lambda text: text.translate(table))


# Words three times: there are more control characters than anything else.
PIECES = [piece for pieces in KINDS.values() for piece in pieces] + 2 * WORDS
DRAWN = [
    (4_000, built_of(PIECES)),
    (1_000, built_of([f"{piece} " for piece in PIECES])),
    (2_500, built_of([f"{word} " for word in WORDS])),
    (2_000, st.text(st.characters(exclude_categories=()), max_size=12)),
    (400, st.text(st.sampled_from(" \xa0\u3000\n\r\t\v\f\x1c\x85\u2028\u2029"), max_size=3)),
    (88, st.builds(long, st.sampled_from([*UNITS, " ", "\n", "\u202e", "é ", ". "]), st.integers(100, 600))),
]


@pytest.fixture(scope="module", params=[2_000, pytest.param(N, marks=pytest.mark.full)])
def strings(request: pytest.FixtureRequest) -> list[str]:
    """2,000 or 10,000 hard strings, in an order that mixes all kinds."""
    found = list(HUGE)
    shares = [number * request.param // N for number, _ in DRAWN]
    shares[-1] -= sum(shares) + len(HUGE) - request.param
    for number, (_, strategy) in zip(shares, DRAWN, strict=True):

        @settings(
            max_examples=number, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(strategy)
        def collect(text: str) -> None:
            found.append(text)

        collect()
    random.Random(0).shuffle(found)
    return found


@pytest.fixture(scope="module")
def items(strings: list[str]) -> list[Item]:
    """Each string as a source, as an output and as a reference."""
    return [(strings[i - 1], text, (strings[i - 2],)) for i, text in enumerate(strings)]


def test_the_strings_are_distinct_and_of_every_kind(strings: list[str]) -> None:
    size = len(strings)
    assert size in (2_000, N) and len(set(strings)) > 0.9 * size
    everything = "".join(strings)
    for kind, pieces in KINDS.items():
        counts = [everything.count(piece) for piece in pieces]
        assert sum(counts) >= 5 * len(pieces) * size // N and (size < N or min(counts) >= 5), kind
    assert "" in strings and sum(text != "" and not text.strip() for text in strings) >= 300 * size // N
    assert sum(len(text.encode("utf-8", "surrogatepass")) > 0.99 * LONG for text in strings) == len(HUGE)
    assert sum(well_formed(text) != text for text in strings) >= (500 if size == N else 50)


def narrowed(check: Callable[[Any], None], values: Sequence[Any]) -> None:
    """`check(values)`; if it fails, with the fewest neighbours that make it fail."""
    try:
        check(values)
        return
    except Exception as error:
        failure = error
    if len(values) > 1:
        for half in (values[: len(values) // 2], values[len(values) // 2 :]):
            narrowed(check, half)
    raise AssertionError(f"{len(values)} values, {ascii(values)[:1000]}") from failure


def in_range(scores: dict[str, Any], outputs: Sequence[str]) -> None:
    """One value per output, finite, in the documented range, and 0 for blank outputs."""
    blank = np.array([not output.strip() for output in outputs])
    for name, values in scores.items():
        assert np.shape(values) == (len(outputs),) and np.isfinite(values).all(), name
        assert min(values) >= (-1 if name in ("sim", "j") else 0) and max(values) <= 1, name
        assert not np.asarray(values)[blank].any(), name


# -- text rules, prompts, judgements, names -------------------------------------------------------------------------
def test_text_rules(strings: list[str]) -> None:
    def check(texts: Sequence[str]) -> None:
        for text in texts:
            well_formed(text).encode("utf-8")
            assert detokenise(text).replace(" ", "") == text.replace(" ", "")
            assert is_copy(text, f" {text}\n") and 0 <= repetition(text) < 1
            assert length_ratio(text, text) in (0, 1) and length_ratio("", text) == len(text.split())
            kept = delete_rude_words(text)
            assert kept == " ".join(kept.split())
            assert len(canonical(text).encode("utf-8")) <= 4 * 4_000
        own = [canonical(text) for text in texts]
        assert np.isfinite(character_ngrams(own).sum(1)).all() and np.abs(profanity_log_odds(own)).max() < 10

    narrowed(check, strings)


def test_surrogate_pairs_are_joined() -> None:
    assert well_formed("a\ud83d\ude00\ude00\ud83d") == "a😀\ufffd\ufffd"
    assert well_formed("\ufeff\ud83d") == "\ufeff\ufffd" and canonical("\ud83dx") == "\ufffdX"


@pytest.mark.full
def test_no_rule_is_slow_on_long_text() -> None:
    """A quadratic rule takes a minute for 100 kB, a linear one a tenth of a second; twenty times that is allowed."""
    profanity, chrf, smol, mini = ProfanityCheck("alt-profanity-check"), ChrF("sacrebleu"), SmolLM2(), MiniLM()
    rules: dict[str, Callable[[str], Any]] = {
        "well_formed": well_formed,
        "detokenise": detokenise,
        "canonical": canonical,
        "repetition": repetition,
        "delete": delete_rude_words,
        "profanity": lambda text: profanity([text]),
        "chrf": lambda text: chrf.compare([text], [text], [text]),
        "tokens": lambda text: smol.tokenizer(text, add_special_tokens=False),
        "words": lambda text: mini.word_indices(canonical(text)),
        "prompt": lambda text: prompt_ids(smol.tokenizer, "chat:{text}", [text], False),
        # All tokens stand in front, and the cut must be found far from the end.
        "late": lambda text: prompt_ids(mini.tokenizer, "{text}", [f"{'dog ' * 512}{text}"], False),
    }
    for name, rule in rules.items():
        rule("a")
        for text in HUGE:
            start = time.process_time()
            rule(well_formed(text))
            assert time.process_time() - start < 2, (name, text[:20])


def test_long_texts_share_a_batch_with_long_texts() -> None:
    assert length_sorted_batches([9, 500, 12, 11, 480], 3) == [[1, 4], [2, 3, 0]]


@pytest.mark.parametrize("kind", ["llama", "t5", "chat"])
def test_prompts(kind: str, strings: list[str], tiny_llama: Path, tiny_t5: Path) -> None:
    """Every text has a prompt, none is too long, and the end of the template is whole."""
    from transformers import AutoTokenizer

    folder, prompt, tail = {
        "llama": (tiny_llama, "rude : {text} polite :", " polite :"),
        "t5": (tiny_t5, "rude : {text} polite :", " polite :</s>"),
        "chat": (SmolLM2().ref.folder, "chat:Rewrite {text}", "<|im_end|>\n<|im_start|>assistant\n"),
    }[kind]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    end = tokenizer(tail, add_special_tokens=False)["input_ids"]

    def check(texts: Sequence[str]) -> None:
        prompts = prompt_ids(tokenizer, prompt, texts, kind == "t5", 64)
        assert len(prompts) == len(texts) and max(map(len, prompts)) <= 64
        assert all(ids[-len(end) :] == end for ids in prompts)

    narrowed(check, strings)


def test_rewriting(strings: list[str], tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SRO_HOME", str(tmp_path))
    sources = tuple(HUGE + strings[:188])
    test_set = TestSet("t", "folder", "r", sources, tuple((source,) for source in sources))
    for name in ("duplicate", "delete", "reference", str(tiny_llama)):
        settings = {"decoding": {"max_new_tokens": 4}} if name == str(tiny_llama) else {}
        for _ in range(2):  # written, then read again
            outputs = rewrite(resolve_system(name, **settings), test_set).outputs
            assert len(outputs) == len(sources)


def test_judgements(strings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the csv module wrote is read as it was; what it did not write is read or refused, never anything else."""
    rng = np.random.default_rng(0)
    texts = [well_formed(text) for text in strings]
    names = [f"system {text}" for text in texts if len(text) < 100][:9]
    rows = [(texts[i - 1], text, names[i % 9], *rng.random(3).round(3)) for i, text in enumerate(texts)]
    for name in ("judged.csv", "judged.tsv"):
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="," if name.endswith("csv") else "\t")
            writer.writerow(("original", "rewritten", "source", "style", "meaning", "fluency"))
            writer.writerows(rows)
        assert convert(tmp_path / name, tmp_path / f"own-{name}") == len(strings)
        judged = read_judgements(tmp_path / f"own-{name}")
        read = list(zip(judged.sources, judged.outputs, judged.systems, strict=True))
        assert read == list(dict.fromkeys(row[:3] for row in rows))
    assert _numbered(["b", "a", "a\0", "b"]).tolist() == [2, 0, 1, 2]
    monkeypatch.setattr("metrics.scoring.agreement.RESAMPLES", 2)
    scores = SentenceScores(*rng.random((5, len(read))))
    for row in agreement(judged, scores):
        assert row["n"] == (len(read) if row["level"] == "sentence" else 9) and math.isfinite(row["value"])
    lines = ["\t".join(map(str, row)) for row in rows]
    for start in range(0, len(strings), 100):
        text = "\n".join(["source\toutput\tsystem\tstyle\tmeaning\tfluency", *lines[start : start + 100]])
        (tmp_path / "raw.tsv").write_text(text, encoding="utf-8")
        with contextlib.suppress(InputError):
            assert len(read_judgements(tmp_path / "raw.tsv").outputs) <= 100


def test_no_string_is_the_name_of_a_system(strings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No string is a system here, and each is told so by an InputError."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in (*strings, "a" * 97, "a/" + "b" * 97, "a--b", "a..b", "a.git", "~nobody-of-this-name", "x/" * 3_000):
        # hypothesis also draws constants of the code under test, names of real systems among them.
        if name not in {*BASELINES, *BUILT_IN}:
            with pytest.raises(InputError):
                resolve_system(name)


# -- five protocols -------------------------------------------------------------------------------------------------
PROTOCOLS = ("paradetox", "emnlp2021", "sro-release", "clef2024", "clef2025")


@pytest.fixture(scope="module")
def protocols(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Files of the published profiles, with tiny random models behind MiniLM's tokenizer in place of the Hub's."""
    import sentencepiece
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, max_position_embeddings=512
    )
    kinds = {"sequence-classifier": "BertForSequenceClassification", "sentence-encoder": "BertModel"}
    for scorer, name in kinds.items():
        getattr(transformers, name)(config).save_pretrained(folder / scorer)
        MiniLM().tokenizer.save_pretrained(folder / scorer)
    pieces = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS)] * 20),
        model_writer=pieces,
        vocab_size=90,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (folder / "sim.sp.30k.model").write_bytes(pieces.getvalue())
    model = sentencepiece.SentencePieceProcessor(model_proto=pieces.getvalue())
    vocabulary = {piece: i for i, piece in enumerate(["UUUNKKK", *map(model.id_to_piece, range(model.vocab_size()))])}
    state = {"embedding.weight": torch.randn(len(vocabulary), 8)}
    torch.save({"vocab_words": vocabulary, "state_dict": state, "args": argparse.Namespace()}, folder / "sim.pt")
    found = {}
    for name in PROTOCOLS:
        profile = load_profile(name)
        for metric in ("sta", "sim", "fl"):
            scorer = getattr(profile, f"{metric}_scorer")
            if scorer in kinds:
                profile = profile.model_copy(update={f"{metric}_model": str(folder / scorer)})
        if profile.fl_scorer == "xcomet-lite":
            profile = profile.model_copy(update={"fl_scorer": "profanity-check", "fl_model": "alt-profanity-check"})
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(profile.model_dump()))
        found[name] = str(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRO_WIETING", str(folder))
        yield found


def by_functions(items: Sequence[Item], profile: str) -> dict[str, Any]:
    """The values of metrics.scoring.functions, and J."""
    sources, outputs, references = map(list, zip(*items, strict=True))
    texts = {"sources": sources, "references": references, "profile": profile}
    scores = {
        "sta": metrics.style_accuracy(outputs, **texts),
        "sim": metrics.similarity(sources, outputs, references=references, profile=profile),
        "fl": metrics.fluency(outputs, **texts),
    }
    return {**scores, "j": scores["sta"] * scores["sim"] * scores["fl"]}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_published_protocols(name: str, items: list[Item], protocols: dict[str, str]) -> None:
    def check(values: Sequence[Item]) -> None:
        in_range(by_functions(values, protocols[name]), [output for _, output, _ in values])

    narrowed(check, items)


def test_scores_do_not_depend_on_the_position(items: list[Item], protocols: dict[str, str]) -> None:
    """In another order, repeated, with surrogate pairs for emoji; J of texts is J of their scores."""
    some = [*items[:300], ("a\ud83d\ude00", "b\ud83d\ude00", ("c\ud83d\ude00",)), ("a😀", "b😀", ("c😀",))]
    for profile in protocols.values():
        first, again = by_functions(some, profile), by_functions([*some[:99], *some[::-1]], profile)
        for name, values in first.items():
            assert values[-1] == values[-2], name
            np.testing.assert_allclose(again[name][99:], values[::-1], atol=2e-6)
            assert again[name][:99].tolist() == again[name][::-1][:99].tolist()
        sources, outputs, references = map(list, zip(*some, strict=True))
        assert metrics.joint(sources, outputs, references, profile=profile) == pytest.approx(first["j"].mean())
        assert metrics.joint(first["sta"], first["sim"], first["fl"]) == pytest.approx(first["j"].mean())


# -- the real models ------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def share(items: list[Item]) -> list[Item]:
    """A tenth of them, three of 100 kB."""
    short = [item for item in items if max(len(item[0]), len(item[1])) < LONG / 10]
    return [*((f"you {text}", text, ()) for text in HUGE[1::4]), *short[: len(items) // 10 - 3]]


@pytest.fixture(scope="module")
def offline(share: list[Item]) -> dict[str, Any]:
    """What the functions give under the profile `offline`."""
    found: dict[str, Any] = {}

    def check(values: Sequence[Item]) -> None:
        found.update(by_functions(values, "offline"))
        in_range(found, [output for _, output, _ in values])

    narrowed(check, share)
    return found


def test_offline_scores_do_not_depend_on_the_other_texts(share: list[Item], offline: dict[str, Any]) -> None:
    start = 7 * len(share) // 10
    some = slice(start, start + 60)
    sources, outputs, _ = zip(*share[some], strict=True)
    written = np.array([bool(output.strip()) for output in outputs])
    for metric, scorer in (("sta", JudgedPoliteness), ("sim", JudgedContent), ("fl", JudgedFluency)):
        alone = scorer("offline-judge", None, 512)(sources, outputs)
        np.testing.assert_allclose(offline[metric][some][written], alone[written], atol=1e-4)


def test_evaluate_modules_equal_the_functions(share: list[Item], offline: dict[str, Any]) -> None:
    import evaluate

    sources, outputs, _ = map(list, zip(*share, strict=True))
    four = evaluate.combine([evaluate.load(str(ROOT / "metrics" / name)) for name in ("sta", "sim", "fl", "j")])
    result = four.compute(sources=sources, predictions=outputs, per_sentence=True)
    for name, values in offline.items():
        assert result[f"{name}_per_sentence"] == values.tolist() and result[name] == pytest.approx(values.mean())


def test_a_second_evaluation_uses_the_cache(
    share: list[Item], offline: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its results are a JSON file in UTF-8, whatever the outputs."""
    sources, outputs, _ = zip(*share, strict=True)
    test_set = TestSet("t", "folder", "r", sources, tuple(() for _ in sources))
    rewrites = Rewrites("x", "outputs", "r", {}, outputs)
    for _ in range(2):
        evaluator = Evaluator(load_profile("offline"), ScoreCache(tmp_path / "scores.sqlite"))
        result = evaluator.evaluate(rewrites, test_set)
        for name, values in offline.items():
            assert result.scores.metric(name).tolist() == values.tolist()
        write_json(tmp_path / "x.json", result.to_json())
        document = read_result(tmp_path / "x.json")
        assert [well_formed(row["output"]) for row in document["sentences"]] == list(map(well_formed, outputs))
        assert compare(document, document)[3].p == 1
        # From here on only what is blank, and never kept, may come to a scorer.
        monkeypatch.setattr("metrics.scoring.measures.Style.__call__", lambda *_: pytest.fail("scored again"))


# -- the command ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def data(strings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose ParaDetox has 500 hard sentences with a hard reference each."""
    cells = list(dict.fromkeys(" ".join(well_formed(text).split()) for text in strings))
    cells = [cell for cell in cells if cell][:1000]
    folder = tmp_path_factory.mktemp("data")
    (folder / "paradetox").mkdir()
    with (folder / "paradetox" / "paradetox.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerows([("toxic", "neutral1"), *zip(cells[:500], cells[500:], strict=True)])
    assert load_test_set("paradetox-500", folder).sources == tuple(cells[:500])
    return folder


def test_score_command(strings: list[str], data: Path, protocols: dict[str, str], tmp_path: Path) -> None:
    """Every string that a line of UTF-8 can hold, in files of 500 lines, in one call."""
    lines = [text for text in strings if well_formed(text) == text and "\n" not in text]
    parts = [lines[start : start + 500] for start in range(0, len(lines) - 499, 500)] + [lines[-500:]]
    assert len(lines) > 0.6 * len(strings)
    files = [tmp_path / f"{number}.txt" for number in range(len(parts))]
    for path, part in zip(files, parts, strict=True):
        path.write_bytes("\n".join(part).encode() + b"\n")
    own = {key: value for key, value in os.environ.items() if key != "SRO_DATA_DIR"}
    arguments = ["--test-set", "paradetox-500", "--data-dir", str(data), "--json", str(tmp_path / "out.json")]
    env = {**own, "HF_HUB_OFFLINE": "1", "SRO_HOME": str(tmp_path / "home")}
    done = run_module("metrics.score", *map(str, files), *arguments, "--profile", protocols["clef2024"], env=env)
    assert done.returncode == 0, done.stderr
    table = [line.split("\t") for line in done.stdout.split("\n") if line.startswith(str(tmp_path)) and "\t" in line]
    assert sorted((row[0], row[5]) for row in table) == sorted((str(path), "500") for path in files)
    results = json.loads((tmp_path / "out.json").read_bytes().decode("utf-8"))["results"]
    assert [result["system"]["name"] for result in results] == list(map(str, files))
    sources = list(load_test_set("paradetox-500", data).sources)
    for result, part in zip(results, parts, strict=True):
        outputs = [text.removesuffix("\r") for text in part]
        outputs[0] = outputs[0].removeprefix("\ufeff")
        rows = result["sentences"]
        assert result["test_set"]["n"] == len(rows) == 500 and [row["source"] for row in rows] == sources
        assert [row["output"] for row in rows] == outputs
        columns = ("sta", "sim", "fl", "j", "soft_sta", "soft_fl")
        in_range({name: [row[name] for row in rows] for name in columns}, outputs)


def test_bad_files_are_refused(
    strings: list[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line, nothing written."""
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    good = "".join(f"{' '.join(well_formed(text).split())}\n" for text in strings[:500])
    wrong = {
        "utf-16": good.encode("utf-16"),
        "latin-1": "naïve\n".encode("latin-1") * 500,
        "surrogates": "\ud83d\n".encode("utf-8", "surrogatepass") * 500,
        "cut": good.encode() + "😀".encode()[:2],
        "one more": f"{good}\n".encode(),
        "one less": good.encode().partition(b"\n")[2],
        "one line": good.replace("\n", "\u2028").encode(),
        "old Mac": good.replace("\n", "\r").encode(),
        "empty": b"",
        os.fsdecode(b"caf\xe9"): good.encode(),
        "x" * 300: None,
    }
    for name, content in wrong.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        arguments = [str(tmp_path / name), "--test-set", "paradetox-500", "--data-dir", str(data)]
        with pytest.raises(SystemExit) as exit_code:
            run_command(score_main, [*arguments, "--json", str(tmp_path / "out.json")])
        printed = capsys.readouterr()
        lines = [line for line in printed.err.split("\n") if line]
        assert exit_code.value.code == 2 and printed.out == "" and len(lines) == 1, name
        assert lines[0].startswith("error: ") and not (tmp_path / "out.json").exists()


def test_values_other_than_strings_are_refused() -> None:
    for wrong in ("one string", None, [None], ["a", 1], [b"a"], [["a"]]):
        for call in (metrics.style_accuracy, metrics.fluency):
            with pytest.raises(InputError, match="predictions"):
                call(wrong)
        with pytest.raises(InputError, match="sources"):
            metrics.similarity(wrong, ["a"])
    for wrong in ("a", [None], [["a", None]], [3]):
        with pytest.raises(InputError, match="references"):
            metrics.style_accuracy(["a"], sources=["a"], references=wrong)
    with pytest.raises(InputError, match="a list of numbers is needed"):
        metrics.joint([1.0], ["a"], [1.0])
    for arrays in (
        ([1.0], ["1"], [1.0]),
        (1, 2, 3),
        ([5.0], [1.0], [1.0]),
        ([[1.0]], [1.0], [1.0]),
        (None, None, None),
    ):
        with pytest.raises(InputError):
            metrics.joint(*arrays)
    assert metrics.joint((x for x in [1.0, 0.5]), np.array([1, 1]), [True, True]) == 0.75
    for profile in ("x" * 5_000, "../profiles/offline", "a" * 5_000 + ".yaml", None):
        with pytest.raises(InputError, match="unknown"):
            metrics.fluency(["a"], profile=profile)
