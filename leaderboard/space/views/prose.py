"""The texts of the page, as HTML."""

from __future__ import annotations

from leaderboard.space.data import Leaderboard
from leaderboard.space.escaping import external_link, to_html
from leaderboard.space.views.details import code_block

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


def render_introduction(board: Leaderboard) -> str:
    """Return what the metrics mean, and which rows the page shows, at which revision."""
    measured, published = len(board.records) - len(board.published), len(board.published)
    source = "a local folder"
    if board.repo:
        source = external_link(f"https://huggingface.co/datasets/{board.repo}", to_html(board.repo))
    return f"""
<h1>{TITLE}</h1>
<p>Systems that rewrite a toxic sentence politely and keep its meaning. <strong>STA</strong>: no longer toxic.
<strong>SIM</strong>: keeps the meaning. <strong>FL</strong>: fluent. <strong>J</strong>: the mean of their product
over sentences.</p>
<p class="source">{measured:,} measured and {published:,} published rows from {source},
revision {to_html(board.snapshot.revision[:12])}.</p>
"""


def render_submission(board: Leaderboard) -> str:
    """Return how to add a row, and how to cite."""
    repo = board.repo or "ORG/NAME"
    score = (
        f"python -m metrics.score MODEL_ID --json result.json\npython -m leaderboard.publish result.json --repo {repo}"
    )
    return f"""
<h2>Add a system</h2>
<p>Score it, then publish the result. Without write access this opens a pull request; a maintainer merges it after
checking the row from its outputs. Rows are never overwritten: publishing the same run again changes nothing.</p>
{code_block(score)}
<p>MODEL_ID is a model on the Hub (safetensors), a local folder, an adapter, or a text file with one output per line. To
be ranked with other systems, use their test set and profile (<code>--test-set</code>, <code>--limit</code>,
<code>--profile</code>). If the model's card lacks its licence, size or training data, or whether it saw parallel data
or the test set, give them in a file: <code>python -m leaderboard.publish --help</code>.</p>
<p>Anyone can check the rows from their stored outputs:</p>
{code_block(f"python -m leaderboard.verify --repo {repo}")}
<h2>Cite</h2>
{code_block(CITATION)}
"""
