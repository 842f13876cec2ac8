"""The stages of a run, from the corpora to the report."""
