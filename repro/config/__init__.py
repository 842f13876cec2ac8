"""Recipes, and the inputs that a run reads."""
