"""Systems: whatever rewrites texts. Baselines, files of outputs, and models."""
