"""Recipes and the inputs that they name."""
