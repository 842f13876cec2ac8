"""Serves the page of FL: `python app.py`."""

from metrics.spaces.page import build, launch

demo = build(
    metric="fl",
    title="FL: fluency",
    question="Is a rewritten sentence acceptable English?",
)

if __name__ == "__main__":
    launch(demo)
