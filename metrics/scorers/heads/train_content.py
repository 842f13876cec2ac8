"""Training of the judge of content: two passes over `training_pairs`, with the same bytes on every run."""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from metrics.data import sources
from metrics.data.corpora import load_corpus
from metrics.scorers.batching import pad
from metrics.scorers.heads import features
from metrics.scorers.heads.content import ADAPTER_FILES, KINDS, OUTPUTS, PairReader, pool, rewrite_start
from metrics.scorers.heads.pairs import PASSES, Pass, TrainingPair, training_pairs
from metrics.util.files import (
    atomic_file,
    atomic_folder,
    cache_dir,
    content_hash,
    read_lines,
    sha256_bytes,
    sha256_file,
    write_json,
)
from metrics.util.progress import progress

ROLLOUTS = Path(__file__).parent / "rollouts.tsv"
_FILES = (
    "paradetox/paradetox.tsv",
    "paraphrase/msr_paraphrase_train.txt",
    "paraphrase/pit2015.csv",
    "jigsaw/dev_normal.txt",
    "jigsaw/dev_toxic.txt",
)
# Layers below this one keep their weights: what they tell is spelling, which needs no training.
_FIRST_LAYER = 3
_RANK = 8
_BATCH_SIZE, _WARMUP_STEPS = 32, 100
# Batches hold rows of similar length, out of this many batches that are sorted together.
_SORTED_BATCHES = 50
_HELD_OUT = 1500
_CHECKPOINT_STEPS = 200
_BINARY_WEIGHT = 0.5
# A name is hashed to this many hexadecimal digits in the file of rollouts.
_DIGITS = 12


def train_content(folder: Path, target: Path, lexicon: frozenset[str]) -> None:
    """Train the adapter and its head, and write them with the hashes of their data and their evaluation.

    Args:
        folder: The data folder, with paradetox/, paraphrase/ and jigsaw/.
        target: The folder to write.
        lexicon: Rude words in lower case.

    Raises:
        InputError: A data file is missing or has another format.
    """
    first, *others = (content_pairs(folder, lexicon, drawing) for drawing in PASSES)
    held_out = first[:_HELD_OUT]
    seen = {(pair.source, pair.rewrite) for pair in held_out}
    later = [[pair for pair in pairs if (pair.source, pair.rewrite) not in seen] for pairs in others]
    trained_on = {file: sha256_file(folder / file) for file in _FILES} | {ROLLOUTS.name: sha256_file(ROLLOUTS)}
    write_judge([first[_HELD_OUT:], *later], held_out, trained_on, target)


def write_judge(
    passes: Sequence[Sequence[TrainingPair]], held_out: Sequence[TrainingPair], trained_on: dict[str, str],
    target: Path,
) -> None:  # fmt: skip
    """Train on the pairs of each pass, evaluate on others, and write adapter and head to the folder `target`.

    `trained_on` names the files that the pairs come from, with their hashes; the head's file repeats it.
    """
    # The sums of two threads do not depend on when either works; more threads would gain little on short sentences.
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    reader = PairReader()
    base = reader.load()
    names = [n for n, _ in base.named_modules() if n.endswith("_proj") and int(n.split(".")[1]) >= _FIRST_LAYER]
    model = get_peft_model(base, LoraConfig(r=_RANK, lora_alpha=2 * _RANK, target_modules=sorted(names)))
    # The folder's path would differ from machine to machine.
    model.peft_config["default"].base_model_name_or_path = reader.name
    head = torch.nn.Linear(3 * base.config.hidden_size, OUTPUTS)
    for drawing, pairs in zip(PASSES, passes, strict=True):
        _fit(model, head, reader, pairs, drawing.learning_rate)
    with atomic_folder(target) as temporary:
        _save(model, temporary)
        figures = evaluate(model, head, reader, held_out)
        training_facts = json.dumps({"trained_on": trained_on, "figures": figures}, sort_keys=True)
        tensors = {name: tensor.detach().half().contiguous() for name, tensor in head.state_dict().items()}
        save_file(tensors, temporary / "head.safetensors", metadata={"training": training_facts})
    print(f"{target.name}: {json.dumps(figures)}", flush=True)


