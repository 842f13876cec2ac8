"""A causal model of transformers as judge: the probabilities of its next token."""

import copy
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from metrics.generation.batching import length_sorted_batches
from metrics.generation.chat import render_chats
from metrics.models.loading import load_model, require_merged
from metrics.models.resolve import resolve_model, resolve_pinned
from metrics.scorers.judge.answers import Answer, Words, from_probabilities
from metrics.util.errors import InputError

_BATCH_SIZE = 16
# Of the vocabulary, as many tokens as can be a spelling of the two words.
_TOP = 50


class LocalJudge:
    """A built-in model, a folder or a Hub id, loaded with the first question; in bfloat16 on a GPU, else float32.

    Raises:
        InputError: No such model.
    """

    def __init__(self, model: str, revision: str | None) -> None:
        import torch

        self._ref = resolve_pinned(resolve_model, model, revision)
        self._dtype = "bfloat16" if torch.cuda.is_available() else "float32"
        self._loaded: Any = None
        self.name = model
        base = f"+base:{self._ref.base.revision}" if self._ref.base else ""
        self.revision = self.cache_key = f"{self._ref.revision}{base},{self._dtype}"

    def ask(self, prompts: Sequence[str], words: Words) -> Iterator[tuple[int, Answer]]:
        """Yield the answers batch by batch; see `Backend`."""
        import torch

        if self._loaded is None:
            self._loaded = load_model(self._ref, dtype=self._dtype)
            require_merged(self._loaded, "judge")
            if self._loaded.seq2seq:
                raise InputError(f"judge {self.name}: an encoder-decoder; a judge is a causal instruction model")
        ids = [self._tokenize(prompt) for prompt in prompts]
        self._require_context(max(map(len, ids)))
        # Most of a prompt is the same for all: its keys and values are computed once.
        common = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*ids, strict=False))
        shared = [column[0] for column in common][: min(map(len, ids)) - 1] if len(ids) > 1 else []
        with torch.inference_mode():
            prefix = self._loaded.model(self._tensor([shared]), use_cache=True).past_key_values if shared else None
        for batch in length_sorted_batches([len(row) for row in ids], _BATCH_SIZE):
            with torch.inference_mode():
                logits = self._next_token([ids[i][len(shared) :] for i in batch], len(shared), copy.deepcopy(prefix))
            top = logits.float().log_softmax(-1).topk(min(_TOP, logits.shape[-1]))
            for i, log_probabilities, tokens in zip(batch, top.values.tolist(), top.indices.tolist(), strict=True):
                texts = [self._loaded.tokenizer.decode([token]) for token in tokens]
                p = from_probabilities(zip(texts, log_probabilities, strict=True), words)
                yield i, Answer(p, texts[0], len(ids[i]), 1)

    def _require_context(self, tokens: int) -> None:
        context = getattr(self._loaded.model.config, "max_position_embeddings", None)
        if context and tokens > context:
            problem = f"a question has {tokens} tokens, and the model's context {context}"
            advice = "use a model with a larger context, or a profile with a smaller max_tokens"
            raise InputError(f"judge {self.name}: {problem}; {advice}")

    def _next_token(self, rows: list[list[int]], shared: int, prefix: Any) -> Any:
        """Logits [n, vocabulary] after the rows of token ids, which follow `shared` tokens with the cache `prefix`."""
        width = max(map(len, rows))
        # On the left: the next token of every row then has the same position in the batch.
        padding = [width - len(row) for row in rows]
        padded = [[self._loaded.tokenizer.pad_token_id] * n + row for n, row in zip(padding, rows, strict=True)]
        mask = self._tensor([[1] * shared + [0] * n + [1] * (width - n) for n in padding])
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, shared:]
        if prefix is not None:
            prefix.batch_repeat_interleave(len(rows))
        output = self._loaded.model(
            input_ids=self._tensor(padded), attention_mask=mask, position_ids=positions, past_key_values=prefix,
            logits_to_keep=1, use_cache=prefix is not None,
        )  # fmt: skip
        return output.logits[:, -1]

    def _tensor(self, rows: list[list[int]]) -> Any:
        import torch

        return torch.tensor(rows, device=self._loaded.model.device)

    def _tokenize(self, prompt: str) -> list[int]:
        tokenizer = self._loaded.tokenizer
        if not tokenizer.chat_template:
            return list(tokenizer(f"{prompt}\nAnswer:")["input_ids"])
        message = [{"role": "user", "content": prompt}]
        # Models that can think before they answer must not; the templates of others ignore the switch.
        (text,) = render_chats(tokenizer, [message], enable_thinking=False)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
