"""Test sets, training corpora and rules about text."""
