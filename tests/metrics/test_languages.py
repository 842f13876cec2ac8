"""Languages: test sets of the shared tasks, a row per language, the official rules, and submissions."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import regex

from leaderboard.rows.results import public_name
from metrics.data import sources
from metrics.data.languages import NON_PARALLEL, PARALLEL, complete_groups
from metrics.data.test_sets import TestSet, load_test_set
from metrics.profiles import load_profile
from metrics.score import main
from metrics.scorers.xcomet import XCometLite
from metrics.scoring.evaluator import Evaluator, require_served
from metrics.scoring.signature import Signature
from metrics.systems.lexicons import HUB_LEXICON, Lexicon, deletes_only, read_lexicon
from metrics.systems.outputs import outputs_for
from metrics.systems.resolve import Rewrites, resolve_system
from metrics.systems.rewriting import rewrite
from metrics.systems.submissions import write_submission
from metrics.util.errors import InputError
from tests.hub.server import HubServer
from tests.tiny_scorers import write_model, write_profile, write_xcomet

MIXED = TestSet(
    "mixed", "file", "r", ("du Depp", "you fool", "du Narr", "tu, idiota"), (("du",), ("you",), ("du",), ("tu",)),
    langs=("de", "en", "de", "es"), ids=("a", "b", "c", "d"),
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of the profiles of the shared tasks with tiny models; chrF stands in for XCOMET-lite in that of 2025."""
    folder = tmp_path_factory.mktemp("tiny")
    models = {
        "sta": str(write_model(folder / "classifier", "BertForSequenceClassification")),
        "sim": str(write_model(folder / "encoder", "BertModel")),
    }
    first = write_profile(folder, "clef2024", **models)
    second = write_profile(folder, "clef2025", **models)
    text = second.read_text().replace("fl_scorer: xcomet-lite", "fl_scorer: chrf")
    second.write_text(text.replace("fl_model: myyycroft/XCOMET-lite", "fl_model: sacrebleu"))
    return {"clef2024": first, "clef2025": second}


# -- test sets --------------------------------------------------------------------------------------------------------
def test_each_language_is_a_test_set_of_its_own() -> None:
    german, english, spanish = MIXED.by_language()
    assert [part.lang for part in (german, english, spanish)] == ["de", "en", "es"]
    assert german.sources == ("du Depp", "du Narr") and german.places == (0, 2) and german.name == "mixed"
    assert german.limit(1).left_out == (("b", "you fool", "en"), ("d", "tu, idiota", "es"), ("c", "du Narr", "de"))
    assert MIXED.by_language("es, DE") == [german, spanish]
    assert german.by_language("all") == [german]
    with pytest.raises(InputError, match="mixed: no sentence in the language fr, ru; it has de, en, es"):
        MIXED.by_language("ru,en,fr")
    with pytest.raises(InputError, match="--lang: 'german' is no ISO 639 code"):
        MIXED.by_language("german")
    with pytest.raises(InputError, match="mixed: has sentences in de, en, es; choose one with --lang"):
        _ = MIXED.lang
    unstated = TestSet("plain", "file", "r", ("a", "b"), ((), ()))
    assert unstated.lang == "en" and unstated.by_language("uk")[0].langs == ("uk", "uk")


def test_the_shared_tasks_from_the_data_folder(data_dir: Path) -> None:
    """Counts of the tasks' pages; in 2025 the test set of 2024 is for development, and the other way round."""
    sets = {name: load_test_set(name, data_dir) for name in sources.SHARED_TASKS}
    counts = {name: [len(part.sources) for part in whole.by_language()] for name, whole in sets.items()}
    assert counts["clef2024-dev"] == counts["clef2025-test"] == [400] * 9 and counts["clef2024-test"] == [600] * 9
    new = sets["clef2025-dev"].by_language(",".join(NON_PARALLEL))
    assert [len(part.sources) for part in new] == [100] * 6
    assert sets["clef2025-dev"].languages == tuple(sorted((*PARALLEL, *NON_PARALLEL)))
    for one, other in (("clef2024-dev", "clef2025-test"), ("clef2024-test", "clef2025-dev")):
        assert set(sets[one].sources) <= set(sets[other].sources)
    assert load_test_set("clef2024-dev:uk", data_dir).lang == "uk"
    with pytest.raises(InputError, match=r"without a reference; textdetox/multilingual_paradetox on the Hub"):
        require_served(load_profile("clef2024"), sets["clef2024-dev"])


