"""Writes the page as a self-contained Hugging Face Space."""

from __future__ import annotations

from pathlib import Path

from metrics.spaces.bundle import bundle, write_space

# The modules and data that app.py imports: no scorers, no models, so that the Space starts in seconds.
# tests/leaderboard/test_space.py imports each module and checks that none brings in a library of models.
PAGE_BUNDLE = (
    "leaderboard/__init__.py",
    "leaderboard/board/__init__.py",
    "leaderboard/board/board.py",
    "leaderboard/board/tables.py",
    "leaderboard/board/ties.py",
    "leaderboard/rows/__init__.py",
    "leaderboard/rows/formats.py",
    "leaderboard/rows/row.py",
    "leaderboard/rows/sentences.py",
    "leaderboard/rows/upgrades.py",
    "leaderboard/space/__init__.py",
    "leaderboard/space/data.py",
    "leaderboard/space/escaping.py",
    "leaderboard/space/page.py",
    "leaderboard/space/rude_words.py",
    "leaderboard/space/assets/*",
    "leaderboard/space/views/*.py",
    "leaderboard/stores/*.py",
    "metrics/__init__.py",
    "metrics/data/__init__.py",
    "metrics/data/text.py",
    "metrics/generation/__init__.py",
    "metrics/generation/decoding.py",
    "metrics/generation/tokens.py",
    "metrics/generation/engines/*.py",
    "metrics/models/__init__.py",
    "metrics/models/builtin.py",
    "metrics/models/conversion.py",
    "metrics/models/loading.py",
    "metrics/models/prompts.py",
    "metrics/models/resolve.py",
    "metrics/scoring/__init__.py",
    "metrics/scoring/signature.py",
    "metrics/scoring/statistics.py",
    "metrics/spaces/__init__.py",
    "metrics/spaces/theme.py",
    "metrics/systems/__init__.py",
    "metrics/systems/baselines.py",
    "metrics/systems/lexicon.txt",
    "metrics/util/*.py",
)


def write_page_space(folder: Path) -> None:
    """Write the Space: app.py, its card and requirements, and the modules that it imports.

    Args:
        folder: The Space; must be new or empty.

    Raises:
        InputError: The folder is not empty or cannot be written.
    """
    here = Path(__file__).resolve().parent
    write_space(
        folder, {**bundle(PAGE_BUNDLE), **{name: here / name for name in ("app.py", "README.md", "requirements.txt")}}
    )
