"""Prompts: the model reads what its tokenizer and its chat template give, and what cannot be rendered is one line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from metrics.data.test_sets import TestSet
from metrics.generation.prompts import prompt_ids, tokenize_prompts
from metrics.models.loading import load_model
from metrics.models.prompts import Preamble
from metrics.models.resolve import ModelRef, resolve_model
from metrics.models.tokenizers import load_tokenizer
from metrics.systems.preamble import read_preamble
from metrics.systems.resolve import resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.errors import InputError

TEXTS = ["you are a fool", "  two  blanks and\na line end ", "", "…é 你好", "</s> in the text <|im_end|>"]
CORPUS = [
    "you are a damn fool, and so is the dog",
    "call 12345 in 2023",
    "paraphrase: be polite! <user> <assistant> system",
] * 3
# Kind: model of the vocabulary, special tokens, template of the post-processor.
KINDS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "llama2": ("metaspace", ("<unk>", "<s>", "</s>"), "<s> $A"),
    "llama3": ("bytes", ("<|begin_of_text|>", "<|end_of_text|>"), "<|begin_of_text|> $A"),
    "gemma": ("metaspace", ("<pad>", "<eos>", "<bos>", "<unk>"), "<bos> $A"),
    "qwen": ("bytes", ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), ""),
    "gpt2": ("bytes", ("<|endoftext|>",), ""),
    "t5": ("unigram", ("<pad>", "</s>", "<unk>"), "$A </s>"),
    "mt5": ("unigram", ("<pad>", "</s>", "<unk>", "<extra>"), "$A </s>"),
    "bart": ("bytes", ("<s>", "<pad>", "</s>", "<unk>"), "<s> $A </s>"),
    "bert": ("bytes", ("[CLS]", "[SEP]", "[PAD]"), "[CLS] $A [SEP]"),
}
SEQ2SEQ = ("t5", "mt5", "bart")
# Written for this test, after the templates of these families.
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<' + m.role + '>' + m.content | trim + '<|eot|>' }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
GEMMA = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + LLAMA3
TWICE = "{{ messages[-1].content }} | {{ messages[-1].content }}"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rewrites of an earlier run."""
    monkeypatch.setenv("SRO_HOME", str(tmp_path_factory.mktemp("home")))


def make_tokenizer(kind: str, chat_template: str | None = None) -> PreTrainedTokenizerFast:
    """A trained tokenizer of a few hundred tokens, with the special tokens and the post-processor of a family."""
    algorithm, specials, template = KINDS[kind]
    if algorithm == "unigram":
        backend = tokenizers.Tokenizer(models.Unigram())
        trainer: Any = trainers.UnigramTrainer(vocab_size=60, special_tokens=list(specials), unk_token="<unk>")
    else:
        backend = tokenizers.Tokenizer(models.BPE(byte_fallback=algorithm == "metaspace", unk_token=None))
        alphabet = pre_tokenizers.ByteLevel.alphabet() if algorithm == "bytes" else []
        tokens = [*specials, *(f"<0x{i:02X}>" for i in range(256) if algorithm == "metaspace")]
        trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=tokens, initial_alphabet=alphabet)
    if algorithm == "bytes":
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
    elif algorithm == "unigram":
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
    else:
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.train_from_iterator(CORPUS, trainer)
    if template:
        named = [(token, backend.token_to_id(token)) for token in specials]
        backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=named)
    roles = {"bos_token": template.partition(" $A")[0] if template.endswith("$A") else specials[0]}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=specials[-1], pad_token=specials[0], chat_template=chat_template, **roles
    )


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_are_what_the_tokenizer_gives_without_its_end(kind: str) -> None:
    """The special tokens before the text are there; those behind it only for an encoder-decoder."""
    tokenizer = make_tokenizer(kind)
    # The number of tokens behind the text is read off the post-processor's template.
    behind = 0 if kind in SEQ2SEQ else len(KINDS[kind][2].partition("$A")[2].split())
    prompts = prompt_ids(tokenizer, "polite: {text}", TEXTS, kind in SEQ2SEQ)
    for text, ids in zip(TEXTS, prompts, strict=True):
        expected = tokenizer(f"polite: {text}").input_ids
        assert ids == expected[: len(expected) - behind]


