"""The scorers of the profile `offline`: small heads on frozen MiniLM, SmolLM2-135M and character n-grams.

`python -m metrics.heads train` trains them again to the same bytes; human judgements of rewrites only evaluate them.
"""
