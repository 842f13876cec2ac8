"""The row schema, its versions, and facts about systems."""