# What a tokenizer_config.json names, and what tokenizer.json says: OLMo 2 (digits), a Llama's vocabulary under another
# kind's name, texts in lower case, a space before the first word, and special tokens before a text.
@pytest.mark.parametrize(
    ("class_name", "kind", "change"),
    [
        ("GPT2Tokenizer", "gpt2", "digits"), ("Qwen2Tokenizer", "llama2", ""), ("T5Tokenizer", "t5", "lower"),
        ("GPT2Tokenizer", "gpt2", ""), ("PreTrainedTokenizerFast", "gpt2", "digits"),
        ("GPT2Tokenizer", "gpt2", "prefix"), ("RobertaTokenizer", "bart", "special"),
        ("BertTokenizer", "words", ""),
    ],
)  # fmt: skip
def test_a_tokenizer_splits_texts_as_its_file_says(
    class_name: str, kind: str, change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """transformers 5 rebuilds tokenizers of most kinds from their vocabulary, and passes over the rest of the file."""
    backend = word_pieces() if kind == "words" else make_tokenizer(kind).backend_tokenizer
    if change == "prefix":
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    if change == "special":
        last = KINDS[kind][1][1]
        backend.post_processor = processors.TemplateProcessing(
            single=f"{last} $A", special_tokens=[(last, backend.token_to_id(last))]
        )
    if change == "digits":
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), backend.pre_tokenizer]
        )
    if change == "lower":
        backend.normalizer = normalizers.Lowercase()
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": class_name}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    file = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    found = load_tokenizer(ModelRef("own", "folder", tmp_path, "1"))
    rebuilt = class_name != "PreTrainedTokenizerFast" and (change or kind == "llama2")
    assert (f"own: tokenizer.json is followed; {class_name} of" in capsys.readouterr().err) == bool(rebuilt)
    for text in ("You are 10 of 2023 fools, don't", "you  are"):
        assert found(text)["input_ids"] == file.encode(text).ids
        expected = file.encode(text, add_special_tokens=False).ids
        assert found(text, add_special_tokens=False)["input_ids"] == expected
        assert found.decode(expected, clean_up_tokenization_spaces=False) == file.decode(
            expected, skip_special_tokens=False
        )


def word_pieces() -> tokenizers.Tokenizer:
    """BERT's kind: cased, with its own special tokens."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "You", "you", "are", "fools", "don", "t", "'", ",", "of", "á", "a"]
    backend = tokenizers.Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return backend


def test_what_the_settings_of_a_tokenizer_state_goes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in transformers; what the settings do not state, tokenizer.json says."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))

    def ids(backend: tokenizers.Tokenizer, text: str, **settings: Any) -> list[int]:
        backend.save(str(tmp_path / "tokenizer.json"))
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
        found: list[int] = load_tokenizer(ModelRef("own", "folder", tmp_path, "1"))(text)["input_ids"]
        return found

    bert: dict[str, Any] = {"tokenizer_class": "BertTokenizer"}
    assert ids(word_pieces(), "You á", **bert, do_lower_case=True) == [2, 5, 13, 3]
    assert ids(word_pieces(), "You á", **bert, do_lower_case=True, strip_accents=True) == [2, 5, 14, 3]
    gpt2 = make_tokenizer("gpt2").backend_tokenizer
    spaced, plain = gpt2.encode(" you").ids, gpt2.encode("you").ids
    assert ids(gpt2, "you", tokenizer_class="GPT2Tokenizer", add_prefix_space=True) == spaced != plain
    with pytest.raises(InputError, match=r"says add_prefix_space True, and tokenizer\.json does not"):
        ids(gpt2, "you", tokenizer_class="PreTrainedTokenizerFast", add_prefix_space=True)
    # About special tokens tokenizer.json decides, and a line says so.
    backend = make_tokenizer("bart").backend_tokenizer
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "add_eos_token": False}
    assert ids(backend, "you", **settings) == backend.encode("you").ids
    assert "tokenizer_config.json says add_eos_token False" in capsys.readouterr().err


def test_the_beginning_of_text_of_a_post_processor_is_kept() -> None:
    """Llama 3's kind: no key add_bos_token, only the post-processor says it."""
    vocabulary = {"<unk>": 0, "<b>": 1, "</s>": 2, "be": 3, "polite": 4}
    backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    for template, ids, whole in (
        ("<b> $A", [1, 3, 4], [1, 3, 4]),
        ("<b> $A </s>", [1, 3, 4], [1, 3, 4, 2]),
        ("<b> <b> $A", [1, 1, 3, 4], [1, 1, 3, 4]),
        ("$A </s>", [3, 4], [3, 4, 2]),
    ):
        backend.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[("<b>", 1), ("</s>", 2)]
        )
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", pad_token="<unk>")
        assert prompt_ids(tokenizer, "{text}", ["be polite"], False) == [ids]
        assert prompt_ids(tokenizer, "{text}", ["be polite"], True) == [whole]


