"""Training the leader: a `transformers.Trainer` for the warm-up and one for SRO, for causal and seq2seq alike.

Checkpoints hold the trained weights only. Rollouts draw from a generator seeded by the step, so that a run that was
killed and resumed sees exactly what an unbroken one sees.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments

from metrics.files import atomic_file
from metrics.generation import generate_ids
from repro.leader import Leader
from repro.objective import sro_loss
from repro.screener import Screener

WEIGHTS = "trained.safetensors"
COMPLETE = "complete"

Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Development:
    """How the leader does on the development sentences after a number of steps (all means over sentences)."""

    step: int
    j: float
    sta: float
    sim: float
    fl: float
    copies: float
    length_ratio: float
    repetition: float


def best_step(history: Sequence[Development]) -> int:
    """The step with the highest development J, the earliest of equals."""
    return max(history, key=lambda d: (d.j, -d.step)).step


def stop_reason(
    history: Sequence[Development], *, max_repetition: float, max_length_ratio: float, patience: int
) -> str | None:
    """Why training should stop after what `history` shows, or None.

    Degenerate text: mean bigram repetition above `max_repetition`, or a mean length ratio above `max_length_ratio` or
    below its inverse. patience: stop after that many evaluations in a row without a better J; 0 never.
    """
    if not history:
        return None
    last = history[-1]
    if last.repetition > max_repetition:
        return f"degenerate at step {last.step}: repetition {last.repetition:.2f} > {max_repetition}"
    if not 1 / max_length_ratio <= last.length_ratio <= max_length_ratio:
        return f"degenerate at step {last.step}: length ratio {last.length_ratio:.2f} (limit {max_length_ratio})"
    since_best = sum(d.step > best_step(history) for d in history)
    if patience and since_best >= patience:
        return f"no better development J in {since_best} evaluations, step {best_step(history)} to {last.step}"
    return None


class _LeaderTrainer(Trainer):
    """What both trainings share: trained weights only in checkpoints, no dropout, JSONL logs."""

    # The loss is a mean over the micro-batch; T5 claims to take loss kwargs, and accumulation would not divide.
    loss_is_scaled_for_ga = False

    def __init__(self, leader: Leader, arguments: TrainingArguments, rows: list[dict[str, Any]], log: Log) -> None:
        self.leader = leader
        self._write_log = log
        dataset = Dataset.from_list(rows)
        super().__init__(
            model=leader.model,
            args=arguments,
            train_dataset=dataset,
            # `evaluate` below does not read it, but the Trainer wants one before it evaluates at all.
            eval_dataset=dataset,
            data_collator=lambda batch: {key: [row[key] for row in batch] for key in batch[0]},
            callbacks=[_MarkComplete()],
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs, start_time)
        self._write_log({"step": self.state.global_step, **logs})

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(self.leader, folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.leader.load_trainable_state(load_file(Path(resume_from_checkpoint) / WEIGHTS))

    def fit(self) -> None:
        """Trains, going on from the last complete checkpoint there is; does nothing where that one was the end."""
        checkpoint = last_checkpoint(Path(str(self.args.output_dir)))
        if checkpoint is not None:
            self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
            if self.finished:
                self._load_from_checkpoint(str(checkpoint))
                return
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train; the Trainer itself would take one more step."""
        return 0 < self.state.max_steps <= self.state.global_step


class _MarkComplete(TrainerCallback):
    """Marks a checkpoint as wholly written; one without the mark is what a killed run left."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint below `folder`; incomplete ones are removed."""
    found = []
    for path in folder.glob("checkpoint-*"):
        if (path / COMPLETE).is_file():
            found.append(path)
        else:
            shutil.rmtree(path)
    return max(found, key=lambda p: int(p.name.rpartition("-")[2]), default=None)


def save_weights(leader: Leader, path: Path) -> None:
    state = {name: value.contiguous().cpu().clone() for name, value in leader.trainable_state().items()}
    with atomic_file(path) as temporary:
        save_file(state, temporary)


