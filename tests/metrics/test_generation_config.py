"""Generation configs: every field is honoured and recorded, replaced because it changes no text, or refused by name."""

from __future__ import annotations

import json
import shutil
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from metrics.data.test_sets import TestSet
from metrics.generation import fields
from metrics.generation.decoding import decoding_settings
from metrics.models.loading import load_model
from metrics.models.resolve import resolve_model
from metrics.systems.resolve import Rewrites, resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.errors import InputError
from tests.leaders import randomise_weights

TEXTS = ("you idiot", "the damn dog is so stupid", "what a crap film", "he and she")
TEST = TestSet("own", "folder", "1", TEXTS, ((),) * len(TEXTS))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rewrites of an earlier run."""
    monkeypatch.setenv("SRO_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def lively(tiny_gpt2: Path, tiny_t5: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A causal and a seq2seq model that write something else for every sentence, without a generation config."""
    folders = {}
    for kind, source, auto in (("gpt2", tiny_gpt2, AutoModelForCausalLM), ("t5", tiny_t5, AutoModelForSeq2SeqLM)):
        folder = folders[kind] = tmp_path_factory.mktemp(kind)
        shutil.copytree(source, folder, dirs_exist_ok=True)
        randomise_weights(auto.from_pretrained(source), folder)
    return folders


def with_config(source: Path, target: Path, stored: dict[str, Any]) -> Path:
    """A copy of a model folder whose generation config has further fields."""
    shutil.copytree(source, target)
    path = target / "generation_config.json"
    own = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**own, **stored}))
    return target


def rewrites_of(folder: Path, **decoding: Any) -> Rewrites:
    return rewrite(resolve_system(str(folder), prompt="rude : {text}", decoding=decoding), TEST, batch_size=4)


def by_transformers(folder: Path, seq2seq: bool, stored: dict[str, Any]) -> list[str]:
    """What transformers itself generates alone for each text, with the fields given as a config object."""
    auto = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
    model, tokenizer = auto.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    outputs = []
    for text in TEXTS:
        ids = tokenizer(f"rude : {text}", return_tensors="pt").input_ids
        ids = ids if seq2seq else ids[:, :-1]
        config = GenerationConfig(**{"max_new_tokens": 12, "pad_token_id": 0, "eos_token_id": 1, **stored})
        config.decoder_start_token_id = 0
        new = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config, tokenizer=tokenizer)
        outputs.append(" ".join(tokenizer.decode(new[0, 0 if seq2seq else ids.shape[1] :], True).split()))
    return outputs


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
@pytest.mark.parametrize(
    "stored",
    [
        {"suppress_tokens": list(range(20, 40))},
        {"begin_suppress_tokens": list(range(10, 50))},
        {"bad_words_ids": [[i] for i in range(12, 40)]},
        {"sequence_bias": [[[i], -20.0] for i in range(12, 40)]},
        {"forced_eos_token_id": 1},
        {"forced_bos_token_id": 9},
        {"exponential_decay_length_penalty": [2, 1.5]},
        {"encoder_repetition_penalty": 3.0},
        {"encoder_no_repeat_ngram_size": 1},
        {"no_repeat_ngram_size": 2},
        {"repetition_penalty": 3.0},
        {"min_new_tokens": 11},
        {"renormalize_logits": True},
        {"guidance_scale": 1.5},
        {"watermarking_config": {"greenlist_ratio": 0.25, "bias": 9.0, "hashing_key": 15485863,
                                 "seeding_scheme": "lefthash", "context_width": 1}},
    ],
    ids=lambda stored: next(iter(stored)),
)  # fmt: skip
def test_fields_that_change_the_text_give_the_text_of_transformers_and_are_recorded(
    kind: str, stored: dict[str, Any], lively: dict[str, Path], tmp_path: Path
) -> None:
    folder = with_config(lively[kind], tmp_path / "model", stored)
    if kind == "t5" and "guidance_scale" in stored:
        with pytest.raises(InputError, match="guidance_scale: transformers has it for causal models only"):
            rewrites_of(folder)
        return
    found = rewrites_of(folder, max_new_tokens=12)
    assert list(found.outputs) == by_transformers(lively[kind], kind == "t5", stored)
    ((name, value),) = stored.items()
    assert found.decoding[name] == value


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_outputs_end_where_the_generation_config_says(kind: str, lively: dict[str, Path], tmp_path: Path) -> None:
    """A tokenizer's own end of sequence is no end where the config names another; without a config's, it is one."""
    plain = rewrites_of(lively[kind], max_new_tokens=12).outputs
    word = plain[0].split()[2]
    token = AutoTokenizer.from_pretrained(lively[kind]).convert_tokens_to_ids(word)
    assert isinstance(token, int)
    folder = with_config(lively[kind], tmp_path / "model", {"eos_token_id": 1})
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "eos_token": word}))
    found = rewrites_of(folder, max_new_tokens=12)
    assert list(found.outputs) == by_transformers(folder, kind == "t5", {"eos_token_id": 1})
    # The word itself is a special token, which no text shows.
    assert [output.split() for output in found.outputs] == [[w for w in o.split() if w != word] for o in plain]
    none = with_config(folder, tmp_path / "none", {"eos_token_id": None})
    shorter = rewrites_of(none, max_new_tokens=12).outputs
    assert [output.split() for output in shorter] == [list(takewhile(lambda w: w != word, o.split())) for o in plain]


