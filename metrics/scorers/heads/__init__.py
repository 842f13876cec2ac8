"""The scorers of the profile `offline`: small heads on frozen MiniLM, SmolLM2-135M and character n-grams.

`metrics.scorers.heads.offline.OfflineHeads` scores. `python -m metrics.heads train` trains the heads again to the same
bytes, on Jigsaw and CoLA; human judgements of rewrites are for evaluation only.
"""
