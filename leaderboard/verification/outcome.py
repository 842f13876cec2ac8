"""The outcome of a verification."""

from dataclasses import dataclass, field
from typing import Any

from leaderboard.rows.row import Row, Status
from metrics.util.characters import printable

# Findings in a note. A forged row may have thousands.
_MAX_FINDINGS = 5


@dataclass
class Outcome:
    """What the verification of a file found.

    Attributes:
        path: Path of the file.
        row: The row in it, None if there is no valid row.
        outputs: Hash of the stored outputs (`Sentences.outputs_sha256`).
        findings: What is wrong, one line each.
        missing: What the verification lacks, one line each.
    """

    path: str
    row: Row | None = None
    outputs: str = ""
    findings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """A mismatch if there is a finding, unverifiable if something is missing, else verified."""
        return "mismatch" if self.findings else "unverifiable" if self.missing else "verified"

    @property
    def note(self) -> str:
        """The first findings, or else what is missing, in one line."""
        lines = [printable(line) for line in self.findings[:_MAX_FINDINGS] or self.missing]
        more = len(self.findings) - _MAX_FINDINGS
        return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")

    def differ(self, name: str, stored: Any, recomputed: Any) -> None:
        """Add the finding that the field `name` does not have the recomputed value."""
        self.findings.append(f"{name}: stored {_short(stored)}, recomputed {_short(recomputed)}")


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else printable(" ".join(str(value).split()), 120)