def test_blanks_before_signs_are_removed_where_the_tokenizer_says_so(lively: dict[str, Path], tmp_path: Path) -> None:
    stored = {"sequence_bias": [[[6], 9.0]]}
    folder = with_config(lively["t5"], tmp_path / "model", stored)
    assert any(" !" in output for output in rewrites_of(folder, max_new_tokens=12).outputs)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "clean_up_tokenization_spaces": True}))
    found = rewrites_of(folder, max_new_tokens=12)
    assert list(found.outputs) == by_transformers(folder, True, stored)
    assert not any(" !" in output for output in found.outputs)


def test_max_length_counts_each_prompt_without_its_padding(lively: dict[str, Path], tmp_path: Path) -> None:
    """Prompts of different lengths, in one batch and alone: 14 tokens with the prompt."""
    folder = with_config(lively["gpt2"], tmp_path / "model", {"max_length": 14})
    found = rewrites_of(folder)
    stored = {"max_length": 14, "max_new_tokens": None}
    assert list(found.outputs) == by_transformers(lively["gpt2"], False, stored)
    assert found.decoding["max_length"] == 14


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_stop_strings_end_an_output_with_the_token_that_completes_one(
    kind: str, lively: dict[str, Path], tmp_path: Path
) -> None:
    """Also one that spans words. The string stays in the text, as in transformers; a prompt's own does not count."""
    plain = rewrites_of(lively[kind], max_new_tokens=12).outputs
    words = plain[0].split()
    stops = [" ".join(words[2:4]), max(plain[1].split(), key=len)[1:], "rude"]
    folder = with_config(lively[kind], tmp_path / "model", {"stop_strings": stops})
    found = rewrites_of(folder, max_new_tokens=12)
    for output, whole in zip(found.outputs, plain, strict=True):
        parts = [" ".join(whole.split()[:n]) for n in range(1, len(whole.split()) + 1)]
        assert output == next((part for part in parts if any(stop in part for stop in stops)), whole)
    assert found.outputs != plain and found.decoding["stop_strings"] == stops


def test_a_stop_string_ends_an_output_of_a_model_that_has_no_end_of_sequence(
    lively: dict[str, Path], tmp_path: Path
) -> None:
    """transformers goes on with such a row while the others of its batch have not ended."""
    tokens = {"eos_token_id": None, "bos_token_id": None}
    folder = with_config(lively["gpt2"], tmp_path / "plain", tokens)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "eos_token": None}))
    plain = rewrites_of(folder, max_new_tokens=12).outputs
    stop = plain[0].split()[2]
    found = rewrites_of(with_config(folder, tmp_path / "stops", {"stop_strings": stop}), max_new_tokens=12).outputs
    words = [output.split() for output in plain]
    assert list(found) == [" ".join(w[: w.index(stop) + 1] if stop in w else w) for w in words]
    assert any(stop not in w for w in words) and found != plain


def test_an_encoder_decoder_without_a_first_token_is_one_line(lively: dict[str, Path], tmp_path: Path) -> None:
    stored = {"decoder_start_token_id": None, "bos_token_id": None}
    folder = with_config(lively["t5"], tmp_path / "model", stored)
    with pytest.raises(InputError, match="it names neither decoder_start_token_id nor bos_token_id"):
        rewrites_of(folder)


