"""Trains a rewriter of toxic text by SRO or another method, and scores it beside baselines."""
