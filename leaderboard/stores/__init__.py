"""Where a leaderboard lives: a local folder or a data set on the Hub."""
