"""From rewrites to scores: rules, measures, evaluator, signature, statistics, results."""

# J is the product of these three for each sentence.
FACTORS = ("sta", "sim", "fl")
METRICS = (*FACTORS, "j")
# What the measures return for each sentence, in this order.
COLUMNS = ("sta", "soft_sta", "sim", "fl", "soft_fl")
# Scores are rounded: further decimals depend on which sentences shared a batch.
DECIMALS = 6
# Metrics that are cosines, or products with one; the others are shares. A cosine may exceed 1 by a rounding error.
_SIGNED = ("sim", "j")
ROUNDING = 1e-6


def metric_range(metric: str) -> tuple[float, float]:
    """Return the lowest and the highest value of a metric or of a soft score, with room for rounding."""
    return (-1.0 if metric in _SIGNED else 0.0) - ROUNDING, 1.0 + ROUNDING
