"""Whatever rewrites: baselines, files of outputs, models."""
