"""Recomputes rows from their stored outputs, and tables from their rows."""
