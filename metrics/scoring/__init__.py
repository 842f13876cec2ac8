"""From rewrites to scores: rules, measures, evaluator, signature, statistics, results."""

# J is the product of these three for each sentence.
FACTORS = ("sta", "sim", "fl")
METRICS = (*FACTORS, "j")
# What the measures return for each sentence, in this order.
COLUMNS = ("sta", "soft_sta", "sim", "fl", "soft_fl")
# Scores are rounded: further decimals depend on which sentences shared a batch.
DECIMALS = 6
