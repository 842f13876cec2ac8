"""Publishes rows: entries, plan, commit, the data set's card, model repositories, exports."""
