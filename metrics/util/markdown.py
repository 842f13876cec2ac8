"""Tables and text in Markdown."""

import re
from collections.abc import Sequence
from typing import Any

from metrics.util.characters import printable

# Signs of Markdown and HTML that make something else of a text; a < before a space or a _ in a word makes nothing.
_SIGNS = re.compile(r"[\\`*\[\]|~$]|<(?=[a-z/!?])|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])|^[#>+-]", re.I)


def escape_markdown(text: str, limit: int = 500) -> str:
    """Return `text` from outside as it is shown in a line or a cell of Markdown, without invisible characters."""
    return _SIGNS.sub(r"\\\g<0>", printable(text, limit))


def markdown_table(rows: Sequence[Sequence[Any]], header: Sequence[str], text_columns: int = 1) -> str:
    """Return a Markdown table, its first `text_columns` columns aligned to the left and the others to the right."""
    rule = "---|" * text_columns + "--:|" * (len(header) - text_columns)
    return "\n".join([f"| {' | '.join(header)} |", f"|{rule}", *(f"| {' | '.join(map(str, row))} |" for row in rows)])
