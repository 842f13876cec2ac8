"""The untrained rewriters on tiny models: what they change, and how they resume."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from metrics.data.test_sets import TestSet
from metrics.models.loading import load_model
from metrics.models.resolve import ModelRef, resolve_model
from metrics.systems.baselines import lexicon
from metrics.systems.resolve import Rewrites
from metrics.util.errors import InputError
from metrics.util.files import sha256_folder
from repro.baselines import UNTRAINED, BaselineConfig, RewriterContext, best_of_k, few_shot, mask_infill, untrained
from repro.config.recipe import load_recipe, recipe_names
from repro.followers.follower import Follower, Verdict
from tests.judge_server import Reply, completion, judge_server

SOURCES = ("you are a damn fool .", "the  cat is good", "damn , this stupid road", "why is the car crap ?")


class Verdicts:
    """Passes what holds the word "good", and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, tuple[str, ...]]] = []

    def judge(self, sources: Sequence[str], outputs: Sequence[str], call: int = 0) -> Any:
        self.asked.append((call, tuple(sources)))
        return [Verdict.PASS if "good" in text else Verdict.TOXIC for text in outputs]


@pytest.fixture
def make_setting(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RewriterContext]:
    monkeypatch.setenv("SRO_HOME", str(tmp_path))

    def make(follower: Follower, **changes: Any) -> RewriterContext:
        config = load_recipe("smoke").narrow(BaselineConfig).model_copy(update={"leader": str(tiny_llama), **changes})
        ref = resolve_model(str(tiny_llama))
        test = TestSet("made", "sample", "1", SOURCES, tuple(("a polite text",) for _ in SOURCES))
        return RewriterContext(config, ref, ref, test, lambda: follower)

    return make


def test_recipes_without_training_name_systems_that_exist() -> None:
    recipes = [recipe for recipe in map(load_recipe, recipe_names()) if recipe.method == "none"]
    assert {recipe.systems[0] for recipe in recipes} >= {*UNTRAINED, "duplicate", "delete", "warm-up"}
    for recipe in recipes:
        assert recipe.systems[-1] == "reference"
        assert recipe.warmup != "none" or recipe.systems[0] not in ("warm-up", "best-of-k")
    assert all(callable(untrained(name)) for name in UNTRAINED)