def content_pairs(folder: Path, lexicon: frozenset[str], drawing: Pass) -> list[TrainingPair]:
    """Return the pairs of one pass: ParaDetox's rows that are no test's, paraphrases, neutral sentences, rollouts."""
    parallel = sources.read_parallel(folder)
    assert parallel is not None
    training = {source for source, _ in load_corpus("paradetox-train", folder).pairs}
    rows = [(s, r) for s, r in {row[0]: row for row in reversed(parallel.rows)}.values() if s in training]
    paraphrases = load_corpus("paraphrase-pairs", folder).pairs
    sentences = load_corpus("jigsaw-sentences", folder)
    rollouts = _rollouts([source for source, _ in rows])
    pairs = training_pairs(rows, paraphrases, sentences.neutral, sentences.toxic, rollouts, lexicon, drawing)
    return pairs[: drawing.limit]


def _rollouts(texts: Sequence[str]) -> list[tuple[str, str]]:
    """(source, rewrite) of the file of rollouts, which names a source by the beginning of its hash."""
    by_hash = {sha256_bytes(text.encode())[:_DIGITS]: text for text in texts}
    rows = [line.split("\t") for line in read_lines(ROLLOUTS)]
    return [(by_hash[name], rewrite) for name, rewrite in rows if name in by_hash]


def _fit(model: Any, head: Any, reader: PairReader, pairs: Sequence[TrainingPair], learning_rate: float) -> None:
    """Train one pass, and round the weights to the 16 bits in which they are stored."""
    rows = [_ids(reader, pair) for pair in pairs]
    parameters = [p for p in (*model.parameters(), *head.parameters()) if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.01)
    batches = list(_batches([len(row) for row in rows]))
    checkpoint = _Checkpoint(parameters, optimiser, content_hash([pairs, sha256_file(Path(__file__))]))
    start = checkpoint.load()
    for step, indices in enumerate(progress(batches[start:], "content", "batches"), start=start):
        outputs = _outputs(model, head, reader, [rows[i] for i in indices])
        loss = _loss(outputs, [pairs[i] for i in indices])
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * min(1, (step + 1) / _WARMUP_STEPS) * max(0.02, 1 - step / len(batches))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if (step + 1) % _CHECKPOINT_STEPS == 0:
            checkpoint.save(step + 1)
    for parameter in parameters:
        parameter.data = parameter.data.half().float()
    checkpoint.path.unlink(missing_ok=True)


class _Checkpoint:
    """The state of an interrupted training: parameters and AdamW's two averages of each."""

    def __init__(self, parameters: Sequence[Any], optimiser: Any, key: str) -> None:
        self._parameters, self._optimiser = parameters, optimiser
        self.path = cache_dir() / "content" / f"{key[:32]}.safetensors"

    def save(self, step: int) -> None:
        tensors = {"step": torch.tensor(step)}
        for i, parameter in enumerate(self._parameters):
            state = self._optimiser.state[parameter]
            tensors |= {f"{i}.parameter": parameter.detach(), f"{i}.exp_avg": state["exp_avg"]}
            tensors[f"{i}.exp_avg_sq"] = state["exp_avg_sq"]
        with atomic_file(self.path) as temporary:
            save_file(tensors, temporary)

    def load(self) -> int:
        """Restore the state, if there is one, and return the number of steps behind it."""
        if not self.path.is_file():
            return 0
        tensors = load_file(self.path)
        step = int(tensors["step"])
        for i, parameter in enumerate(self._parameters):
            parameter.data.copy_(tensors[f"{i}.parameter"])
            averages = {name: tensors[f"{i}.{name}"] for name in ("exp_avg", "exp_avg_sq")}
            self._optimiser.state[parameter] = {"step": torch.tensor(float(step)), **averages}
        return step


