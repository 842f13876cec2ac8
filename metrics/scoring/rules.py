"""From classifier logits to STA and FL: the thresholds in which published protocols differ. Pure functions."""

from __future__ import annotations

import numpy as np

from metrics.profiles import Profile
from metrics.scoring.scores import Array


def softmax(logits: Array) -> Array:
    """Return the probabilities [n, classes] of logits [n, classes]."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def style(profile: Profile, output: Array, source: Array | None = None, reference: Array | None = None) -> Array:
    """Compute STA under the profile's `sta_rule`.

    Args:
        profile: The protocol.
        output: Logits of the outputs [n, classes].
        source: Logits of the sources [n, classes]; only the rule "relative" uses them.
        reference: Logits of the human rewrites [n, classes]; only the rule "relative" uses them.

    Returns:
        STA in [0, 1], shape [n].
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
    """Compute FL [n], in [0, 1], under the profile's `fl_rule` from the logits of the outputs [n, classes]."""
    if profile.fl_rule == "argmax":
        return (logits.argmax(-1) == profile.fl_label).astype(np.float64)
    p = softmax(logits)[:, profile.fl_label]
    return (p > float(profile.fl_threshold or 0)).astype(np.float64) if profile.fl_rule == "probability" else p
