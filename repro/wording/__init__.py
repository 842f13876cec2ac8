"""Rude and neutral wordings of the same thing."""
