"""The parts of the page, each a function from rows to HTML."""
