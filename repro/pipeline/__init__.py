"""The stages of a run, from corpora to report."""
