"""The parts of the page that show sentences and rewrites, each a function from them to HTML."""
