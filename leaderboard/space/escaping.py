"""Text from outside: names, notes and outputs come from anybody and must stay text.

Text reaches HTML only through `to_html` or `to_attribute`, and a CSV only through `to_csv_cell`.
"""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import quote, urlsplit

from metrics.util.characters import printable
from metrics.util.hub import HUB_ID

# Longer texts are cut in tables, with the number of characters left out.
MAX_CELL = 1_000
MAX_NAME = 120
# Spreadsheets read a text that begins with one of these as a formula (OWASP, CSV injection), also in full width.
_FORMULA = re.compile(r"^[=+\-@\t\r\n＝＋－＠]")
_COMMIT = re.compile(r"^[0-9a-f]{40}(?=$|\+)", re.ASCII)
MISSING = '<span class="nothing">–</span>'


def to_html(value: Any, limit: int = MAX_CELL) -> str:
    """Return a value as HTML: escaped text that keeps its own writing direction; a dash for None and ""."""
    if value is None or value == "":
        return MISSING
    return f"<bdi>{html.escape(printable(str(value), limit))}</bdi>"


def to_attribute(text: str, limit: int = MAX_NAME) -> str:
    """Return `text`, cut to `limit` characters, as the value of an HTML attribute."""
    return html.escape(printable(text, limit))


def external_link(url: str, text: str) -> str:
    """Return a link to another site as HTML.

    Args:
        url: The address; if it is not a plain https address, `text` is not linked.
        text: HTML.
    """
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        plain = False
    if not plain or not url.isascii() or not url.isprintable() or " " in url:
        return text
    return f'<a href="{html.escape(url)}" rel="noopener noreferrer" target="_blank">{text}</a>'


def hub_commit(name: str, revision: str) -> str:
    """Return the Hub commit in a system's revision, "" if the system is not a model on the Hub."""
    commit = _COMMIT.match(revision)
    return commit[0] if commit and HUB_ID.match(name) and "/" in name else ""


def hub_link(name: str, revision: str) -> str:
    """Return a link to a model's files at the scored commit, as HTML; "" if the system is not on the Hub."""
    commit = hub_commit(name, revision)
    if not commit:
        return ""
    return external_link(f"https://huggingface.co/{quote(name)}/tree/{commit}", f"{to_html(name, MAX_NAME)} on the Hub")


def to_csv_cell(value: Any) -> Any:
    """Return a value for a CSV file: numbers unchanged, lists joined, texts that no spreadsheet reads as a formula."""
    if isinstance(value, list | tuple):
        value = "; ".join(map(str, value))
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value, len(value))
    return f"'{text}" if _FORMULA.match(value) else text
