"""Dates with a time, as files from outside write them."""

import datetime
import re
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

# Dates outside have no time zone's offset to spare, and nothing was written then.
FIRST_YEAR, LAST_YEAR = 2000, 2100
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _parse(value: Any) -> Any:
    """Return the date in a text; a number is none, though pydantic reads it as seconds since 1970."""
    if isinstance(value, str) and _WRITTEN.fullmatch(value):
        return datetime.datetime.fromisoformat(value)
    if isinstance(value, datetime.datetime):
        return value
    raise ValueError("not a date such as 2026-11-24T12:00:00Z")


def _require_year(date: datetime.datetime) -> datetime.datetime:
    first, last = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (FIRST_YEAR, LAST_YEAR))
    if not first <= date < last:
        raise ValueError(f"not between the years {FIRST_YEAR} and {LAST_YEAR}")
    return date


# Of a pydantic model: a date with a time zone that every time zone and every table can hold.
Date = Annotated[AwareDatetime, BeforeValidator(_parse), AfterValidator(_require_year)]


def parse_day(text: str) -> datetime.datetime:
    """Return the begin of a day such as 2026-11-24 (UTC); a ValueError if it is none, or not between the years."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError("not a date such as 2026-11-24")
    return _require_year(datetime.datetime.fromisoformat(f"{text}T00:00:00Z"))


def is_ahead(date: datetime.datetime) -> bool:
    """Return whether a date is more than a day ahead, which only a wrong clock gives."""
    return date > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
