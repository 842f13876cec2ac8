"""Tables in Markdown."""

from collections.abc import Sequence
from typing import Any


def markdown_table(rows: Sequence[Sequence[Any]], header: Sequence[str], text_columns: int = 1) -> str:
    """Return a Markdown table, its first `text_columns` columns aligned to the left and the others to the right."""
    rule = "---|" * text_columns + "--:|" * (len(header) - text_columns)
    return "\n".join([f"| {' | '.join(header)} |", f"|{rule}", *(f"| {' | '.join(map(str, row))} |" for row in rows)])
