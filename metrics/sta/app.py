"""Serves the page of STA: `python app.py`."""

from metrics.spaces.page import build, launch

demo = build(
    metric="sta",
    title="STA: style accuracy",
    question="Is a rewritten sentence free of toxicity?",
)

if __name__ == "__main__":
    launch(demo)
