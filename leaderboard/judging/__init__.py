"""Human evaluation: studies, what annotators read, and the answers that a leaderboard stores."""
