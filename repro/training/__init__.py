"""Training: base trainers, callbacks, checkpoints and export, the SRO objective and the warm-up."""
