"""Everything a row says about itself, where it comes from, and how to make it again."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

from leaderboard.space.data import Leaderboard, Record
from leaderboard.space.ranking import number, score, size, status
from leaderboard.space.remake import json_mapping, remake_command, verify_command
from leaderboard.space.shown import MAX_NAME, NOTHING, hub_link, outside, shown, visible
from metrics.scoring import METRICS
from metrics.scoring.signature import Signature
from metrics.util.errors import InputError

# Of a signature, a prompt or a note, all is shown.
_LONG = 6_000
_NOTES = {
    "trained": "The recipe with all its values, for the commit that Provenance names. One that comes with the project "
    "is also run by its name; <code>tox -e reproduce</code> runs smollm2-cpu.",
    "outputs": "Its outputs came as a file: the first command takes them from the row's stored sentences.",
    "model": "A name that is no Hub id may be a folder of its submitter: the command needs the same files, which the "
    "content hash in Revision tells.",
}


def details(board: Leaderboard, key: str | None) -> str:
    """All of a record as HTML."""
    record = board.records.get(key or "")
    if record is None:
        return "<p>No system is chosen: take one from the list above, or by its name in the ranking.</p>"
    published = record["record"] == "published"
    parts = [f"<h2>{shown(record['system'], MAX_NAME)}</h2>"]
    if published:
        parts.append("<p>A published figure: it was not measured here, and its J cannot be compared with others.</p>")
    parts.append(_command(record, board.repo))
    parts.append('<div class="facts">')
    parts += [_facts(title, rows) for title, rows in _sections(board, record)]
    parts.append("</div>")
    return "".join(parts)


def _command(record: Record, repo: str | None) -> str:
    command = remake_command(record)
    if not command:
        source = outside(str(record["source_url"] or ""), shown(record["source"] or record["source_url"], 300))
        return f"<p>Source: {source}</p>"
    hub = hub_link(str(record["system"]), str(record["revision"]))
    note = "" if hub else _NOTES.get("trained" if "repro.run" in command else str(record["kind"]), "")
    verify = code(verify_command(record, repo))
    return (
        f"<h3>Make this row again</h3>{code(command)}"
        f"{f'<p>{note}</p>' if note else ''}<h3>Check its scores from the stored outputs</h3>{verify}"
    )


def code(text: str) -> str:
    """A block to copy, as HTML."""
    lines = "\n".join(visible(line, 20_000) for line in text.split("\n"))
    return (
        f'<div class="code"><pre tabindex="0"><code dir="ltr">{html.escape(lines)}</code></pre>'
        '<button type="button" class="plain copy">Copy</button></div>'
    )


def _facts(title: str, rows: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<div><dt>{name}</dt><dd>{value or NOTHING}</dd></div>" for name, value in rows)
    return f"<section><h3>{title}</h3><dl>{items}</dl></section>"


def _sections(board: Leaderboard, r: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    provenance = json_mapping(r["provenance"]) or {}
    packages = provenance.get("packages")
    group = board.group_of(r["key"])
    seconds = number(r["seconds"], 0)
    return [
        (
            "Scores",
            [(metric.upper(), score(r, metric)) for metric in METRICS]
            + [
                ("Rank", number(r["rank"], 0)),
                ("Ties", shown(r["ties"])),
                ("Soft STA, soft FL", f"{number(r['soft_sta'])}, {number(r['soft_fl'])}"),
                ("Length ratio", number(r["length_ratio"], 2)),
                ("Copies, empty", f"{number(r['copies'])}, {number(r['empty'], 0)}"),
                ("Checked", _checked(r)),
            ],
        ),
        (
            "System",
            [
                ("Kind", shown(r["kind"])),
                ("Revision", f"{shown(r['revision'])} {hub_link(str(r['system']), str(r['revision']))}"),
                ("Parameters", size(r["size"])),
                ("Licence", shown(r["licence"])),
                ("Base model", shown(r["base"])),
                ("Training data", shown("; ".join(map(str, r["training_data"] or ())))),
                ("Parallel data", {True: "used", False: "not used", None: "unknown"}[r["parallel_data"]]),
                ("Test set seen", shown(r["contamination"])),
                ("Note", shown(r["note"])),
            ],
        ),
        (
            "Measurement",
            [
                ("Test set", f"{shown(r['test_set'])} from {shown(r['test_set_origin'])}"),
                ("Sentences", f"{number(r['n'], 0)} of {number(r['test_set_size'], 0)}"),
                ("Test set revision", shown(r["test_set_revision"])),
                ("Test set SHA-256", shown(r["test_set_sha256"])),
                ("Profile", shown(r["profile"])),
                ("Decoding", _decoding(r)),
                ("Signature, short", shown(_short(str(r["signature"] or "")))),
                ("Signature", shown(r["signature"], _LONG)),
                ("Compared with", f"{len(group.records) - 1:,} other rows" if group else "nothing"),
            ],
        ),
        (
            "Provenance",
            [
                ("Submitter, date", f"{shown(r['submitter'])}, {shown(r['date'])}"),
                ("Run", shown(r["run_id"])),
                ("Stored at", _stored(board, r)),
                ("Code", shown(provenance.get("git_commit"))),
                ("Packages", shown(_pairs(packages) if isinstance(packages, dict) else "", _LONG)),
                ("Time to write", f"{seconds} s on {shown(r['device'])}" if r["seconds"] is not None else NOTHING),
                ("Schema version", number(r["schema_version"], 0)),
            ],
        ),
    ]


def _checked(r: Record) -> str:
    when = ", ".join(shown(r[f"verification_{part}"]) for part in ("date", "version") if r[f"verification_{part}"])
    note = f"<p>{shown(r['verification_note'], _LONG)}</p>" if r["verification_note"] else ""
    return f"{status(r)} {when}{note}"


def _decoding(r: Record) -> str:
    settings = json_mapping(r["decoding"])
    return shown(_pairs(settings) if settings else "none" if settings == {} else r["decoding"], _LONG)


def _pairs(values: dict[str, Any]) -> str:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in sorted(values.items())}
    return ", ".join(f"{key} {text}" for key, text in texts.items())


def _short(signature: str) -> str:
    try:
        return Signature.parse(signature).short
    except InputError:
        return ""


def _stored(board: Leaderboard, r: Record) -> str:
    path = str(r["path"])
    text = shown(path, 300)
    known = board.repo and path in board.snapshot.files
    url = f"https://huggingface.co/datasets/{board.repo}/blob/{board.snapshot.revision}/{path}"
    return outside(url, text) if known else text
