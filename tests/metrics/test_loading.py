"""Models are loaded whole or refused by name: weights, adapters, tokenizers, GGUF files, shards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from metrics.generation.decoding import decoding_settings
from metrics.generation.rewriting import generate_ids
from metrics.models.cards import card_facts
from metrics.models.loading import LoadedModel, load_model
from metrics.models.resolve import resolve_model
from metrics.scorers.encoders import SentenceEncoder, SequenceClassifier
from metrics.util.errors import InputError
from tests.hub.server import HubServer
from tests.leaders import randomise_weights

PROMPTS = [[8, 9, 10], [11, 12, 13, 14, 15, 16]]
Tensors = dict[str, torch.Tensor]


def load(folder: Path | str) -> LoadedModel:
    return load_model(resolve_model(str(folder)), prompt="{text}", device="cpu")


def refusal(folder: Path | str) -> str:
    with pytest.raises(InputError) as error:
        load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def outputs(loaded: LoadedModel, prompts: list[list[int]] = PROMPTS) -> list[list[int]]:
    settings = decoding_settings(loaded.model, {"max_new_tokens": 6})
    return generate_ids(loaded.model, loaded.tokenizer, prompts, loaded.seq2seq, settings)


def by_transformers(model: Any, prompts: list[list[int]] = PROMPTS) -> list[list[int]]:
    """What `generate` writes for each prompt alone, up to the end of sequence."""
    written = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        mask = torch.ones_like(ids)
        row = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=6, do_sample=False, pad_token_id=0)
        new = row[0, len(prompt) :].tolist()
        written.append(new[: new.index(1) + 1] if 1 in new else new)
    return written


@pytest.fixture
def llama(tiny_llama: Path, tmp_path: Path) -> Path:
    """A tiny Llama whose outputs depend on the prompt."""
    randomise_weights(AutoModelForCausalLM.from_pretrained(tiny_llama), tmp_path / "base")
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def change(folder: Path, edit: Callable[[Tensors], Tensors], file: str = "model.safetensors") -> None:
    save_file(edit(load_file(folder / file)), folder / file, metadata={"format": "pt"})


NORM = "model.norm.weight"
FAULTS: list[tuple[Callable[[Tensors], Tensors], str]] = [
    (lambda t: {k: v for k, v in t.items() if "mlp" not in k}, "layers.0.mlp.down_proj.weight and 11 more are missing"),
    (lambda t: {**t, "model.layers.9.x.weight": torch.zeros(2)}, "model.layers.9.x.weight is unknown"),
    (lambda t: {**t, NORM: torch.zeros(5)}, r"model.norm.weight has the shape (5,), not (32,)"),
]


@pytest.mark.parametrize(("edit", "message"), FAULTS)
def test_weights_that_do_not_fit_are_refused_by_name(
    llama: Path, edit: Callable[[Tensors], Tensors], message: str
) -> None:
    change(llama, edit)
    assert message in refusal(llama)
    # Engines read the weights themselves.
    with pytest.raises(InputError, match=message.partition("(")[0]):
        load_model(resolve_model(str(llama)), prompt="{text}", weights=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(value: float, llama: Path) -> None:
    """Their outputs are empty, and would be scored."""
    name = "model.layers.0.mlp.up_proj.weight"
    change(llama, lambda tensors: {**tensors, name: tensors[name].index_fill(0, torch.tensor([1]), value)})
    assert f"{name} holds a value that is infinite or not a number" in refusal(llama)


def test_integers_without_a_quantization_are_refused_by_name(llama: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    change(llama, lambda tensors: {**tensors, name: (100 * tensors[name]).to(torch.int8)})
    assert f"{name} holds integers, and the config names no quantization" in refusal(llama)


def test_a_llama_with_a_sliding_window_writes_what_transformers_writes(llama: Path) -> None:
    config = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps({**config, "sliding_window": 4}))
    assert outputs(load(llama)) == by_transformers(AutoModelForCausalLM.from_pretrained(llama))


def test_a_long_prompt_does_not_change_the_positions_of_the_others(llama: Path) -> None:
    """LongRoPE takes other angles from position 6 on; transformers, for the whole batch."""
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "factor": 4.0, "rope_theta": 10_000.0}
    rope = {"rope_type": "longrope", "original_max_position_embeddings": 6, **factors}
    config = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps({**config, "rope_parameters": rope, "max_position_embeddings": 64}))
    prompts = [*PROMPTS, [20], [21, 22]]
    model = AutoModelForCausalLM.from_pretrained(llama)
    assert outputs(load(llama), prompts) == by_transformers(model, prompts)


@pytest.mark.parametrize("length", ["12", 0, -1, True])
def test_a_maximal_length_that_is_no_number_is_refused(length: Any, llama: Path) -> None:
    settings = json.loads((llama / "tokenizer_config.json").read_text())
    (llama / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": length}))
    assert f"model_max_length is {length!r}" in refusal(llama)


def test_tied_weights_may_be_absent_and_untied_ones_may_not(llama: Path) -> None:
    assert "lm_head.weight" not in load_file(llama / "model.safetensors")
    load(llama)
    config = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    assert "the weight lm_head.weight is missing" in refusal(llama)


def test_shards_with_an_index_give_the_same_outputs(llama: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama)
    sharded = tmp_path / "sharded"
    model.save_pretrained(sharded, max_shard_size="20KB")
    AutoTokenizer.from_pretrained(llama).save_pretrained(sharded)
    shards = sorted(sharded.glob("model-*.safetensors"))
    assert len(shards) > 1 and outputs(load(sharded)) == by_transformers(model)
    assert card_facts(resolve_model(str(sharded)))["size"] == model.num_parameters()
    index = sharded / "model.safetensors.index.json"
    kept = index.read_text()
    index.write_text(kept.replace(shards[0].name, "pytorch_model-1.bin"))
    assert "names pytorch_model-1.bin, which is no safetensors file of this folder" in refusal(sharded)
    index.write_text("[]")
    assert "not an index of weights" in refusal(sharded)
    index.write_text(kept)
    shards[0].unlink()
    assert f"{shards[0].name} is missing" in refusal(sharded)


def test_a_weight_that_two_shards_hold_is_refused_by_name(llama: Path, tmp_path: Path) -> None:
    """transformers takes the last one, also where the index names the first."""
    sharded = tmp_path / "sharded"
    AutoModelForCausalLM.from_pretrained(llama).save_pretrained(sharded, max_shard_size="20KB")
    AutoTokenizer.from_pretrained(llama).save_pretrained(sharded)
    first, *_, last = sorted(sharded.glob("model-*.safetensors"))
    name, value = next(iter(load_file(first).items()))
    change(sharded, lambda tensors: {**tensors, name: value + 1}, last.name)
    assert f"{last.name}: cannot be loaded: another file holds {name} too" in refusal(sharded)


def test_a_whole_model_beside_an_adapter_is_refused(llama: Path, tmp_path: Path) -> None:
    write_adapter(llama, tmp_path / "adapter", adapter_configs()["lora"])
    for file in ("config.json", "model.safetensors"):
        shutil.copy(llama / file, tmp_path / "adapter")
    with pytest.raises(InputError, match=r"holds an adapter \(adapter_model.safetensors\) and a whole model"):
        resolve_model(str(tmp_path / "adapter"))


def save_as(kind: str, tokenizer: Path, folder: Path) -> Path:
    """A tiny model of a class of transformers, with tied embeddings."""
    sizes = {
        "vocab_size": len(AutoTokenizer.from_pretrained(tokenizer)), "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "tie_word_embeddings": True, "pad_token_id": 0,
    }  # fmt: skip
    family = next(name for name in ("Llama", "Bert", "Roberta") if kind.startswith(name))
    getattr(transformers, kind)(getattr(transformers, f"{family}Config")(**sizes)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["LlamaForSequenceClassification", "LlamaForTokenClassification", "BertForMaskedLM"])
def test_a_model_of_another_task_does_not_rewrite(kind: str, tokenizer_folder: Path, tmp_path: Path) -> None:
    """Its embeddings would stand for the head that it lacks, and its own head would be left out."""
    assert f"its config says {kind}, whose head" in refusal(save_as(kind, tokenizer_folder, tmp_path))


def test_a_classifier_of_tokens_does_not_classify_texts(tokenizer_folder: Path, tmp_path: Path) -> None:
    folder = save_as("LlamaForTokenClassification", tokenizer_folder, tmp_path)
    with pytest.raises(InputError, match="its config says LlamaForTokenClassification, whose head LlamaForSequenceCl"):
        SequenceClassifier(str(folder))(["you"])


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_labels_that_are_no_classes_are_refused(problem: str, tokenizer_folder: Path, tmp_path: Path) -> None:
    folder = save_as("RobertaForSequenceClassification", tokenizer_folder, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "problem_type": "single_label_classification"}))
    assert SequenceClassifier(str(folder))(["you"]).shape == (1, 2)
    (folder / "config.json").write_text(json.dumps({**config, "problem_type": problem}))
    with pytest.raises(InputError, match=f"its problem_type is {problem}; a profile needs single_label"):
        SequenceClassifier(str(folder))(["you"])
    labels = {"id2label": {"0": "neutral", "1": "toxic"}, "label2id": {"neutral": 1, "toxic": 0}}
    (folder / "config.json").write_text(json.dumps({**config, **labels}))
    with pytest.raises(InputError, match="neutral is 0 in its id2label and 1 in its label2id"):
        SequenceClassifier(str(folder))(["you"])


def test_code_of_a_models_own_is_refused_unless_transformers_has_it(
    llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """transformers silently takes its own class of the same model_type: LLM2Vec's attend to both sides, it does not."""
    config = json.loads((llama / "config.json").read_text())
    for code, used in (("modeling_x.LlamaBiForCausalLM", False), ("modeling_llama.LlamaForCausalLM", True)):
        (llama / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModelForCausalLM": code}}))
        if used:
            assert outputs(load(llama)) == by_transformers(AutoModelForCausalLM.from_pretrained(llama))
            assert "LlamaForCausalLM of transformers takes the place of the code that config" in capsys.readouterr().err
        else:
            assert "config.json names code of its own, LlamaBiForCausalLM (auto_map)" in refusal(llama)
    own = {"auto_map": {"AutoConfig": "configuration_x.LlamaBiConfig"}}
    (llama / "config.json").write_text(json.dumps({**config, **own}))
    assert "config.json names code of its own, LlamaBiConfig (auto_map)" in refusal(llama)
    (llama / "config.json").write_text(json.dumps(config))
    settings = json.loads((llama / "tokenizer_config.json").read_text())
    own = {"auto_map": {"AutoTokenizer": ["tokenization_x.OtherTokenizer", None]}}
    (llama / "tokenizer_config.json").write_text(json.dumps({**settings, **own}))
    assert "tokenizer_config.json names code of its own, OtherTokenizer (auto_map)" in refusal(llama)


def test_a_file_of_weights_with_another_name_is_not_read(llama: Path) -> None:
    """An empty file beside the weights changes nothing; alone, it is named."""
    (llama / "extra.safetensors").write_bytes(b"")
    assert card_facts(resolve_model(str(llama)))["size"] == load(llama).model.num_parameters()
    (llama / "model.safetensors").unlink()
    assert "extra.safetensors has another name and is not read" in refusal(llama)
    (llama / "model.safetensors").write_bytes(b"")
    assert "model.safetensors: cannot be loaded: not a safetensors file" in refusal(llama)


@pytest.mark.parametrize(
    ("config", "package"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "need the package bitsandbytes"),
        ({"load_in_8bit": True}, "the package bitsandbytes"),
        ({"quant_method": "gptq", "bits": 4}, "the package optimum"),
        ({"quant_method": "awq", "bits": 4}, "the package gptqmodel"),
        ({"quant_method": "from-tomorrow"}, "quantized by from-tomorrow, which transformers does not know"),
    ],
)
def test_quantized_weights_name_the_missing_package(llama: Path, config: dict[str, Any], package: str) -> None:
    own = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps({**own, "quantization_config": config}))
    with pytest.raises(InputError, match=package) as error:
        load(llama)
    assert "\n" not in str(error.value)