def test_the_shared_tasks_from_the_hub_have_references(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SRO_DATA_DIR", raising=False)
    for cached in (sources.hub_files, sources._hub_listing):
        cached.cache_clear()
    with pytest.raises(InputError, match=r"no data folder .* nor did the Hub give textdetox/multilingual_paradetox"):
        load_test_set("clef2024-dev")
    for cached in (sources.hub_files, sources._hub_listing):
        cached.cache_clear()
    hub.add_user("textdetox", {}, write="hf_textdetox")
    api, dataset = hub.api("hf_textdetox"), "textdetox/multilingual_paradetox"
    api.create_repo(dataset, repo_type="dataset")
    for lang in (*PARALLEL, "it"):
        table = BytesIO()
        pairs = {"toxic_sentence": [f"{lang} {i}" for i in range(2)], "neutral_sentence": [f"{lang}!", ""]}
        pd.DataFrame(pairs).to_parquet(table)
        api.upload_file(
            path_or_fileobj=table.getvalue(), path_in_repo=f"data/{lang}-00000-of-00001.parquet", repo_id=dataset,
            repo_type="dataset",
        )  # fmt: skip
    whole = load_test_set("clef2024-dev")
    assert (whole.origin, whole.revision) == ("hub", f"{dataset}@{api.dataset_info(dataset).sha}")
    assert whole.languages == PARALLEL and len(whole.sources) == 18
    (german,) = whole.by_language("de")
    assert (german.sources, german.references) == (("de 0", "de 1"), (("de!",), ()))


def test_languages_that_a_profile_does_not_serve_are_refused_by_name() -> None:
    with pytest.raises(
        InputError, match=r"clef2024 is for am, .*; mixed has sentences in it: choose another profile \("
    ):
        require_served(load_profile("clef2024"), TestSet("mixed", "", "", ("a",), (("b",),), langs=("it",)))
    message = r"offline is for English; mixed has sentences in de, es: choose another profile \(.*judge\), or --lang en"
    with pytest.raises(InputError, match=message):
        require_served(load_profile("offline"), *MIXED.by_language())
    require_served(load_profile("judge"), *MIXED.by_language())


def test_english_signatures_stay_and_others_name_their_language() -> None:
    fields = dict.fromkeys(("profile", "sta", "sim", "fl", "joint", "test", "n", "version"), "x")
    english, german = Signature.of(fields, {}), Signature.of({**fields, "lang": "de"}, {})
    assert english.long == "profile:x|sta:x|sim:x|fl:x|joint:x|test:x|n:x|decoding:none|version:x"
    assert german.long == english.long.replace("|n:", "|lang:de|n:") and german.short.endswith(
        "|t:x|l:de|n:x|d:none|v:x"
    )
    assert english.key != german.key and german.differences(english) == ["lang: de against en"]
    assert Signature.parse(english.long).fields()["lang"] == "en" and Signature.parse(german.long) == german
    for bad in ("|lang:en|n:", "|lang:de|lang:de|n:"):
        with pytest.raises(InputError, match="not a signature"):
            Signature.parse(english.long.replace("|n:", bad))


# -- the official rules -----------------------------------------------------------------------------------------------
GOLDEN = json.loads((Path(__file__).parent / "golden" / "clef.json").read_text("utf-8"))


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_values_are_those_of_the_published_evaluators(lang: str, tiny: dict[str, Path], data_dir: Path) -> None:
    """Each sentence of the tasks' own samples, whose values the evaluators' formulas gave with the same tiny models.

    golden/clef.json was computed with transformers 5.23.0, sentence-transformers 6.2.0, SciPy's cosine and sacrebleu
    2.6.0 as clef24/evaluate.py and clef25/evaluation of pan-webis-de/pan-code call them.
    """
    suffix = "" if lang == "en" else f"_{lang}"
    folder = data_dir / "clef_sample"
    texts = load_test_set(str(folder / f"input{suffix}.jsonl"))
    human = outputs_for(folder / f"references{suffix}.jsonl", texts)
    (test_set,) = TestSet(
        "sample", "file", "", texts.sources, tuple((text,) for text in human), ids=texts.ids
    ).by_language(lang)
    systems = {
        "reference": human, "duplicate": list(texts.sources),
        "reversed": [" ".join(text.split()[::-1]) for text in texts.sources],
    }  # fmt: skip
    evaluators = {name: Evaluator(load_profile(path)) for name, path in tiny.items()}
    for system, outputs in systems.items():
        rewrites = Rewrites(system, "outputs", "sha256:0", {}, tuple(outputs))
        for name, evaluator in evaluators.items():
            expected = GOLDEN[lang][system][name]
            result = evaluator.evaluate(rewrites, test_set)
            np.testing.assert_allclose(result.scores.sta, expected["STA"], atol=2e-6)
            np.testing.assert_allclose(result.scores.sim, expected["SIM"], atol=2e-6)
            if name == "clef2024":
                np.testing.assert_allclose(result.scores.fl, expected["CHRF"], atol=1e-6)
                np.testing.assert_allclose(result.scores.j, expected["J"], atol=4e-6)
            np.testing.assert_allclose(result.scores.j, result.scores.sta * result.scores.sim * result.scores.fl)
            assert f"|lang:{lang}|" in result.signature.long or lang == "en"


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_fluency_and_j_of_2025_are_those_of_the_published_evaluator(
    lang: str, tiny: dict[str, Path], data_dir: Path, tmp_path: Path
) -> None:
    """FL is XCOMET of src = the toxic sentence, mt = the output and ref = the human rewrite; J = STA · SIM · FL.

    test_xcomet.py compares the tiny XCOMET with the original code.
    """
    folder = data_dir / "clef_sample"
    suffix = "" if lang == "en" else f"_{lang}"
    texts = load_test_set(str(folder / f"input{suffix}.jsonl"))
    human = outputs_for(folder / f"references{suffix}.jsonl", texts)
    (test_set,) = TestSet(
        "sample", "file", "", texts.sources, tuple((text,) for text in human), ids=texts.ids
    ).by_language(lang)
    xcomet = write_xcomet(tmp_path / "xcomet")
    text = tiny["clef2025"].read_text("utf-8").replace("fl_scorer: chrf", "fl_scorer: xcomet-lite")
    profile = tmp_path / "clef2025.yaml"
    profile.write_text(text.replace("fl_model: sacrebleu", f"fl_model: {xcomet}"))
    outputs = [" ".join(text.split()[::-1]) for text in texts.sources]
    result = Evaluator(load_profile(profile)).evaluate(
        Rewrites("reversed", "outputs", "sha256:0", {}, tuple(outputs)), test_set
    )
    fluency = XCometLite(str(xcomet)).compare(texts.sources, outputs, human)
    expected = GOLDEN[lang]["reversed"]["clef2025"]
    assert len(set(fluency.tolist())) > 5
    np.testing.assert_allclose(result.scores.fl, fluency, atol=1e-6)
    joint = np.array(expected["STA"]) * np.array(expected["SIM"]) * fluency
    np.testing.assert_allclose(result.scores.j, joint, atol=4e-6)


# -- delete -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("lang", "entries", "text", "kept"),
    [
        ("de", ["depp", "blöder"], "Du  BLÖDER Depp, Deppenzepter!", "Du , Deppenzepter!"),
        ("es", ["hijo de puta", "puta"], "Es un hijo de puta y una puta.", "Es un y una ."),
        # A vowel sign belongs to the word: the entry is no part of a longer word.
        ("hi", ["कमीन"], "तू कमीना है कमीन", "तू कमीना है"),
        ("ru", ["дурак"], "Он дурак, а не дураков друг", "Он , а не дураков друг"),
        # The second 他妈 is a part of 他妈妈, his mother.
        ("zh", ["他妈的", "他妈", "傻瓜"], "你他妈的是傻瓜，他妈妈很好", "你是，他妈妈很好"),
        ("ja", ["馬鹿"], "お前は馬鹿だ。馬鹿馬鹿しい話", "お前はだ。馬鹿馬鹿しい話"),
        ("en", ["fool"], "", ""),
    ],
)
def test_entries_are_deleted_at_boundaries_of_words(lang: str, entries: list[str], text: str, kept: str) -> None:
    assert Lexicon(lang, frozenset(entries)).delete(text) == kept
    assert deletes_only(text, kept) and not deletes_only(text, f"{kept}x")


