"""The leaderboard's page: rankings, charts, outputs and comparisons from one read of the derived tables."""