@pytest.mark.parametrize("template", [CHATML, LLAMA3, GEMMA, TWICE])
@pytest.mark.parametrize("kind", ["llama2", "llama3", "gemma", "qwen"])
def test_chat_prompts_are_those_of_apply_chat_template(kind: str, template: str) -> None:
    """Also where a template trims or repeats the text, and where the text looks like one."""
    tokenizer = make_tokenizer(kind, template)
    texts = [*TEXTS[:2], *TEXTS[3:], "{text} {{ 7 * 7 }}"]
    preamble = Preamble("", (("damn dog", "nice dog"),)) if template in (CHATML, LLAMA3) else Preamble()
    turns = [{"role": "user", "content": "Say: damn dog"}, {"role": "assistant", "content": "nice dog"}]
    prompts = prompt_ids(tokenizer, "chat:Say: {text}", texts, False, preamble=preamble)
    for text, ids in zip(texts, prompts, strict=True):
        chat = [*(turns if preamble.examples else []), {"role": "user", "content": f"Say: {text}"}]
        assert ids == tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)


def test_a_template_with_the_date_gives_the_same_prompt_every_day() -> None:
    tokenizer = make_tokenizer("gpt2", "{{ strftime_now('%d %b %Y %H:%M') }}: {{ messages[0].content }}")
    (ids,) = prompt_ids(tokenizer, "chat:{text}", ["dog"], False)
    assert tokenizer.decode(ids) == "26 Jul 2024 00:00: dog"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "too much time"),
        ("{% for c in messages[0].content %}{{ 'a' * 9999999999 }}{% endfor %}", "too much memory"),
        ("{{ 'a' * 20000000 }}{{ messages[0].content }}", "20,000,"),
        ("{{ messages[0].content", "TemplateSyntaxError"),
        ("{{ messages.__class__.__mro__ }}", "SecurityError"),
        ("{{ raise_exception('Only two\nroles') }}", "Only two roles"),
        ("{{ messages[0].content + 1 }}", "TypeError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("no message", "does not show the text"),
        ("{{ messages[0].content[:2] }}", "does not show the text"),
        (GEMMA.replace("== 'system'", "!= 'system'"), "System role not supported.*give --system"),
    ],
)
def test_templates_that_fail_are_one_line(template: str, message: str) -> None:
    tokenizer = make_tokenizer("gpt2", template)
    with pytest.raises(InputError, match=message) as error:
        prompt_ids(tokenizer, "chat:{text}", ["dog"], False)
    assert "\n" not in str(error.value)
    # The next template is rendered.
    tokenizer.chat_template = LLAMA3
    assert prompt_ids(tokenizer, "chat:{text}", ["dog"], False) != []


