"""trl's trainers in SRO's budget: they learn, use the leader's own token ids, and resume after a kill."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import repro.methods
from metrics.models.loading import load_model
from metrics.models.resolve import resolve_model
from metrics.util.errors import InputError
from repro.config.recipe import load_recipe
from repro.followers.follower import Verdict
from repro.leader.leader import Leader
from repro.leader.logprobs import sequence_logprobs
from repro.leader.rollouts import RolloutGenerator
from repro.methods.config import ContextConfig
from repro.methods.context import TrainingContext, training_method
from repro.methods.sro import SEED_STRIDE
from repro.methods.untrained_rollouts import ROLLOUTS_FILE, untrained_rollouts
from repro.training.checkpoints import BEST
from tests.leaders import scores_by_norm, weights

METHODS = tuple(method for method in repro.methods.METHODS if method != "sro")
SMALL = ["train=2", "steps=4", "batch_size=4", "rollouts=2", "evaluate_every=2", "rollout_max_new_tokens=6",
         "learning_rate=1e-2", "temperature=1.0", "systems=[reference]", "stop_repetition=1",
         "stop_length_ratio=0", "train_dtype=float32"]  # fmt: skip


@dataclass
class EvenFollower:
    """Passes outputs with an even number of letters: a real rule, with passes and fails. Raises at call `die_at`."""

    die_at: int | None = None

    def judge(self, sources: list[str], outputs: list[str], call: int = 0) -> list[Verdict]:
        assert len(sources) == len(outputs)
        if call == self.die_at:
            raise KeyboardInterrupt
        return [Verdict.TOXIC if len(o.replace(" ", "")) % 2 else Verdict.PASS for o in outputs]

    def quality(self, sources: list[str], outputs: list[str]) -> Any:
        return np.ones(len(outputs))


def make_context(
    method: str, folder: Path, out: Path, texts: list[str], *settings: str, die_after: int | None = None,
    follower: EvenFollower | None = None,
) -> tuple[TrainingContext, list[dict[str, Any]]]:  # fmt: skip
    """Return a context for the tiny leader, and its log; `die_after` raises in that step, as a kill would end it."""
    recipe = load_recipe("smoke", [*SMALL, f"method={method}", *settings])
    torch.manual_seed(0)
    leader = Leader(load_model(resolve_model(str(folder)), prompt="paraphrase : {text} !"), train=recipe.train)
    events: list[dict[str, Any]] = []

    pairs = list(pairwise(texts))
    context = TrainingContext(
        recipe.narrow(ContextConfig), leader, follower or EvenFollower(), texts, pairs, events.append,
        scores_by_norm(leader, die_after), out,
    )  # fmt: skip
    return context, events


def train(context: TrainingContext) -> Any:
    return training_method(context.config.method)(context)


def losses(events: list[dict[str, Any]]) -> dict[int, float]:
    return {event["step"]: event["loss"] for event in events if "loss" in event}


@pytest.mark.parametrize(
    ("method", "more"),
    [
        *((method, ()) for method in METHODS),
        *((method, ("accumulation=2",)) for method in ("grpo", "online-dpo")),
        *((method, ("train=lora",)) for method in ("dpo", "online-dpo")),
    ],
)
def test_learns_and_resuming_equals_not_stopping(
    method: str, more: tuple[str, ...], tiny_llama: Path, sentences: list[str], tmp_path: Path
) -> None:
    uninterrupted, events = make_context(method, tiny_llama, tmp_path / "uninterrupted", sentences, *more)
    start = weights(uninterrupted.leader).clone()
    names = set(uninterrupted.leader.trainable_state())
    trainer = train(uninterrupted)
    assert (weights(uninterrupted.leader) - start).abs().max() > 1e-3
    assert set(uninterrupted.leader.trainable_state()) == names == set(load_file(tmp_path / "uninterrupted" / BEST))
    assert [d["step"] for d in trainer.outcome()["history"]] == [0, 2, 4]
    assert not uninterrupted.leader.model.training
    checkpoint = {path.name for path in (tmp_path / "uninterrupted" / "checkpoint-4").iterdir()}
    assert not {"pytorch_model.bin", "model.safetensors", "adapter_model.safetensors", "training_args.bin"} & checkpoint

    cut, _ = make_context(method, tiny_llama, tmp_path / "cut", sentences, *more, die_after=4)
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    again, later = make_context(method, tiny_llama, tmp_path / "cut", sentences, *more)
    train(again)
    assert torch.equal(weights(uninterrupted.leader), weights(again.leader))
    assert (tmp_path / "uninterrupted" / BEST).read_bytes() == (tmp_path / "cut" / BEST).read_bytes()
    assert set(losses(later)) == {3, 4}
    assert all(losses(events)[step] == loss for step, loss in losses(later).items())


def test_rollouts_before_training_survive_a_kill(tiny_llama: Path, sentences: list[str], tmp_path: Path) -> None:
    # 4 updates of 20 texts are more than there are: they come round again.
    texts, large = sentences[:30], "batch_size=20"
    uninterrupted, _ = make_context("dpo", tiny_llama, tmp_path / "uninterrupted", texts, large)
    rollouts = untrained_rollouts(uninterrupted)
    assert [r.text for r in rollouts[::2]] == [*texts, *texts, *texts[:20]]
    assert len({r.passed for r in rollouts}) == 2
    cut, _ = make_context("dpo", tiny_llama, tmp_path / "cut", texts, large, follower=EvenFollower(die_at=2))
    with pytest.raises(KeyboardInterrupt):
        untrained_rollouts(cut)
    path = tmp_path / "cut" / ROLLOUTS_FILE
    with path.open("a") as file:
        file.write('\n{"batch": 2, "outp')
    # What was drawn before is not drawn again.
    again, _ = make_context("dpo", tiny_llama, tmp_path / "cut", texts, large, follower=EvenFollower(die_at=1))
    assert untrained_rollouts(again) == rollouts
    draws = [json.loads(line)["batch"] for line in path.read_text().split("\n") if line.endswith("}")]
    assert draws == [0, 1, 2, 3]


def test_dpo_starts_at_ln_2_and_reads_what_was_rolled_out(
    tiny_llama: Path, sentences: list[str], tmp_path: Path
) -> None:
    context, events = make_context("dpo", tiny_llama, tmp_path, sentences)
    passed = [r for r in untrained_rollouts(context) if r.passed]
    texts = [r.text for r in passed]
    prompts, toxic = context.leader.prompt_ids(texts), context.leader.target_ids(texts)
    assert context.leader.tokenizer.decode(prompts[0]) == f"paraphrase : {texts[0]} !"  # no end of sequence after it
    assert context.leader.tokenizer.decode(toxic[0]) == f"{texts[0]} </s>"
    chosen, _ = sequence_logprobs(context.leader, prompts, [r.output for r in passed], reference=False)
    rejected, _ = sequence_logprobs(context.leader, prompts, toxic, reference=False)
    rows = train(context).train_dataset
    assert len(rows) % 8 == 0 and len(rows) - len(passed) < 8
    assert rows["prompt_ids"][: len(passed)] == prompts
    # trl's log-probabilities of the starting weights are the leader's own.
    for ours, theirs in ((chosen, rows["ref_chosen_logps"]), (rejected, rows["ref_rejected_logps"])):
        torch.testing.assert_close(ours.detach(), torch.tensor(theirs[: len(passed)]), atol=1e-4, rtol=1e-5)
    assert losses(events)[1] == pytest.approx(math.log(2), abs=1e-6)


def test_kto_labels_are_verdicts_and_weigh_alike(tiny_llama: Path, sentences: list[str], tmp_path: Path) -> None:
    context, _ = make_context("kto", tiny_llama, tmp_path, sentences)
    trainer = train(context)
    rows = list(trainer.train_dataset)
    rollouts = untrained_rollouts(context)
    expected = [
        (prompt, r.output, r.passed)
        for prompt, r in zip(context.leader.prompt_ids([r.text for r in rollouts]), rollouts, strict=True)
    ]
    assert sorted((row["prompt_ids"], row["completion_ids"], row["label"]) for row in rows) == sorted(expected)
    desirable = sum(r.passed for r in rollouts)
    sums = trainer.args.desirable_weight * desirable, trainer.args.undesirable_weight * (len(rollouts) - desirable)
    assert (
        sums[0] == pytest.approx(sums[1]) and min(trainer.args.desirable_weight, trainer.args.undesirable_weight) == 1
    )
    # Within each batch the answers move by one row.
    assert [row["KL_completion_ids"] for row in rows[8:16]] == [
        rows[15]["completion_ids"], *(row["completion_ids"] for row in rows[8:15]),
    ]  # fmt: skip


def test_grpo_rolls_out_as_sro_and_rewards_passes(tiny_llama: Path, sentences: list[str], tmp_path: Path) -> None:
    context, events = make_context("grpo", tiny_llama, tmp_path, sentences, "steps=1", "evaluate_every=1")
    drawn = RolloutGenerator(context.leader, context.config).generate(sentences[:4], context.config.seed * SEED_STRIDE)
    texts = [text for text in sentences[:4] for _ in range(2)]
    verdicts = context.follower.judge(texts, context.leader.decode(drawn))
    trainer = import_module("repro.methods.grpo").LeaderGRPOTrainer(context)
    rolled = trainer.roll_out(texts, trainer)
    assert rolled["completion_ids"] == drawn
    assert rolled["prompt_ids"] == context.leader.prompt_ids(texts)
    rewards = trainer.reward_funcs[0](prompts=texts, completions=context.leader.decode(drawn), completion_ids=drawn)
    assert rewards == [float(verdict == Verdict.PASS) for verdict in verdicts]
    trainer.train_or_resume()
    (step,) = [event for event in events if "loss" in event]
    assert step["reward"] == step["rewards/verdict/mean"]
    # Eight verdicts are those above, eight the step's own.
    assert step["passed"] == pytest.approx(
        (np.mean([verdict == Verdict.PASS for verdict in verdicts]) + step["reward"]) / 2
    )


def test_online_dpo_prefers_passes_to_fails_of_one_text(tiny_llama: Path, sentences: list[str], tmp_path: Path) -> None:
    settings = ("steps=1", "evaluate_every=1", "rollouts=4", "batch_size=6", "accumulation=2")
    context, events = make_context("online-dpo", tiny_llama, tmp_path, sentences[:12], *settings)
    trainer = import_module("repro.methods.online_dpo").LeaderOnlineDPOTrainer(context)
    pairs = trainer.roll_out(sentences[:12])
    # The rollouts are SRO's, micro-batch after micro-batch. Passes and fails of a text meet; no pair has two texts.
    generator, first = RolloutGenerator(context.leader, context.config), context.config.seed * SEED_STRIDE
    drawn = [*generator.generate(sentences[:6], first), *generator.generate(sentences[6:12], first + 1)]
    for text in range(12):
        own = drawn[4 * text : 4 * text + 4]
        passed = [v == Verdict.PASS for v in context.follower.judge([""] * 4, context.leader.decode(own))]
        found = pairs[2 * text : 2 * text + 2]
        assert sum(a.passed != b.passed for a, b in found) == min(sum(passed), 4 - sum(passed))
        assert all(a.passed and not b.passed if a.passed != b.passed else a == b for a, b in found)
        assert all(r.output in own for pair in found for r in pair)
    assert len(pairs) == 24 and 0 < sum(a.passed != b.passed for a, b in pairs) < 24
    trainer.train_or_resume()
    (step,) = [event for event in events if "loss" in event]
    # Before the first update policy and reference are equal: ln 2, whatever is preferred.
    assert step["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert step["rewards/margins"] == pytest.approx(0, abs=1e-5)


def test_sft_learns_the_rewrite_alone(tiny_llama: Path, sentences: list[str], tmp_path: Path) -> None:
    context, events = make_context("sft", tiny_llama, tmp_path, sentences, "steps=2", "accumulation=2")
    start = Leader(load_model(context.leader.loaded.ref, prompt=context.leader.prompt), train=2)
    trainer = train(context)
    batches = list(trainer.get_train_dataloader())
    rewrites = dict(zip(context.leader.tokenizer.batch_decode(context.leader.prompt_ids([t for t, _ in context.pairs])),
                        context.leader.target_ids([t for _, t in context.pairs]), strict=True))  # fmt: skip
    for batch in batches:
        for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
            learned = ids[labels != -100].tolist()
            prompt = ids[(labels == -100) & (mask == 1)].tolist()
            assert labels[labels != -100].tolist() == learned == rewrites[context.leader.tokenizer.decode(prompt)]
    assert [len(batch["input_ids"]) for batch in batches] == [8] * 4
    # The first update costs the mean over the tokens of both its micro-batches.
    costs, tokens = 0.0, 0
    for row in (row for batch in batches[:2] for row in zip(batch["input_ids"], batch["labels"], strict=True)):
        place = int((row[1] != -100).nonzero()[0])
        target = row[1][row[1] != -100].tolist()
        policy, _ = sequence_logprobs(start, [row[0][:place].tolist()], [target], reference=False)
        costs, tokens = costs - policy.item(), tokens + len(target)
    assert losses(events)[1] == pytest.approx(costs / tokens, rel=1e-4)


@pytest.mark.parametrize("method", ["kto", "sft"])
def test_bfloat16_products_give_about_the_same_losses(
    method: str, tiny_llama: Path, sentences: list[str], tmp_path: Path
) -> None:
    found = {}
    for dtype in ("float32", "bfloat16"):
        context, events = make_context(method, tiny_llama, tmp_path / dtype, sentences, f"train_dtype={dtype}")
        train(context)
        found[dtype] = losses(events)
    assert found["bfloat16"] != found["float32"]
    # The first update starts from the same weights; bfloat16 has eight bits.
    assert found["bfloat16"][1] == pytest.approx(found["float32"][1], abs=2e-2)


def test_settings_that_cannot_be_trained_raise_one_line_errors(
    tiny_t5: Path, tiny_llama: Path, sentences: list[str], tmp_path: Path
) -> None:
    for method in METHODS:
        with pytest.raises(InputError, match="is an encoder-decoder model"):
            train(make_context(method, tiny_t5, tmp_path / method, sentences)[0])
    with pytest.raises(InputError, match="set rollouts to at least 2"):
        train(make_context("grpo", tiny_llama, tmp_path / "one", sentences, "rollouts=1")[0])
    with pytest.raises(InputError, match="online-dpo pairs the rollouts of a text; set rollouts to an even number"):
        train(make_context("online-dpo", tiny_llama, tmp_path / "one", sentences, "rollouts=3")[0])
    with pytest.raises(InputError, match="batch_size x rollouts of at least 2"):
        train(make_context("kto", tiny_llama, tmp_path / "one", sentences, "rollouts=1", "batch_size=1")[0])

    class Never(EvenFollower):
        def judge(self, sources: list[str], outputs: list[str], call: int = 0) -> Any:
            return [Verdict.TOXIC] * len(outputs)

    with pytest.raises(InputError, match="none of 32 rollouts passed, dpo has nothing to learn from"):
        train(make_context("dpo", tiny_llama, tmp_path / "none", sentences, follower=Never())[0])