def training_arguments(
    folder: Path,
    *,
    batch_size: int,
    accumulation: int,
    learning_rate: float,
    steps: int,
    epochs: int,
    weight_decay: float,
    save_every: int,
    seed: int,
    evaluate: bool,
    schedule: str,
) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
        learning_rate=learning_rate,
        lr_scheduler_type=schedule,
        warmup_steps=min(5, max(1, steps // 4)) if steps else 5,
        weight_decay=weight_decay,
        max_grad_norm=1.0,
        max_steps=steps or -1,
        num_train_epochs=epochs,
        save_strategy="steps",
        save_steps=save_every,
        save_total_limit=1,
        eval_strategy="steps" if evaluate else "no",
        eval_steps=save_every if evaluate else None,
        logging_steps=1,
        seed=seed,
        report_to=[],
        remove_unused_columns=False,
        bf16=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        train_sampling_strategy="group_by_length",
        length_column_name="length",
    )


class WarmupTrainer(_LeaderTrainer):
    """Maximum likelihood of a target given a prompt; rows have `source`, `target` and `length`."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        self.leader.model.eval()
        targets = self.leader.target_ids(inputs["target"])
        policy, _ = self.leader.logprobs(self.leader.prompt_ids(inputs["source"]), targets, reference=False)
        return -policy.sum() / sum(len(t) for t in targets)


@dataclass(frozen=True)
class Game:
    """The rules of SRO training; see `repro.recipe.Recipe` for the fields."""

    beta: float
    epsilon: float
    rollouts: int
    sample: bool
    temperature: float
    max_new_tokens: int
    shift_right: bool
    rejected_with_prompt: bool
    rollout_dropout: bool
    seed: int


class SROTrainer(_LeaderTrainer):
    """SRO: roll out, ask the screener, learn from its answers. Rows have `text` and `length`.

    develop(step): scores the leader on the development sentences. stop(history): why to stop, or None.
    The weights of the best step so far are kept in `best.safetensors` in the output folder.
    """

    def __init__(
        self,
        leader: Leader,
        screener: Screener,
        game: Game,
        arguments: TrainingArguments,
        texts: Sequence[str],
        log: Log,
        *,
        develop: Callable[[int], Development] | None = None,
        stop: Callable[[Sequence[Development]], str | None] = lambda _: None,
    ) -> None:
        super().__init__(leader, arguments, [{"text": t, "length": len(t.split())} for t in texts], log)
        self.screener = screener
        self.game = game
        self._develop = develop
        self._stop = stop
        self._micro_batch = (0, 0)
        self.verdicts: list[bool] = []
        if develop is not None:
            self.add_callback(_EvaluateFirst(self))

    @property
    def history(self) -> list[Development]:
        """The development scores so far, from the trainer's own log: it comes back with a checkpoint."""
        entries: list[dict[str, Any]] = self.state.log_history
        return [Development(**entry["development"]) for entry in entries if "development" in entry]

    @property
    def finished(self) -> bool:
        return super().finished or self._stop(self.history) is not None

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        assert self._develop is not None
        done = self.history
        if done and done[-1].step == self.state.global_step:
            # The Trainer evaluates once more when it was told to stop.
            return {"eval_j": done[-1].j}
        development = self._develop(self.state.global_step)
        entry: dict[str, Any] = {"step": development.step, "development": asdict(development)}
        self.state.log_history.append(entry)
        self._write_log({"development": asdict(development)})
        if best_step(self.history) == development.step:
            save_weights(self.leader, Path(str(self.args.output_dir)) / "best.safetensors")
        reason = self._stop(self.history)
        if reason is not None:
            self.control.should_training_stop = True
            self._write_log({"stopped": reason})
        return {"eval_j": development.j}

    def _next_draw(self) -> int:
        """A number for this micro-batch that depends on its place in training alone."""
        step, count = self._micro_batch
        count = count + 1 if step == self.state.global_step else 0
        self._micro_batch = (self.state.global_step, count)
        return self.state.global_step * self.args.gradient_accumulation_steps + count

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Texts -> the rollouts, the texts as tokens, and the verdicts."""
        texts = [text for text in inputs["text"] for _ in range(self.game.rollouts)]
        prompts = self.leader.prompt_ids(texts)
        draw = self._next_draw()
        outputs = self._roll_out(prompts, draw)
        written = self.leader.tokenizer.batch_decode(outputs, skip_special_tokens=True)
        written = [" ".join(text.split()) for text in written]
        # Saying nothing is no rewrite: an empty rollout fails whatever the screener thinks of it.
        passed = self.screener.passes(written, draw) & [bool(text) for text in written]
        self.verdicts += passed.tolist()
        rejected = prompts if self.game.rejected_with_prompt else self.leader.target_ids(texts)
        return {"prompts": prompts, "outputs": outputs, "rejected": rejected, "passed": passed.tolist()}

    def _roll_out(self, prompts: list[list[int]], draw: int) -> list[list[int]]:
        game = self.game
        settings: dict[str, Any] = {"max_new_tokens": game.max_new_tokens, "do_sample": game.sample, "num_beams": 1}
        if game.sample:
            settings |= {"temperature": game.temperature, "top_k": 0, "top_p": 1.0}
        self.leader.model.train(game.rollout_dropout)
        with torch.random.fork_rng():
            torch.manual_seed(game.seed * 1_000_003 + draw)
            outputs = generate_ids(self.leader.model, self.leader.tokenizer, prompts, self.leader.seq2seq, settings)
        self.leader.model.eval()
        # A model that generates nothing at all still has its end of sequence to be judged by.
        return [tokens or [self.leader.tokenizer.eos_token_id] for tokens in outputs]

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        self.leader.model.eval()
        return self.losses(**inputs).mean()

    def losses(
        self, prompts: list[list[int]], outputs: list[list[int]], rejected: list[list[int]], passed: list[bool]
    ) -> torch.Tensor:
        """The SRO loss of each rollout, [n]. Only passes need Δ of the rejected text."""
        pairs = [i for i, verdict in enumerate(passed) if verdict]
        policy, reference = self.leader.logprobs(
            prompts + [prompts[i] for i in pairs],
            outputs + [rejected[i] for i in pairs],
            shift_right=self.game.shift_right,
        )
        delta = policy - reference
        delta_y, delta_passed_x = delta[: len(outputs)], delta[len(outputs) :]
        places = torch.tensor(pairs, dtype=torch.long, device=delta.device)
        delta_x = torch.zeros_like(delta_y).index_put((places,), delta_passed_x)
        verdicts = torch.tensor(passed, device=delta.device)
        return sro_loss(delta_y, delta_x, verdicts, self.game.beta, self.game.epsilon)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self.verdicts:
            logs["passed"] = sum(self.verdicts) / len(self.verdicts)
            self.verdicts = []
        super().log(logs, start_time)


class _EvaluateFirst(TrainerCallback):
    """Scores the untrained leader before the first step: the curve starts where the warm-up ended."""

    def __init__(self, trainer: SROTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 0:
            self._trainer.evaluate()
