"""The leaderboard: publishes, verifies and shows rows of scores."""