def test_lexicons_of_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = {
        "a.txt": "# rude\nDepp\nDu  Narr\n",
        "a.json": '["Depp", "Du Narr"]',
        "a.tsv": "text\tlang\nDepp\tde\nfool\ten\nDu Narr\tDE\n",
        "a.csv": "word,other\nDepp,1\nDu Narr,2\n",
        "c.tsv": "Text\tlanguage\nDepp\tde\nfool\ten\nDu Narr\tDE\n",
    }
    for name, text in words.items():
        (tmp_path / name).write_text(text)
    found = [read_lexicon("de", tmp_path / name) for name in words]
    assert {lexicon.entries for lexicon in found} == {frozenset({"depp", "du narr"})}
    assert len({lexicon.revision for lexicon in found}) == 1
    assert found[0].revision != read_lexicon("ru", tmp_path / "a.txt").revision
    (tmp_path / "b.txt").write_text("Depp\nDepp!\n\x1b[2J!\n")
    read_lexicon("de", tmp_path / "b.txt")
    assert "because they begin or end with a sign that is no part of a word: ⟨U+001B⟩[2j!, depp!" in (
        capsys.readouterr().err
    )
    for line in ("narr, depp", "narr;depp", "narr\tdepp", "narr # mild", "傻瓜、笨蛋"):
        (tmp_path / "c.txt").write_text(f"# several, or one\nDepp\n{line}\n")
        with pytest.raises(
            InputError, match=r'c\.txt: line 3, ".*", looks like .* or a remark; write one word or phrase'
        ):
            read_lexicon("de", tmp_path / "c.txt")
    with pytest.raises(InputError, match=r"a\.tsv: has no entry in the language fr"):
        read_lexicon("fr", tmp_path / "a.tsv")
    (tmp_path / "b.tsv").write_text("x\ty\n1\t2\n")
    with pytest.raises(InputError, match=r"b\.tsv: no column text; it has x, y"):
        read_lexicon("fr", tmp_path / "b.tsv")
    with pytest.raises(InputError, match="th is written without blanks between words"):
        read_lexicon("th", tmp_path / "a.txt")


