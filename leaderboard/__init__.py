"""The leaderboard: rows that say what was measured, on what, and how."""
