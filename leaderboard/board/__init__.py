"""Tables, ranks, ties and copies, derived from rows."""
