"""Serves the page of J: `python app.py`."""

from metrics.spaces.page import build, launch

demo = build(
    metric="j",
    title="J: joint score",
    question="Is a rewritten sentence polite, faithful and fluent at once?",
)

if __name__ == "__main__":
    launch(demo)
