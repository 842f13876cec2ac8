"""From rewrites to scores: rules, measures, signature, statistics."""

# J is the product of these three, per sentence.
FACTORS = ("sta", "sim", "fl")
METRICS = (*FACTORS, "j")
# Below this many decimals, a score depends on which sentences shared its batch.
DECIMALS = 6
