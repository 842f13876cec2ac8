"""Stop strings of generation configs: an output ends with the token that completes one."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import StoppingCriteria


class StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Ends the rows whose new text contains a stop string.

    It reads decoded text. The criterion of transformers reads the vocabulary, fails for tokenizers that do not spell
    every word, and also finds a string that begins in the prompt.

    Args:
        tokenizer: The transformers tokenizer.
        strings: The strings, or one string.
        start: The number of tokens before the new ones in a row.
    """

    def __init__(self, tokenizer: Any, strings: str | Sequence[str], start: int) -> None:
        self._tokenizer, self._start = tokenizer, start
        self._strings = [strings] if isinstance(strings, str) else list(strings)
        # A token has at least a byte; special tokens may stand between.
        self._window = 2 * max(len(string.encode("utf-8")) for string in self._strings) + 8

    def cut(self, row: Sequence[int]) -> list[int]:
        """Return the new tokens of a row up to the one that completes the first stop string.

        transformers only stops adding tokens to such a row while others go on if the model has an EOS token.
        """
        text = self._tokenizer.decode(row, clean_up_tokenization_spaces=False)
        if not any(string in text for string in self._strings):
            return list(row)
        for end in range(1, len(row) + 1):
            start = max(0, end - self._window)
            text = self._tokenizer.decode(row[start:end], clean_up_tokenization_spaces=False)
            if any(string in text for string in self._strings):
                return list(row[:end])
        return list(row)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Return a tensor [rows] that says which rows contain a stop string near their end."""
        new = input_ids[:, max(self._start, input_ids.shape[1] - self._window) :]
        texts = self._tokenizer.batch_decode(new, clean_up_tokenization_spaces=False)
        found = [any(string in text for string in self._strings) for text in texts]
        return torch.tensor(found, dtype=torch.bool, device=input_ids.device)