# -- adapters ---------------------------------------------------------------------------------------------------------
def write_adapter(base: Path, folder: Path, config: Any, written_base: str = "../base", **save: Any) -> Any:
    """Save an adapter with random weights; return the model of peft."""
    from peft import get_peft_model

    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.peft_config["default"].base_model_name_or_path = written_base
    model.save_pretrained(folder, **save)
    return model.eval()


def adapter_configs() -> dict[str, Any]:
    import peft

    task: dict[str, Any] = {"task_type": "CAUSAL_LM"}
    return {
        "lora": peft.LoraConfig(**task, init_lora_weights=False),
        "dora": peft.LoraConfig(**task, init_lora_weights=False, use_dora=True),
        "activated lora": peft.LoraConfig(**task, init_lora_weights=False, alora_invocation_tokens=[8, 9]),
        "ia3": peft.IA3Config(**task, target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
        "prompt tuning": peft.PromptTuningConfig(**task, num_virtual_tokens=4),
        "prefix tuning": peft.PrefixTuningConfig(**task, num_virtual_tokens=4),
        "p-tuning": peft.PromptEncoderConfig(**task, num_virtual_tokens=4, encoder_hidden_size=16),
        "adaption prompt": peft.AdaptionPromptConfig(**task, adapter_len=4, adapter_layers=2),
        "loha": peft.LoHaConfig(**task, target_modules=["q_proj"]),
    }


@pytest.mark.parametrize("kind", adapter_configs())
def test_every_kind_of_adapter_writes_what_peft_writes(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """In a batch, too; and the base is found from the adapter's folder, wherever one stands."""
    expected = by_transformers(write_adapter(llama, tmp_path / "adapter", adapter_configs()[kind]))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    loaded = load(tmp_path / "adapter")
    assert outputs(loaded) == expected != by_transformers(AutoModelForCausalLM.from_pretrained(llama))
    assert loaded.merged == (kind in ("lora", "dora", "ia3", "loha"))


def test_an_adapter_brings_its_tokenizer_chat_template_and_tokens(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from peft import LoraConfig, get_peft_model

    tokenizer = AutoTokenizer.from_pretrained(llama)
    tokenizer.add_tokens(["<rude>", "<polite>"])
    tokenizer.chat_template = "{% for m in messages %}own {{ m.content }}{% endfor %}"
    base = AutoModelForCausalLM.from_pretrained(llama)
    base.resize_token_embeddings(len(tokenizer))
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False)).eval()
    model.peft_config["default"].base_model_name_or_path = str(llama)
    prompts = [[len(tokenizer) - 1, 9, 10], [11, len(tokenizer) - 2]]
    expected = by_transformers(model, prompts)
    folder = tmp_path / "adapter"
    model.save_pretrained(folder, save_embedding_layers=True)
    tokenizer.save_pretrained(folder)
    loaded = load_model(resolve_model(str(folder)), device="cpu")
    assert len(loaded.tokenizer) == len(tokenizer) and loaded.prompt.startswith("chat:")
    assert outputs(loaded, prompts) == expected
    model.save_pretrained(folder, save_embedding_layers=False)
    assert "its tokenizer adds 2 tokens, and the adapter does not hold all of their weights" in refusal(folder)
    # A chat template alone is used with the base's tokenizer.
    (folder / "adapter_config.json").rename(tmp_path / "kept")
    write_adapter(llama, tmp_path / "templated", LoraConfig(task_type="CAUSAL_LM"))
    (tmp_path / "templated" / "chat_template.jinja").write_text("{{ messages[0].content }}!")
    assert load(tmp_path / "templated").tokenizer.chat_template == "{{ messages[0].content }}!"
    assert "config.json is not read" not in capsys.readouterr().err
    shutil.copy(llama / "config.json", tmp_path / "templated")
    load(tmp_path / "templated")
    assert "config.json is not read; as in peft, the config is its base's" in capsys.readouterr().err


def test_adapters_that_do_not_fit_are_refused_by_name(llama: Path, tmp_path: Path) -> None:
    from peft import LoraConfig

    folder, file = tmp_path / "adapter", "adapter_model.safetensors"
    write_adapter(llama, folder, LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False))
    config = json.loads((folder / "adapter_config.json").read_text())

    def configured(**changes: Any) -> str:
        (folder / "adapter_config.json").write_text(json.dumps({**config, **changes}))
        return refusal(folder)

    assert "the adapter is its own base" in configured(base_model_name_or_path=".")
    assert "the adapter is its own base" in configured(base_model_name_or_path=str(folder))
    assert "its base ../gone: no such folder" in configured(base_model_name_or_path="../gone")
    assert "asks for revision v1 of its base ../base" in configured(revision="v1")
    assert "from_tomorrow is unknown to the installed peft" in configured(from_tomorrow=3)
    assert "size mismatch" in configured(r=4)
    assert "v_proj.lora_A.weight and 7 more are unknown" in configured(target_modules=["q_proj"])
    assert "POLY needs the number of a task" in configured(peft_type="POLY")
    for task in ("SEQ_CLS", "FEATURE_EXTRACTION"):
        assert f"adapter_config.json: task_type {task} is another task" in configured(task_type=task)
    mapping = {"base_model_class": "LlamaForSequenceClassification", "parent_library": "transformers"}
    assert "auto_mapping names LlamaForSequenceClassification" in configured(task_type=None, auto_mapping=mapping)
    with pytest.raises(InputError, match=r"task_type CAUSAL_LM is another task; this one needs SEQ_CLS"):
        (folder / "adapter_config.json").write_text(json.dumps(config))
        SequenceClassifier(str(folder))(["you"])
    (folder / "adapter_config.json").write_text(json.dumps(config))
    shutil.copytree(folder, tmp_path / "second")
    assert "is an adapter too" in configured(base_model_name_or_path="../second")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    change(folder, lambda t: dict(list(t.items())[1:]), file)
    assert "lora_A.weight is missing" in refusal(folder)
    (folder / "decoy.safetensors").write_bytes((folder / file).read_bytes())
    (folder / file).rename(folder / "adapter_model.bin")
    assert "only pickle weights (adapter_model.bin)" in refusal(folder)
    (folder / file).write_bytes(b"")
    assert f"{file}: cannot be loaded: not a safetensors file" in refusal(folder)


