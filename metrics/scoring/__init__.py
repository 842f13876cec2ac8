"""From rewrites to scores: rules, measures, signature, statistics."""
