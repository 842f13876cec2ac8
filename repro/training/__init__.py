"""Training: base trainers, callbacks, checkpoints, the SRO objective and the warm-up."""