def test_the_revision_of_an_adapters_base_is_the_one_that_is_measured(
    hub: HubServer, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base's main branch has moved on to other weights. A folder of its name where one stands is not read."""
    from peft import LoraConfig

    api = hub.api("hf_alice")
    api.create_repo("lab/base")
    commit = api.upload_folder(repo_id="lab/base", folder_path=llama).oid
    config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, revision=commit)
    expected = by_transformers(write_adapter(llama, tmp_path / "adapter", config, "lab/base"))
    change(llama, lambda t: {k: v * 2 if "mlp" in k else v for k, v in t.items()})
    api.upload_folder(repo_id="lab/base", folder_path=llama)
    (tmp_path / "lab" / "base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    loaded = load(tmp_path / "adapter")
    assert loaded.ref.base is not None and loaded.ref.base.revision == commit
    assert outputs(loaded) == expected
    # PEFT writes the file that says so.
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["revision"] == commit


# -- tokenizers -------------------------------------------------------------------------------------------------------
def test_a_tokenizer_without_special_tokens_rewrites_alone_as_in_a_batch(llama: Path) -> None:
    config = json.loads((llama / "tokenizer_config.json").read_text())
    without = {key: value for key, value in config.items() if key not in ("eos_token", "pad_token")}
    (llama / "tokenizer_config.json").write_text(json.dumps(without))
    for name in ("config.json", "generation_config.json"):
        stored = json.loads((llama / name).read_text())
        (llama / name).write_text(json.dumps({k: v for k, v in stored.items() if not k.endswith("s_token_id")}))
    loaded = load(llama)
    assert loaded.tokenizer.eos_token_id is None and loaded.tokenizer.pad_token_id is not None
    assert outputs(loaded) == [outputs(loaded, [prompt])[0] for prompt in PROMPTS]


def test_a_tokenizer_that_does_not_belong_to_the_model_is_refused(llama: Path) -> None:
    (llama / "chat_template.json").write_text('{"chat_template": "{{ messages[0].content }}"}')
    assert "chat_template.json is for processors" in refusal(llama)
    (llama / "chat_template.json").unlink()
    tokenizer = AutoTokenizer.from_pretrained(llama)
    tokenizer.add_tokens(["<rude>"])
    tokenizer.save_pretrained(llama)
    assert "1 tokens for which the model has no embedding, such as '<rude>'" in refusal(llama)
    (llama / "tokenizer.json").unlink()
    assert "cannot be loaded" in refusal(llama) or "no vocabulary" in refusal(llama)


# -- scorers ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("edit", "message"), FAULTS[1:])
def test_scorers_with_unfit_weights_are_refused_by_name(
    llama: Path, edit: Callable[[Tensors], Tensors], message: str
) -> None:
    change(llama, edit)
    with pytest.raises(InputError) as error:
        SentenceEncoder(str(llama)).cosine(["you"], ["a"])
    assert message.removeprefix("model.") in str(error.value)


def test_a_classifier_without_a_head_is_refused_by_name(llama: Path) -> None:
    with pytest.raises(InputError, match=r"the weight score\.weight is missing"):
        SequenceClassifier(str(llama))(["you"])


TEXTS = ["you are a fool", "now", "the dog is in the house", "", "what a good film , so good !"]


@pytest.mark.parametrize("pad", [None, "<pad>"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", ["Llama", "GPT2"])
def test_a_classifier_on_a_decoder_scores_alone_as_in_a_batch(
    tokenizer_folder: Path, tmp_path: Path, pad: str | None, side: str, family: str
) -> None:
    """And as transformers scores each text alone: by its last token."""
    import transformers

    sizes = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_labels": 3}
    torch.manual_seed(1)
    config = getattr(transformers, f"{family}Config")(
        **sizes, pad_token_id=None, intermediate_size=48, initializer_range=0.5
    )
    model = getattr(transformers, f"{family}ForSequenceClassification")(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, pad_token=pad, padding_side=side)
    tokenizer.save_pretrained(tmp_path)
    values = SequenceClassifier(str(tmp_path))(TEXTS)
    for text, value in zip(TEXTS, values, strict=True):
        with torch.inference_mode():
            alone = model(input_ids=torch.tensor([tokenizer(text)["input_ids"]])).logits[0]
        assert value.tolist() == pytest.approx(alone.tolist(), abs=1e-5)


def test_a_pooler_is_rightly_absent_or_unused(tokenizer_folder: Path, tmp_path: Path) -> None:
    """RoBERTa's classifier reads no pooler; a sentence encoder reads neither the pooler nor the head of its model."""
    from transformers import BertConfig, BertForMaskedLM, RobertaConfig, RobertaForSequenceClassification

    sizes: dict[str, Any] = {
        "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
    }  # fmt: skip
    classifier, encoder = tmp_path / "classifier", tmp_path / "encoder"
    RobertaForSequenceClassification(RobertaConfig(**sizes)).save_pretrained(classifier)
    BertForMaskedLM(BertConfig(**sizes)).save_pretrained(encoder)
    for folder in (classifier, encoder):
        AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    before = SequenceClassifier(str(classifier))(TEXTS[:2])
    change(classifier, lambda t: {**t, "roberta.pooler.dense.weight": torch.zeros(16, 16)})
    assert SequenceClassifier(str(classifier))(TEXTS[:2]).tolist() == before.tolist()
    assert SentenceEncoder(str(encoder)).cosine(["you"], ["you"])[0] == pytest.approx(1, abs=1e-6)
    change(classifier, lambda t: {**t, "roberta.extra.dense.weight": torch.zeros(16, 16)})
    with pytest.raises(InputError, match=r"extra\.dense\.weight is unknown"):
        SequenceClassifier(str(classifier))(TEXTS[:2])


# -- GGUF -------------------------------------------------------------------------------------------------------------
def write_gguf(model: Any, path: Path, words: list[str], *, drop: str = "", extra: str = "", scaling: str = "") -> None:
    """Write a Llama as llama.cpp's converter does, which orders the rows of queries and keys by halves."""
    import gguf

    config, writer = model.config, gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(128)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    if scaling:
        writer.add_string("llama.rope.scaling.type", scaling)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_merges(["a b", "b c"])
    writer.add_eos_token_id(1)
    writer.add_bos_token_id(1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" or (drop and drop in key):
            continue
        for kind, count in heads.items():
            if kind in key:
                halves = tensor.reshape(count, 2, -1, tensor.shape[1])
                tensor = halves.swapaxes(1, 2).reshape(tensor.shape)
        name = names.get_name(key.removesuffix(".weight"))
        writer.add_tensor(f"{name}.weight", tensor.contiguous().float().numpy())
    if extra:
        writer.add_tensor(extra, torch.full((4,), 2.0).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def words(llama: Path) -> list[str]:
    """A vocabulary of byte pairs, as large as the model's."""
    start = ["<pad>", "</s>", "<unk>", "a", "b", "c", "ab", "bc"]
    return [*start, *(f"w{i}" for i in range(len(AutoTokenizer.from_pretrained(llama)) - len(start)))]


def test_a_gguf_file_on_the_hub_is_used_by_its_name(
    hub: HubServer, llama: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    model, folder = AutoModelForCausalLM.from_pretrained(llama).eval(), tmp_path / "gguf"
    folder.mkdir()
    write_gguf(model, folder / "tiny.F32.gguf", words)
    (folder / "rewriter.json").write_text('{"prompt": "polite: {text}"}')
    api = hub.api("hf_alice")
    api.create_repo("lab/tiny")
    commit = api.upload_folder(repo_id="lab/tiny", folder_path=folder).oid
    loaded = load_model(resolve_model("lab/tiny:tiny.F32.gguf"), device="cpu")
    assert loaded.ref.revision == commit and loaded.prompt == "polite: {text}"
    assert outputs(loaded) == by_transformers(model)
    assert outputs(load(folder)) == by_transformers(model)
    assert "has no file tiny.gguf (its GGUF files: tiny.F32.gguf)" in refusal("lab/tiny:tiny.gguf")
    assert "GGUF files only; name one of them: lab/tiny:tiny.F32.gguf" in refusal("lab/tiny")


def test_malformed_gguf_files_are_refused_in_one_line(
    llama: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    model, file = AutoModelForCausalLM.from_pretrained(llama), tmp_path / "gguf" / "tiny.gguf"
    file.parent.mkdir()
    for faults, message in (
        ({"drop": "layers.1.mlp"}, "tiny.gguf: cannot be loaded: the weight model.layers.1.mlp.down_proj.weight and 2"),
        ({"extra": "blk.0.new.weight"}, "blk.0.new.weight is unknown"),
        ({"extra": "rope_freqs.weight"}, "rope_freqs.weight is unknown"),
        ({"scaling": "yarn"}, "llama.rope.scaling.type is yarn, which transformers does not read"),
    ):
        write_gguf(model, file, words, **faults)
        assert message in refusal(file.parent)
    write_gguf(model, file, words)
    content = file.read_bytes()
    for length in (4, 12, 40, 400, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        assert "tiny.gguf: not a GGUF file that transformers can read" in refusal(file.parent)
    for content in (b"", b"garbage", b"GGUF" + b"\xff" * 64):
        file.write_bytes(content)
        assert "tiny.gguf: not a GGUF file" in refusal(file.parent)
    file.rename(file.with_name("tiny-00001-of-00002.gguf"))
    assert "one of several parts of a GGUF file" in refusal(file.parent)


@pytest.mark.parametrize("name", ["smollm2-135m-q4", "minilm-l6"])
def test_the_built_in_models_load_whole(name: str) -> None:
    if name == "minilm-l6":
        assert SentenceEncoder(name).cosine(["a dog"], ["a dog"])[0] == pytest.approx(1, abs=1e-6)
        return
    assert load_model(resolve_model(name), weights=False).merged


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"prompt": ["polite: {text}"]}, "its prompt is no text"),
        ({"prompt": "polite: {text}", "system": "Stay kind"}, "system is unknown; it holds a prompt and schema 1"),
        ({"prompt": "polite: {text}", "schema": 2}, "schema 2 is unknown"),
    ],
)
def test_a_rewriter_file_that_says_more_is_refused(stored: dict[str, Any], message: str, llama: Path) -> None:
    (llama / "rewriter.json").write_text(json.dumps(stored))
    with pytest.raises(InputError, match=message):
        load_model(resolve_model(str(llama)), device="cpu")
