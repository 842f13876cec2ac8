"""Recompute rows and say whether they are true."""
