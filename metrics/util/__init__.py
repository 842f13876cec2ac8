"""Errors, files and progress: what every other package builds on."""
