"""Writes the page as a self-contained Hugging Face Space."""

from pathlib import Path

from metrics.spaces.bundle import bundle, write_space

# The modules and data that app.py imports: no scorers, no models, so that the Space starts in seconds.
# tests/leaderboard/test_space.py imports each module and checks that none brings in a library of models.
PAGE_BUNDLE = {
    "leaderboard": "__init__.py",
    "leaderboard/board": "__init__.py board.py recomputed.py tables.py ties.py",
    "leaderboard/rows": "__init__.py formats.py row.py sentences.py upgrades.py",
    "leaderboard/space": "__init__.py data.py escaping.py frame.py page.py",
    "leaderboard/space/assets": "*",
    "leaderboard/space/tabs": "*.py",
    "leaderboard/space/views": "*.py",
    "leaderboard/stores": "*.py",
    "metrics": "__init__.py",
    "metrics/data": "__init__.py parquet.py parquet_pages.py text.py",
    "metrics/generation": "__init__.py decoding.py fields.py tokens.py values.py",
    "metrics/generation/engines": "*.py",
    "metrics/models": (
        "__init__.py adapters.py builtin.py conversion.py generation_config.py loading.py prompts.py resolve.py "
        "tokenizers.py weights.py"
    ),
    "metrics/profiles": "*.yaml",
    "metrics/scoring": "__init__.py signature.py slices.py statistics.py toxicity.py",
    "metrics/spaces": "__init__.py gate.py theme.py",
    "metrics/systems": "__init__.py baselines.py lexicon.txt names.py",
    "metrics/util": "*.py",
}


def write_page_space(folder: Path) -> None:
    """Write the Space to a new or empty folder; raises `InputError` as `write_space` does."""
    own = Path(__file__).resolve().parent
    write_space(folder, own, {**bundle(PAGE_BUNDLE), "app.py": own / "app.py"})
