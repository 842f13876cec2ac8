"""The contrast set: toxic sentences, each with a good rewrite and a bad one that shows one kind of fault."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from metrics.util.errors import InputError
from metrics.util.files import read_text

CONTRAST_SET = Path(__file__).parent / "contrast.tsv"
# "development" may guide choices and training; "held-out" only measures.
PARTS = ("development", "held-out")


@dataclass(frozen=True)
class Contrast:
    """A toxic source, a good rewrite of it, and a bad one; `kind` names the fault of the bad one."""

    kind: str
    part: str
    source: str
    good: str
    bad: str


def load_contrast(part: str = "all") -> list[Contrast]:
    """Return the contrasts of one of `PARTS`, or "all", in the order of the file, where each kind is one block.

    The parts are halves of each kind: a kind's sources are ranked by their SHA-256, and those of even rank (from 0)
    are held out. The set was written for this project; none of its sources is taken from a corpus.

    Raises:
        InputError: There is no such part.
    """
    if part not in (*PARTS, "all"):
        raise InputError(f"part {part}: the contrast set has {', '.join(PARTS)} and all")
    text = io.StringIO(read_text(CONTRAST_SET), newline="")
    records = csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [Contrast(**record) for record in records if part in ("all", record["part"])]
