"""All facts of a row, its provenance, and the commands that reproduce it."""

import html
import json
from collections.abc import Iterable
from typing import Any

from leaderboard.space.data import Leaderboard, Record
from leaderboard.space.escaping import MAX_NAME, MISSING, external_link, hub_link, to_html
from leaderboard.space.views.columns import PARALLEL, score, size
from leaderboard.space.views.reproduce import endpoint_of, json_mapping, reproduce_command, verify_command
from leaderboard.space.views.tables import number
from leaderboard.space.views.trust import citation, render_trust
from metrics.scoring import METRICS
from metrics.scoring.signature import Signature
from metrics.util.characters import printable
from metrics.util.errors import InputError

# Signatures, prompts and notes are shown in full.
_LONG = 6_000
_NOTES = {
    "trained": "This is the recipe with all its values; run it at the commit that Provenance names. A recipe of the "
    "project can also be run by its name; <code>tox -e reproduce</code> runs smollm2-cpu.",
    "outputs": "The outputs were submitted as a file: the first command reads them from the row's stored sentences.",
    "endpoint": "The model is behind an endpoint, and nothing tells whether it still has these weights. The command "
    "sends the key in OPENAI_API_KEY to the host that it names: look at the host first.",
    "model": "This name is no Hub id: it may be a folder of the submitter. The command needs the same files; compare "
    "their content hash with Revision.",
}


def render_details(board: Leaderboard, key: str | None) -> str:
    """Return all facts of the record `key` as HTML."""
    record = board.records.get(key or "")
    if record is None:
        return "<p>Choose a system from the list above, or by its name in the ranking.</p>"
    facts = {title: _facts(title, rows) for title, rows in _sections(board, record).items()}
    cite = citation(board, record)
    cited = f"<h3>Cite this row</h3>{code_block(cite)}" if cite else ""
    return (
        f"<h2>{to_html(record['system'], MAX_NAME)}</h2>"
        f'<div class="facts">{facts["Scores"]}{facts["System"]}</div>'
        f'<div class="two"><section><h3>Can it be trusted?</h3>{render_trust(record)}{cited}</section>'
        f"<section>{_command(record, board.repo)}</section></div>"
        f'<div class="facts">{facts["Measurement"]}{facts["Provenance"]}</div>'
    )


def _command(record: Record, repo: str | None) -> str:
    command = reproduce_command(record)
    if not command:
        source = external_link(str(record["source_url"] or ""), to_html(record["source"] or record["source_url"], 300))
        return f"<p>Source: {source}</p>"
    hub = hub_link(str(record["system"]), str(record["revision"]))
    kind = "trained" if "repro.run" in command else "endpoint" if endpoint_of(record) else str(record["kind"])
    note = "" if hub else _NOTES.get(kind, "")
    return (
        f"<h3>Reproduce this row</h3>{code_block(command)}{f'<p>{note}</p>' if note else ''}"
        f"<h3>Check its scores from the stored outputs</h3>{code_block(verify_command(record, repo))}"
    )


def code_block(text: str) -> str:
    """Return `text` as a block with a button that copies it, as HTML."""
    lines = "\n".join(printable(line, 20_000) for line in text.split("\n"))
    return (
        f'<div class="code"><pre tabindex="0"><code dir="ltr">{html.escape(lines)}</code></pre>'
        '<button type="button" class="plain copy">Copy</button></div>'
    )


def _facts(title: str, rows: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<div><dt>{name}</dt><dd>{value or MISSING}</dd></div>" for name, value in rows)
    return f"<section><h3>{title}</h3><dl>{items}</dl></section>"


def _sections(board: Leaderboard, r: Record) -> dict[str, list[tuple[str, str]]]:
    provenance = json_mapping(r["provenance"]) or {}
    packages = provenance.get("packages")
    group = board.group_of(r["key"])
    return {
        "Scores": [
            *((metric.upper(), score(r, metric)) for metric in METRICS),
            ("Rank", number(r["rank"], 0)),
            ("Ties", to_html(r["ties"])),
            ("Soft STA, soft FL", f"{number(r['soft_sta'])}, {number(r['soft_fl'])}"),
            ("Length ratio", number(r["length_ratio"], 2)),
            ("Copies, empty", f"{number(r['copies'])}, {number(r['empty'], 0)}"),
        ],
        "System": [
            ("Kind", to_html(r["kind"])),
            ("Revision", f"{to_html(r['revision'])} {hub_link(str(r['system']), str(r['revision']))}"),
            ("Parameters", size(r["size"])),
            ("Licence", to_html(r["licence"])),
            ("Base model", to_html(r["base"])),
            ("Training data", _training_data(r)),
            ("Parallel data", PARALLEL[r["parallel_data"]]),
            ("Test set seen", to_html(r["contamination"])),
            ("Note", to_html(r["note"])),
        ],
        "Measurement": [
            ("Test set", f"{to_html(r['test_set'])} from {to_html(r['test_set_origin'])}"),
            ("Sentences", f"{number(r['n'], 0)} of {number(r['test_set_size'], 0)}"),
            ("Test set revision", to_html(r["test_set_revision"])),
            ("Test set SHA-256", to_html(r["test_set_sha256"])),
            ("Profile", to_html(r["profile"])),
            ("Decoding", _decoding(r)),
            ("Signature, short", to_html(_short(str(r["signature"] or "")))),
            ("Signature", to_html(r["signature"], _LONG)),
            ("Compared with", f"{len(group.records) - 1:,} other rows" if group else "nothing"),
        ],
        "Provenance": [
            ("Submitter, date", f"{to_html(r['submitter'])}, {to_html(r['date'])}"),
            ("Run", to_html(r["run_id"])),
            ("Stored at", _stored(board, r)),
            ("Code", to_html(provenance.get("git_commit"))),
            ("Packages", to_html(_pairs(packages) if isinstance(packages, dict) else "", _LONG)),
            ("Generation time", "" if r["seconds"] is None else f"{r['seconds']:.0f} s on {to_html(r['device'])}"),
            ("Tokens", _tokens(r)),
            ("Schema version", number(r["schema_version"], 0)),
        ],
    }


def _tokens(r: Record) -> str:
    if r["prompt_tokens"] is None or r["completion_tokens"] is None:
        return ""
    counts = f"{number(r['prompt_tokens'], 0)} prompt, {number(r['completion_tokens'], 0)} completion"
    return counts if r["token_cost"] is None else f"{counts}; they cost {number(r['token_cost'], 6)}"


def _training_data(r: Record) -> str:
    names = [str(name) for name in r["training_data"] or ()]
    # The sample is also a test set, whose sentences are not among those for training.
    note = " (the sample’s training texts; its test sentences are others)" if "sample" in names else ""
    return to_html("; ".join(names)) + note


def _decoding(r: Record) -> str:
    settings = json_mapping(r["decoding"])
    return to_html(_pairs(settings) if settings else "none" if settings == {} else r["decoding"], _LONG)


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {v if isinstance(v, str) else json.dumps(v)}" for key, v in sorted(values.items()))


def _short(signature: str) -> str:
    try:
        return Signature.parse(signature).short
    except InputError:
        return ""


def _stored(board: Leaderboard, r: Record) -> str:
    path = str(r["path"])
    text = to_html(path, 300)
    url = f"https://huggingface.co/datasets/{board.repo}/blob/{board.snapshot.revision}/{path}"
    return external_link(url, text) if board.repo and path in board.snapshot.files else text