def test_the_lexicon_of_the_hub(hub: HubServer) -> None:
    for cached in (sources.hub_files, sources._hub_listing):
        cached.cache_clear()
    hub.add_user("textdetox", {}, write="hf_textdetox")
    api, table = hub.api("hf_textdetox"), BytesIO()
    pd.DataFrame({"text": ["Depp", " "]}).to_parquet(table)
    api.create_repo(HUB_LEXICON, repo_type="dataset")
    file = {"path_or_fileobj": table.getvalue(), "path_in_repo": "data/de-00000-of-00001.parquet"}
    api.upload_file(**file, repo_id=HUB_LEXICON, repo_type="dataset")
    rewritten = rewrite(resolve_system("delete"), MIXED.by_language("de")[0])
    assert rewritten.outputs == ("du", "du Narr") and rewritten.revision == Lexicon("de", frozenset({"depp"})).revision
    with pytest.raises(InputError, match=r"the Hub gave no lexicon of es .*; give a file of rude words with --lexicon"):
        rewrite(resolve_system("delete"), MIXED.by_language("es")[0])
    # English has the built-in one.
    assert rewrite(resolve_system("delete"), MIXED.by_language("en")[0]).revision == resolve_system("delete").revision


# -- back-translation -------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random NLLB of a few tokens: each language token leads it to write something else."""
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    folder = tmp_path_factory.mktemp("nllb")
    letters = [f"▁{c}" for c in "abcdefghij"]
    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghij", *letters])}
    tokenizer = NllbTokenizer(vocab=vocabulary, merges=[("▁", c) for c in "abcdefghij"])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, init_std=2.0,
    )  # fmt: skip
    M2M100ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_back_translation_goes_to_the_pivot_and_back(
    translator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As transformers translates, with the token of the target language forced; the cache keeps the languages apart."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    monkeypatch.setenv("SRO_HOME", str(tmp_path))
    model, tokenizer = (
        AutoModelForSeq2SeqLM.from_pretrained(translator).eval(),
        AutoTokenizer.from_pretrained(translator),
    )

    def translate(text: str, source: str, target: str) -> str:
        tokenizer.src_lang = source
        with torch.no_grad():
            ids = model.generate(
                **tokenizer(text, return_tensors="pt"), forced_bos_token_id=tokenizer.convert_tokens_to_ids(target),
                max_new_tokens=5,
            )  # fmt: skip
        return " ".join(tokenizer.decode(ids[0], skip_special_tokens=True).split())

    texts = ("a b c", "d e", "j i h g")
    system = resolve_system(f"back-translation:{translator}", decoding={"max_new_tokens": 5})
    for lang, code, pivot in (
        ("de", "deu_Latn", "eng_Latn"),
        ("uk", "ukr_Cyrl", "eng_Latn"),
        ("en", "eng_Latn", "fra_Latn"),
    ):
        (test_set,) = TestSet("t", "file", "", texts, ((),) * 3).by_language(lang)
        written = rewrite(system, test_set)
        assert list(written.outputs) == [translate(translate(t, code, pivot), pivot, code) for t in texts]
        assert written.decoding["translation"] == ("en-fr-en" if lang == "en" else f"{lang}-en-{lang}")
    assert public_name(system.name, system.revision, "model") == f"back-translation:{translator.name}"
    with pytest.raises(
        InputError, match=r"has no token for the language xx; give two models as back-translation:THERE,B"
    ):
        rewrite(system, TestSet("t", "file", "", texts, ((),) * 3, langs=("xx",) * 3))
    with pytest.raises(InputError, match="the texts are in the pivot language de; give another one with --pivot"):
        rewrite(resolve_system(system.name, pivot="de"), TestSet("t", "file", "", texts, ((),) * 3, langs=("de",) * 3))


def test_back_translation_by_two_models(lively_t5: Path, tiny_t5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRO_HOME", str(lively_t5.parent / "home"))
    texts = TestSet("t", "file", "", ("you damn fool", "the dog is good"), ((),) * 2)
    there = rewrite(resolve_system(str(lively_t5), prompt="{text}"), texts)
    both = rewrite(resolve_system(f"back-translation:{lively_t5},{lively_t5}"), texts)
    again = rewrite(resolve_system(str(lively_t5), prompt="{text}"), TestSet("t", "", "", there.outputs, ((),) * 2))
    assert both.outputs == again.outputs and both.decoding["back"].startswith("t5@sha256:")


def test_a_system_detoxifies_between_two_translations(lively_t5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRO_HOME", str(lively_t5.parent / "home"))
    texts = TestSet("t", "file", "", ("you damn fool", "the dog is good"), ((),) * 2, langs=("de",) * 2)

    def step(system: str, inputs: tuple[str, ...]) -> tuple[str, ...]:
        return rewrite(resolve_system(system, prompt="{text}"), TestSet("t", "", "", inputs, ((),) * 2)).outputs

    (lively_t5.parent / "rude.txt").write_text(step(str(lively_t5), texts.sources)[0].split()[0].lower() + "\n")
    lexicon = read_lexicon("en", lively_t5.parent / "rude.txt")
    deleted = tuple(lexicon.delete(text) for text in step(str(lively_t5), texts.sources))
    name = f"back-translation:{lively_t5},{lively_t5}"
    between = rewrite(resolve_system(name, between="delete", lexicon=lively_t5.parent / "rude.txt"), texts)
    assert deleted[0] != step(str(lively_t5), texts.sources)[0]
    assert between.outputs == step(str(lively_t5), deleted)
    assert between.decoding["between"] == f"delete@{lexicon.revision}"
    assert between.decoding["translation"] == "de-en-de" and between.seconds is not None
    # Any model may stand there, but nothing that has its outputs for other texts already.
    twice = rewrite(resolve_system(name, between=str(lively_t5)), texts)
    assert twice.outputs == step(str(lively_t5), step(str(lively_t5), step(str(lively_t5), texts.sources)))
    assert twice.decoding["between"].startswith("t5@sha256:")
    for other in ("reference", name, "openai:m@http://localhost:1/v1"):
        with pytest.raises(InputError, match=r"--between .*: give a baseline such as delete, or a model"):
            resolve_system(name, between=other)


# -- the command ------------------------------------------------------------------------------------------------------
def test_averages_need_all_their_languages() -> None:
    values = {lang: float(i) for i, lang in enumerate(PARALLEL)}
    assert complete_groups(values) == {"AvgP": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]}
    assert complete_groups({**dict.fromkeys(NON_PARALLEL, 1.0), **values}).keys() == {"AvgP", "AvgNP"}
    assert complete_groups(dict.fromkeys(PARALLEL[1:], 1.0)) == {}


def test_a_row_per_language_and_the_averages(
    tmp_path: Path, tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    langs = (*NON_PARALLEL, *PARALLEL)
    rows = {"toxic_sentence": [], "neutral_sentence": [], "lang": []}
    for i in range(2):
        for lang in langs:
            values = (f"{lang} rude {i}", f"{lang} polite", lang)
            for name, value in zip(rows, values, strict=True):
                rows[name].append(value)
    own = tmp_path / "own.tsv"
    pd.DataFrame(rows).to_csv(own, sep="\t", index=False)
    out = tmp_path / "out.json"
    # A file with a line per sentence of the whole test set.
    (tmp_path / "lines.txt").write_text("\n".join(rows["neutral_sentence"]) + "\n")
    systems = ["duplicate", "reference", str(tmp_path / "lines.txt")]
    main([*systems, "--test-set", str(own), "--profile", str(tiny["clef2025"]), "--json", str(out), "--no-cache"])
    lines = [line.split("\t") for line in capsys.readouterr().out.split("\n") if "\t" in line]
    assert lines[0] == ["system", "lang", "STA", "SIM", "FL", "J", "n", "decoding"]
    assert [row[1] for row in lines[1:46:3]] == sorted(langs)
    assert [(row[0], row[1], row[6]) for row in lines[46:] if row[0] == "duplicate"] == [
        ("duplicate", "AvgP", "9 languages"), ("duplicate", "AvgNP", "6 languages"),
    ]  # fmt: skip
    results = json.loads(out.read_text())["results"]
    means = {(r["system"]["name"], r["test_set"]["lang"]): r["summary"]["j"]["mean"] for r in results}
    assert len(means) == 45 and all(r["test_set"]["n"] == 2 for r in results)
    # FL of the human rewrite is 1 under chrF, and so is its STA beside itself.
    expected = np.mean([means["duplicate", lang] for lang in PARALLEL])
    assert f"{expected:.3f}" == next(row[5] for row in lines if row[:2] == ["duplicate", "AvgP"])
    assert {
        s["output"]
        for r in results
        if r["test_set"]["lang"] == "it" and "lines" in r["system"]["name"]
        for s in r["sentences"]
    } == {"it polite"}


def test_submissions_are_read_as_the_tasks_read_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = TestSet(
        "t", "file", "", ('a "rude" one', "two\nlines", "drei", "vier"), ((),) * 4, langs=("en", "en", "de", "de"),
        ids=("1", "2", "3", "4"),
    )  # fmt: skip
    english, german = whole.by_language()[::-1]
    written = [(Rewrites("s", "outputs", "", {}, ('a\t"kind" one', "null")), english)]
    for suffix in (".tsv", ".zip", ".jsonl"):
        write_submission(tmp_path / f"s{suffix}", whole, written)
    message = "of 4 rows, 1 have no output that the task reads and 2 were not rewritten; these repeat the source"
    assert capsys.readouterr().err.count(message) == 3
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        assert archive.namelist() == ["s.tsv"] and archive.read("s.tsv") == (tmp_path / "s.tsv").read_bytes()
    read = pd.read_csv(tmp_path / "s.tsv", sep="\t")
    expected = ['a\t"kind" one', "two\nlines", "drei", "vier"]
    assert read["toxic_sentence"].tolist() == list(whole.sources) and read["lang"].tolist() == list(whole.langs)
    assert read["neutral_sentence"].tolist() == expected
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert lines == [{"id": id_, "text": text} for id_, text in zip("1234", expected, strict=True)]
    for suffix in (".tsv", ".zip", ".jsonl"):
        assert outputs_for(tmp_path / f"s{suffix}", whole) == expected
        assert outputs_for(tmp_path / f"s{suffix}", german) == ["drei", "vier"]
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("../a.tsv", "x")
        archive.writestr("b.tsv", "x")
    (tmp_path / "not.zip").write_text("text")
    for name, problem in (("two", r"holds \.\./a\.tsv, b\.tsv; a \.zip must hold one table"), ("not", "pack it again")):
        with pytest.raises(InputError, match=problem):
            outputs_for(tmp_path / f"{name}.zip", whole)
    with pytest.raises(InputError, match=r"s\.csv: a submission is a file \.tsv, \.zip, \.jsonl"):
        write_submission(tmp_path / "s.csv", whole, written)


@pytest.mark.full
@pytest.mark.parametrize("system", ["duplicate", "delete"])
def test_a_submission_in_fifteen_languages_is_made_and_scored(
    system: str, tmp_path: Path, tiny: dict[str, Path], data_dir: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """For all 6,000 sentences of the task; two of each language are scored, beside made-up human rewrites."""
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    whole = load_test_set("clef2025-dev", data_dir)
    parts = whole.by_language()
    # The lexicon of a language is the first word of its first sentence.
    rude = {part.lang: regex.search(r"[\w'*@$]+", part.sources[0])[0] for part in parts}
    lexicon, own, made = tmp_path / "rude.tsv", tmp_path / "two.tsv", tmp_path / "made.zip"
    pd.DataFrame({"text": list(rude.values()), "lang": list(rude)}).to_csv(lexicon, sep="\t", index=False)
    rows = [(source, f"{source} .", part.lang) for part in parts for source in part.sources[:2]]
    pd.DataFrame(rows, columns=["toxic_sentence", "reference", "lang"]).to_csv(own, sep="\t", index=False)
    more = ["--lexicon", str(lexicon)] if system == "delete" else []
    main([system, "--test-set", "clef2025-dev", "--data-dir", str(data_dir), *more, "--submission", str(made)])
    outputs = outputs_for(made, whole)
    changed = {
        lang
        for lang, source, output in zip(whole.langs, whole.sources, outputs, strict=True)
        if source.split() != output.split()
    }
    assert changed == (set() if system == "duplicate" else set(rude))
    table = pd.read_csv(made, sep="\t")
    assert len(table) == 6_000 and not table.isna().values.any() and table["lang"].tolist() == list(whole.langs)
    # The built-in model answers three questions on a sentence of each language.
    judge = ["judge", "--judge", "smollm2-135m-q4", "--limit", "1"]
    for profile, langs, averages in (
        ([str(tiny["clef2024"])], PARALLEL, ["AvgP"]),
        ([str(tiny["clef2025"])], whole.languages, ["AvgP", "AvgNP"]),
        (judge, whole.languages, ["AvgP", "AvgNP"]),
    ):
        capsys.readouterr()
        main([system, "--test-set", str(own), "--lang", ",".join(langs), *more, "--profile", *profile])
        lines = [line.split("\t") for line in capsys.readouterr().out.split("\n") if "\t" in line]
        assert [row[1] for row in lines[1:]] == [*sorted(langs), *averages]
