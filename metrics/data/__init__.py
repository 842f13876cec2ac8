"""Texts: test sets, training corpora, near-duplicates, and rules about text."""
