"""Serves the page of STA: `python app.py`."""

from metrics.spaces.page import serve

if __name__ == "__main__":
    serve("sta")
