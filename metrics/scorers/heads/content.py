"""The judge of rewrites: SmolLM2 with a LoRA adapter reads a source and its rewrite, and says what is wrong with it.

The adapter (peft's format) and the head lie in the folder `content`; `python -m metrics.heads train` makes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from scipy.special import softmax

from metrics.scorers.batching import Array, TextCache, pad
from metrics.scorers.heads import features
from metrics.scorers.heads.features import Backbone, load_head
from metrics.util.errors import InputError
from metrics.util.files import content_hash, sha256_file

# What the judge says of a rewrite, in the order of its outputs; "none": it says what its source says.
KINDS = (
    "none", "lost", "inverted", "swapped roles", "invented", "other content", "gap", "repetition", "garbled",
)  # fmt: skip
FOLDER = Path(__file__).parent / "content"
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "head.safetensors")
NUM_LAYERS = 14
# Of each text of a pair; the rest is cut off.
MAX_TOKENS = 256
OUTPUTS = len(KINDS) + 2


@dataclass(frozen=True)
class Judgement:
    """What the judge says of one pair.

    Attributes:
        kinds: Probabilities of `KINDS` [9]; the first is that of a rewrite which says what its source says.
        fluent: Log-odds that the rewrite is at least as good English as its source.
        polite: Log-odds that the rewrite holds no rude word and no insult.
    """

    kinds: Array
    fluent: float
    polite: float


class PairReader(Backbone[tuple[str, str], Judgement]):
    """SmolLM2's first layers, reading a line break, the source, a line break, the rewrite and a line break."""

    name = "smollm2-135m-q4"
    auto_class = "AutoModel"
    max_tokens = MAX_TOKENS

    def __init__(self) -> None:
        super().__init__(NUM_LAYERS)

    def ids(self, source: str, rewrite: str) -> list[int]:
        """Return the tokens of a pair of canonical texts."""
        first, second = (
            self.tokenizer(text, add_special_tokens=False)["input_ids"][: self.max_tokens] for text in (source, rewrite)
        )
        return [*self.line_break, *first, *self.line_break, *second, *self.line_break]

    def _ids(self, text: tuple[str, str]) -> list[int]:
        return self.ids(*text)

    @cached_property
    def model(self) -> Any:
        """The transformers model with the adapter merged into its weights, and packed linear layers."""
        from metrics.generation.packed_linear import pack_linear_layers

        model = load_adapter(self.load()).merge_and_unload()
        pack_linear_layers(model)
        return model.eval()

    @cached_property
    def _head(self) -> dict[str, Array]:
        return load_head(FOLDER / ADAPTER_FILES[2], ("weight", "bias"))

    def _encode(self, ids: list[list[int]]) -> list[Judgement]:
        padded, _ = pad(ids)
        states = self.model(input_ids=padded, use_cache=False).last_hidden_state
        starts = [rewrite_start(row, self.line_break[0]) for row in ids]
        pooled = pool(states, starts, [len(row) for row in ids]).double().numpy()
        outputs = pooled @ self._head["weight"].T + self._head["bias"]
        kinds = softmax(outputs[:, : len(KINDS)], axis=-1)
        return [Judgement(k, float(o[-2]), float(o[-1])) for k, o in zip(kinds, outputs, strict=True)]


class ContentJudge:
    """Judges pairs of source and rewrite; each distinct pair passes the model once."""

    def __init__(self) -> None:
        self._reader = PairReader()
        self._judgements = TextCache(lambda pairs: self._reader.extract(pairs, "content", lambda judged: judged))

    @cached_property
    def revision(self) -> str:
        """The backbone's revision and a hash of the adapter and the head."""
        content = content_hash([sha256_file(FOLDER / file) for file in ADAPTER_FILES])[:12]
        return f"{self._reader.ref.revision}+content-{content}"

    def __call__(self, sources: Sequence[str], rewrites: Sequence[str]) -> list[Judgement]:
        """Judge n pairs."""
        # The canonical form is that of the detokenised text too, so metrics that detokenise share the judgement.
        pairs = zip(map(features.canonical, sources), map(features.canonical, rewrites), strict=True)
        return self._judgements(list(pairs))


def load_adapter(model: Any) -> Any:
    """Return `model` with the adapter of `FOLDER`.

    Raises:
        InputError: A file is missing or damaged.
    """
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    try:
        # peft draws random weights before it reads the file; a training that scores must not draw others after that.
        with torch.random.fork_rng(devices=[]):
            adapted = PeftModel.from_pretrained(model, FOLDER, low_cpu_mem_usage=False)
        with safe_open(FOLDER / ADAPTER_FILES[1], "pt") as file:
            # By default peft asks the Hub whether the base model's vocabulary was changed.
            expected = get_peft_model_state_dict(adapted, save_embedding_layers=False)
            found = set(file.keys())
        if missing := set(expected) - found:
            raise ValueError(f"{len(missing)} weights are missing")
        if unknown := found - set(expected):
            raise ValueError(f"{len(unknown)} weights are unknown")
    except (OSError, ValueError, SafetensorError) as error:
        problem = str(error).partition("\n")[0]
        raise InputError(f"{FOLDER}: no adapter ({problem}); run `python -m metrics.heads train`") from None
    return adapted


def rewrite_start(row: Sequence[int], line_break: int) -> int:
    """Return where the rewrite begins in the tokens of a pair: behind the last line break but one."""
    return len(row) - 1 - list(reversed(row[:-1])).index(line_break)


def pool(states: Any, starts: Sequence[int], ends: Sequence[int]) -> Any:
    """Pool the last hidden states of each rewrite into one vector.

    Args:
        states: [n, tokens, width].
        starts: The first token of each rewrite.
        ends: The number of tokens of each row; its last token is the line break behind the rewrite.

    Returns:
        [n, 3 * width], each row with mean 0 and variance 1: the last state, the mean and the maximum of the rewrite's.
    """
    import torch

    positions = torch.arange(states.shape[1])
    first, behind = torch.tensor(starts)[:, None], torch.tensor(ends)[:, None]
    own = ((positions >= first) & (positions < behind))[..., None]
    mean = (states * own).sum(1) / own.sum(1)
    largest = states.masked_fill(~own, -torch.inf).amax(1)
    last = states[torch.arange(len(states)), torch.tensor(ends) - 1]
    pooled = torch.cat([last, mean, largest], dim=-1)
    return torch.nn.functional.layer_norm(pooled, pooled.shape[-1:])