@pytest.mark.parametrize(
    ("template", "preamble", "message"),
    [
        (GEMMA, Preamble("Be polite."), "System role not supported"),
        (TWICE, Preamble("Be polite."), "does not show the system message; leave out --system"),
        (TWICE, Preamble("", (("a", "b"),)), "does not show an example; leave out --few-shot"),
    ],
)
def test_a_template_that_drops_a_message_is_refused(template: str, preamble: Preamble, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prompt_ids(make_tokenizer("gpt2", template), "chat:{text}", ["dog"], False, preamble=preamble)


def test_texts_that_a_template_changes_are_counted() -> None:
    """White space and capitals aside; the second text loses a word, and the third one its end."""
    template = "{{ (messages[0].content | replace('damn', '') | upper)[:30] }}"
    texts = ["  the   dog ", "damn dog", "what a crap film , you damned"]
    found = tokenize_prompts(make_tokenizer("gpt2", template), "chat:{text}", texts, False)
    assert found.changed == 2
    assert tokenize_prompts(make_tokenizer("gpt2", TWICE), "chat:{text}", texts, False).changed == 0


def test_no_chat_template_is_one_line() -> None:
    with pytest.raises(InputError, match="without the prefix chat:"):
        prompt_ids(make_tokenizer("gpt2"), "chat:{text}", ["dog"], False)


def test_a_preamble_is_text_before_a_plain_prompt() -> None:
    tokenizer = make_tokenizer("gpt2")
    preamble = Preamble("Be {text} polite.", (("damn dog", "dog"), ("fool", "no")))
    for prompt, expected in (
        ("{text}\n", "Be {text} polite.\n\ndamn dog\ndog\n\nfool\nno\n\nyou\n"),
        ("rude: {text}", "Be {text} polite.\n\nrude: damn dog\ndog\n\nrude: fool\nno\n\nrude: you"),
    ):
        (ids,) = prompt_ids(tokenizer, prompt, ["you"], False, preamble=preamble)
        assert tokenizer.decode(ids) == expected


def test_only_the_text_is_cut_and_cuts_are_counted() -> None:
    tokenizer = make_tokenizer("llama3", LLAMA3)
    texts = ["dog", "you are a fool " * 40, "fool " * 90]
    prompts = tokenize_prompts(tokenizer, "chat:Say: {text}!", texts, False, 40)
    assert prompts.shortened == 2 and all(len(ids) <= 40 for ids in prompts.ids)
    for ids in prompts.ids:
        assert re.fullmatch(r"(?s)<\|begin_of_text\|><user>Say: .*!<\|eot\|><assistant>", tokenizer.decode(ids))
    with pytest.raises(InputError, match=r"the prompt has \d+ tokens without its text, but 5 fit"):
        tokenize_prompts(tokenizer, "chat:Say: {text}!", texts, False, 5)


def test_examples_are_pairs_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("toxic\tneutral\ndamn dog\tdog\nfool\tno\n", "utf-8")
    assert read_preamble("Be polite.", path) == Preamble("Be polite.", (("damn dog", "dog"), ("fool", "no")))
    assert read_preamble(None, None) == Preamble()
    for content, message in (
        ("a\tb\nc\n", "line 2: write a source, a tab and its rewrite"),
        ("a\t \n", "line 1: write"),
        ("a\tb\tc\n", "line 1: write"),
        ('a\tb\n"so ""nice"" "\tc\n', "line 2: quoted as a table; write plain texts"),
        ("", "no example"),
    ):
        path.write_text(content, "utf-8")
        with pytest.raises(InputError, match=message):
            read_preamble(None, path)
    with pytest.raises(InputError, match="--system: empty"):
        read_preamble(" ", None)


@pytest.mark.parametrize("front", ["date: 2024-99-99", "a: " + "[" * 2_000, "a: b: c"])
def test_a_damaged_model_card_is_found_before_the_rewriting(front: str, tiny_llama: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_llama, tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text(f"---\nlicense: mit\n{front}\n---\n# A model\n", "utf-8")
    test, batches = TestSet("own", "folder", "1", ("you fool",), ((),)), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metrics.systems.rewriting.rewrite_all", lambda *_, **__: batches.append(1))
        with pytest.raises(InputError, match=r"README.md: cannot be read as a model card") as error:
            rewrite(resolve_system(str(tmp_path / "model")), test)
    assert batches == [] and "\n" not in str(error.value)


def test_template_system_and_examples_are_part_of_the_decoding(tiny_llama: Path, tmp_path: Path) -> None:
    """Equal prompts under equal decodings, others under others."""
    test = TestSet("own", "folder", "1", ("you fool", "damn dog"), ((),) * 2)
    found = []
    for number, template in enumerate((LLAMA3, CHATML)):
        folder = tmp_path / str(number)
        load_model(resolve_model(str(tiny_llama))).model.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder)
        for preamble in (Preamble(), Preamble("polite"), Preamble("", (("damn", "good"),))):
            system = resolve_system(str(folder), decoding={"max_new_tokens": 2}, preamble=preamble)
            found.append(rewrite(system, test, batch_size=2).decoding)
    assert len({decoding["chat_template"] for decoding in found}) == 6
    assert [(d.get("system"), str(d.get("few_shot"))[:3]) for d in found] == 2 * [
        (None, "Non"), ("polite", "Non"), (None, "1 #"),
    ]  # fmt: skip
    plain = rewrite(resolve_system(str(tiny_llama), decoding={"max_new_tokens": 2}), test, batch_size=2)
    assert "chat_template" not in plain.decoding
    with pytest.raises(InputError, match="delete: does not generate"):
        resolve_system("delete", preamble=Preamble("polite"))