def _save(model: Any, folder: Path) -> None:
    """Write the adapter in peft's format with weights of 16 bits."""
    model.save_pretrained(folder, save_embedding_layers=False)
    for name in sorted(path.name for path in folder.iterdir() if path.name not in ADAPTER_FILES):
        (folder / name).unlink()
    # peft writes a set, whose order changes from run to run.
    settings = json.loads((folder / ADAPTER_FILES[0]).read_text())
    write_json(folder / ADAPTER_FILES[0], {**settings, "target_modules": sorted(settings["target_modules"])})
    adapter = folder / ADAPTER_FILES[1]
    save_file({name: tensor.half().contiguous() for name, tensor in sorted(load_file(adapter).items())}, adapter)


def evaluate(model: Any, head: Any, reader: PairReader, pairs: Sequence[TrainingPair]) -> dict[str, float]:
    """Return AUCs over pairs that were not trained on: of each kind against faithful rewrites, fluency, politeness."""
    with torch.inference_mode():
        parts = [pairs[i : i + _BATCH_SIZE] for i in range(0, len(pairs), _BATCH_SIZE)]
        rows = [[_ids(reader, pair) for pair in part] for part in parts]
        outputs = torch.cat([_outputs(model, head, reader, part) for part in rows]).double()
    faithful = outputs[:, : len(KINDS)].softmax(-1)[:, 0].numpy()
    figures = {}
    for kind in KINDS[1:]:
        chosen = [i for i, pair in enumerate(pairs) if pair.kind in ("none", kind)]
        labels = [pairs[i].kind == "none" for i in chosen]
        figures[f"{kind} AUC"] = roc_auc_score(labels, faithful[chosen])
    for name, column in (("fluent", -2), ("polite", -1)):
        known = [i for i, pair in enumerate(pairs) if getattr(pair, name) is not None]
        figures[f"{name} AUC"] = roc_auc_score([getattr(pairs[i], name) for i in known], outputs[known, column].numpy())
    return {name: round(float(value), 4) for name, value in figures.items()}


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Batches of rows of similar length, in a drawn order."""
    rng = random.Random(0)
    order = list(range(len(lengths)))
    rng.shuffle(order)
    size = _BATCH_SIZE * _SORTED_BATCHES
    for start in range(0, len(order), size):
        part = sorted(order[start : start + size], key=lambda i: lengths[i])
        batches = [part[i : i + _BATCH_SIZE] for i in range(0, len(part), _BATCH_SIZE)]
        rng.shuffle(batches)
        yield from batches


def _ids(reader: PairReader, pair: TrainingPair) -> list[int]:
    return reader.ids(features.canonical(pair.source), features.canonical(pair.rewrite))


def _outputs(model: Any, head: Any, reader: PairReader, rows: Sequence[list[int]]) -> Any:
    """The head's outputs [n, OUTPUTS] in float32; the model's products are in bfloat16, which is twice as fast."""
    ids, _ = pad(rows)
    with torch.autocast("cpu", torch.bfloat16):
        states = model(input_ids=ids).last_hidden_state
    starts = [rewrite_start(row, reader.line_break[0]) for row in rows]
    return head(pool(states.float(), starts, [len(row) for row in rows]))


def _loss(outputs: Any, pairs: Sequence[TrainingPair]) -> Any:
    """Cross-entropy of the kind, and half of that of fluency and politeness, where a pair tells them."""
    n = len(pairs)
    kinds = torch.tensor([KINDS.index(pair.kind) if pair.kind is not None else -1 for pair in pairs])
    loss = functional.cross_entropy(outputs[:, : len(KINDS)], kinds, ignore_index=-1, reduction="sum") / n
    for column, labels in ((-2, [pair.fluent for pair in pairs]), (-1, [pair.polite for pair in pairs])):
        known = [i for i, label in enumerate(labels) if label is not None]
        if known:
            targets = torch.tensor([float(bool(labels[i])) for i in known])
            entropy = functional.binary_cross_entropy_with_logits(outputs[known, column], targets, reduction="sum")
            loss = loss + _BINARY_WEIGHT * entropy / n
    return loss