@pytest.mark.parametrize(
    "stored",
    [
        {"num_return_sequences": 3, "num_beams": 3},
        {"return_dict_in_generate": True, "output_scores": True, "output_logits": True},
        {"return_dict_in_generate": True, "output_attentions": True, "output_hidden_states": True},
        {"prompt_lookup_num_tokens": 3},
        {"cache_implementation": "static"},
        {"use_cache": False},
    ],
    ids=lambda stored: next(iter(stored)),
)
def test_fields_that_change_no_text_are_replaced(
    stored: dict[str, Any], lively: dict[str, Path], tmp_path: Path
) -> None:
    beams = {"num_beams": stored["num_beams"]} if "num_beams" in stored else {}
    for kind in ("gpt2", "t5"):
        folder = with_config(lively[kind], tmp_path / kind, stored)
        found, plain = rewrites_of(folder, max_new_tokens=12), rewrites_of(lively[kind], max_new_tokens=12, **beams)
        assert found.outputs == plain.outputs
        assert found.decoding == plain.decoding


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"max_time": 0.5}, "max_time=0.5: refused, because the text would depend on the speed of the machine"),
        ({"penalty_alpha": 0.6, "top_k": 4}, "penalty_alpha=0.6: refused"),
        ({"num_beam_groups": 2, "num_beams": 4}, "num_beam_groups=2: refused"),
        ({"dola_layers": "low"}, "dola_layers='low': refused"),
        ({"force_words_ids": [[3]]}, "force_words_ids"),
        ({"token_healing": True}, "token_healing=True: refused, because it changes the prompt"),
        ({"cache_implementation": "quantized"}, "quantized cache"),
        ({"repetition_penalti": 2.0}, "repetition_penalti=2.0: unknown to this program; did you mean repetition_penal"),
        ({"temperature": "0.7", "do_sample": True}, "temperature='0.7': must be a number above 0"),
        ({"begin_suppress_tokens": "none"}, "begin_suppress_tokens='none': must be a list of token ids"),
        ({"suppress_tokens": [9, 999]}, r"suppress_tokens=\[9, 999\]: must be a list of token ids of the model's voc"),
        ({"exponential_decay_length_penalty": [4]}, r"exponential_decay_length_penalty=\[4\]: must be a pair"),
        ({"sequence_bias": {"3": 1.0}}, "sequence_bias={'3': 1.0}: must be a list of pairs"),
        ({"sequence_bias": [[[3]]]}, r"sequence_bias=\[\[\[3\]\]\]: must be a list of pairs"),
        ({"bad_words_ids": [3]}, r"bad_words_ids=\[3\]: must be a list of lists of token ids"),
        ({"forced_bos_token_id": 999}, "forced_bos_token_id=999: must be a token id"),
        ({"forced_eos_token_id": "</s>"}, "forced_eos_token_id='</s>': must be a token id"),
        ({"stop_strings": ["", "a"]}, r"stop_strings=\['', 'a'\]: must be a text or a list of texts"),
        ({"eos_token_id": [1, "b"]}, r"eos_token_id=\[1, 'b'\]: must be a token id or a list of them"),
        ({"num_beams": 2.5, "no_repeat_ngram_size": -1}, "num_beams=2.5: .*; no_repeat_ngram_size=-1: must be a whole"),
        ({"watermarking_config": {"bias": "x"}}, "watermarking_config={.*: must be an object whose bias is a number"),
        ({"watermarking_config": 5}, "watermarking_config.*: not an object"),
    ],
)
def test_what_a_score_must_not_depend_on_is_refused(
    stored: dict[str, Any], message: str, tiny_llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as error:
        rewrites_of(with_config(tiny_llama, tmp_path / "model", stored))
    assert "\n" not in str(error.value)


def test_every_field_of_transformers_is_decided_once() -> None:
    groups = (fields.DECODING_KEYS, fields.TEXT_FIELDS, fields.TOKEN_FIELDS, fields.OVERRIDDEN_FIELDS)
    decided = [name for group in groups for name in group]
    assert len(decided) == len(set(decided))
    # num_beam_groups was a setting of older versions of transformers; its value 1 stands in recorded rows.
    assert set(decided) & fields.REFUSED_FIELDS.keys() == {"num_beam_groups"}
    own = {name for name in vars(GenerationConfig()) if not name.startswith("_")} - {"transformers_version"}
    assert own == set(decided) | fields.REFUSED_FIELDS.keys()


def test_fields_without_effect_are_not_recorded(tiny_llama: Path, tmp_path: Path) -> None:
    neutral = {
        "guidance_scale": 1.0, "suppress_tokens": [], "bad_words_ids": None, "num_beam_groups": 1,
        "epsilon_cutoff": 0.3,
        "generation_kwargs": {}, "output_scores": True, "max_time": None, "diversity_penalty": 0.0,
    }  # fmt: skip
    loaded = load_model(resolve_model(str(with_config(tiny_llama, tmp_path / "model", neutral))))
    assert decoding_settings(loaded.model) == {"do_sample": False, "max_new_tokens": 64, "num_beam_groups": 1}
    sampled = decoding_settings(loaded.model, {"do_sample": True})
    assert sampled["epsilon_cutoff"] == 0.3


def test_a_damaged_generation_config_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    for content in ('{"num_beams": 4', "[]", "[" * 100_000, '{"max_new_tokens": 0}', '{"early_stopping": "soon"}'):
        (folder / "generation_config.json").write_text(content)
        with pytest.raises(InputError, match=r"generation_config.json: not a generation config"):
            load_model(resolve_model(str(folder)))


@pytest.mark.parametrize("weights", [True, False])
def test_generation_fields_of_an_old_config_are_honoured(weights: bool, tiny_t5: Path, tmp_path: Path) -> None:
    """BART's kind: no generation_config.json, the fields stand in config.json; also for engines."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_t5, folder)
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_beams": 4, "forced_eos_token_id": 1}))
    loaded = load_model(resolve_model(str(folder)), weights=weights)
    expected = {"do_sample": False, "forced_eos_token_id": 1, "max_new_tokens": 64, "num_beams": 4}
    assert decoding_settings(loaded.model) == expected
