"""The leader: the model that is trained, its reference, log-probabilities and rollouts."""
