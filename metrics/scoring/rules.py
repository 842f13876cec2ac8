"""From classifier logits to scores: the thresholds by which published STA and FL differ. Pure functions on arrays."""

from __future__ import annotations

import numpy as np

from metrics.profiles import Profile
from metrics.scorers.batching import Array


def softmax(logits: Array) -> Array:
    """Probabilities [n, classes]."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def style(profile: Profile, output: Array, source: Array | None = None, reference: Array | None = None) -> Array:
    """STA [n] under the profile's rule, in [0, 1], from the logits [n, classes] of outputs.

    source, reference: logits of the inputs and of the human rewrites, for the rule "relative" only.
    """
    label = profile.sta_label
    if profile.sta_rule == "argmax":
        return (output.argmax(-1) == label).astype(np.float64)
    if profile.sta_rule == "logit":
        toxic = np.delete(output, label, axis=-1).max(-1)
        return (toxic <= float(profile.sta_threshold or 0)).astype(np.float64)
    neutral = softmax(output)[:, label]
    if profile.sta_rule == "probability":
        return (neutral >= float(profile.sta_threshold or 0)).astype(np.float64)
    if profile.sta_rule == "soft":
        return neutral
    if source is None or reference is None:
        raise ValueError("the relative rule needs the logits of sources and references")
    p_in, p_ref = softmax(source)[:, label], softmax(reference)[:, label]
    return np.maximum((neutral + (p_in <= neutral)) / 2, (p_ref <= neutral).astype(np.float64))


def acceptability(profile: Profile, logits: Array) -> Array:
    """FL [n] under the profile's rule, in [0, 1], from the logits [n, classes] of outputs."""
    if profile.fl_rule == "argmax":
        return (logits.argmax(-1) == profile.fl_label).astype(np.float64)
    p = softmax(logits)[:, profile.fl_label]
    return (p > float(profile.fl_threshold or 0)).astype(np.float64) if profile.fl_rule == "probability" else p
