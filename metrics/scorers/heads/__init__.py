"""The `offline` profile's own metrics: small heads on frozen MiniLM, SmolLM2-135M and character n-grams.

`metrics.scorers.heads.scorers.OfflineHeads` scores; `python -m metrics.heads train` makes the heads again, bit for bit.
They learn from Jigsaw and CoLA alone: human judgements of rewrites only ever measure them.
"""
