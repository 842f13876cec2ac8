"""Rows of a leaderboard: their schema, their sentences, and facts about systems."""