# -- best of k ---------------------------------------------------------------------------------------------------------
def test_best_of_k_takes_the_first_pass_and_else_the_likeliest(
    make_setting: Callable[..., RewriterContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {
        10: {SOURCES[0]: "bad 0", SOURCES[1]: "good 0", SOURCES[2]: "bad 0", SOURCES[3]: "bad 0"},
        11: {SOURCES[0]: "good 1", SOURCES[2]: "bad 1", SOURCES[3]: "bad 1"},
        12: {SOURCES[2]: "bad 2", SOURCES[3]: "good 2"},
    }

    def rewrite(system: Any, test: TestSet, *, batch_size: int, seed: int, loaded: Any) -> Rewrites:
        assert system.decoding["do_sample"] == (seed > 10)
        outputs = tuple(drawn[seed][source] for source in test.sources)
        return Rewrites(system.name, "model", system.revision, {"seed": seed}, outputs, 1.5)

    monkeypatch.setattr(best_of_k, "rewrite", rewrite)
    follower = Verdicts()
    done = best_of_k.rewrites(make_setting(follower, candidates=3, seed=10))
    assert done.outputs == ("good 1", "good 0", "bad 0", "good 2")
    assert follower.asked == [(0, SOURCES), (1, (SOURCES[0], *SOURCES[2:])), (2, SOURCES[2:])]
    assert done.decoding == {
        "seed": 10, "candidates": 3, "choice": "the first that passes, else the likeliest",
        "temperature_after_the_first": 0.7,
    }  # fmt: skip
    assert done.seconds == 4.5


def test_best_of_k_is_the_same_again_from_its_cache(make_setting: Callable[..., RewriterContext]) -> None:
    setting = make_setting(Verdicts(), candidates=2)
    done = best_of_k.rewrites(setting)
    assert len(done.outputs) == len(SOURCES)
    assert best_of_k.rewrites(setting) == done


# -- mask and infill ---------------------------------------------------------------------------------------------------
def test_mask_infill_leaves_no_rude_word_and_clean_sentences_alone(
    make_setting: Callable[..., RewriterContext],
) -> None:
    outputs = mask_infill.rewrites(make_setting(Verdicts())).outputs
    assert outputs[1] == SOURCES[1]
    assert not {word for output in outputs for word in output.lower().split()} & lexicon()
    assert (
        outputs[0].startswith("you are a ") and outputs[2].endswith(" road") and outputs[3].startswith("why is the car")
    )


def test_mask_infill_resumes_after_a_kill(
    make_setting: Callable[..., RewriterContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = make_setting(Verdicts())
    whole = mask_infill.rewrites(setting)
    (file,) = (tmp_path / "mask-infill").iterdir()
    lines = [line for line in file.read_text().split("\n") if line]
    foreign = ["null", "[1]", "[0, 5, 1]", '["0", "x", 1]', '[3, "x", null]', '{"0": "x"}']
    file.write_text("\n".join(["", *lines[:2], *foreign, lines[2][:9]]))
    filled: list[str] = []
    fill = mask_infill.Infiller.fill

    def counted(self: Any, source: str, marked: Any) -> str:
        filled.append(source)
        return fill(self, source, marked)

    monkeypatch.setattr(mask_infill.Infiller, "fill", counted)
    assert mask_infill.rewrites(setting).outputs == whole.outputs
    assert filled == list(SOURCES[2:])


def test_mask_infill_scores_proposals_by_the_likelihood_of_the_text(tiny_llama: Path) -> None:
    loaded = load_model(resolve_model(str(tiny_llama)))
    infiller = mask_infill.Infiller(loaded)
    words, scores = infiller.score("you are a", " cat and dog with rain")
    assert words[0] == "" and "good" in words and not set(words) & lexicon()
    for word in ("", "good", words[-1]):
        context = [*infiller.start, *infiller._ids("you are a")]
        text = infiller._ids(f"{word} cat and dog")
        with torch.no_grad():
            logits = loaded.model(torch.tensor([[*context, *text]])).logits[0, len(context) - 1 : -1]
        expected = logits.log_softmax(-1)[range(len(text)), text].sum().item()
        assert scores[words.index(word)] == pytest.approx(expected, abs=1e-4)


# -- few-shot ----------------------------------------------------------------------------------------------------------
def test_few_shot_prompts_with_one_sentence_and_returns_one_line() -> None:
    assert few_shot.PROMPT.count("{text}") == 1 and few_shot.PROMPT.count("{") == 1
    assert few_shot.first_line('please stop."') == "please stop."
    assert few_shot.first_line('please stop." Rude: "you fool" Polite: "you') == "please stop."
    assert few_shot.first_line("") == ""


def test_few_shot_rewrites_every_sentence(make_setting: Callable[..., RewriterContext]) -> None:
    setting = make_setting(Verdicts())
    done = few_shot.rewrites(setting)
    assert len(done.outputs) == len(SOURCES) and done.revision == setting.leader.revision
    assert done.decoding["stop"] == "line end" and done.decoding["prompt"] == few_shot.PROMPT


# -- models behind an endpoint -----------------------------------------------------------------------------------------
def test_few_shot_and_best_of_k_ask_an_endpoint(
    make_setting: Callable[..., RewriterContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(body: dict[str, Any], number: int) -> Reply:
        """The greedy answer is never "good"; the second sample is, which has the seed 2 + 1."""
        source = body["messages"][-1]["content"].rpartition("\n\n")[2]
        return completion(f"{'good' if body.get('seed') == 3 else 'bad'} {source.split()[0]}", system_fingerprint="fp7")

    monkeypatch.setenv("SRO_ENDPOINT_PRICE", "10,100")
    with judge_server(answer) as server:
        changes = {"untrained_model": f"openai:m@{server.url}", "candidates": 5, "seed": 1}
        verdicts = Verdicts()
        best = best_of_k.rewrites(make_setting(verdicts, **changes))
        shots = few_shot.rewrites(make_setting(Verdicts(), **changes))
    first_words = [source.split()[0] for source in SOURCES]
    assert best.outputs == tuple(f"good {word}" for word in first_words)
    assert [call for call, _ in verdicts.asked] == [0, 1, 2]
    assert (best.system, best.kind, best.decoding["candidates"]) == ("best-of-k", "outputs", 5)
    assert best.decoding["endpoint"] == f"{server.url},model=m,fingerprint=fp7"
    # Three draws of four sentences, each of 10 prompt tokens and one completion token: 12 x (10 x 10 + 100) / 10^6.
    assert (best.usage["prompt_tokens"], best.usage["completion_tokens"], best.usage["cost"]) == (120, 12, 0.0024)
    file = "".join(f"{output}\n" for output in best.outputs)
    assert best.revision == f"sha256:{hashlib.sha256(file.encode()).hexdigest()}"
    assert shots.outputs == tuple(f"bad {word}" for word in first_words) and shots.system == "few-shot"
    turns = server.requests[-1]["messages"]
    assert [turn["role"] for turn in turns] == [*("user", "assistant") * 6, "user"]
    with pytest.raises(InputError, match="untrained_model is 'gpt'; it must be openai:MODEL@URL or null"):
        load_recipe("few-shot", ["untrained_model=gpt"])


def test_the_line_end_stops_generation_only_in_a_copy_of_the_model(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    monkeypatch.setenv("SRO_HOME", str(tmp_path / "home"))
    backend = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "\n": 3, "the": 4}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.CharDelimiterSplit(" ")]
    )
    folder = tmp_path / "model"
    AutoModelForCausalLM.from_pretrained(tiny_llama).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>").save_pretrained(folder)
    before, ref = sha256_folder(folder), resolve_model(str(folder))
    copy: ModelRef = few_shot.ends_at_line(ref)
    assert load_model(copy).model.generation_config.eos_token_id == [1, 3]
    assert copy.folder != folder and few_shot.ends_at_line(ref) == copy
    assert sha256_folder(folder) == before
    # A copy with other ends of outputs, as an older version of this program made, is not used.
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 1]}')
    assert load_model(few_shot.ends_at_line(ref)).model.generation_config.eos_token_id == [1, 2, 3]
