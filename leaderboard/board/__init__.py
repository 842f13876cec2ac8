"""The board of a leaderboard: rankings, ties, copies and derived tables."""
