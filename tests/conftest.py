"""Tiny real models with a real tokenizer, and the folder of real texts."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.hub.fixtures"]
# How fast a machine draws examples says nothing about the code.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
ROOT = Path(__file__).resolve().parent.parent
WORDS = (
    "the a you your this that is was are not so very he she they we it of in on at and but with what why how idiot "
    "damn stupid crap fool dog cat house car game team food book film road rain paraphrase polite rude text good bad"
).split()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real texts; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("SRO_DATA_DIR", ROOT.parent / "shared" / "data"))
    if not (folder / "paradetox" / "paradetox.tsv").is_file():
        pytest.skip(f"no real texts in {folder} (SRO_DATA_DIR)")
    return folder.resolve()


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A word-level tokenizer with the special tokens T5 and causal models need."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", ":", ".", ",", "!", *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )
    folder = tmp_path_factory.mktemp("tokenizer")
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A random T5 of two layers in a local folder, with dropout as T5 has it."""
    import torch
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(WORDS) + 7, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, dropout_rate=0.1,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("t5")
    T5ForConditionalGeneration(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return folder


@pytest.fixture
def lively_t5(tiny_t5: Path, tmp_path: Path) -> Path:
    """The same with larger weights, so that it writes something else for every sentence."""
    from transformers import AutoTokenizer, T5ForConditionalGeneration

    from tests.leaders import randomise_weights

    randomise_weights(T5ForConditionalGeneration.from_pretrained(tiny_t5), tmp_path / "t5")
    AutoTokenizer.from_pretrained(tiny_t5).save_pretrained(tmp_path / "t5")
    return tmp_path / "t5"


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A random Llama of four layers in a local folder."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS) + 7, hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=1, tie_word_embeddings=True,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("llama")
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session", params=["Llama", "Qwen2", "Qwen3"])
def tiny_causal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path
) -> Path:
    """A random model of each family that `metrics.generation.sampler` serves, as small as `tiny_llama`."""
    import torch
    import transformers
    from transformers import AutoTokenizer

    torch.manual_seed(0)
    config = getattr(transformers, f"{request.param}Config")(
        vocab_size=len(WORDS) + 7, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, pad_token_id=0, bos_token_id=1, eos_token_id=1, tie_word_embeddings=True,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("causal")
    getattr(transformers, f"{request.param}ForCausalLM")(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A random GPT-2 of two layers: a causal model of a family that `metrics.generation.sampler` leaves to
    transformers."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(WORDS) + 7, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=1)
    folder = tmp_path_factory.mktemp("gpt2")
    GPT2LMHeadModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return folder


@pytest.fixture
def sentences() -> list[str]:
    """48 different sentences in the tiny tokenizer's words."""
    rng = random.Random(3)
    return [" ".join(rng.choices(WORDS, k=rng.randint(3, 8))) for _ in range(48)]
