"""Languages: their codes, and the groups over which the shared tasks average."""

import re
from collections.abc import Mapping
from typing import TypeVar

from metrics.util.errors import InputError

# Texts whose language nobody states are English, and so are rows that were made before rows had a language.
ENGLISH = "en"
# An ISO 639 code, with subtags such as zh-hant or without.
CODE_PATTERN = r"^[a-z]{2,3}(-[a-z0-9]{2,8})*$"
# TextDetox at CLEF 2025: languages with parallel training texts, which are those of 2024, and new ones without.
PARALLEL = ("am", "ar", "de", "en", "es", "hi", "ru", "uk", "zh")
NON_PARALLEL = ("fr", "he", "hin", "it", "ja", "tt")
AVERAGES = {"AvgP": PARALLEL, "AvgNP": NON_PARALLEL}
_Value = TypeVar("_Value")


def require_code(lang: str, where: str) -> str:
    """Return the code of a language in lower case; `where` begins the error.

    Raises:
        InputError: It has not the form of an ISO 639 code, with subtags such as zh-hant or without.
    """
    code = lang.strip().lower()
    if not re.fullmatch(CODE_PATTERN, code):
        raise InputError(
            f"{where}: {lang[:40]!r} is no ISO 639 code of a language; write de for German, ja for Japanese"
        )
    return code


def complete_groups(values: Mapping[str, _Value]) -> dict[str, list[_Value]]:
    """Return the values, given by language, of each group of `AVERAGES` that has one for every language.

    An average over some of a group's languages is no figure of the shared tasks.
    """
    groups = {name: [values.get(lang) for lang in langs] for name, langs in AVERAGES.items()}
    return {name: [v for v in group if v is not None] for name, group in groups.items() if None not in group}
