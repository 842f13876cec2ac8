"""What the page says in words, as HTML."""

from __future__ import annotations

from leaderboard.space.data import Leaderboard
from leaderboard.space.details import code
from leaderboard.space.shown import outside, shown

TITLE = "Text detoxification leaderboard"
CITATION = """\
@software{detox_suite,
  title = {detox-suite: retrain, score and publish text detoxification systems},
  year = {2026},
  note = {Give the version and the signature beside every score}
}
@article{xie2024learning,
  title = {Learning from Response not Preference: A Stackelberg Approach for {LLM} Detoxification
           using Non-parallel Data},
  author = {Xie, Xinhong and Li, Tao and Zhu, Quanyan},
  journal = {arXiv preprint arXiv:2410.20298},
  year = {2024}
}"""


def introduction(board: Leaderboard) -> str:
    """What the scores mean, and which state of which data is shown."""
    measured, published = len(board.records) - len(board.published), len(board.published)
    source = "a local folder"
    if board.repo:
        source = outside(f"https://huggingface.co/datasets/{board.repo}", shown(board.repo))
    return f"""
<h1>{TITLE}</h1>
<p>Systems that rewrite a toxic sentence into a polite one that says the same. <strong>STA</strong>: not toxic any more.
<strong>SIM</strong>: still means the same. <strong>FL</strong>: fluent. <strong>J</strong>: the mean of the
three multiplied.</p>
<p class="source">{measured:,} measured and {published:,} published rows from {source},
revision {shown(board.snapshot.revision[:12])}.</p>
"""


def submission(board: Leaderboard) -> str:
    """How to add a row and how to cite."""
    repo = board.repo or "ORG/NAME"
    score = (
        f"python -m metrics.score MODEL_ID --json result.json\npython -m leaderboard.publish result.json --repo {repo}"
    )
    return f"""
<h2>Add a system</h2>
<p>Score it, then publish the result. Without write access that opens a pull request, which is merged once the row was
checked from its outputs. A row is never overwritten: the same run again changes nothing.</p>
{code(score)}
<p>MODEL_ID is a model on the Hub (safetensors), a local folder, an adapter, or a text file with one output per line. To
be ranked with others, take their test set and profile (<code>--test-set</code>, <code>--limit</code>,
<code>--profile</code>). What the model's card does not say (licence, size, training data, whether it saw parallel data
or the test set) is told in a file: <code>python -m leaderboard.publish --help</code>.</p>
<p>Any row can be checked from its stored outputs:</p>
{code(f"python -m leaderboard.verify --repo {repo}")}
<h2>Cite</h2>
{code(CITATION)}
"""
