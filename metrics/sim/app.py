"""Serves the page of SIM: `python app.py`."""

from metrics.spaces.page import build, launch

demo = build(
    metric="sim",
    title="SIM: content similarity",
    question="Does a rewritten sentence keep the meaning?",
)

if __name__ == "__main__":
    launch(demo)
