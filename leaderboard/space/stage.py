"""Writes the page as a self-contained Hugging Face Space."""

from pathlib import Path

from metrics.spaces.bundle import METRIC_BUNDLE, bundle, write_space

# The modules and data that app.py imports. It starts without the models' libraries, which the tab Try it imports at its
# first use: tests/leaderboard/test_space.py checks both.
_PAGE = {
    "leaderboard": "__init__.py",
    "leaderboard/board": (
        "__init__.py board.py letters.py names.py reading.py recomputed.py replaced.py tables.py ties.py"
    ),
    "leaderboard/judging": "__init__.py storage.py study.py *.txt",
    "leaderboard/rows": "__init__.py formats.py row.py sentences.py upgrades.py",
    "leaderboard/space": "__init__.py data.py escaping.py frame.py page.py",
    "leaderboard/space/assets": "*",
    "leaderboard/space/tabs": "*.py",
    "leaderboard/space/views": "*.py",
    "leaderboard/space/views/texts": "*.py",
    "leaderboard/stores": "*.py",
    "metrics": "people.py",
    "metrics/data": "judged.py judgement_files.py languages.py parquet.py parquet_pages.py",
    "metrics/generation/engines": "*.py",
    "metrics/scoring": "agreement.py signature.py slices.py statistics.py toxicity.py",
    "metrics/systems": "__init__.py baselines.py lexicon.txt names.py",
}
# Of the metrics' own Spaces, all but their page.
_SCORING = METRIC_BUNDLE | {"metrics/spaces": "__init__.py blocks.py gate.py theme.py"}
PAGE_BUNDLE = {folder: f"{_PAGE.get(folder, '')} {_SCORING.get(folder, '')}" for folder in _PAGE | _SCORING}


def write_page_space(folder: Path) -> None:
    """Write the Space to a new or empty folder; raises `InputError` as `write_space` does."""
    own = Path(__file__).resolve().parent
    write_space(folder, own, {**bundle(PAGE_BUNDLE), "app.py": own / "app.py"})
