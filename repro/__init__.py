"""SRO retrained: recipes, screener, warm-up, objective, trainer, and the run that ties them together."""
