"""The follower, which judges the leader's rollouts: screener and guards."""
